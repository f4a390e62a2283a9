"""Tests for :mod:`nostrtx.relay.flat_lock`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.flat_lock import FlatLock


class FlatLockTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.flat_lock.FlatLock`."""

    def setUp(self) -> None:
        """A lock that somebody has."""
        self.lock = FlatLock()
        self.successResultOf(self.lock.acquire())
        self.done: list[int] = []

    def begin(self, number: int) -> Deferred[None]:
        """Somebody who waits for the lock and needs it for a moment only."""
        return Deferred.fromCoroutine(self.work(number))

    async def work(self, number: int) -> None:
        """Take it, and give it back."""
        await self.lock.acquire()
        self.done.append(number)
        self.lock.release()

    def test_many(self) -> None:
        """However many wait, each has its turn, in the order in which they came."""
        waiting = [self.begin(number) for number in range(5000)]
        self.lock.release()
        for one in waiting:
            self.successResultOf(one)
        self.assertEqual(self.done, list(range(5000)))
        self.assertFalse(self.lock.locked)

    def test_no_overtaking(self) -> None:
        """Who comes while the lock goes from hand to hand waits behind the others."""

        async def come_again() -> None:
            await self.work(1)
            await self.work(3)

        first, second = Deferred.fromCoroutine(come_again()), self.begin(2)
        self.lock.release()
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(self.done, [1, 2, 3])

    def test_held(self) -> None:
        """While one keeps the lock, others wait; who was cancelled is left out."""
        held = self.lock.acquire()
        gone, last = self.begin(1), self.begin(2)
        self.lock.release()
        self.successResultOf(held)
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.assertEqual(self.done, [])
        self.lock.release()
        self.successResultOf(last)
        self.assertEqual(self.done, [2])
