"""Tests for :mod:`nostrtx.nostr.negentropy.snapshot`."""

from __future__ import annotations

from bisect import bisect_left
from hashlib import sha256

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.negentropy.bound import INFINITY, Bound
from nostrtx.nostr.negentropy.snapshot import Snapshot
from nostrtx.nostr.negentropy.varint import encode_varint
from tests.nostr.negentropy.vectors import load

Record = tuple[int, bytes]

#: Ids that agree in many bytes, are all zeros or ones, or have nothing in common.
ids = st.one_of(
    st.builds(
        lambda start, middle, end: start * 8 + middle * 8 + end * 16,
        *[st.sampled_from([b"\0", b"\1", b"\x80", b"\xff"])] * 3,
    ),
    st.integers(0, 2**256 - 1).map(lambda number: number.to_bytes(32, "big")),
)
timestamps = st.sampled_from([0, 1, 2, 2**31, 2**32 + 1, 2**63, 2**64 - 2])
records = st.lists(st.tuples(timestamps, ids), max_size=80)


def contents(snapshot: Snapshot) -> list[Record]:
    """The records of a snapshot in its order."""
    found = []
    for index in range(len(snapshot)):
        bound = snapshot.bound_at(index)
        found.append((bound.timestamp, bound.prefix))
    return found


def fingerprint(some: list[Record]) -> bytes:
    """The fingerprint by its definition."""
    total = sum(int.from_bytes(id_, "little") for _, id_ in some) % 2**256
    content = total.to_bytes(32, "little") + encode_varint(len(some))
    return sha256(content).digest()[:16]


class SnapshotTests(SynchronousTestCase):
    """A snapshot is a sorted set that knows the fingerprint of any range."""

    def test_fingerprint_vectors(self) -> None:
        """The vectors hold, also where a sum goes over 256 bits."""
        cases = load()["fingerprints"]
        self.assertGreater(len(cases), 5)
        for case in cases:
            some = [(5, bytes.fromhex(id_)) for id_ in case["ids"]]
            found = Snapshot.of(some).fingerprint(0, len(some)).hex()
            self.assertEqual(found, case["fingerprint"], case["name"])

    @given(records)
    def test_sorted_set(self, some: list[Record]) -> None:
        """Records stand by timestamp and then id, and each stands once."""
        self.assertEqual(contents(Snapshot.of(some)), sorted(set(some)))

    @given(records, st.booleans())
    def test_sorted_already(self, some: list[Record], newest_first: bool) -> None:
        """Records that come in order, or by falling time, make the same set."""
        some = sorted(set(some))
        given = sorted(some, key=lambda record: -record[0]) if newest_first else some
        self.assertEqual(contents(Snapshot.of(given)), some)

    @given(records, st.data())
    def test_fingerprint(self, some: list[Record], data: st.DataObject) -> None:
        """The fingerprint of any range is the one its definition gives."""
        snapshot = Snapshot.of(some)
        upper = data.draw(st.integers(0, len(snapshot)))
        lower = data.draw(st.integers(0, upper))
        expected = fingerprint(sorted(set(some))[lower:upper])
        self.assertEqual(snapshot.fingerprint(lower, upper), expected)

    def test_fingerprints_of_many(self) -> None:
        """Sums stay exact over thousands of the greatest ids."""
        some = [(7, b"\xff" * 30 + number.to_bytes(2, "big")) for number in range(5000)]
        snapshot = Snapshot.of(some)
        for lower, upper in [(0, 5000), (0, 1), (15, 17), (16, 4992), (31, 4999)]:
            expected = fingerprint(some[lower:upper])
            self.assertEqual(snapshot.fingerprint(lower, upper), expected)

    @given(records, timestamps, ids, st.integers(0, 32), st.data())
    def test_find(
        self, some: list[Record], time: int, id_: bytes, size: int, data: st.DataObject
    ) -> None:
        """The first record at or after a bound is found, from any place before it."""
        snapshot = Snapshot.of(some)
        bound = Bound(time, id_[:size])
        place = bisect_left(sorted(set(some)), (time, id_[:size].ljust(32, b"\0")))
        lower = data.draw(st.integers(0, len(snapshot)))
        self.assertEqual(snapshot.find(bound), place)
        self.assertEqual(snapshot.find(bound, lower), max(place, lower))
        self.assertEqual(snapshot.find(INFINITY), len(snapshot))

    @given(records)
    def test_bounds(self, some: list[Record]) -> None:
        """The bound before a record, and the record as a bound, lead to it."""
        snapshot = Snapshot.of(some)
        for index in range(len(snapshot)):
            self.assertEqual(snapshot.find(snapshot.bound_at(index)), index)
            if index:
                self.assertEqual(snapshot.find(snapshot.bound_before(index)), index)

    def test_ids(self) -> None:
        """Ids are given one by one and in pages."""
        some = [(number, bytes([number]) * 32) for number in range(20)]
        snapshot = Snapshot.of(reversed(some))
        self.assertEqual(snapshot.id(3), b"\3" * 32)
        self.assertEqual(snapshot.ids(18, 20), b"\x12" * 32 + b"\x13" * 32)
        self.assertEqual(snapshot.ids(5, 5), b"")

    def test_from_arrays(self) -> None:
        """Arrays of a store make a snapshot, also parts and views of arrays."""
        times = np.array([9, 0, 8, 0, 7], np.uint64)
        rows = np.arange(5 * 40, dtype=np.uint8).reshape(5, 40)
        snapshot = Snapshot(times[::2], rows[::2, 8:])
        expected = [(7, 4), (8, 2), (9, 0)]
        self.assertEqual(
            contents(snapshot),
            [(time, rows[row, 8:].tobytes()) for time, row in expected],
        )

    def test_is_sealed(self) -> None:
        """Changing the arrays afterwards does not change the snapshot."""
        times, rows = np.array([1, 2], np.uint64), np.zeros((2, 32), np.uint8)
        snapshot = Snapshot(times, rows)
        before = contents(snapshot)
        times[:] = 77
        rows[:] = 77
        self.assertEqual(contents(snapshot), before)

    def test_empty(self) -> None:
        """A snapshot may be empty."""
        snapshot = Snapshot(np.empty(0, np.uint64), np.empty((0, 32), np.uint8))
        self.assertEqual(len(snapshot), 0)
        self.assertEqual(snapshot.find(Bound(5, b"\1")), 0)
        empty = "7f9c9e31ac8256ca2f258583df262dbc"
        self.assertEqual(snapshot.fingerprint(0, 0).hex(), empty)

    def test_refuses_what_is_no_record(self) -> None:
        """Records with a wrong id or an infinite timestamp are a mistake."""
        infinite = [(2**64 - 1, bytes(32))]
        self.assertRaises(ValueError, Snapshot.of, infinite)
        self.assertRaises(ValueError, Snapshot.of, [(1, bytes(31))])
        self.assertRaises(OverflowError, Snapshot.of, [(-1, bytes(32))])
        self.assertRaises(OverflowError, Snapshot.of, [(2**64, bytes(32))])

    def test_refuses_arrays_that_do_not_fit(self) -> None:
        """Arrays of another type or shape are a mistake."""
        times, rows = np.zeros(2, np.uint64), np.zeros((2, 32), np.uint8)
        for wrong_times, wrong_rows in [
            (times[:1], rows),
            (times, rows[:, :31]),
            (times, rows.reshape(-1)),
            (times.astype(np.int64), rows),
            (times, rows.astype(np.int8)),
        ]:
            self.assertRaises(ValueError, Snapshot, wrong_times, wrong_rows)
