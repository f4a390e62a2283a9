"""Tests for :mod:`nostrtx.relay.pieces`."""

from __future__ import annotations

from contextlib import aclosing

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.filters import Filter
from nostrtx.relay.pieces import Pieces
from nostrtx.storage.memory import MemoryEventStore
from tests.storage.events import make_event


class PiecesTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.pieces.Pieces`."""

    def setUp(self) -> None:
        """Have three events in a store."""
        self.clock = Clock()
        self.store = MemoryEventStore()
        events = [make_event(created_at=at) for at in (1, 2, 3)]
        self.successResultOf(self.store.save_events(events))
        self.events = [event.raw for event in reversed(events)]
        self.read: list[bytes] = []

    async def reading(self, seconds: float) -> None:
        """Read all of them, each of which takes a while."""
        pieces = Pieces(self.clock)
        async with aclosing(pieces.read(self.store, [Filter()])) as found:
            async for raw in found:
                self.read.append(raw)
                self.clock.rightNow += seconds

    def test_short(self) -> None:
        """What takes no time is read without a rest, newest first."""
        self.successResultOf(Deferred.fromCoroutine(self.reading(0)))
        self.assertEqual(self.read, self.events)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_long(self) -> None:
        """Others get their time after each piece."""
        done = Deferred.fromCoroutine(self.reading(1))
        for count in (1, 2, 3):
            self.assertNoResult(done)
            self.assertEqual(self.read, self.events[:count])
            self.clock.advance(1)
        self.successResultOf(done)

    def test_failure(self) -> None:
        """Who fails over an event gets no other one."""

        async def failing() -> None:
            pieces = Pieces(self.clock)
            async with aclosing(pieces.read(self.store, [Filter()])) as found:
                async for raw in found:
                    self.read.append(raw)
                    raise ValueError

        failed = Deferred.fromCoroutine(failing())
        self.failureResultOf(failed, ValueError)
        self.assertEqual(self.read, self.events[:1])
