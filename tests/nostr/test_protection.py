"""Tests for :mod:`nostrtx.nostr.protection`."""

from __future__ import annotations

import json
from collections.abc import Collection

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.errors import Rejected
from nostrtx.nostr.event import Event, parse_event
from nostrtx.nostr.protection import check_protection, embeds_protected, is_protected
from tests.nostr.vectors import load
from tests.storage.events import ALICE, BOB, make_event


def _answer(event: Event, authenticated: Collection[bytes] | None) -> str:
    """The prefix of the refusal, with its colon; empty if there is none."""
    try:
        check_protection(event, authenticated)
    except Rejected as refusal:
        return f"{refusal.prefix}:"
    return ""


class IsProtectedTests(SynchronousTestCase):
    """Which events are protected."""

    def test_protected(self) -> None:
        """A tag called - protects, wherever it stands and whatever it holds."""
        for tags in ([["-"]], [["t", "a"], ["-"]], [["-", "x"]]):
            self.assertTrue(is_protected(make_event(tags=tags)), tags)

    def test_not_protected(self) -> None:
        """Nothing else does."""
        for tags in ([], [["--"]], [["t", "-"]], [[""]], [["- "]], [["−"]]):
            self.assertFalse(is_protected(make_event(tags=tags)), tags)

    def test_vector(self) -> None:
        """The event of the vectors is protected."""
        event = parse_event(load("protected_expiration")["protected"]["event"])
        self.assertTrue(is_protected(event))

    def test_example(self) -> None:
        """The example printed in NIP-70 has a wrong id and never gets this far."""
        example = load("protected_expiration")["protected"]
        self.assertRaises(Rejected, parse_event, example["nip70_spec_event"])


class EmbedsProtectedTests(SynchronousTestCase):
    """Which events are reposts of a protected one."""

    def test_vectors(self) -> None:
        """The content decides, as JSON and not as text."""
        vectors = load("protected_expiration")
        reposts = vectors["repost_embedding_protected"]
        self.assertEqual([repost["kind"] for repost in reposts], [6, 16])
        for repost in reposts:
            self.assertTrue(embeds_protected(parse_event(repost)))
        for name in ("repost_without_content", "repost_text_only_looks_protected"):
            self.assertFalse(embeds_protected(parse_event(vectors[name])), name)

    def test_spelling(self) -> None:
        """White space and escapes in the embedded JSON do not hide a tag."""
        for content in (
            '{"tags":[["-"]]}',
            ' { "tags" : [ [ "-" ] ] } ',
            '{"tags":[["t","x"],["\\u002d","y"]]}',
        ):
            for kind in (6, 16):
                event = make_event(kind=kind, content=content)
                self.assertTrue(embeds_protected(event), content)

    def test_nothing_embedded(self) -> None:
        """Content that is no event embeds none, however odd it is."""
        for content in (
            "",
            "-",
            '[["-"]]',
            '"tags"',
            "null",
            "{}",
            '{"tags":null}',
            '{"tags":"-"}',
            '{"tags":["-"]}',
            '{"tags":[[],{"-":1},null,["t","-"],[["-"]]]}',
            '{"tags":{"-":["-"]}}',
            '{"content":"[[\\"-\\"]]"}',
            "[" * 100_000,
        ):
            event = make_event(kind=6, content=content)
            self.assertFalse(embeds_protected(event), content[:50])

    def test_other_kinds(self) -> None:
        """Only reposts are looked into."""
        for kind in (1, 5, 7, 1111):
            event = make_event(kind=kind, content='{"tags":[["-"]]}')
            self.assertFalse(embeds_protected(event), kind)


class CheckProtectionTests(SynchronousTestCase):
    """Who may publish what."""

    def test_vectors(self) -> None:
        """Only a connection that has authenticated as the author may."""
        vectors = load("protected_expiration")["protected"]
        event = parse_event(vectors["event"])
        for name, authenticated in (
            ("unauthenticated", set()),
            ("authenticated_as_other", {BOB}),
            ("authenticated_as_author", {event.pubkey}),
            ("authenticated_as_other_and_author", {BOB, event.pubkey}),
        ):
            _, id_, accepted, prefix = vectors[name]
            self.assertEqual(id_, event.id.hex())
            self.assertEqual(_answer(event, authenticated), prefix, name)
            self.assertEqual(accepted, prefix == "")

    def test_no_authentication(self) -> None:
        """Where nobody can authenticate, nothing protected is taken."""
        for kind in (1, 5, 10002, 20001, 30023):
            event = make_event(kind=kind, tags=[["-"]])
            self.assertEqual(_answer(event, None), "blocked:", kind)

    def test_repost(self) -> None:
        """A repost of a protected event is taken from nobody."""
        content = json.dumps({"tags": [["-"]]})
        for authenticated in (None, {ALICE}):
            event = make_event(kind=6, content=content)
            self.assertEqual(_answer(event, authenticated), "blocked:")

    def test_ordinary(self) -> None:
        """Everything else is taken from anyone."""
        for event in (make_event(), make_event(kind=6), make_event(tags=[["t", "-"]])):
            for authenticated in (None, set[bytes](), {BOB}):
                self.assertEqual(_answer(event, authenticated), "")

    def test_vanish_request(self) -> None:
        """A request to vanish is taken from anyone, protected or not."""
        event = make_event(kind=62, tags=[["-"], ["relay", "ALL_RELAYS"]])
        for authenticated in (None, set[bytes](), {BOB}):
            self.assertEqual(_answer(event, authenticated), "")
