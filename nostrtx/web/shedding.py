# -*- test-case-name: tests.web.test_shedding -*-
"""
Sending all clients away while another process serves those who connect.

They would all come back in the same instant, so they go little by little. What one has
published by then is answered: it is told that its subscriptions end, nothing more is
read from it, and a moment later the connection is closed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from math import ceil
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import Interface

#: How often some are sent away, in seconds.
STEP_SECONDS: Final = 0.05

#: How long a client's last events may take to be answered.
SETTLE_SECONDS: Final = 0.15


class IShed(Interface):
    """A connection, as far as it is sent away."""

    def begin_to_leave() -> None:
        """End subscriptions, and read nothing more."""

    def leave() -> None:
        """Close, and say that the client should come again."""


class Shedding:
    """
    Closes connections, spread over some time.

    Args:
        connections: Those that are open now; others may come while this goes on.
        seconds: Over how long to spread them.
        clock: The reactor, or a fake clock.
    """

    def __init__(
        self,
        connections: Callable[[], Collection[IShed]],
        seconds: float,
        clock: IReactorTime,
    ) -> None:
        self._connections = connections
        self._seconds = seconds
        self._clock = clock
        self._told: set[IShed] = set()
        self._leaving: deque[tuple[float, list[IShed]]] = deque()

    async def run(self) -> None:
        """Send them away; ends when all are gone."""
        until = self._clock.seconds() + self._seconds
        while self._connections():
            self._step(until)
            await deferLater(self._clock, STEP_SECONDS)

    def _step(self, until: float) -> None:
        now = self._clock.seconds()
        while self._leaving and self._leaving[0][0] <= now:
            for connection in self._leaving.popleft()[1]:
                connection.leave()
        staying = [each for each in self._connections() if each not in self._told]
        steps = max(1, ceil((until - now) / STEP_SECONDS))
        going = staying[: ceil(len(staying) / steps)]
        if not going:
            return
        self._told.update(going)
        for connection in going:
            connection.begin_to_leave()
        self._leaving.append((now + SETTLE_SECONDS, going))
