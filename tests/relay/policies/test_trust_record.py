"""Tests for :mod:`nostrtx.relay.policies.trust_record`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.policies.trust_record import TrustRecord, unpack

_KEYS = st.integers(0, 20_000).map(lambda number: number.to_bytes(32, "big"))


class TrustRecordTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.trust_record.TrustRecord`."""

    @given(st.lists(st.lists(_KEYS), min_size=1, max_size=4))
    def test_back_and_forth(self, people: list[list[bytes]]) -> None:
        """What is unpacked is what was packed, whatever bytes the keys are of."""
        record = TrustRecord.of(people[0], 5.5, [b"".join(keys) for keys in people])
        again = unpack(record.pack())
        self.assertEqual(again, record)
        assert again is not None
        parts = [(at, keys) for at, keys in enumerate(people) if keys]
        self.assertEqual(list(again.parts()), parts)
        self.assertEqual((again.depth, again.begun_at), (len(people) - 1, 5.5))
        self.assertEqual(again.roots, tuple(sorted(people[0])))

    def test_parts(self) -> None:
        """It is unpacked some keys at a time."""
        keys = b"".join([number.to_bytes(32, "big") for number in range(10_000)])
        parts = list(TrustRecord.of([], 0, [b"", keys]).parts())
        self.assertEqual([len(some) for _, some in parts], [4000, 4000, 2000])
        self.assertEqual(b"".join([b"".join(some) for _, some in parts]), keys)

    def test_broken(self) -> None:
        """What is no record is none."""
        good = TrustRecord.of([bytes(32)], 0, [bytes(32), b""]).pack()
        self.assertIsNotNone(unpack(good))
        for packed in (None, b"", b"{", b"[]\n", b"{}\n", good[:-1], good + b"x"):
            self.assertIsNone(unpack(packed))
