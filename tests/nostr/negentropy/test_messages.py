"""Tests for :mod:`nostrtx.nostr.negentropy.messages`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.negentropy.bound import INFINITE_TIMESTAMP, INFINITY, Bound
from nostrtx.nostr.negentropy.messages import (
    MessageWriter,
    Mode,
    Range,
    message_from_hex,
    read_ranges,
    speaks_our_version,
)
from tests.nostr.negentropy.vectors import load

_bounds = st.builds(
    Bound,
    st.integers(0, 5) | st.integers(0, INFINITE_TIMESTAMP),
    st.binary(max_size=32),
)
_contents = st.one_of(
    st.just((Mode.SKIP, b"")),
    st.tuples(st.just(Mode.FINGERPRINT), st.binary(min_size=16, max_size=16)),
    st.integers(0, 200).map(lambda count: (Mode.ID_LIST, b"\x5a" * 32 * count)),
)


def _ascending(ranges: list[Range]) -> list[Range]:
    def place(range_: Range) -> tuple[int, bytes]:
        return range_.bound.timestamp, range_.bound.prefix.ljust(32, b"\0")

    return sorted(ranges, key=place)


_messages = st.lists(
    st.builds(lambda bound, content: Range(bound, *content), _bounds, _contents),
    max_size=8,
).map(_ascending)


def write(ranges: list[Range]) -> bytes:
    """A message of ``ranges``."""
    writer = MessageWriter()
    for range_ in ranges:
        writer.add(range_.bound, range_.mode, range_.payload)
    return writer.message()


def read(text: str) -> list[Range]:
    """The ranges of a message in hexadecimal."""
    message = message_from_hex(text)
    return list(read_ranges(message)) if speaks_our_version(message) else []


class ReadingTests(SynchronousTestCase):
    """Messages are read as written, and strictly."""

    def assert_rejected(self, text: str, why: str) -> None:
        """A message is refused as invalid, with these words."""
        refusal = self.assertRaises(Rejected, read, text)
        self.assertIs(refusal.prefix, ReasonPrefix.INVALID, text)
        self.assertIn(why, refusal.message, text)

    def test_malformed_vectors(self) -> None:
        """Every malformed vector is refused as invalid."""
        cases = load()["errors"]
        self.assertGreater(len(cases), 10)
        for case in cases:
            refusal = self.assertRaises(Rejected, read, case["hex"])
            self.assertIs(refusal.prefix, ReasonPrefix.INVALID, case["why"])

    @given(_messages)
    def test_round_trip(self, ranges: list[Range]) -> None:
        """What was written is read, up to every bit of a timestamp."""
        self.assertEqual(list(read_ranges(write(ranges))), ranges)

    @given(_messages, st.data())
    def test_cut_off(self, ranges: list[Range], data: st.DataObject) -> None:
        """A message that is cut off gives its whole ranges and then is refused."""
        message = write(ranges)
        length = data.draw(st.integers(1, len(message)))
        found = []
        ends = [len(write(ranges[:count])) for count in range(len(ranges) + 1)]
        try:
            for range_ in read_ranges(message[:length]):
                found.append(range_)
        except Rejected as refusal:
            self.assertIn("ends within", refusal.message)
            self.assertNotIn(length, ends)
        else:
            self.assertIn(length, ends)
        self.assertEqual(found, ranges[: len(found)])

    def test_each_fault(self) -> None:
        """The refusal says what is wrong."""
        for text, why in {
            "": "is empty",
            "5f": "start with a version",
            "70": "start with a version",
            "616": "hexadecimal",
            "61 00": "hexadecimal",
            "0x61": "hexadecimal",
            "61\u0660": "hexadecimal",
            "6100": "ends within a number",
            "610000": "ends within a number",
            "610002aa": "ends within a bound",
            "610021" + "00" * 40: "longer than an id",
            "61000003": "unknown mode",
            "61000001" + "00" * 15: "ends within a range",
            "6100000201" + "00" * 31: "ends within a range",
            "610000028180808080808080808000": "more than 64 bits",
            "61000002818080808080808000": "ends within a range",
            "61020001" + "00" * 16 + "0100": "ends within a number",
            "610201ff0001017f00": "do not ascend",
            "61" + "050000" + "000003": "unknown mode",
        }.items():
            self.assert_rejected(text, why)

    def test_no_memory_for_what_is_not_there(self) -> None:
        """A count of 2**64 - 1 ids is refused before anything is made of it."""
        self.assert_rejected("61000002" + "81ffffffffffffffff7f", "ends within a range")

    def test_upper_case(self) -> None:
        """Hexadecimal digits may be of either case."""
        self.assertEqual(message_from_hex("61aAbBFF"), b"\x61\xaa\xbb\xff")

    def test_after_infinity(self) -> None:
        """After a bound at infinity every bound is at infinity."""
        bounds = [range_.bound for range_ in read("61" + "000000" + "050000")]
        self.assertEqual(bounds, [INFINITY, INFINITY])

    def test_overflowing_timestamp(self) -> None:
        """Timestamps that add up to more than 64 bits stand for infinity."""
        huge = "81ffffffffffffffff7f"
        bounds = [range_.bound for range_ in read(f"61{huge}0000{huge}0000")]
        self.assertEqual(bounds, [Bound(2**64 - 2), INFINITY])

    def test_equal_bounds(self) -> None:
        """A range may be empty."""
        self.assertEqual(len(read("61" + "020000" + "010000" + "01020000" + "00")), 3)

    def test_versions(self) -> None:
        """Other versions of the protocol are told apart from what is none."""
        for case in load()["version"]:
            message = message_from_hex(case["request"])
            is_ours = case["request"].startswith("61")
            self.assertEqual(speaks_our_version(message), is_ours)


class WritingTests(SynchronousTestCase):
    """A message can be written and taken back in part."""

    def test_nothing(self) -> None:
        """A message without ranges is the version."""
        self.assertEqual(MessageWriter().message(), b"\x61")

    def test_timestamps_are_differences(self) -> None:
        """Each timestamp is written as its distance from the one before, plus one."""
        writer = MessageWriter()
        writer.add(Bound(300), Mode.SKIP)
        writer.add(Bound(300, b"\xab"), Mode.SKIP)
        writer.add(Bound(301), Mode.SKIP)
        writer.add(INFINITY, Mode.SKIP)
        expected = "61" + "822d0000" + "0101ab00" + "020000" + "000000"
        self.assertEqual(writer.message().hex(), expected)
        self.assertEqual(len(writer), len(expected) // 2)

    def test_taking_back(self) -> None:
        """What comes after taking ranges back is as if they had not been written."""
        writer = MessageWriter()
        writer.add(Bound(5), Mode.SKIP)
        mark = writer.mark()
        writer.add(Bound(1000), Mode.FINGERPRINT, bytes(16))
        writer.back_to(mark)
        writer.add(Bound(9), Mode.ID_LIST, bytes(64))
        bounds = [range_.bound for range_ in read_ranges(writer.message())]
        self.assertEqual(bounds, [Bound(5), Bound(9)])
