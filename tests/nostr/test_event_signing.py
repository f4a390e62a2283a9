"""Tests for :mod:`nostrtx.nostr.event_signing`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.bech32 import Nsec, encode
from nostrtx.nostr.event import parse_event
from nostrtx.nostr.event_signing import (
    SecretKey,
    SecretKeyError,
    parse_secret_key,
    sign_event,
)
from nostrtx.nostr.json import loads
from nostrtx.nostr.signing import verify
from tests.storage.events import NOW, public_key, signed_event

_SECRET = (7).to_bytes(32, "big")


class SignEventTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.event_signing.sign_event`."""

    def test_taken_by_every_relay(self) -> None:
        """What is made has the right shape, the right id and a good signature."""
        made = sign_event(
            SecretKey(_SECRET),
            kind=30000,
            created_at=NOW,
            tags=[["d", "ü"], ["-"]],
            content='"\n\\ €',
        )
        parsed = parse_event(loads(made.raw))
        self.assertEqual(
            (parsed.raw, parsed.id, parsed.pubkey, parsed.sig),
            (made.raw, made.id, made.pubkey, made.sig),
        )
        self.assertEqual((parsed.created_at, parsed.kind), (NOW, 30000))
        self.assertEqual(parsed.tags, [["d", "ü"], ["-"]])
        self.assertTrue(verify(made.sig, made.id, public_key(7)))

    def test_always_the_same(self) -> None:
        """The signature is that of BIP-340 without auxiliary randomness."""
        made = sign_event(SecretKey(_SECRET), kind=1, created_at=NOW, content="x")
        self.assertEqual(made.raw, signed_event(7, content="x").raw)

    def test_tags_are_copied(self) -> None:
        """Who passed the tags may change them afterwards."""
        tags = [["p", "a"]]
        made = sign_event(SecretKey(_SECRET), kind=1, created_at=NOW, tags=tags)
        tags[0].append("b")
        self.assertEqual(made.tags, [["p", "a"]])


class SecretKeyTests(SynchronousTestCase):
    """Tests for the key and its texts."""

    def test_both_forms(self) -> None:
        """Hexadecimal and nsec stand for the same key; blanks around do not matter."""
        for text in (
            _SECRET.hex(),
            _SECRET.hex().upper() + "\n",
            f"  {encode(Nsec(_SECRET))}\n",
            encode(Nsec(_SECRET)).upper(),
        ):
            self.assertEqual(parse_secret_key(text).pubkey, public_key(7))

    def test_no_key(self) -> None:
        """What is no key is refused, and the message does not give it away."""
        for text in (
            "",
            "ab" * 31,
            "00" * 32,
            "ff" * 32,
            "npub1van3ayyyqdcls4lels8dt5lsuj8qtp246p8qrfhxjyaagwly3gysjyrky6",
            encode(Nsec(_SECRET))[:-1] + "q",
            "nsec1",
        ):
            error = self.assertRaises(SecretKeyError, parse_secret_key, text)
            if text:
                self.assertNotIn(text, str(error))

    def test_not_shown(self) -> None:
        """Neither repr nor str of a key shows it."""
        key = SecretKey(_SECRET)
        for text in (repr(key), str(key), repr([key])):
            self.assertNotIn(_SECRET.hex(), text)
            self.assertNotIn(repr(_SECRET), text)
