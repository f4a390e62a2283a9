# -*- test-case-name: tests.storage.test_lmdb_merge -*-
"""
Many lists of postings made one, newest first, reading little more than is wanted.

Lists are read in pieces. Whatever stands before the place up to which *every* list
has been read is final; only lists that have been read less far than the last posting
that is wanted are read on, in larger and larger pieces.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from heapq import merge
from operator import itemgetter
from typing import Final

from nostrtx.storage.lmdb.keys import AFTER_TIES
from nostrtx.storage.lmdb.postings import PostingSource, Sieve
from nostrtx.storage.lmdb.snapshot import STRIDE, Pauses

#: What ties share: time, and the beginning of the id.
_ORDER: Final = itemgetter(slice(9))

#: Up to so many postings are sorted in one go.
_SORT_AT_ONCE: Final = 2048


class Merge:
    """
    The postings of several sources, in order, once each.

    Args:
        sources: The sources.
        sieve: What a posting must meet to be wanted.
        is_disjoint: Whether no posting is in two sources.
        is_ordered: Whether the order matters; if not, all there is must be wanted,
            and what is in two sources is found twice.
        first_piece: How much to read of each source at first.
        largest_piece: How much to read of a source at most at once.
        found: Postings that have been read from the sources already, and sieved.

    Attributes:
        postings: What has been found, in order; the first ones are final.
        read: How many postings have been looked at.
        is_cut_short: Whether reading was stopped because it took too much.
    """

    def __init__(
        self,
        sources: Sequence[PostingSource],
        sieve: Sieve | None,
        is_disjoint: bool,
        is_ordered: bool,
        first_piece: int,
        largest_piece: int,
        found: list[bytes],
    ) -> None:
        self._sources = [source for source in sources if not source.is_done]
        self._sieve = sieve
        self._is_disjoint = is_disjoint
        self._is_sorted = not is_ordered or (len(sources) == 1 and not found)
        self._piece = max(1, min(first_piece, largest_piece))
        self._largest_piece = largest_piece
        self.postings = found
        self.read = len(found)
        self.is_cut_short = False
        self._sort()

    @property
    def is_complete(self) -> bool:
        """Whether all sources have been read to their ends."""
        return not self._sources

    @property
    def frontier(self) -> bytes:
        """Before it all has been read, behind it nothing that counts; empty: all."""
        if not self._sources:
            return b""
        last = min([source.last for source in self._sources])
        return last[:9] + bytes(11)

    def final(self, wanted: int | None) -> int:
        """How many of ``postings`` are final; of more than ``wanted``, those."""
        postings = self.postings
        size = len(postings)
        if self._sources:
            size = bisect_left(postings, self.frontier)
        if wanted is not None and size > wanted:
            size = bisect_right(postings, postings[wanted - 1][:9] + AFTER_TIES)
        return size

    def fill(self, wanted: int | None, most: int | None = None) -> Pauses:
        """
        Read until the ``wanted`` newest, and all that tie with the last, are final.

        Args:
            wanted: How many; None for all there are.
            most: Stop after about so many postings have been looked at in all, or
                once it is plain that they will not be enough.
        """
        while self._sources and not self._is_over(wanted, most):
            sources = self._sources
            if wanted is not None and len(self.postings) >= wanted:
                bound = self.postings[wanted - 1][:9] + AFTER_TIES
                sources = [source for source in sources if source.last < bound]
                if not sources:
                    return
            found: list[bytes] = []
            piece = self._piece
            work = 0
            for source in sources:
                fresh = source.read(piece)
                self.read += len(fresh) + 1
                if self._sieve is not None and fresh:
                    fresh = self._sieve(fresh)
                found += fresh
                work += piece + 8
                if work >= self._largest_piece:
                    work = 0
                    yield
            self._sources = [s for s in self._sources if not s.is_done]
            self.postings += found
            if wanted is not None or not self._sources:
                self._sort()
            self._piece = min(self._next_piece(wanted), self._largest_piece)

    def _is_over(self, wanted: int | None, most: int | None) -> bool:
        if most is None or wanted is None:
            return False
        found = len(self.postings)
        self.is_cut_short = self.read >= most or (
            self.read >= STRIDE and found * 2 * most < wanted * self.read
        )
        return self.is_cut_short

    def _next_piece(self, wanted: int | None) -> int:
        """How much to read next: what is missing, if it goes on as it went so far."""
        found = len(self.postings)
        if wanted is None or not 0 < found < wanted or not self._sources:
            return self._piece * 2
        missing = self.read * (wanted - found) // (found * len(self._sources))
        return min(missing + missing // 4 + 16, self._piece * 4)

    def _sort(self) -> None:
        if not self._is_sorted:
            self.postings.sort()
            if not self._is_disjoint:
                self.postings = list(dict.fromkeys(self.postings))


def newest(
    postings: list[bytes], wanted: int, id_of: Callable[[bytes], bytes]
) -> list[bytes]:
    """The ``wanted`` newest of ordered ``postings``, with ties settled at the cut."""
    if len(postings) <= wanted:
        return postings
    ties = postings[wanted - 1][:9]
    if postings[wanted][:9] != ties:
        return postings[:wanted]
    start = bisect_left(postings, ties)
    end = bisect_right(postings, ties + AFTER_TIES)
    tied = sorted(postings[start:end], key=id_of)
    return postings[:start] + tied[: wanted - start]


def union(
    lists: Sequence[list[bytes]], into: list[bytes], id_of: Callable[[bytes], bytes]
) -> Pauses:
    """
    Put the union of ordered lists of postings into ``into``, in NIP-01's order.

    Args:
        lists: The lists.
        into: Where to put it; empty.
        id_of: The full id of the event that a posting stands for.
    """
    lists = [postings for postings in lists if postings]
    if not lists:
        return
    ordered: Iterable[bytes]
    if len(lists) == 1:
        ordered = lists[0]
    elif sum(map(len, lists)) <= _SORT_AT_ONCE:
        ordered = sorted(set().union(*lists))
    else:
        ordered = merge(*lists)
    if isinstance(ordered, list) and len(set(map(_ORDER, ordered))) == len(ordered):
        into += ordered
        return
    tied = 0
    before = b""
    for count, posting in enumerate(ordered, 1):
        if count % STRIDE == 0:
            yield
        if posting[:9] == before[:9]:
            if posting == before:
                continue
            tied += 1
        elif tied:
            into[-tied - 1 :] = sorted(into[-tied - 1 :], key=id_of)
            tied = 0
        into.append(posting)
        before = posting
    if tied:
        into[-tied - 1 :] = sorted(into[-tied - 1 :], key=id_of)
