# -*- test-case-name: tests.nostr.negentropy.test_snapshot -*-
"""
A sealed set of records, with the fingerprint of any range at hand (NIP-77).

A record is an event's ``created_at`` and id. The fingerprint of a range is made from
the sum of its ids, and a sum of any width is the difference of two running totals.
There is one total for every 16 records, so a fingerprint adds at most 30 ids itself.

Costs some 45 bytes per record. Building one sorts, so for many records it belongs
in a thread, where it leaves the others alone: nearly all is done in few calls of
NumPy, which give up the interpreter's lock meanwhile. Once built it never changes,
and any thread may read it.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from nostrtx.nostr.negentropy.bound import INFINITE_TIMESTAMP, Bound, bound_between
from nostrtx.nostr.negentropy.messages import FINGERPRINT_BYTES, ID_BYTES
from nostrtx.nostr.negentropy.varint import encode_varint

_BLOCK = 16
_BLOCK_BYTES = _BLOCK * ID_BYTES
_MODULUS_MASK = 2**256 - 1


class Snapshot:
    """
    A set of records, sorted by timestamp and then by id; records are known by index.

    Args:
        timestamps: Of each record, less than 2**64 - 1, in any order.
        ids: Of the same records, one row of 32 bytes each. What is given twice is
            held once.

    Raises:
        ValueError: The arrays do not fit each other, or a timestamp is too great.
    """

    def __init__(self, timestamps: NDArray[np.uint64], ids: NDArray[np.uint8]) -> None:
        if timestamps.dtype != np.uint64 or ids.dtype != np.uint8:
            raise ValueError("timestamps must be uint64 and ids rows of uint8")
        if ids.shape != (len(timestamps), ID_BYTES):
            raise ValueError(f"ids of shape {ids.shape} for {len(timestamps)} records")
        order = _order(timestamps, ids)
        timestamps = timestamps.copy() if order is None else timestamps[order]
        ids = ids.copy() if order is None else ids[order]
        if len(timestamps) and timestamps[-1] == INFINITE_TIMESTAMP:
            raise ValueError("a timestamp must be less than 2**64 - 1")
        self._timestamps = timestamps.data
        self._ids = ids.reshape(-1).data
        self._totals = _running_totals(self._ids)

    @classmethod
    def of(cls, records: Iterable[tuple[int, bytes]]) -> Snapshot:
        """
        A snapshot of ``records``, each a timestamp and an id, in any order.

        Raises:
            ValueError: An id has not 32 bytes, or a timestamp is too great.
            OverflowError: A timestamp is negative or has more than 64 bits.
        """
        timestamps = array("Q")
        ids = bytearray()
        for timestamp, id_ in records:
            if len(id_) != ID_BYTES:
                raise ValueError(f"an id of {len(id_)} bytes")
            timestamps.append(timestamp)
            ids += id_
        return cls(
            np.frombuffer(timestamps, np.uint64),
            np.frombuffer(ids, np.uint8).reshape(-1, ID_BYTES),
        )

    def __len__(self) -> int:
        return len(self._timestamps)

    def find(self, bound: Bound, lower: int = 0) -> int:
        """
        The index of the first record not below ``bound``, at or after ``lower``.

        May be the number of records, when all are below.
        """
        timestamps = self._timestamps
        first = bisect_left(timestamps, bound.timestamp, lower)
        if not bound.prefix:
            return first
        after = bisect_right(timestamps, bound.timestamp, first)
        return bisect_left(range(after), bound.prefix, first, after, key=self.id)

    def id(self, index: int) -> bytes:
        """The id of one record."""
        return self._ids[index * ID_BYTES : (index + 1) * ID_BYTES].tobytes()

    def ids(self, lower: int, upper: int) -> bytes:
        """The ids from ``lower`` up to but not including ``upper``, joined."""
        return self._ids[lower * ID_BYTES : upper * ID_BYTES].tobytes()

    def fingerprint(self, lower: int, upper: int) -> bytes:
        """What stands for the records from ``lower`` up to but not ``upper``."""
        total = (self._total(upper) - self._total(lower)) & _MODULUS_MASK
        content = total.to_bytes(ID_BYTES, "little") + encode_varint(upper - lower)
        return sha256(content).digest()[:FINGERPRINT_BYTES]

    def bound_at(self, index: int) -> Bound:
        """The bound that is exactly the record at ``index``."""
        return Bound(self._timestamps[index], self.id(index))

    def bound_before(self, index: int) -> Bound:
        """The shortest bound between the record at ``index`` and the one before."""
        timestamps = self._timestamps
        return bound_between(
            timestamps[index - 1], self.id(index - 1), timestamps[index], self.id(index)
        )

    def _total(self, index: int) -> int:
        """The sum of all ids before ``index``."""
        block = index // _BLOCK
        even, odd = self._totals
        end = block * ID_BYTES
        total = int.from_bytes(even[end - ID_BYTES : end], "little")
        total += int.from_bytes(odd[end - ID_BYTES : end], "little") << 32
        ids = self._ids
        for at in range(block * _BLOCK_BYTES, index * ID_BYTES, ID_BYTES):
            total += int.from_bytes(ids[at : at + ID_BYTES], "little")
        return total


def _order(
    timestamps: NDArray[np.uint64], ids: NDArray[np.uint8]
) -> NDArray[np.intp] | None:
    """Which record comes where in the sorted set; None if they stand just so."""
    words = np.ascontiguousarray(ids).view(">u8")
    order = np.argsort(timestamps, kind="stable")
    times = timestamps[order]
    is_shared = np.zeros(len(times) + 1, bool)
    is_shared[1:-1] = times[1:] == times[:-1]
    # Seldom many share their second with another; only those are sorted by id.
    places = np.flatnonzero(is_shared[1:] | is_shared[:-1])
    rows, seconds = order[places], times[places]
    if not _ascends(seconds, words[rows, 0]):
        rows = rows[np.lexsort((words[rows, 0], seconds))]
        order[places] = rows
        if not _ascends(seconds, words[rows, 0]):
            # Some ids of one second begin alike: only now look at all of them.
            rows = rows[np.lexsort((*words[rows].T[::-1], seconds))]
            order[places] = rows
            is_repeated = (words[rows[1:]] == words[rows[:-1]]).all(axis=1)
            is_repeated &= seconds[1:] == seconds[:-1]
            order = np.delete(order, places[1:][is_repeated])
    return None if np.array_equal(order, np.arange(len(timestamps))) else order


def _ascends(seconds: NDArray[np.uint64], heads: NDArray[np.uint64]) -> bool:
    """Whether the first 8 bytes of the ids ascend strictly within each second."""
    return not ((seconds[1:] == seconds[:-1]) & (heads[1:] <= heads[:-1])).any()


def _running_totals(ids: memoryview) -> tuple[memoryview, memoryview]:
    """
    The sums of the first 16, 32, 48 … ids; an incomplete block has none.

    Each is the sum of two numbers of 32 bytes, the second of which begins four bytes
    further on: the even and the odd columns of 32 bits, none of which overflows.
    """
    blocks = len(ids) // _BLOCK_BYTES
    columns = np.frombuffer(ids, "<u4", blocks * _BLOCK_BYTES // 4)
    sums = columns.reshape(blocks, _BLOCK, 8).sum(axis=1, dtype=np.uint64)
    np.cumsum(sums, axis=0, out=sums)
    even = np.ascontiguousarray(sums[:, 0::2], "<u8")
    odd = np.ascontiguousarray(sums[:, 1::2], "<u8")
    return _bytes_of(even), _bytes_of(odd)


def _bytes_of(numbers: NDArray[np.uint64]) -> memoryview:
    return numbers.reshape(-1).view(np.uint8).data
