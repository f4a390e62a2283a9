"""Tests for :mod:`nostrtx.relay.policies.trust_record`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.policies.trust_record import TrustRecord, unpack

_KEYS = st.integers(0, 20_000).map(lambda number: number.to_bytes(32, "big"))


class TrustRecordTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.trust_record.TrustRecord`."""

    def known(self, record: TrustRecord) -> dict[bytes, int]:
        """Everybody in a record."""
        return {key: at for part in record.parts() for key, at in part.items()}

    @given(st.dictionaries(_KEYS, st.integers(0, 3)))
    def test_back_and_forth(self, depths: dict[bytes, int]) -> None:
        """What is unpacked is what was packed, whatever bytes the keys are of."""
        roots = [key for key, distance in depths.items() if distance == 0]
        record = TrustRecord.of(roots, 3, 5.5, depths)
        again = unpack(record.pack())
        self.assertEqual(again, record)
        assert again is not None
        self.assertEqual(self.known(again), depths)
        self.assertEqual((again.depth, again.begun_at), (3, 5.5))
        self.assertEqual(again.roots, tuple(sorted(roots)))

    def test_parts(self) -> None:
        """It is unpacked some keys at a time."""
        depths = {number.to_bytes(32, "big"): 1 for number in range(10_000)}
        parts = list(TrustRecord.of([], 1, 0, depths).parts())
        self.assertEqual([len(part) for part in parts], [4000, 4000, 2000])

    def test_broken(self) -> None:
        """What is no record is none."""
        good = TrustRecord.of([bytes(32)], 1, 0, {bytes(32): 0}).pack()
        self.assertIsNotNone(unpack(good))
        for packed in (None, b"", b"{", b"[]\n", b"{}\n", good[:-1], good + b"x"):
            self.assertIsNone(unpack(packed))
