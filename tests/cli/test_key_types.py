"""Tests for :mod:`nostrtx.cli.key_types`."""

from __future__ import annotations

import click
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.cli.key_types import EventIdType, PubkeyType
from nostrtx.nostr.bech32 import Nevent, Note, Nprofile, Npub, Nsec, encode

_KEY = bytes.fromhex("67671e90840371f857f9fc0ed5d3f0e48e058555d04e01a6e6913bd43be48a09")


class KeyTypeTests(SynchronousTestCase):
    """Keys and ids on the command line."""

    def test_public_keys(self) -> None:
        """A key may be hexadecimal, npub or nprofile, with nostr: before it."""
        for text in (
            _KEY.hex(),
            encode(Npub(_KEY)),
            f"nostr:{encode(Npub(_KEY))}",
            encode(Nprofile(_KEY, ("wss://relay.example.com",))),
        ):
            self.assertEqual(PubkeyType().convert(text, None, None), _KEY)
        self.assertEqual(PubkeyType().convert(_KEY, None, None), _KEY)

    def test_event_ids(self) -> None:
        """An id may be hexadecimal, note or nevent."""
        for text in (_KEY.hex(), encode(Note(_KEY)), encode(Nevent(_KEY))):
            self.assertEqual(EventIdType().convert(text, None, None), _KEY)
        self.assertEqual(EventIdType().convert(_KEY, None, None), _KEY)

    def test_secret_keys(self) -> None:
        """A secret key is refused by both, and not repeated."""
        nsec = encode(Nsec(_KEY))
        for kind in (PubkeyType(), EventIdType()):
            error = self.assertRaises(
                click.BadParameter, kind.convert, nsec, None, None
            )
            self.assertIn("secret key", error.message)
            self.assertNotIn(nsec, error.message)

    def test_one_for_the_other(self) -> None:
        """A key is no id and an id is no key."""
        for kind, text in (
            (PubkeyType(), encode(Note(_KEY))),
            (EventIdType(), encode(Npub(_KEY))),
            (PubkeyType(), "alice"),
            (EventIdType(), "ab"),
        ):
            self.assertRaises(click.BadParameter, kind.convert, text, None, None)
