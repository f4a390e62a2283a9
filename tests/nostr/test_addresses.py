"""Tests for :mod:`nostrtx.nostr.addresses`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.addresses import parse_list_address
from nostrtx.nostr.bech32 import Naddr, Npub, encode
from nostrtx.nostr.event import Address

_KEY = bytes(range(32))
_NPUB = encode(Npub(_KEY))


class ParseListAddressTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.addresses.parse_list_address`."""

    def test_key(self) -> None:
        """A key alone stands for whom its owner follows."""
        for text in (_NPUB, _KEY.hex(), f" nostr:{_NPUB} "):
            self.assertEqual(parse_list_address(text), Address(3, _KEY, ""))

    def test_parts(self) -> None:
        """Kind, key and name are parted by colons; a name may hold more of them."""
        for text, expected in (
            (f"3:{_NPUB}", Address(3, _KEY, "")),
            (f"10000:{_KEY.hex()}:", Address(10000, _KEY, "")),
            (f"30000:{_NPUB}:a:b", Address(30000, _KEY, "a:b")),
            (f"39089:{_NPUB}", Address(39089, _KEY, "")),
        ):
            self.assertEqual(parse_list_address(text), expected)

    def test_naddr(self) -> None:
        """An address may be written as naddr (NIP-19)."""
        text = encode(Naddr("team", _KEY, 30000))
        self.assertEqual(parse_list_address(text), Address(30000, _KEY, "team"))

    def test_refused(self) -> None:
        """What names no list of people is refused."""
        for text in (
            "",
            "ab",
            f"1:{_NPUB}",
            f"x:{_NPUB}",
            "30000:ab:c",
            encode(Naddr("article", _KEY, 30023)),
            _NPUB[:-1],
        ):
            self.assertRaises(ValueError, parse_list_address, text)
