"""
Tests for :mod:`nostrtx.storage.lmdb.scan`: every way through the indexes is right.

The other tests ask small stores. Here is one with enough authors, kinds and values
for the ways that are taken only when there is much to look at.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from math import inf
from random import Random
from shutil import rmtree
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.queries import Page
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.storage.lmdb.schema import Databases, open_databases
from nostrtx.storage.lmdb.store import LMDBEventStore
from nostrtx.storage.lmdb.writer import EventWriter
from tests.storage.events import NOW, make_event
from tests.storage.store_case import count_now, newest_first
from tests.storage.waiting_reactor import WaitingReactor

_RANDOM = Random(1)

#: Some authors share the first four bytes, as an attacker would arrange it.
_AUTHORS = [_RANDOM.randbytes(32) for _ in range(140)]
_AUTHORS += [author[:4] + _RANDOM.randbytes(28) for author in _AUTHORS[:20]]

_KINDS = (0, 1, 1, 1, 1, 3, 6, 7, 7, 10002, 30023, 30023, 39999)
_WORDS = [f"word{number}" for number in range(40)]
_LONG = "x" * 200


def _some_id(random: Random) -> bytes:
    """An id; one in five begins with the same four bytes."""
    return bytes(4 * (random.random() < 0.2)).ljust(4, b"\1") + random.randbytes(28)


def _some_tags(random: Random, kind: int) -> list[list[str]]:
    tags = [["t", random.choice(_WORDS)] for _ in range(random.randrange(3))]
    if kind == 3:
        tags += [["p", a.hex()] for a in random.sample(_AUTHORS, random.randrange(60))]
    elif random.random() < 0.5:
        tags.append(["p", random.choice(_AUTHORS).hex()])
    if random.random() < 0.05:
        tags.append(["r", _LONG])
    if kind >= 30000:
        tags += [["d", random.choice("abcde")] for _ in range(random.randrange(3))]
    if random.random() < 0.1:
        tags.append(["expiration", str(NOW + random.choice((-1, 0, 1, 1000)))])
    return tags


def _some_event(random: Random) -> Event:
    kind = random.choice(_KINDS)
    return make_event(
        id=_some_id(random),
        pubkey=random.choice(_AUTHORS[: random.choice((3, 160))]),
        created_at=NOW - int(random.expovariate(1 / 300)),
        kind=kind,
        tags=_some_tags(random, kind),
    )


def _save(databases: Databases, events: Sequence[Event]) -> None:
    with databases.env.begin(write=True) as txn:
        writer = EventWriter(databases, txn)
        for event in events:
            writer.save(event)
        writer.finish()


def _current(events: Sequence[Event]) -> list[Event]:
    """Those of ``events`` that no other version supersedes, newest first."""
    seen = set()
    current = []
    for event in newest_first(events):
        if event.address is None or event.address not in seen:
            current.append(event)
            seen.add(event.address)
    return current


class ScanTests(SynchronousTestCase):
    """Tests for queries and counts over a store of some thousand events."""

    def setUp(self) -> None:
        """Make the store."""
        self.random = Random(7)
        path = tempfile.mkdtemp(prefix="nostrtx-test-")
        self.addCleanup(rmtree, path)
        events = [_some_event(self.random) for _ in range(2500)]
        databases = open_databases(path, 2**30)
        for at in range(0, len(events), 500):
            _save(databases, events[at : at + 500])
        databases.env.close()
        self.events = _current(events)
        self.reactor = WaitingReactor()
        self.store = LMDBEventStore(path, 2**30, self.reactor)
        self.store.open()
        self.addCleanup(self._close)

    def _close(self) -> None:
        self.reactor.result_of(self.store.close())

    def assert_right(self, *filters: Filter, now: float = NOW) -> None:
        """Assert that an answer and a count are what the filters say."""
        alive = [event for event in self.events if not event.is_expired(now)]
        matched: set[int] = set()
        limited: set[int] = set()
        for filter_ in filters:
            if filter_.matches_nothing:
                continue
            found = [n for n, event in enumerate(alive) if filter_.matches(event)]
            matched.update(found)
            limited.update(found[: filter_.limit])
        query = self.store.query(filters, now)
        answer: list[bytes] = []
        while True:
            page = query.next_page(10_000, self.random.choice((-inf, inf)))
            assert isinstance(page, Page)
            answer += page.events
            if page.done:
                break
        self.assertEqual(answer, [alive[n].raw for n in sorted(limited)], filters)
        count = count_now(self.store.count(filters, now))
        self.assertEqual(count, len(matched), filters)

    def some(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """One, some, or very many of ``values``."""
        size = self.random.choice((1, 1, 2, 9, 30, 130))
        return tuple(self.random.sample(values, min(size, len(values))))

    def some_filter(self) -> Filter:
        """A filter of any form."""
        random = self.random
        hexes = [author.hex() for author in _AUTHORS]
        tags: dict[str, tuple[str, ...]] = {}
        if random.random() < 0.35:
            tags["p"] = self.some(hexes)
        if random.random() < 0.3:
            tags["t"] = self.some([*_WORDS, "none"])
        if random.random() < 0.1:
            tags["r"] = (_LONG,)
        if random.random() < 0.2:
            tags["d"] = self.some(["", "a", "b", "c"])
        since = random.choice((None, None, NOW - 500, NOW - 100, NOW - 5))
        until = random.choice((None, None, NOW - 400, NOW - 90, NOW - 5))
        return Filter(
            ids=self.some([event.id for event in self.events])
            if random.random() < 0.1
            else None,
            authors=self.some(_AUTHORS) if random.random() < 0.5 else None,
            kinds=self.some((0, 1, 3, 6, 7, 10002, 30023, 39999))
            if random.random() < 0.6
            else None,
            tags=tuple(tags.items()),
            since=since,
            until=until,
            limit=random.choice((None, 1, 2, 5, 20, 100, 1000)),
        )

    def test_any_filter(self) -> None:
        """Filters of any form find what they describe."""
        for _ in range(200):
            self.assert_right(self.some_filter())

    def test_any_union(self) -> None:
        """Filters together find what each of them finds."""
        for _ in range(40):
            self.assert_right(
                *[self.some_filter() for _ in range(self.random.randrange(2, 5))],
                now=self.random.choice((NOW - 2, NOW + 2000)),
            )

    def test_home_feed(self) -> None:
        """The newest notes of many authors, of whom most or few write much."""
        for authors in (_AUTHORS, _AUTHORS[3:], _AUTHORS[60:], _AUTHORS[:-1]):
            for limit in (1, 10, 99, 500, 5000):
                filter_ = Filter(authors=tuple(authors), kinds=(1, 6), limit=limit)
                self.assert_right(filter_)
                self.assert_right(Filter(authors=tuple(authors), limit=limit))
                self.assert_right(
                    Filter(authors=tuple(authors), kinds=(0,), limit=limit)
                )

    def test_quiet_authors(self) -> None:
        """The newest notes of many authors whom others drown out."""
        for limit in range(10, 200, 10):
            for now in (NOW - 2, NOW):
                filter_ = Filter(authors=tuple(_AUTHORS[90:]), kinds=(1,), limit=limit)
                self.assert_right(filter_, now=now)

    def test_addresses(self) -> None:
        """Authors' addressable events are found under each of their ``d`` values."""
        for number in range(0, len(_AUTHORS), 4):
            for values in (("a",), ("b", "c"), ("", "e")):
                filter_ = Filter(
                    authors=tuple(_AUTHORS[number : number + 4]),
                    kinds=(30023, 39999),
                    tags=(("d", values),),
                    limit=self.random.choice((None, 1, 2)),
                )
                self.assert_right(filter_)

    def test_followers(self) -> None:
        """The newest lists that name somebody, of few or of many that do."""
        for number in range(0, len(_AUTHORS), 10):
            values = tuple(a.hex() for a in _AUTHORS[number : number + 2])
            for limit in (1, 3, 40, None):
                tags = (("p", values[:1]),)
                for now in (NOW - 2, NOW):
                    self.assert_right(
                        Filter(kinds=(3,), tags=tags, limit=limit), now=now
                    )
                tags = (("p", values),)
                self.assert_right(Filter(kinds=(3, 1), tags=tags, limit=limit))
                self.assert_right(Filter(tags=tags, limit=limit, until=NOW - 50))

    def test_others_with_the_same_beginning(self) -> None:
        """Nobody is shown for an author whose key begins with the same bytes."""
        for author in (*_AUTHORS[:5], *_AUTHORS[-5:]):
            for extra in ((), tuple(_AUTHORS[20:100])):
                for limit in (1, 50, None):
                    authors = (author, *extra)
                    self.assert_right(
                        Filter(authors=authors, kinds=(1, 7), limit=limit)
                    )
                    self.assert_right(
                        Filter(authors=authors, tags=(("t", ("word1",)),), limit=limit)
                    )
