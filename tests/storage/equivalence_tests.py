"""
A store answers whatever is asked exactly as the store in memory does.

A test case for a store derives from :class:`EquivalenceTests` and from trial's.

The environment variable ``NOSTRTX_HYPOTHESIS_EXAMPLES`` is the number of histories
to try. Where it is set, failing ones are made smaller as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from random import Random
from typing import TYPE_CHECKING, TypeVar

import attrs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.queries import IStoredQuery, Page
from nostrtx.interfaces.store import IEventStore, SaveOutcome
from nostrtx.nostr.filters import Filter
from nostrtx.storage.memory import MemoryEventStore
from tests.storage.events import NOW
from tests.storage.histories import (
    Step,
    Sweep,
    events_of,
    filters,
    histories,
    long_history,
    screens,
)
from tests.storage.screens import Screen
from tests.storage.waiting_reactor import WaitingReactor

_T = TypeVar("_T")

if TYPE_CHECKING:
    _TestCase = SynchronousTestCase
else:
    # trial must not run the tests by themselves, without a store.
    _TestCase = object

_PATIENT = os.environ.get("NOSTRTX_HYPOTHESIS_EXAMPLES")

_SETTINGS = settings(
    max_examples=int(_PATIENT or 150),
    deadline=None,
    database=None,
    print_blob=True,
    # Finding the smallest example can take minutes.
    phases=[Phase.generate, *([Phase.shrink] if _PATIENT else [])],
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        # The same tests run for one store after the other.
        HealthCheck.differing_executors,
    ],
)

#: How a page is asked for: bytes, and until when.
_ASKING = st.sampled_from(
    [(1, inf), (700, inf), (2**20, inf), (2**20, -inf), (1, -inf)]
)

_NOW = st.sampled_from([0, NOW - 1, NOW, NOW + 1, NOW + 2.5, 2**50])


class _Pair:
    """
    A store of each kind, both doing the same.

    Args:
        make_store: Makes the store that is compared with the one in memory; not yet
            open.
    """

    def __init__(self, make_store: Callable[[WaitingReactor], IEventStore]) -> None:
        self._reactor = WaitingReactor()
        self.expected = MemoryEventStore()
        self.actual = make_store(self._reactor)
        self.expected.open()
        self.actual.open()

    def close(self) -> None:
        """Close both."""
        self.result_of(self.expected.close())
        self.result_of(self.actual.close())

    def result_of(self, deferred: Deferred[_T]) -> _T:
        """What a Deferred of either store fires with."""
        return self._reactor.result_of(deferred)

    def take(self, store: IEventStore, step: Step) -> list[SaveOutcome] | int:
        """What one store answers to a step of a history."""
        if isinstance(step, Sweep):
            removed = 0
            while more := self.result_of(store.delete_expired(step.now)):
                removed += more
            return removed
        results = self.result_of(store.save_events(step))
        stored = [result.seq for result in results if result.seq]
        if stored:
            assert stored == sorted(set(stored))
            assert store.last_seq() == stored[-1]
        return [result.outcome for result in results]

    def counted(
        self,
        store: IEventStore,
        asked: Sequence[Filter],
        now: float,
        screen: Screen | None,
        with_authors: bool,
    ) -> tuple[int, list[bytes]]:
        """What one store counts, and the authors that it tells, in order."""
        told: list[bytes] = []
        authors = told.append if with_authors else None
        counting = store.count(asked, now, screen, authors)
        while True:
            count = counting.go_on(-inf)
            if isinstance(count, Deferred):
                count = self.result_of(count)
            if count.done:
                return count.events, sorted(told)

    def page(
        self, query: IStoredQuery, max_bytes: int, deadline: float
    ) -> tuple[list[bytes], bool]:
        """The next page of a query of either store."""
        page = query.next_page(max_bytes, deadline)
        if isinstance(page, Deferred):
            page = self.result_of(page)
        return [bytes(raw) for raw in page.events], page.done

    def whole(self, query: IStoredQuery) -> Page:
        """A query's whole answer."""
        page = query.next_page(2**30, inf)
        if isinstance(page, Deferred):
            page = self.result_of(page)
        assert page.done
        return page

    def rest(
        self, query: IStoredQuery, asking: Sequence[tuple[int, float]] = ()
    ) -> list[bytes]:
        """The rest of a query's events: pages as asked for, then all at once."""
        given: list[bytes] = []
        for max_bytes, deadline in (*asking, (2**30, inf)):
            events, done = self.page(query, max_bytes, deadline)
            given += events
            if done:
                break
        while not done:
            events, done = self.page(query, 2**30, inf)
            given += events
        query.close()
        return given


