"""Tests for :mod:`nostrtx.storage.lmdb.alone`."""

from __future__ import annotations

import os

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import StoreError
from nostrtx.storage.lmdb.alone import LockFile


class LockFileTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.storage.lmdb.alone.LockFile`."""

    def setUp(self) -> None:
        """Two processes, as far as the file can tell: each opens it anew."""
        self.clock = Clock()
        self.path = self.mktemp()
        self.one = LockFile(self.path, self.clock)
        self.other = LockFile(self.path, self.clock)

    def test_one_at_a_time(self) -> None:
        """Whoever comes second, in whatever process, waits for the first."""
        release = self.successResultOf(self.one.acquire())
        second = self.one.acquire()
        elsewhere = self.other.acquire()
        self.clock.advance(1)
        self.assertNoResult(second)
        self.assertNoResult(elsewhere)
        release()
        self.successResultOf(second)()
        self.clock.advance(1)
        self.successResultOf(elsewhere)()

    def test_given_up(self) -> None:
        """Who gives up waiting holds up nobody."""
        release = self.successResultOf(self.one.acquire())
        waiting = self.other.acquire()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        release()
        self.successResultOf(self.other.acquire())()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_file(self) -> None:
        """Where there can be no file there is an error, each time."""
        lock = LockFile(os.path.join(self.path, "none", "file"), self.clock)
        for _ in range(2):
            self.failureResultOf(lock.acquire(), StoreError)
