# -*- test-case-name: tests.relay.policies.test_distances -*-
"""How far away people are: a mapping of many keys that grows without a pause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from math import inf
from typing import Final

import attrs

#: Of so many it is known in which order they were put.
MOST_FIRST: Final = 10_000


@attrs.frozen(eq=False)
class Distances:
    """
    Public keys, and a number for each.

    A dictionary of a million keys takes tens of milliseconds each time it must grow:
    these are many small ones, by a byte of the key.
    """

    _parts: tuple[dict[bytes, int], ...] = attrs.field(
        init=False, factory=lambda: tuple([{} for _ in range(256)])
    )

    _first: dict[bytes, None] = attrs.field(init=False, factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def get(self, key: bytes) -> int | None:
        """How far away somebody is; None if that is not known."""
        return self._parts[key[-1]].get(key)

    def beyond(self, keys: Iterable[bytes], distance: int) -> list[bytes]:
        """Those of some people who are farther away, or of whom it is not known."""
        parts = self._parts
        return [key for key in keys if parts[key[-1]].get(key, inf) > distance]

    def put(self, keys: Iterable[bytes], distance: int) -> None:
        """Let people be so far away."""
        parts, first = self._parts, self._first
        for key in keys:
            parts[key[-1]][key] = distance
            if len(first) < MOST_FIRST:
                first[key] = None

    def first(self, most: int) -> list[bytes]:
        """Those who were put first, so many, and :data:`MOST_FIRST` at most."""
        return list(islice(self._first, most))

    def parts(self) -> Iterator[Iterable[tuple[bytes, int]]]:
        """All of them, some at a time; what is put meanwhile may be among them."""
        for part in self._parts:
            yield part.items()