class EquivalenceTests(_TestCase):
    """Tests that compare a store with the reference."""

    @contextmanager
    def store_maker(self) -> Iterator[Callable[[WaitingReactor], IEventStore]]:
        """Makes one empty store, not yet open; it is closed before this is left."""
        raise NotImplementedError

    @_SETTINGS
    @given(st.data())
    def test_same_answers(self, data: st.DataObject) -> None:
        """After any history, any filters find the same in the same order."""
        steps = data.draw(histories(), label="steps")
        one_filter = filters(events_of(steps))
        pause = data.draw(st.integers(0, len(steps) - 1), label="pause")
        many = st.lists(one_filter, min_size=1, max_size=4)
        with self.store_maker() as make_store:
            pair = _Pair(make_store)
            try:
                self._take(pair, steps[:pause])
                begun = data.draw(many, label="query that spans saving")
                first = data.draw(_ASKING, label="first page")
                queries = [store.query(begun, NOW) for store in self._stores(pair)]
                started = [pair.page(query, *first) for query in queries]
                self._take(pair, steps[pause:])
                expected, actual = (
                    events if done else events + pair.rest(query)
                    for query, (events, done) in zip(queries, started, strict=True)
                )
                # What was removed in between may be left out, and nothing else.
                missing = set(expected) - set(actual)
                self.assertEqual(
                    [raw for raw in expected if raw not in missing], actual
                )
                left = set(pair.rest(pair.expected.query([Filter()], 0)))
                # Unless it was removed and then stored once more.
                left.difference_update(e.raw for e in events_of(steps[pause:]))
                self.assertEqual(missing & left, set())
                for query in queries:
                    query.close()
                for _ in range(12):
                    self._compare(
                        pair,
                        data.draw(many, label="filters"),
                        data.draw(_NOW, label="now"),
                        data.draw(st.lists(_ASKING, max_size=3), label="asking"),
                        data.draw(screens(), label="screen"),
                    )
                self._compare(pair, [Filter()], 0, ())
            finally:
                pair.close()

    @settings(_SETTINGS, max_examples=max(2, _SETTINGS.max_examples // 50))
    @given(st.data())
    def test_same_answers_from_many(self, data: st.DataObject) -> None:
        """It is so as well where lists are long and are read in pieces."""
        random = Random(data.draw(st.integers(0, 2**32), label="seed"))
        steps = long_history(random, data.draw(st.sampled_from([400, 2500])))
        asked = filters(events_of(steps)[::50], (None, 1, 3, 20, 100, 500))
        with self.store_maker() as make_store:
            pair = _Pair(make_store)
            try:
                self._take(pair, steps)
                for _ in range(40):
                    many = data.draw(st.lists(asked, min_size=1, max_size=2))
                    for since, until in ((None, None), self._span(random)):
                        spans = [
                            attrs.evolve(one, since=since, until=until) for one in many
                        ]
                        screen = data.draw(screens())
                        self._compare(pair, spans, NOW + 9, [(50_000, inf)], screen)
            finally:
                pair.close()

    def _span(self, random: Random) -> tuple[int | None, int | None]:
        since, until = sorted(NOW - random.randrange(-1, 130) for _ in range(2))
        return random.choice([(since, until), (since, None), (None, until)])

    def _stores(self, pair: _Pair) -> tuple[IEventStore, IEventStore]:
        return pair.expected, pair.actual

    def _take(self, pair: _Pair, steps: Sequence[Step]) -> None:
        for step in steps:
            expected, actual = (pair.take(store, step) for store in self._stores(pair))
            self.assertEqual(actual, expected)

    def _compare(
        self,
        pair: _Pair,
        asked: Sequence[Filter],
        now: float,
        asking: Sequence[tuple[int, float]],
        screen: Screen | None = None,
    ) -> None:
        expected = pair.rest(pair.expected.query(asked, now, screen))
        actual = pair.rest(pair.actual.query(asked, now, screen), asking)
        self.assertEqual(actual, expected)
        for store in self._stores(pair):
            page = pair.whole(store.query(asked, now, screen))
            number, _ = pair.counted(store, asked, now, screen, False)
            self.assertIn(
                page.more, (None, number > len(expected)), (store, asked, screen)
            )
            if all(one.limit is None for one in asked):
                self.assertIs(page.more, False)
        for with_authors in (False, True):
            counts = [
                pair.counted(store, asked, now, screen, with_authors)
                for store in self._stores(pair)
            ]
            self.assertEqual(counts[1], counts[0])
        query = pair.actual.query(asked, now)
        pair.page(query, 1, inf)
        query.close()
        self.assertEqual(query.floor, pair.actual.last_seq())
