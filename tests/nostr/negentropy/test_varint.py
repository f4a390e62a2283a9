"""Tests for :mod:`nostrtx.nostr.negentropy.varint`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.negentropy.varint import decode_varint, encode_varint
from tests.nostr.negentropy.vectors import load


class VarintTests(SynchronousTestCase):
    """Numbers are written in their shortest form and read strictly."""

    def assert_rejected(self, message: bytes, why: str) -> None:
        """Reading a number at the start of ``message`` is refused."""
        refusal = self.assertRaises(Rejected, decode_varint, message, 0)
        self.assertIs(refusal.prefix, ReasonPrefix.INVALID)
        self.assertIn(why, refusal.message)

    def test_vectors(self) -> None:
        """The vectors hold in both directions."""
        cases = load()["varint"]
        self.assertGreater(len(cases), 10)
        for case in cases:
            encoded = bytes.fromhex(case["hex"])
            self.assertEqual(encode_varint(case["n"]), encoded)
            self.assertEqual(decode_varint(encoded, 0), (case["n"], len(encoded)))

    @given(st.integers(0, 2**64 - 1), st.binary(max_size=3), st.binary(max_size=3))
    def test_any_number(self, number: int, before: bytes, after: bytes) -> None:
        """Any number of 64 bits is read back, wherever in a message it stands."""
        encoded = encode_varint(number)
        message = before + encoded + after
        end = len(before) + len(encoded)
        self.assertEqual(decode_varint(message, len(before)), (number, end))
        self.assertEqual(len(encoded), max(1, -(-number.bit_length() // 7)))

    def test_leading_zeros(self) -> None:
        """A number that is longer than it must be is read, up to ten bytes."""
        self.assertEqual(decode_varint(bytes.fromhex("8001"), 0), (1, 2))
        self.assertEqual(decode_varint(b"\x80" * 9 + b"\x05", 0), (5, 10))

    def test_cut_off(self) -> None:
        """A message that ends within a number is refused."""
        for digits in range(10):
            self.assert_rejected(b"\x81" * digits, "ends within a number")

    def test_too_big(self) -> None:
        """A number over 64 bits is refused, and so is one over ten bytes."""
        self.assertEqual(
            decode_varint(b"\x81" + b"\xff" * 8 + b"\x7f", 0), (2**64 - 1, 10)
        )
        self.assert_rejected(b"\x82" + b"\x80" * 8 + b"\x00", "more than 64 bits")
        self.assert_rejected(b"\xff" * 9 + b"\x7f", "more than 64 bits")
        self.assert_rejected(b"\x80" * 10 + b"\x01", "more than 64 bits")
        self.assert_rejected(b"\x80" * 10, "more than 64 bits")
