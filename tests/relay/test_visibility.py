"""Tests for :mod:`nostrtx.relay.visibility`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.visibility import Visibility
from tests.storage.events import NOW, make_event


class MayReadTests(SynchronousTestCase):
    """Who may read what."""

    def test_ordinary(self) -> None:
        """Notes, ephemeral and addressable events may be read by anyone."""
        for kind in (0, 1, 5, 20001, 22241, 22243, 27234, 30023):
            self.assertTrue(
                Visibility((4, 1059)).may_read(make_event(kind=kind), (), NOW)
            )

    def test_authentication(self) -> None:
        """Events that authenticate somebody to a server are read by nobody."""
        for kind in (22242, 27235):
            self.assertFalse(
                Visibility((4, 1059)).may_read(make_event(kind=kind), (), NOW)
            )

    def test_expiration(self) -> None:
        """An event can be read until the second of its expiration, not in it."""
        event = make_event(tags=[["expiration", str(NOW)]])
        self.assertTrue(Visibility((4, 1059)).may_read(event, (), NOW - 0.001))
        self.assertFalse(Visibility((4, 1059)).may_read(event, (), NOW))
        self.assertFalse(Visibility((4, 1059)).may_read(event, (), NOW + 1))
