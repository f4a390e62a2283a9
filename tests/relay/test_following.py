"""Tests for :mod:`nostrtx.relay.following`; those of bans look closer."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import StoreError
from nostrtx.relay.following import Following
from tests.broadcast.fakes import FakeBroadcaster


class FollowingTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.following.Following`."""

    def setUp(self) -> None:
        """Two processes; one of them follows."""
        self.clock = Clock()
        buses: list[FakeBroadcaster] = []
        self.bus = FakeBroadcaster("here", buses)
        self.other = FakeBroadcaster("there", buses)
        self.read = 0
        self.fault: Exception | None = None
        self.waiting: list[Deferred[None]] | None = None
        self.following = Following(
            self.look, self.bus, "things", self.clock, 10, "the things"
        )
        self.addCleanup(self.following.stop)

    async def look(self) -> None:
        """As the test says."""
        self.read += 1
        if self.waiting is not None:
            waiting: Deferred[None] = Deferred()
            self.waiting.append(waiting)
            await waiting
        if self.fault is not None:
            raise self.fault

    def test_not_before_the_start(self) -> None:
        """Before the start and after the end news is of no account."""
        self.other.publish("things", b"")
        self.assertEqual(self.read, 0)
        self.following.start()
        self.following.stop()
        self.other.publish("things", b"")
        self.clock.advance(20)
        self.assertEqual(self.read, 1)

    def test_reads(self) -> None:
        """It is read at the start, upon news, when connected, and from time to time."""
        self.following.start()
        self.assertEqual(self.read, 1)
        self.other.publish("things", b"")
        self.assertEqual(self.read, 2)
        self.bus.reconnect()
        self.assertEqual(self.read, 3)
        self.clock.advance(10)
        self.assertEqual(self.read, 4)

    def test_changed(self) -> None:
        """Whoever changes something tells the others, and waits until it is known."""
        self.following.start()
        self.waiting = []
        done = Deferred.fromCoroutine(self.following.changed())
        self.assertNoResult(done)
        self.waiting[0].callback(None)
        self.assertIsNone(self.successResultOf(done))

    def test_one_at_a_time(self) -> None:
        """However much news comes during a reading, one more suffices."""
        self.waiting = []
        self.following.start()
        for _ in range(5):
            self.other.publish("things", b"")
        self.assertEqual(self.read, 1)
        self.waiting[0].callback(None)
        self.assertEqual(self.read, 2)
        self.waiting[1].callback(None)
        self.assertEqual(self.read, 2)

    def test_fails(self) -> None:
        """A store that fails is told of once; whoever changes something hears of it."""
        self.fault = StoreError("gone")
        self.following.start()
        self.clock.advance(10)
        self.failureResultOf(
            Deferred.fromCoroutine(self.following.changed()), StoreError
        )
        self.fault = None
        self.clock.advance(10)
        self.assertIsNone(
            self.successResultOf(Deferred.fromCoroutine(self.following.changed()))
        )
