# -*- test-case-name: tests.nostr.negentropy.test_bound -*-
"""
Bounds of ranges, in the order by timestamp and then by id (NIP-77).

Pure: no I/O and no clock.
"""

from __future__ import annotations

import attrs

INFINITE_TIMESTAMP = 2**64 - 1
"""The timestamp of a bound beyond every record; records have smaller ones."""


@attrs.frozen(slots=True)
class Bound:
    """
    The end of a range: the range holds what is less, the next one begins here.

    Attributes:
        timestamp: 0 to :data:`INFINITE_TIMESTAMP`.
        prefix: The first bytes of an id, 0 to 32; the missing ones count as 0.
    """

    timestamp: int
    prefix: bytes = b""

    def is_below(self, other: Bound) -> bool:
        """Whether this bound comes before ``other``."""
        if self.timestamp != other.timestamp:
            return self.timestamp < other.timestamp
        return self.prefix.ljust(32, b"\0") < other.prefix.ljust(32, b"\0")


INFINITY = Bound(INFINITE_TIMESTAMP)
"""The bound beyond every record."""


def bound_between(
    timestamp: int, first_id: bytes, next_timestamp: int, next_id: bytes
) -> Bound:
    """
    The shortest bound between two neighbours: over the first, not over the next.

    Args:
        timestamp: Of the first record.
        first_id: Of the first record.
        next_timestamp: Of the next record, not less than ``timestamp``.
        next_id: Of the next record; greater than ``first_id`` if the times are equal.
    """
    if timestamp != next_timestamp:
        return Bound(next_timestamp)
    length = 1
    while next_id[:length] == first_id[:length]:
        length += 1
    return Bound(next_timestamp, next_id[:length])
