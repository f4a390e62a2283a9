"""Tests for :mod:`nostrtx.nostr.hyperloglog`."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.filters import Filter, parse_filter
from nostrtx.nostr.hyperloglog import Registers, offset
from nostrtx.nostr.json import dumps, loads
from tests.nostr.vectors import load


def _filled(offset: int, pubkeys: Iterable[bytes]) -> Registers:
    registers = Registers(offset)
    for pubkey in pubkeys:
        registers.add(pubkey)
    return registers


def _pubkeys(count: int) -> list[bytes]:
    return [sha256(b"%d" % number).digest() for number in range(count)]


def _example() -> tuple[dict[str, Any], list[bytes]]:
    example: dict[str, Any] = load("hll")["example"]
    return example, [bytes.fromhex(item["pubkey"]) for item in example["pubkeys"]]


class OffsetTests(SynchronousTestCase):
    """Which filters are eligible, and their offset."""

    def test_vectors(self) -> None:
        """The offset comes from the first value of the first tag condition."""
        cases = load("hll")["offsets"]
        self.assertEqual(len(cases), 11)
        for case in cases:
            (name,) = [name for name in case["filter"] if name[0] == "#"]
            filter_ = Filter(tags=((name[1], tuple(case["filter"][name])),))
            self.assertEqual(offset([filter_]), case["offset"], case["first_value"])

    def test_parsed(self) -> None:
        """A filter's offset is the same once it has come over the wire."""
        example = load("hll")["example"]
        filter_ = parse_filter(loads(dumps(example["filter"])))
        self.assertEqual(offset([filter_]), example["offset"])

    def test_order(self) -> None:
        """Of several tag conditions the first counts, in the order of the JSON."""
        for text, expected in (
            (b'{"#t":["nostr"],"kinds":[1],"#r":["a","b"]}', 12),
            (b'{"#t":["Nostr"],"#r":["https://example.com/"]}', 8),
            (b'{"#r":["https://example.com/"],"#t":["Nostr"]}', 20),
            (b'{"#r":["a","b"],"#t":["nostr"]}', None),
        ):
            self.assertEqual(offset([parse_filter(loads(text))]), expected, text)

    def test_address(self) -> None:
        """Only a whole address is one; the rest is hashed."""
        key = "0" * 32 + "f" + "0" * 31
        for value in (f"10002:{key}:", f"30023:{key}:a:b", f"30023:{key}:a\nb", key):
            self.assertEqual(offset([Filter(tags=(("a", (value,)),))]), 23, value)
        for value in (
            f"30023:{key}",
            f":{key}:d",
            f"x:{key}:d",
            f"30023:{key[1:]}:d",
            f"30023:{key.upper()}:d",
            key + "\n",
        ):
            hashed = 8 + int(sha256(value.encode()).hexdigest()[32], 16)
            self.assertEqual(offset([Filter(tags=(("a", (value,)),))]), hashed, value)

    def test_not_eligible(self) -> None:
        """Without exactly one filter with exactly one first value there is none."""
        one = Filter(tags=(("t", ("nostr",)),))
        for filters in (
            [],
            [Filter(kinds=(1,))],
            [Filter(tags=(("t", ()),))],
            [Filter(tags=(("t", ("a", "b")),))],
            [one, one],
        ):
            self.assertIs(offset(filters), None)


class RegistersTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.nostr.hyperloglog.Registers`."""

    def _assert_register(self, at: int, item: dict[str, Any]) -> None:
        registers = _filled(at, [bytes.fromhex(item["pubkey"])])
        expected = bytearray(256)
        expected[item["register"]] = item["value"]
        self.assertEqual(registers.hex(), expected.hex(), item["pubkey"])

    def test_one_pubkey(self) -> None:
        """Each author raises one register, to the value of the vectors."""
        vectors = load("hll")
        for part, key in (("example", "pubkeys"), ("crafted", "items")):
            items = vectors[part][key]
            self.assertGreater(len(items), 5)
            for item in items:
                self._assert_register(vectors[part]["offset"], item)

    def test_example(self) -> None:
        """All authors together give the registers of the vectors."""
        example, pubkeys = _example()
        registers = _filled(example["offset"], pubkeys)
        self.assertEqual(registers.hex(), example["hll"])

    def test_empty(self) -> None:
        """Where nobody was counted there are 512 zeros, and the estimate is 0."""
        registers = Registers(8)
        self.assertEqual(registers.hex(), load("hll")["empty"]["hll"])
        self.assertEqual(registers.estimate(), 0)

    def test_duplicates(self) -> None:
        """Neither how often an author is counted nor the order matters."""
        example, pubkeys = _example()
        registers = _filled(example["offset"], [*reversed(pubkeys), *pubkeys])
        self.assertEqual(registers.hex(), example["hll"])

    def test_offsets(self) -> None:
        """Every offset that a filter can give lies within a pubkey."""
        for at in range(8, 24):
            key = bytearray(32)
            key[at] = 7
            key[at + 7] = 1
            expected = bytearray(256)
            expected[7] = 56
            self.assertEqual(_filled(at, [bytes(key)]).hex(), expected.hex())

    def test_merge(self) -> None:
        """Merged registers are those of all authors, and the other's stay."""
        example, pubkeys = _example()
        left = _filled(example["offset"], pubkeys[:25])
        right = _filled(example["offset"], pubkeys[15:])
        before = right.hex()
        left.merge(right)
        self.assertEqual(left.hex(), example["hll"])
        self.assertEqual(right.hex(), before)

    def test_merge_other_offset(self) -> None:
        """Registers of another offset are not mixed in."""
        registers = Registers(8)
        other = _filled(9, _pubkeys(10))
        self.assertRaises(ValueError, registers.merge, other)
        self.assertEqual(registers.estimate(), 0)

    def test_estimate(self) -> None:
        """The estimate is within three standard errors, few or many."""
        for count in (1, 10, 40, 200, 700, 2000, 20000):
            estimate = _filled(16, _pubkeys(count)).estimate()
            self.assertLessEqual(abs(estimate - count), 0.195 * count, count)
