"""Tests for :mod:`nostrtx.nostr.negentropy.bound`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.negentropy.bound import INFINITY, Bound, bound_between

_records = st.tuples(
    st.integers(0, 3) | st.integers(0, 2**64 - 2),
    st.lists(st.sampled_from([0, 1, 255]), min_size=32, max_size=32).map(bytes)
    | st.integers(0, 300).map(lambda number: number.to_bytes(32, "big")),
)


class BoundTests(SynchronousTestCase):
    """Bounds stand in the order of the records."""

    def test_order(self) -> None:
        """Bounds are ordered by timestamp, then by prefix."""
        ascending = [
            Bound(0),
            Bound(0, b"\0\1"),
            Bound(0, b"\1"),
            Bound(0, b"\1\0\1"),
            Bound(1),
            Bound(2**63, b"\xff" * 32),
            INFINITY,
        ]
        for place, bound in enumerate(ascending):
            for other_place, other in enumerate(ascending):
                self.assertEqual(bound.is_below(other), place < other_place)

    def test_missing_bytes(self) -> None:
        """The missing bytes of a prefix count as zero."""
        self.assertFalse(Bound(5).is_below(Bound(5, bytes(32))))
        self.assertFalse(Bound(5, b"\1\0").is_below(Bound(5, b"\1")))
        self.assertFalse(Bound(5, b"\1").is_below(Bound(5, b"\1\0")))


class BoundBetweenTests(SynchronousTestCase):
    """Neighbours are separated with as few bytes as will do."""

    def test_different_times(self) -> None:
        """The later timestamp alone separates records of different seconds."""
        bound = bound_between(7, b"\xff" * 32, 9, b"\x80" * 32)
        self.assertEqual(bound, Bound(9))

    def test_same_time(self) -> None:
        """In one second it takes the later id up to where they differ."""
        first, other = b"\x11" * 32, b"\x11" * 3 + b"\x12" * 29
        self.assertEqual(bound_between(7, first, 7, other), Bound(7, other[:4]))
        last = b"\x11" * 31 + b"\x12"
        self.assertEqual(bound_between(7, first, 7, last), Bound(7, last))
        zeros = bytes(32)
        self.assertEqual(bound_between(7, zeros, 7, first), Bound(7, b"\x11"))

    @given(st.lists(_records, min_size=2, max_size=2, unique=True).map(sorted))
    def test_separates(self, neighbours: list[tuple[int, bytes]]) -> None:
        """The first record is below the bound and the next one is not."""
        first, next_ = neighbours
        bound = bound_between(*first, *next_)
        self.assertTrue(Bound(*first).is_below(bound))
        self.assertFalse(Bound(*next_).is_below(bound))
