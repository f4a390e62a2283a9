"""Tests for :mod:`nostrtx.nostr.bech32`."""

from __future__ import annotations

from typing import Any

from bech32 import bech32_encode, convertbits
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.bech32 import (
    MAX_LENGTH,
    Bech32Error,
    Entity,
    Naddr,
    Nevent,
    Note,
    Nprofile,
    Npub,
    Nsec,
    decode,
    encode,
    parse_event_id,
    parse_pubkey,
)
from tests.nostr.vectors import load

_KEY = bytes.fromhex("67671e90840371f857f9fc0ed5d3f0e48e058555d04e01a6e6913bd43be48a09")
_RELAY = "wss://relay.example.com/"


def _text(prefix: str, data: bytes) -> str:
    """Any data under any prefix, with a good checksum."""
    digits = convertbits(data, 8, 5)
    assert digits is not None
    return bech32_encode(prefix, digits)


def _entity(type_: str, data: dict[str, Any]) -> Entity:
    relays = tuple(data.get("relays", ()))
    if type_ == "npub":
        return Npub(bytes.fromhex(data["pubkey"]))
    if type_ == "nsec":
        return Nsec(bytes.fromhex(data["sk"]))
    if type_ == "note":
        return Note(bytes.fromhex(data["id"]))
    if type_ == "nprofile":
        return Nprofile(bytes.fromhex(data["pubkey"]), relays)
    if type_ == "nevent":
        author = bytes.fromhex(data["author"]) if "author" in data else None
        return Nevent(bytes.fromhex(data["id"]), relays, author, data.get("kind"))
    pubkey = bytes.fromhex(data["pubkey"])
    return Naddr(data["identifier"], pubkey, data["kind"], relays)


