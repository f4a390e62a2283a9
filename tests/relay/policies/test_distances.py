"""Tests for :mod:`nostrtx.relay.policies.distances`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.policies.distances import Distances

_KEYS = st.integers(0, 1000).map(lambda number: number.to_bytes(32, "big"))


class DistancesTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.distances.Distances`."""

    @given(st.lists(st.tuples(st.lists(_KEYS), st.integers(0, 4))), _KEYS)
    def test_as_one_mapping(
        self, puts: list[tuple[list[bytes], int]], key: bytes
    ) -> None:
        """What was put last holds, and all of it is told."""
        distances, expected = Distances(), dict[bytes, int]()
        for keys, distance in puts:
            distances.put(keys, distance)
            expected.update(dict.fromkeys(keys, distance))
        self.assertEqual(len(distances), len(expected))
        self.assertEqual(distances.get(key), expected.get(key))
        told = [pair for part in distances.parts() for pair in part]
        self.assertEqual(sorted(told), sorted(expected.items()))

    def test_beyond(self) -> None:
        """Whoever is not known is beyond any distance."""
        near, far, unknown = bytes(32), bytes(31) + b"\1", b"\1" + bytes(31)
        distances = Distances()
        distances.put([near], 1)
        distances.put([far], 3)
        people = [unknown, far, near]
        self.assertEqual(distances.beyond(people, 2), [unknown, far])
        self.assertEqual(distances.beyond(people, 3), [unknown])
        self.assertEqual(distances.beyond(people, 0), people)

    def test_growing_while_told(self) -> None:
        """What is put while all are told breaks nothing."""
        distances = Distances()
        distances.put([bytes(32)], 0)
        for at, part in enumerate(distances.parts()):
            list(part)
            distances.put([bytes([at]) * 32], 1)
        self.assertEqual(len(distances), 256)

    def test_first(self) -> None:
        """It is known who were put first, each once."""
        distances = Distances()
        distances.put([bytes(32), b"b" * 32], 0)
        distances.put([b"b" * 32, b"a" * 32], 1)
        self.assertEqual(distances.first(2), [bytes(32), b"b" * 32])
        self.assertEqual(distances.first(9), [bytes(32), b"b" * 32, b"a" * 32])
