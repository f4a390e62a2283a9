"""What the tests of every store have in common: saving, asking, comparing."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import TYPE_CHECKING, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.queries import Count, IScreen, IStoredCount, IStoredQuery, Page
from nostrtx.interfaces.store import IEventStore, LogPart, SaveOutcome
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.vanish import names_relay
from tests.storage.events import NOW

_T = TypeVar("_T")

if TYPE_CHECKING:
    _TestCase = SynchronousTestCase
else:
    # trial must not run the tests by themselves, without a store.
    _TestCase = object

STORED = SaveOutcome.STORED
DUPLICATE = SaveOutcome.DUPLICATE
SUPERSEDED = SaveOutcome.SUPERSEDED
DELETED = SaveOutcome.DELETED
VANISHED = SaveOutcome.VANISHED

#: Room for any answer of a test.
MANY_BYTES = 2**30


#: The URL of the relay whose stores these are.
RELAY_URL = "ws://127.0.0.1:7777/"


def obeys(request: Event) -> bool:
    """Whether a request to vanish is for the relay at :data:`RELAY_URL`."""
    return names_relay(request, [RELAY_URL])


def count_now(counting: IStoredCount) -> int:
    """What an embedded store counts if it has time."""
    count = counting.go_on(inf)
    assert isinstance(count, Count)
    assert count.done
    counting.close()
    return count.events


def newest_first(events: Iterable[Event]) -> list[Event]:
    """The events in the order of an answer: newest first, ties by id."""
    return sorted(events, key=lambda event: (-event.created_at, event.id))


class StoreCase(_TestCase):
    """
    A test case with an empty open store.

    Attributes:
        store: The store that the helpers use.
    """

    def make_store(self) -> IEventStore:
        """
        Another empty store, open, and closed at the end of the test.

        It obeys the requests to vanish that :func:`obeys` tells.
        """
        raise NotImplementedError

    def result_of(self, deferred: Deferred[_T]) -> _T:
        """What ``deferred`` fires with, after waiting for it if need be."""
        raise NotImplementedError

    def setUp(self) -> None:
        """Begin with an empty store."""
        self.store = self.make_store()

    def save(self, *events: Event) -> list[SaveOutcome]:
        """Save ``events`` in one batch; what became of each."""
        results = self.result_of(self.store.save_events(events))
        return [result.outcome for result in results]

    def save_each(self, *events: Event) -> list[SaveOutcome]:
        """Save ``events`` in batches of one; what became of each."""
        return [outcome for event in events for outcome in self.save(event)]

    def next_page(
        self, query: IStoredQuery, max_bytes: int = MANY_BYTES, deadline: float = inf
    ) -> Page:
        """The next page of ``query``, after waiting for it if need be."""
        page = query.next_page(max_bytes, deadline)
        return self.result_of(page) if isinstance(page, Deferred) else page

    def pages(self, query: IStoredQuery, max_bytes: int = MANY_BYTES) -> list[Page]:
        """All the pages of ``query``, which is closed then."""
        pages = [self.next_page(query, max_bytes)]
        while not pages[-1].done:
            pages.append(self.next_page(query, max_bytes))
        query.close()
        return pages

    def answer(
        self, *filters: Filter, now: float = NOW, screen: IScreen | None = None
    ) -> list[bytes]:
        """The whole answer to ``filters``."""
        pages = self.pages(self.store.query(filters, now, screen))
        return [bytes(raw) for page in pages for raw in page.events]

    def count(
        self, *filters: Filter, now: float = NOW, screen: IScreen | None = None
    ) -> int:
        """The store's count for ``filters``."""
        return self.counted(self.store.count(filters, now, screen))

    def counted(self, counting: IStoredCount, deadline: float = inf) -> int:
        """What is counted in the end, after waiting for it if need be."""
        while True:
            count = counting.go_on(deadline)
            if isinstance(count, Deferred):
                count = self.result_of(count)
            if count.done:
                counting.close()
                return count.events

    def log_after(self, seq: int, most: int) -> LogPart:
        """A part of the arrival log, after waiting for it if need be."""
        part = self.store.log_after(seq, most)
        return self.result_of(part) if isinstance(part, Deferred) else part

    def sweep(self, now: float) -> int:
        """Remove all that is expired; how much that was."""
        removed = 0
        while more := self.result_of(self.store.delete_expired(now)):
            removed += more
        return removed

    def assert_holds(self, *events: Event) -> None:
        """Assert that the store holds ``events`` and nothing else."""
        self.assert_found(Filter(), *events)

    def assert_found(
        self,
        filter_: Filter,
        *events: Event,
        now: float = NOW,
        screen: IScreen | None = None,
    ) -> None:
        """Assert that ``filter_``, without a limit, finds and counts ``events``."""
        expected = [event.raw for event in newest_first(events)]
        answer = self.answer(filter_, now=now, screen=screen)
        self.assertEqual(answer, expected, filter_)
        count = self.count(filter_, now=now, screen=screen)
        self.assertEqual(count, len(expected), filter_)
