"""Tests for :mod:`nostrtx.takeover.taken`."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.takeover.taken import TakenSockets


class TakenSocketsTests(SynchronousTestCase):
    """What was taken over."""

    def test_take(self) -> None:
        """Each port is had once, with all its sockets."""
        taken = TakenSockets()
        self.assertEqual(taken.take(("a",)), [])
        taken.put({("a",): [5, 6], ("b",): [7]})
        self.assertEqual(taken.take(("a",)), [5, 6])
        self.assertEqual(taken.take(("a",)), [])
        self.assertEqual(taken.take(("b",)), [7])

    def test_close(self) -> None:
        """What nobody wants is closed, once."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        taken = TakenSockets()
        taken.put({("a",): [theirs.detach()]})
        taken.close()
        self.assertEqual(ours.recv(1), b"")
        taken.close()
