# -*- test-case-name: tests.relay.test_slow_queries -*-
"""
A line in the log for queries that took the store long.

It tells the shape of the filters, which is what decides how long a query takes: how
many values each list has, and never the values, for they say who reads what.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from nostrtx.nostr.filters import Filter
from nostrtx.settings.live import LiveSettings

#: Lines are at least so far apart, in seconds; what is passed over is counted.
REST_SECONDS: Final = 1.0

#: So many kinds of a filter, and so many filters of a query, are told in full.
_MOST_TOLD: Final = 8


def shape_of(asked: Filter) -> str:
    """A filter in a few words, as in ``authors=250 kinds=1,6 #e=2 since limit=500``."""
    parts = []
    for name, values in (("ids", asked.ids), ("authors", asked.authors)):
        if values is not None:
            parts.append(f"{name}={len(values)}")
    kinds = asked.kinds
    if kinds is not None:
        told = ",".join(map(str, kinds[:_MOST_TOLD]))
        more = len(kinds) - _MOST_TOLD
        parts.append(f"kinds={told}" + (f",+{more}" if more > 0 else ""))
    parts += [f"#{letter}={len(values)}" for letter, values in asked.tags]
    parts += [name for name in ("since", "until") if getattr(asked, name) is not None]
    if asked.search:
        parts.append(f"search={len(asked.search.split())}")
    if asked.limit is not None:
        parts.append(f"limit={asked.limit}")
    return " ".join(parts) or "everything"


class SlowQueries:
    """
    Tells of queries that took the store long.

    Args:
        settings: From how long on; 0 tells of none.
        clock: Bounds the number of lines.
    """

    _log = Logger()

    def __init__(self, settings: LiveSettings, clock: IReactorTime) -> None:
        self._settings = settings
        self._clock = clock
        self._quiet_until = float("-inf")
        self._passed_over = 0

    def note(
        self, filters: Sequence[Filter], seconds: float, events: int, ended: str
    ) -> None:
        """
        A query is over.

        Args:
            filters: What was asked for.
            seconds: How long the store worked for it.
            events: How many it gave.
            ended: How it ended, as in ``done``.
        """
        least = self._settings.now.log.slow_query_seconds
        if not least or seconds < least:
            return
        now = self._clock.seconds()
        if now < self._quiet_until:
            self._passed_over += 1
            return
        self._quiet_until = now + REST_SECONDS
        passed_over, self._passed_over = self._passed_over, 0
        shapes = [f"{{{shape_of(asked)}}}" for asked in filters[:_MOST_TOLD]]
        if len(filters) > _MOST_TOLD:
            shapes.append(f"+{len(filters) - _MOST_TOLD}")
        self._log.warn(
            "A query took the store {seconds} s and gave {events} events ({ended}):"
            " {shapes}. {passed_over} more were slow since the last such line.",
            seconds=f"{seconds:.3f}",
            events=events,
            ended=ended,
            shapes=" ".join(shapes),
            passed_over=passed_over,
        )
