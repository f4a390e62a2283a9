"""Tests for :mod:`nostrtx.nostr.lists`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.bech32 import Naddr, Npub, encode
from nostrtx.nostr.event import Address
from nostrtx.nostr.lists import listed_pubkeys, listed_words, parse_list_address
from tests.storage.events import make_event

_KEY = bytes(range(32))
_NPUB = encode(Npub(_KEY))


class ParseListAddressTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.lists.parse_list_address`."""

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


class ListedTests(SynchronousTestCase):
    """Tests for what is on a list."""

    def test_pubkeys(self) -> None:
        """People are named in ``p`` tags; what is no key is passed over."""
        good = [["p", f"{number:064x}", "wss://x"] for number in (1, 2, 1)]
        keys = [number.to_bytes(32, "big") for number in (1, 2, 1)]
        self.assertEqual(listed_pubkeys(make_event(tags=good).raw), keys)
        for bad in (["p"], ["p", ""], ["p", "ab"], ["p", "x" * 64], ["e", "ab" * 32]):
            event = make_event(tags=[*good[:2], bad, good[2]])
            self.assertEqual(listed_pubkeys(event.raw), keys, bad)
        fake = f'["p","{3:064x}"]'
        event = make_event(tags=[*good, ["x", fake], ["y", "p", "a"]], content=fake)
        self.assertEqual(listed_pubkeys(event.raw), keys)
        self.assertEqual(listed_pubkeys(make_event(tags=[]).raw), [])

    def test_words(self) -> None:
        """Words and hashtags stand in tags of their own."""
        event = make_event(tags=[["word", "spam"], ["t", "nsfw"], ["word"], ["x", "y"]])
        self.assertEqual(listed_words(event), ["spam", "nsfw"])
