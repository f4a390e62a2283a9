# -*- test-case-name: tests.relay.policies.test_trust_record -*-
"""
Whom the roots trust, as it is kept in the store: a line of JSON, then the keys.

The keys stand in the order of their distance; the line says how many are how far.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs

from nostrtx.nostr.json import NotJSONError, dumps, loads

#: Where it is kept.
RECORD: Final = "trust"

#: Where it stands which process finds it anew.
CLAIM: Final = "trust claim"

#: So many keys are unpacked in one go; that takes about a millisecond.
_TOGETHER: Final = 4000


@attrs.frozen
class TrustRecord:
    """
    Whom the roots trust.

    Attributes:
        roots: From whom it began, in order.
        depth: How many steps were gone.
        begun_at: When somebody began to find it.
        counts: How many keys are how far away, from 0 on.
        keys: All of them, one after the other.
    """

    roots: tuple[bytes, ...]
    depth: int
    begun_at: float
    counts: tuple[int, ...]
    keys: bytes | memoryview = attrs.field(repr=False)

    @classmethod
    def of(
        cls, roots: Sequence[bytes], begun_at: float, keys: Sequence[bytes | bytearray]
    ) -> TrustRecord:
        """
        The record of what was found.

        Args:
            roots: From whom it began.
            begun_at: When.
            keys: The keys of all who are so far away, one after the other, from 0 on.
        """
        return cls(
            tuple(sorted(roots)),
            len(keys) - 1,
            begun_at,
            tuple([len(some) // 32 for some in keys]),
            b"".join(keys),
        )

    def pack(self) -> bytes:
        """The record as bytes."""
        head = {
            "roots": [root.hex() for root in self.roots],
            "depth": self.depth,
            "begun_at": self.begun_at,
            "counts": list(self.counts),
        }
        # Of what is long, this copies while others work.
        return b"".join((dumps(head), b"\n", self.keys))

    def parts(self) -> Iterator[tuple[int, list[bytes]]]:
        """Distances, and keys that are so far away, some at a time."""
        at = 0
        for distance, count in enumerate(self.counts):
            end = at + 32 * count
            for start in range(at, end, 32 * _TOGETHER):
                some = bytes(self.keys[start : min(start + 32 * _TOGETHER, end)])
                yield distance, [some[n : n + 32] for n in range(0, len(some), 32)]
            at = end


def unpack(packed: bytes | None) -> TrustRecord | None:
    """The record that some bytes are; None if they are none."""
    if packed is None:
        return None
    line_ends = packed.find(b"\n")
    keys = memoryview(packed)[line_ends + 1 :]
    try:
        head: Any = loads(packed[: max(line_ends, 0)])
        record = TrustRecord(
            tuple(map(bytes.fromhex, head["roots"])),
            int(head["depth"]),
            float(head["begun_at"]),
            tuple(map(int, head["counts"])),
            keys,
        )
    except (NotJSONError, KeyError, TypeError, ValueError):
        return None
    return record if 32 * sum(record.counts) == len(keys) else None
