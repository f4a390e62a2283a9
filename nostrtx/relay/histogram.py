# -*- test-case-name: tests.relay.test_histogram -*-
"""
How often a value was how large, as numbers by name.

A part of a family has the name of the family, a colon, and what it is:
``commit_seconds:0.01`` counts what took up to ten milliseconds and more than the bound
before.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from math import inf
from typing import Final

#: Upper bounds of what is measured in seconds.
SECONDS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    inf,
)

#: Sums are kept in whole millionths, for what is added up must be integers.
SCALE: Final = 1_000_000


class Histogram:
    """
    How often a value was how large.

    Args:
        name: What the value is, with its unit.
        bounds: Of the classes, each inclusive; the last one is infinite.
    """

    __slots__ = ("_bounds", "_counts", "_name", "_total")

    def __init__(self, name: str, bounds: tuple[float, ...]) -> None:
        self._name = name
        self._bounds = bounds
        self._counts = [0] * len(bounds)
        self._total = 0.0

    def observe(self, value: float, weight: int = 1) -> None:
        """
        Count one value; what is negative, after a step of the clock, is none.

        Args:
            value: The value.
            weight: For how many it stands.
        """
        self._counts[bisect_left(self._bounds, value)] += weight
        if value > 0:
            self._total += value * weight

    def observe_since(self, starts: Iterable[float], now: float) -> None:
        """Count the time from each of ``starts`` until ``now``."""
        bounds, counts, total = self._bounds, self._counts, 0.0
        for start in starts:
            value = now - start
            counts[bisect_left(bounds, value)] += 1
            total += value
        if total > 0:
            self._total += total

    def facts(self) -> dict[str, int]:
        """What was counted, by the names described above; zeros are left out."""
        facts = {
            part_name(self._name, bound): count
            for bound, count in zip(self._bounds, self._counts, strict=True)
            if count
        }
        if self._total:
            facts[sum_name(self._name)] = round(self._total * SCALE)
        return facts


def part_name(family: str, part: object) -> str:
    """The name of a part of a family."""
    return f"{family}:{part}"


def sum_name(histogram: str) -> str:
    """The name of the sum of all values of a histogram, in millionths."""
    return part_name(histogram, "sum")
