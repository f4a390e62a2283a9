"""Tests for :mod:`nostrtx.nostr.bans`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.bans import MAX_REASON, Ban, BanError, BanKind, ban_subject
from nostrtx.nostr.bech32 import Nevent, Note, Nprofile, Npub, Nsec, encode

_KEY = bytes(range(32))


class SubjectTests(SynchronousTestCase):
    """How operators name what is to be banned."""

    def test_keys(self) -> None:
        """Keys are taken in hexadecimal and in the forms of NIP-19."""
        for text in (_KEY.hex(), encode(Npub(_KEY)), encode(Nprofile(_KEY))):
            self.assertEqual(ban_subject(BanKind.PUBKEY, text), _KEY.hex())

    def test_events(self) -> None:
        """Ids of events are taken in hexadecimal and in the forms of NIP-19."""
        for text in (_KEY.hex(), encode(Note(_KEY)), encode(Nevent(_KEY))):
            self.assertEqual(ban_subject(BanKind.EVENT, text), _KEY.hex())

    def test_allowed(self) -> None:
        """What is allowed is named like what is banned."""
        npub, note = encode(Npub(_KEY)), encode(Note(_KEY))
        for kind, text in (
            (BanKind.ALLOWED_PUBKEY, npub),
            (BanKind.ALLOWED_EVENT, note),
        ):
            self.assertEqual(ban_subject(kind, text), _KEY.hex())
        self.assertRaises(BanError, ban_subject, BanKind.ALLOWED_PUBKEY, note)

    def test_secret_key(self) -> None:
        """A secret key is refused and not repeated."""
        nsec = encode(Nsec(_KEY))
        error = self.assertRaises(BanError, ban_subject, BanKind.PUBKEY, nsec)
        self.assertNotIn(nsec, str(error))

    def test_addresses(self) -> None:
        """However an address or a network is written, it is kept in one way."""
        for text, kept in (
            ("203.0.113.7", "203.0.113.7"),
            (" 203.0.113.7/32", "203.0.113.7"),
            ("203.0.113.7/24", "203.0.113.0/24"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("2001:db8::1/64", "2001:db8::/64"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ):
            self.assertEqual(ban_subject(BanKind.ADDRESS, text), kept)

    def test_wrong(self) -> None:
        """What names nothing of the kind is refused in one line."""
        for kind, text in (
            (BanKind.PUBKEY, "alice"),
            (BanKind.PUBKEY, encode(Note(_KEY))),
            (BanKind.EVENT, encode(Npub(_KEY))),
            (BanKind.EVENT, ""),
            (BanKind.ADDRESS, "example.com"),
            (BanKind.ADDRESS, "203.0.113.7/33"),
            (BanKind.ADDRESS, ""),
        ):
            error = self.assertRaises(BanError, ban_subject, kind, text)
            self.assertNotIn("\n", str(error))

    def test_loopback(self) -> None:
        """Nobody bans the proxy in front of the relay."""
        for text in ("127.0.0.1", "127.0.0.0/8", "::1", "::ffff:127.0.0.1"):
            self.assertRaises(BanError, ban_subject, BanKind.ADDRESS, text)


class ReasonTests(SynchronousTestCase):
    """What those who are banned are told."""

    def test_because(self) -> None:
        """They are told what is banned and, if there is a reason, the reason."""
        ban = Ban(BanKind.PUBKEY, _KEY.hex(), "spam")
        self.assertEqual(ban.because, "this key is banned: spam")
        self.assertEqual(Ban(BanKind.EVENT, _KEY.hex()).because, "this event is banned")
        self.assertEqual(
            Ban(BanKind.ADDRESS, "203.0.113.7").because, "this address is banned"
        )

    def test_one_line(self) -> None:
        """A reason is one short line, whatever was given."""
        ban = Ban(BanKind.PUBKEY, _KEY.hex(), " one\r\n two\x00\ud800 " + "x" * 999)
        self.assertTrue(ban.reason.startswith("one two x"))
        self.assertEqual(len(ban.reason), MAX_REASON)