class CodeTests(SynchronousTestCase):
    """Tests for :func:`encode` and :func:`decode`."""

    def test_valid_vectors(self) -> None:
        """Each text stands for what the vectors say, and the other way round."""
        cases = load("nip19")["valid"]
        self.assertEqual(len(cases), 8)
        for case in cases:
            entity = _entity(case["type"], case["data"])
            self.assertEqual(decode(case["bech32"]), entity)
            self.assertEqual(decode(encode(entity)), entity)
            if "note" not in case:
                self.assertEqual(encode(entity), case["bech32"])

    def test_invalid_vectors(self) -> None:
        """Malformed texts are refused, each with a reason."""
        cases = load("nip19")["invalid"]
        self.assertEqual(len(cases), 6)
        for case in cases:
            error = self.assertRaises(Bech32Error, decode, case["bech32"])
            self.assertNotEqual(str(error), "", case["why"])

    def test_keys(self) -> None:
        """The keys of the vectors have these texts."""
        for key in load("keys")["keys"]:
            self.assertEqual(encode(Npub(bytes.fromhex(key["pubkey"]))), key["npub"])
            self.assertEqual(encode(Nsec(bytes.fromhex(key["sk"]))), key["nsec"])

    def test_examples(self) -> None:
        """The examples of NIP-19 stand for what it says."""
        self.assertEqual(
            decode("npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg"),
            Npub(
                bytes.fromhex(
                    "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"
                )
            ),
        )
        self.assertEqual(
            decode(
                "nprofile1qqsrhuxx8l9ex335q7he0f09aej04zpazpl0ne2cgukyawd24mayt8gpp4mh"
                "xue69uhhytnc9e3k7mgpz4mhxue69uhkg6nzv9ejuumpv34kytnrdaksjlyr9p"
            ),
            Nprofile(
                bytes.fromhex(
                    "3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d"
                ),
                ("wss://r.x.com", "wss://djbas.sadkb.com"),
            ),
        )

    def test_upper_case(self) -> None:
        """A text may be all upper case, as in QR codes."""
        self.assertEqual(decode(encode(Npub(_KEY)).upper()), Npub(_KEY))

    def test_not_bech32m(self) -> None:
        """The other checksum, of bech32m, does not pass."""
        text = encode(Note(_KEY))
        alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
        checksum = [alphabet.index(character) for character in text[-6:]]
        changed = [
            digit ^ (0x2BC830A3 ^ 1) >> 5 * (5 - at) & 31
            for at, digit in enumerate(checksum)
        ]
        other = text[:-6] + "".join(alphabet[digit] for digit in changed)
        self.assertRaises(Bech32Error, decode, other)

    def test_padding(self) -> None:
        """Bits beyond the last byte are zero, and fewer than a character's."""
        digits = convertbits(_KEY, 8, 5)
        assert digits is not None
        self.assertEqual(decode(bech32_encode("npub", digits)), Npub(_KEY))
        for wrong in ([*digits[:-1], digits[-1] | 1], [*digits, 0]):
            self.assertRaises(Bech32Error, decode, bech32_encode("npub", wrong))

    def test_unknown_prefix(self) -> None:
        """A good checksum does not make up for a prefix that means nothing."""
        for prefix in ("nrelay", "bc", "npubx", "n"):
            self.assertRaises(Bech32Error, decode, _text(prefix, _KEY))

    def test_sizes(self) -> None:
        """Keys and ids have 32 bytes, wherever they stand."""
        for size in (0, 31, 33):
            data = bytes(size)
            for prefix in ("npub", "nsec", "note"):
                self.assertRaises(Bech32Error, decode, _text(prefix, data))
            for prefix in ("nprofile", "nevent"):
                part = bytes([0, size]) + data
                self.assertRaises(Bech32Error, decode, _text(prefix, part))
            author = b"\0\x20" + _KEY + bytes([2, size]) + data
            self.assertRaises(Bech32Error, decode, _text("nevent", author))

    def test_kind(self) -> None:
        """A kind has four bytes, and is not larger than kinds are."""
        start = b"\0\x20" + _KEY
        kind = b"\x03\x04\x00\x00\xff\xff"
        self.assertEqual(
            decode(_text("nevent", start + kind)), Nevent(_KEY, kind=65535)
        )
        for kind in (b"\x03\x02\0\x01", b"\x03\x04\0\x01\0\0", b"\x03\x00"):
            self.assertRaises(Bech32Error, decode, _text("nevent", start + kind))

    def test_cut_off(self) -> None:
        """A text that ends within a part is refused, wherever it ends."""
        data = b"\0\x20" + _KEY + b"\x01\x05ws://"
        self.assertEqual(decode(_text("nprofile", data)), Nprofile(_KEY, ("ws://",)))
        for size in range(len(data)):
            if size != 34:
                text = _text("nprofile", data[:size])
                self.assertRaises(Bech32Error, decode, text)

    def test_unknown_parts(self) -> None:
        """Parts of unknown types, and further ones of known types, are ignored."""
        data = b"\xff\x00" + b"\0\x20" + _KEY + b"\x09\x01x" + b"\0\x00"
        self.assertEqual(decode(_text("nprofile", data)), Nprofile(_KEY))

    def test_naddr_incomplete(self) -> None:
        """An address without its author or its kind is none."""
        special, author, kind = b"\0\x01d", b"\x02\x20" + _KEY, b"\x03\x04\0\0\x75\x30"
        self.assertEqual(
            decode(_text("naddr", kind + author + special)), Naddr("d", _KEY, 30000)
        )
        for data in (special + author, special + kind, author + kind):
            self.assertRaises(Bech32Error, decode, _text("naddr", data))

    def test_not_utf8(self) -> None:
        """Text in a part is UTF-8."""
        data = b"\0\x20" + _KEY + b"\x01\x01\xff"
        self.assertRaises(Bech32Error, decode, _text("nprofile", data))
        naddr = Naddr("Ä", _KEY, 30000, ("wss://ä.example/",))
        self.assertEqual(decode(encode(naddr)), naddr)

    def test_long(self) -> None:
        """Texts are longer than Bitcoin's, but not endless."""
        entity = Nprofile(_KEY, (_RELAY,) * 100)
        self.assertGreater(len(encode(entity)), 4000)
        self.assertEqual(decode(encode(entity)), entity)
        endless = encode(Nprofile(_KEY, (_RELAY,) * 200))
        self.assertGreater(len(endless), MAX_LENGTH)
        self.assertRaises(Bech32Error, decode, endless)

    def test_part_too_long(self) -> None:
        """What does not fit into a part is not cut silently."""
        longest = Naddr("x" * 255, _KEY, 30000)
        self.assertEqual(decode(encode(longest)), longest)
        self.assertRaises(ValueError, encode, Naddr("x" * 256, _KEY, 30000))

    def test_secret_not_shown(self) -> None:
        """A secret key does not get into a log by way of its repr."""
        self.assertNotIn("secret", repr(Nsec(b"secret" + bytes(26))))


