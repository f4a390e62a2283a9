"""Tests for :mod:`nostrtx.cli.stored_events`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from nostrtx.cli.stored_events import count_events, stored_pages
from nostrtx.interfaces.queries import Count, IStoredCount
from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.filters import Filter
from nostrtx.storage.memory import MemoryEventStore
from tests.storage.events import make_event


@implementer(IStoredCount)
class _SlowCount:
    """A count that needs three turns."""

    turns = 0
    closed = False

    def go_on(self, deadline: float) -> Count:
        """Count one event."""
        self.turns += 1
        return Count(self.turns, self.turns == 3)

    def close(self) -> None:
        """Note it."""
        self.closed = True


class _SlowStore(MemoryEventStore):
    """A store that counts slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.counting = _SlowCount()

    def count(self, *args: Any) -> IStoredCount:
        """The slow count."""
        return self.counting


class TurnTests(SynchronousTestCase):
    """An interrupt is heeded in the middle of all events."""

    def fill(self, store: IEventStore) -> None:
        """Put three events into a store."""
        store.open()
        saving = store.save_events([make_event(created_at=at) for at in (1, 2, 3)])
        self.successResultOf(saving)

    def test_pages(self) -> None:
        """Between the pages of an embedded store everything else gets its turn."""
        store, clock = MemoryEventStore(), Clock()
        read: list[bytes] = []
        self.fill(store)

        async def reading() -> None:
            async for events in stored_pages(store, clock, [Filter()], 0, 1):
                read.extend(events)

        done = Deferred.fromCoroutine(reading())
        self.assertNoResult(done)
        self.assertEqual(len(read), 1)
        clock.pump([0, 0])
        self.successResultOf(done)
        self.assertEqual(len(read), 3)

    def test_interrupt(self) -> None:
        """Who is interrupted gets no further page."""
        store, clock = MemoryEventStore(), Clock()
        read: list[bytes] = []
        self.fill(store)

        async def reading() -> None:
            async for events in stored_pages(store, clock, [Filter()], 0, 1):
                read.extend(events)

        done = Deferred.fromCoroutine(reading())
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual(len(read), 1)

    def test_count(self) -> None:
        """Counting takes its turns as well, and is complete in the end."""
        store, clock = _SlowStore(), Clock()
        verifyObject(IStoredCount, store.counting)
        counting = Deferred.fromCoroutine(count_events(store, clock, [Filter()], 0))
        self.assertNoResult(counting)
        clock.pump([0, 0])
        self.assertEqual(self.successResultOf(counting), 3)
        self.assertTrue(store.counting.closed)
