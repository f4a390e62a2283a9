# -*- test-case-name: tests.relay.test_moment -*-
"""Something that happens once, and that any number may wait for."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed


class Moment:
    """
    A moment, to come or past.

    Attributes:
        is_past: Whether it has come.
    """

    def __init__(self) -> None:
        self.is_past = False
        self._waiting: list[Deferred[None]] = []

    def wait(self) -> Deferred[None]:
        """Fires when it comes, at once if it is past; may be cancelled."""
        if self.is_past:
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def comes(self) -> None:
        """It is now; harmless if it is past."""
        self.is_past = True
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)
