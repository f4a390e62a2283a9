"""Tests for :mod:`nostrtx.storage.lmdb.merge` and its sources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.storage.lmdb.merge import Merge, newest, union
from nostrtx.storage.lmdb.postings import KnownPostings
from nostrtx.storage.lmdb.snapshot import Pauses


def _posting(order: int, ending: int = 0) -> bytes:
    return order.to_bytes(9, "big") + ending.to_bytes(11, "big")


def _postings(orders: Iterable[int]) -> list[bytes]:
    return [_posting(order) for order in orders]


def _finish(work: Pauses) -> int:
    """Let ``work`` run to its end; how often it paused."""
    return sum(1 for _ in work)


def _merge(
    lists: Sequence[list[bytes]], piece: int = 4, disjoint: bool = True
) -> Merge:
    sources = [KnownPostings(postings) for postings in lists]
    return Merge(sources, None, disjoint, True, piece, 64, [])


def _by_ending(posting: bytes) -> bytes:
    """An id, for tests, whose order is not that of postings."""
    return (-int.from_bytes(posting[9:], "big") % 2**88).to_bytes(11, "big")


class MergeTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.storage.lmdb.merge.Merge`."""

    def test_all(self) -> None:
        """Without a number, everything is found, in order."""
        merge = _merge([_postings(range(n, 300, 3)) for n in range(3)])
        _finish(merge.fill(None))
        self.assertTrue(merge.is_complete)
        self.assertEqual(merge.frontier, b"")
        self.assertEqual(merge.postings, _postings(range(300)))

    def test_little_is_read(self) -> None:
        """Of long lists little more is read than is wanted."""
        merge = _merge([_postings(range(n, 100_000, 10)) for n in range(10)])
        _finish(merge.fill(50))
        self.assertEqual(merge.postings[: merge.final(50)], _postings(range(50)))
        self.assertLess(merge.read, 300)

    def test_any_lists(self) -> None:
        """Whatever the lists are, the newest are final and right."""
        random = Random(3)
        for _ in range(200):
            lists = [
                _postings(sorted(random.sample(range(500), random.randrange(60))))
                for _ in range(random.randrange(1, 30))
            ]
            expected = sorted(set().union(*lists))
            merge = _merge(lists, random.choice((1, 5, 64)), disjoint=False)
            for wanted in sorted(random.sample(range(1, 600), 3)):
                _finish(merge.fill(wanted))
                final = merge.final(wanted)
                self.assertEqual(merge.postings[:final], expected[:wanted])

    def test_sieve(self) -> None:
        """What does not pass the sieve is not counted."""
        even = [KnownPostings(_postings(range(1000)))]
        merge = Merge(
            even,
            lambda found: [p for p in found if p[8] % 2 == 0],
            True,
            True,
            4,
            64,
            [],
        )
        _finish(merge.fill(20))
        self.assertEqual(merge.postings[: merge.final(20)], _postings(range(0, 40, 2)))

    def test_most(self) -> None:
        """Reading stops after so many; what is before the frontier is final."""
        lists = [_postings(range(n, 5000, 5)) for n in range(5)]
        merge = _merge(lists)
        _finish(merge.fill(4000, 500))
        self.assertFalse(merge.is_complete)
        final = merge.final(4000)
        self.assertEqual(merge.postings[:final], _postings(range(final)))
        self.assertEqual(merge.frontier[:9], _posting(final)[:9])
        self.assertGreater(final, 100)

    def test_ties(self) -> None:
        """With the last one wanted, all that tie with it are found."""
        tied = [_posting(7, ending) for ending in range(40)]
        merge = _merge([tied[::2], tied[1::2], _postings(range(5))], piece=1)
        _finish(merge.fill(6))
        final = merge.final(6)
        self.assertEqual(merge.postings[:final], _postings(range(5)) + tied)

    def test_frontier_parts_no_ties(self) -> None:
        """Where reading stops within a tie, all of it is left for later."""
        postings = [*_postings(range(20)), *(_posting(20, n) for n in range(200))]
        merge = _merge([postings], piece=4)
        _finish(merge.fill(300, 100))
        self.assertEqual(merge.frontier, _posting(20))
        self.assertEqual(merge.postings[: merge.final(None)], postings[:20])

    def test_pauses(self) -> None:
        """Reading much pauses often."""
        merge = _merge([_postings(range(n, 20_000, 2)) for n in range(2)], piece=64)
        self.assertGreater(_finish(merge.fill(None)), 200)


class NewestTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.storage.lmdb.merge.newest`."""

    def test_cut(self) -> None:
        """So many of the first are given, or as many as there are."""
        postings = _postings(range(5))
        self.assertEqual(newest(postings, 3, _by_ending), postings[:3])
        self.assertEqual(newest(postings, 9, _by_ending), postings)

    def test_tie_at_the_cut(self) -> None:
        """Where the cut parts a tie, the full ids decide."""
        postings = [_posting(1), *(_posting(2, n) for n in range(4)), _posting(3)]
        self.assertEqual(
            newest(postings, 3, _by_ending),
            [_posting(1), _posting(2, 0), _posting(2, 3)],
        )


class UnionTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.storage.lmdb.merge.union`."""

    def union(self, *lists: list[bytes]) -> list[bytes]:
        """The union of ``lists``."""
        into: list[bytes] = []
        _finish(union(lists, into, _by_ending))
        return into

    def test_once_each(self) -> None:
        """What is in several lists is there once, in order."""
        lists = [_postings(range(0, 40, step)) for step in (1, 2, 3)]
        self.assertEqual(self.union(*lists), _postings(range(40)))
        self.assertEqual(self.union([], []), [])
        self.assertEqual(self.union(*lists[:1]), lists[0])

    def test_ties(self) -> None:
        """What ties stands in the order of the full ids."""
        low, high = _posting(2, 1), _posting(2, 9)
        expected = [_posting(1), high, low, _posting(3)]
        self.assertEqual(
            self.union([_posting(1), low], [low, high], [_posting(3)]), expected
        )
        self.assertEqual(self.union([_posting(1), low, high, _posting(3)]), expected)

    def test_very_many(self) -> None:
        """Large unions are made in pieces, and are no different."""
        lists = [_postings(range(n, 40_000, n + 1)) for n in range(6)]
        lists.append([_posting(39_999, n) for n in range(3)])
        into: list[bytes] = []
        self.assertGreater(_finish(union(lists, into, _by_ending)), 20)
        self.assertEqual(into[:-3], _postings(range(39_999)))
        self.assertEqual(into[-3:], [_posting(39_999, n) for n in (0, 2, 1)])
