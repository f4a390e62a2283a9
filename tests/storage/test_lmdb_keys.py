"""Tests for :mod:`nostrtx.storage.lmdb.keys`."""

from __future__ import annotations

from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.event import MAX_CREATED_AT
from nostrtx.storage.lmdb import keys

_ID = bytes(range(32))
_PUBKEY = bytes(range(32, 64))


def _posting(created_at: int, id_: bytes = _ID) -> bytes:
    return keys.posting(id_, _PUBKEY, created_at, 30023, keys.number(77))


class PostingTests(SynchronousTestCase):
    """Tests for postings."""

    def test_parts(self) -> None:
        """A posting tells time, kind, the beginnings of id and pubkey, and ``seq``."""
        posting = _posting(1_700_000_000)
        self.assertEqual(len(posting), keys.POSTING_SIZE)
        self.assertEqual(keys.created_at_of(posting), 1_700_000_000)
        self.assertEqual(posting[5:9], _ID[:4])
        self.assertEqual(posting[keys.KIND], keys.kind_key(30023))
        self.assertEqual(posting[keys.PUBKEY], _PUBKEY[:4])
        self.assertEqual(posting[keys.SEQ], keys.number(77))

    def test_order(self) -> None:
        """Bytes sort as answers do: newest first, ties by id."""
        ordered = [
            _posting(created_at, id_)
            for created_at in (MAX_CREATED_AT, 2**32, 2**32 - 1, 256, 255, 1, 0)
            for id_ in (bytes(32), _ID, b"\xff" * 32)
        ]
        self.assertEqual(sorted(ordered), ordered)

    def test_bounds(self) -> None:
        """``since`` and ``until`` are inclusive, whatever numbers they are."""
        times = (0, 1, 255, 256, 2**32, MAX_CREATED_AT)
        bounds = (-5, -1, *times, 2**40 - 1, 2**40, 2**70)
        for time, bound in product(times, bounds):
            posting = _posting(time)
            end = keys.end_of_postings(bound)
            self.assertEqual(not end or posting < end, time >= bound, (time, bound))
            if bound >= 0:
                first = keys.first_posting(bound)
                self.assertEqual(posting >= first, time <= bound, (time, bound))
        self.assertEqual(keys.first_posting(None), b"")
        self.assertEqual(keys.end_of_postings(None), b"")

    def test_time_entry(self) -> None:
        """The index by time holds the posting and the id in full."""
        posting = _posting(1_700_000_000)
        key, value = keys.time_entry(posting, _ID)
        self.assertTrue(value.startswith(key))
        self.assertEqual(len(value), 48)
        self.assertEqual(value[5:37], _ID)
        self.assertEqual(keys.posting_of_time(value), posting)


class TagKeyTests(SynchronousTestCase):
    """Tests for the keys of tags."""

    def test_no_two_alike(self) -> None:
        """Different values have different keys, and none begins with another."""
        hexadecimal = _ID.hex()
        values = [
            "",
            "a",
            "aa",
            "\x00",
            "\x00\x00",
            "\x01a",
            hexadecimal,
            hexadecimal.upper(),
            hexadecimal[:-1],
            hexadecimal + "0",
            " " + hexadecimal[:62] + " ",
            "é" * 40,
            "é" * 41,
            "é" * 64,
            "x" * 80,
            "x" * 81,
            "x" * 100_000,
            "x" * 100_001,
        ]
        made = [keys.tag_prefix("d", value) for value in values]
        for one, other in product(range(len(made)), repeat=2):
            if one != other:
                self.assertFalse(made[one].startswith(made[other]), values[one])

    def test_size(self) -> None:
        """Every key fits into LMDB's 511 bytes, with a kind and a pubkey."""
        for value in ("", "x" * 80, "x" * 81, "é" * 64, _ID.hex()):
            for key in (
                keys.tag_prefix("d", value) + b"kk",
                keys.other_d_prefix(_PUBKEY, value) + b"kk",
                keys.address_mark(keys.address_key(_PUBKEY, 30023, value)),
            ):
                self.assertLess(len(key), 200)

    def test_other_d_is_no_letter(self) -> None:
        """The keys of further ``d`` values never meet those of a tag."""
        other = keys.other_d_prefix(_PUBKEY, "x")
        self.assertNotIn(other[:1], [b"d", b"D", b"a", b"Z"])
