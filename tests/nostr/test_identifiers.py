"""Tests for :mod:`nostrtx.nostr.identifiers`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.identifiers import (
    Identifier,
    confirms,
    parse_identifier,
    stated_identifier,
    well_known_document,
)
from nostrtx.nostr.json import dumps
from tests.storage.events import ALICE, BOB, make_event

_BOB = Identifier("bob", "example.com")


class IdentifierTests(SynchronousTestCase):
    """What profiles state."""

    def test_forms(self) -> None:
        """Name and domain are taken in lower case; a domain alone is its root."""
        for text, identifier in (
            ("bob@example.com", _BOB),
            (" Bob@Example.COM ", _BOB),
            ("example.com", Identifier("_", "example.com")),
            ("_@example.com", Identifier("_", "example.com")),
            ("b-o_b.2@x.y.example", Identifier("b-o_b.2", "x.y.example")),
            ("bob@bücher.example", Identifier("bob", "xn--bcher-kva.example")),
            ("bob@localhost:8443", Identifier("bob", "localhost", 8443)),
        ):
            self.assertEqual(parse_identifier(text), identifier, text)

    def test_none(self) -> None:
        """What is no identifier is none, whatever it is."""
        values: list[object] = [None, 5, [], {}]
        for value in values:
            self.assertIsNone(parse_identifier(value))
        for text in (
            "",
            "@",
            "bob@",
            "bob@-x.com",
            "bob@x..com",
            "bob b@example.com",
            "bob+x@example.com",
            "bob@example.com/path",
            "bob@example.com?x",
            "bob@user@example.com",
            "bob@example.com:",
            "bob@example.com:0",
            "bob@example.com:99999",
            "bob@[::1]",
            "a" * 65 + "@example.com",
            "bob@" + "a." * 160 + "com",
        ):
            self.assertIsNone(parse_identifier(text), text)

    def test_url(self) -> None:
        """The domain is asked over HTTPS at the well-known place."""
        self.assertEqual(
            _BOB.url, "https://example.com/.well-known/nostr.json?name=bob"
        )
        self.assertEqual(str(_BOB), "bob@example.com")

    def test_domains(self) -> None:
        """A domain covers what is below it, and nothing that only looks like it."""
        self.assertTrue(_BOB.is_in(("x.org", "example.com")))
        self.assertTrue(Identifier("b", "a.example.com").is_in(("example.com",)))
        self.assertFalse(_BOB.is_in(("ample.com", "a.example.com")))
        self.assertFalse(_BOB.is_in(()))

    def test_profile(self) -> None:
        """It stands in the content of kind 0, which may be anything."""
        for content, identifier in (
            ('{"name":"b","nip05":"bob@example.com"}', _BOB),
            ('{"nip05":7}', None),
            ('{"nip05":null}', None),
            ("{}", None),
            ("[]", None),
            ('"bob@example.com"', None),
            ("no JSON", None),
            ("", None),
        ):
            profile = make_event(kind=0, content=content)
            self.assertEqual(stated_identifier(profile), identifier, content)


class DocumentTests(SynchronousTestCase):
    """What domains answer."""

    def test_confirms(self) -> None:
        """Only the very key, in lower-case hexadecimal, under the very name counts."""
        for names, is_confirmed in (
            ({"bob": BOB.hex()}, True),
            ({"alice": ALICE.hex(), "bob": BOB.hex()}, True),
            ({"bob": ALICE.hex()}, False),
            ({"bob": BOB.hex().upper()}, False),
            ({"Bob": BOB.hex()}, False),
            ({"bob": "npub1x"}, False),
            ({"bob": [BOB.hex()]}, False),
            ([], False),
            (None, False),
        ):
            document = dumps({"names": names})
            self.assertEqual(confirms(document, _BOB, BOB), is_confirmed, names)
        for document in (b"", b"[]", b"<html>", b"{}", b"5", b"\xff"):
            self.assertFalse(confirms(document, _BOB, BOB))

    def test_served(self) -> None:
        """A name is answered with its key and where its events are; no other is."""
        names = {"alice": ALICE.hex(), "bob": BOB.hex()}
        self.assertEqual(
            well_known_document(names, "Bob", "wss://relay.example.com/"),
            {
                "names": {"bob": BOB.hex()},
                "relays": {BOB.hex(): ["wss://relay.example.com/"]},
            },
        )
        self.assertEqual(
            well_known_document(names, "bob"), {"names": {"bob": BOB.hex()}}
        )
        for name in ("", "carol"):
            self.assertEqual(well_known_document(names, name, "wss://x"), {"names": {}})
