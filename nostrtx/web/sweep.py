# -*- test-case-name: tests.web.test_sweep -*-
"""
Looking after connections once a second, instead of by timers for each of them.

Finds peers that are gone without a word (RFC 6455, section 5.5.2), and connections
that do not come to an end.
"""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import Attribute, Interface

from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings


class ISwept(Interface):
    """A connection, as the sweep sees it."""

    number: int = Attribute("Spreads connections over time.")

    def visited() -> None:
        """Ping the peer, or give up on it if it has been silent since the last time."""

    def overdue() -> None:
        """The end that was expected has not come: enforce it."""


class ConnectionSweep:
    """
    Visits each connection once in a while, some of them each second.

    Args:
        clock: The reactor, or a fake clock.
        settings: How often to visit each; 0 for never.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, settings: LiveSettings) -> None:
        self._clock = clock
        self._parts: list[set[ISwept]] = []
        self._turn = 0
        self._skips = 0
        self._deadlines: dict[ISwept, float] = {}
        self._next: IDelayedCall | None = None
        settings.follow(self._apply)

    def _apply(self, settings: Settings) -> None:
        ping_seconds = settings.timing.ping_seconds
        self._pings = ping_seconds > 0
        parts = max(1, int(ping_seconds))
        self._seconds = ping_seconds / parts if self._pings else 1.0
        if parts == len(self._parts):
            return
        connections = [each for part in self._parts for each in part]
        # Some were pinged a moment ago, and have not had the time to answer.
        self._skips = parts if connections else 0
        self._parts = [set() for _ in range(parts)]
        for connection in connections:
            self.add(connection)

    def start(self) -> None:
        """Begin to sweep."""
        if self._next is None:
            self._next = self._clock.callLater(self._seconds, self._sweep)

    def stop(self) -> None:
        """Stop sweeping."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def add(self, connection: ISwept) -> None:
        """Visit ``connection`` from now on."""
        self._parts[connection.number % len(self._parts)].add(connection)

    def remove(self, connection: ISwept) -> None:
        """Forget ``connection``, which has ended."""
        self._parts[connection.number % len(self._parts)].discard(connection)

    def expect_end(self, connection: ISwept, seconds: float) -> None:
        """Call ``connection.overdue`` unless it ends within ``seconds``."""
        self._deadlines.setdefault(connection, self._clock.seconds() + seconds)

    def ended(self, connection: ISwept) -> None:
        """The expected end has come."""
        self._deadlines.pop(connection, None)

    def _sweep(self) -> None:
        self._next = self._clock.callLater(self._seconds, self._sweep)
        now = self._clock.seconds()
        due = [each for each, when in self._deadlines.items() if when <= now]
        for connection in due:
            del self._deadlines[connection]
            try:
                connection.overdue()
            except Exception:
                self._log.failure("Ending a connection failed.")
        if not self._pings:
            return
        if self._skips:
            self._skips -= 1
            return
        self._turn = (self._turn + 1) % len(self._parts)
        for connection in tuple(self._parts[self._turn]):
            try:
                connection.visited()
            except Exception:
                self._log.failure("Pinging a connection failed.")