class ParseTests(SynchronousTestCase):
    """Tests for :func:`parse_pubkey` and :func:`parse_event_id`."""

    def _refusal(self, text: str, *, event_id: bool = False) -> str:
        parse = parse_event_id if event_id else parse_pubkey
        error = self.assertRaises(Bech32Error, parse, text)
        return str(error)

    def test_pubkey(self) -> None:
        """A public key may be written in any of its forms."""
        for text in (_KEY.hex(), encode(Npub(_KEY)), encode(Nprofile(_KEY, (_RELAY,)))):
            for written in (text, text.upper(), f" {text}\n", f"nostr:{text}"):
                self.assertEqual(parse_pubkey(written), _KEY, written)

    def test_event_id(self) -> None:
        """An event id may be written in any of its forms."""
        for text in (_KEY.hex(), encode(Note(_KEY)), encode(Nevent(_KEY, (_RELAY,)))):
            for written in (text, text.upper(), f" {text}\n", f"nostr:{text}"):
                self.assertEqual(parse_event_id(written), _KEY, written)

    def test_secret(self) -> None:
        """Who gives a secret key is told so, and does not see it repeated."""
        text = encode(Nsec(_KEY))
        for event_id in (False, True):
            for written in (text, f"nostr:{text}"):
                message = self._refusal(written, event_id=event_id)
                self.assertIn("secret key (nsec)", message)
            for wrong in (text, text[:-1], text + "q", text[:20]):
                message = self._refusal(wrong, event_id=event_id)
                self.assertNotIn(text[5:15], message)

    def test_something_else(self) -> None:
        """Who gives another thing is told what it is and what is needed."""
        naddr = encode(Naddr("d", _KEY, 30000))
        for text in (encode(Note(_KEY)), encode(Nevent(_KEY)), naddr):
            self.assertIn("(npub) is needed", self._refusal(text))
        for text in (encode(Npub(_KEY)), encode(Nprofile(_KEY)), naddr):
            self.assertIn("(note) is needed", self._refusal(text, event_id=True))
        self.assertIn("naddr", self._refusal(naddr, event_id=True))

    def test_malformed(self) -> None:
        """What is neither hexadecimal nor NIP-19 is refused, with a hint."""
        digits = _KEY.hex()
        for text in (
            "",
            digits[:-1],
            digits[:-2],
            digits + "0",
            digits + "00",
            digits[:-1] + "g",
            digits[:32] + " " + digits[32:],
            digits[:32] + " " + digits[33:],
            "0x" + digits[2:],
            "alice",
            "alice@example.com",
        ):
            self.assertIn("64 hexadecimal digits", self._refusal(text))
            self.assertIn("note1", self._refusal(text, event_id=True))
        for text in ("npub", "npub1", encode(Npub(_KEY))[:-1], "nobody"):
            self.assertIn("checksum", self._refusal(text))
