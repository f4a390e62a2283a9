# -*- test-case-name: tests.storage.test_postgres -*-
"""
One consistent view of the shared store, for reading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from time import monotonic, sleep
from typing import Any, Final, TypeVar

import attrs

from nostrtx.storage.postgres.conditions import Asking
from nostrtx.storage.postgres.exchange import Ask, Rows
from nostrtx.storage.postgres.session import (
    Session,
    TookTooLong,
    begin_reading,
    last_seq_in,
    time_left,
)

_T = TypeVar("_T")

#: How long to wait for a replica that is a little behind, in seconds, again and again.
_WAITS: Final = (0.001, 0.002, 0.004, 0.008)

_LAST_CHANGE: Final[Ask] = ("SELECT last_change FROM nostrtx.counters", {})
_COMMIT: Final[Ask] = ("COMMIT", {})
_ROLLBACK: Final[Ask] = ("ROLLBACK", {})


@attrs.frozen
class Known:
    """
    What a process knows of, and so must find.

    Attributes:
        last_seq: The ``seq`` of an event.
        last_change: The number of a removal.
    """

    last_seq: int = 0
    last_change: int = 0


class Lagging(Exception):
    """A replica has not got yet what this process has heard of."""


class Snapshot:
    """
    A view of the store, made with the first thing that is asked.

    Args:
        session: The connection.
        seconds: How long everything may take; infinite for any time.
        least: What must be in it at least.
        clock: Tells the time.

    Attributes:
        floor: The ``seq`` of the last event in it.
    """

    def __init__(
        self,
        session: Session,
        seconds: float,
        least: Known,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._session = session
        self._begin = begin_reading(seconds)
        self._seconds = seconds
        self._clock = clock
        self._deadline = clock() + seconds
        self._least = least
        self._is_begun = False
        self.floor = 0

    def ask(self, *asks: Ask) -> list[Rows]:
        """
        The rows of each statement.

        Raises:
            psycopg.Error: One failed.
            TookTooLong: There is no time left.
            Lagging: What must be in the view is not.
        """
        if self._is_begun:
            left = self._deadline - self._clock()
            if left <= 0:
                raise TookTooLong
            if left > self._seconds / 2 or not isfinite(left):
                return self._session.ask(*asks)
            # Of the time that each statement was given, some has gone.
            return self._session.ask(time_left(left), *asks)[1:]
        changed = [_LAST_CHANGE] if self._least.last_change else []
        for wait in (*_WAITS, None):
            _, floor, *rows = self._session.ask(*self._begin, *asks, *changed)
            self.floor = last_seq_in(floor)
            [[last_change]] = rows.pop() if changed else [[0]]
            least = self._least
            if self.floor >= least.last_seq and last_change >= least.last_change:
                self._is_begun = True
                return rows
            self._session.ask(_ROLLBACK)
            if wait is not None:
                sleep(wait)
        raise Lagging

    def run(self, askings: Sequence[Asking[_T]]) -> list[_T]:
        """What comes of each; what they ask is asked together."""
        results: dict[int, _T] = {}
        waiting: dict[int, Ask] = {}

        def go_on(at: int, rows: Any) -> None:
            try:
                waiting[at] = askings[at].send(rows)
            except StopIteration as end:
                results[at] = end.value

        for at in range(len(askings)):
            go_on(at, None)
        while waiting:
            asked, waiting = waiting, {}
            for at, rows in zip(asked, self.ask(*asked.values()), strict=True):
                go_on(at, rows)
        return [results[at] for at in range(len(askings))]

    def finish(self, *asks: Ask) -> list[Rows]:
        """The rows of the last statements; the view is given up then."""
        return self.ask(*asks, _COMMIT)[:-1]
