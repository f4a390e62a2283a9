# -*- test-case-name: tests.storage.test_lmdb_merge -*-
"""
Lists of postings in the embedded store, read newest first a piece at a time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Protocol

from nostrtx.storage.lmdb.keys import posting_of_time

#: Leaves of some postings those that meet a condition.
Sieve = Callable[[list[bytes]], list[bytes]]


class PostingSource(Protocol):
    """
    Postings in order, from some index.

    Attributes:
        last: How far has been read: all up to this posting. Empty before the start.
        is_done: Whether all has been read.
    """

    last: bytes
    is_done: bool

    def read(self, count: int) -> list[bytes]:
        """The next postings, made from at most ``count`` entries of the index."""


class KeyPostings:
    """
    The postings under one key of an index.

    Args:
        cursor: A cursor of the index; other sources may move it meanwhile.
        key: The key.
        first: Where to begin; empty for the start.
        end: Where to end, not included; empty for no end.
        sieve: What the postings must meet.
    """

    __slots__ = ("_cursor", "_end", "_first", "_key", "_sieve", "is_done", "last")

    def __init__(
        self,
        cursor: Any,
        key: bytes,
        first: bytes = b"",
        end: bytes = b"",
        sieve: Sieve | None = None,
    ) -> None:
        self._cursor = cursor
        self._key = key
        self._first = first
        self._end = end
        self._sieve = sieve
        self.last = b""
        self.is_done = False

    @classmethod
    def after(cls, cursor: Any, key: bytes, last: bytes, end: bytes) -> KeyPostings:
        """The postings under ``key`` behind ``last``, which is one of them."""
        postings = cls(cursor, key, b"", end)
        postings.last = last
        return postings

    def read(self, count: int) -> list[bytes]:
        """The next postings."""
        cursor = self._cursor
        if self.last:
            cursor.set_range_dup(self._key, self.last)
            found = list(islice(cursor.iternext_dup(), 1, count + 1))
        elif (
            cursor.set_range_dup(self._key, self._first)
            if self._first
            else cursor.set_key(self._key)
        ):
            found = list(islice(cursor.iternext_dup(), count))
        else:
            found = []
        if len(found) < count:
            self.is_done = True
        if found:
            self.last = found[-1]
            if self._end and self.last >= self._end:
                del found[bisect_left(found, self._end) :]
                self.is_done = True
            if self._sieve is not None:
                found = self._sieve(found)
        return found


class TimePostings:
    """
    The postings of all events, from the index by time.

    Args:
        cursor: A cursor of that index, which nobody else moves.
        first: Where to begin; empty for the start.
        end: Where to end, not included; empty for no end.
    """

    __slots__ = ("_cursor", "_end", "_first", "_rest", "is_done", "last")

    def __init__(self, cursor: Any, first: bytes = b"", end: bytes = b"") -> None:
        self._cursor = cursor
        self._first = first
        self._end = end
        self._rest: Any = None
        self.last = b""
        self.is_done = False

    def read(self, count: int) -> list[bytes]:
        """The next postings."""
        if self._rest is None:
            self._rest = time_values(self._cursor, self._first)
        found = [posting_of_time(value) for value in islice(self._rest, count)]
        if len(found) < count:
            self.is_done = True
        if found:
            self.last = found[-1]
            if self._end and self.last >= self._end:
                del found[bisect_left(found, self._end) :]
                self.is_done = True
        return found


def time_values(cursor: Any, first: bytes) -> Iterator[bytes]:
    """The values of the index by time, from that of the posting ``first`` onwards."""
    if not first:
        is_there = cursor.first()
    else:
        value = first + bytes(48 - len(first))
        is_there = cursor.set_range_dup(first[:3], value)
        if not is_there:
            after = (int.from_bytes(first[:3], "big") + 1).to_bytes(4, "big")[1:]
            is_there = after != bytes(3) and cursor.set_range(after)
    values: Iterator[bytes] = cursor.iternext(keys=False) if is_there else iter(())
    return values


class KnownPostings:
    """
    Postings that have been found already.

    Args:
        postings: The postings, in order.
    """

    __slots__ = ("_at", "_postings", "is_done", "last")

    def __init__(self, postings: list[bytes]) -> None:
        self._postings = postings
        self._at = 0
        self.last = b""
        self.is_done = not postings

    def read(self, count: int) -> list[bytes]:
        """The next postings."""
        found = self._postings[self._at : self._at + count]
        self._at += count
        self.is_done = self._at >= len(self._postings)
        if found:
            self.last = found[-1]
        return found
