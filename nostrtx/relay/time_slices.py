# -*- test-case-name: tests.relay.test_time_slices -*-
"""
Some milliseconds of every turn of the reactor, for computations that take longer.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from nostrtx.interfaces.edge import ITurns


class TimeSlices:
    """
    Shares a slice of each turn among all who have something to compute.

    Args:
        turns: The reactor's turns.
        clock: Tells the time.
        seconds: Says how long a slice is.
    """

    def __init__(
        self, turns: ITurns, clock: IReactorTime, seconds: Callable[[], float]
    ) -> None:
        self._turns = turns
        self._clock = clock
        self._seconds = seconds
        self._waiting: list[Deferred[float]] = []
        turns.at_end(self._end_of_turn)

    def turn(self) -> Deferred[float]:
        """
        Wait for a part of a slice.

        Returns:
            Fires with the time until when to compute. May be cancelled.
        """
        turn: Deferred[float] = Deferred(self._waiting.remove)
        self._waiting.append(turn)
        self._turns.needed()
        return turn

    def _end_of_turn(self) -> bool:
        if not self._waiting:
            return False
        ends = self._clock.seconds() + self._seconds()
        queue = len(self._waiting)
        while queue and self._waiting:
            queue -= 1
            self._waiting.pop(0).callback(ends)
            if self._clock.seconds() >= ends:
                break
        return bool(self._waiting)
