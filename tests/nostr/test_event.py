"""Tests for :mod:`nostrtx.nostr.event`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.client_messages import EventMessage, parse
from nostrtx.nostr.errors import Rejected
from nostrtx.nostr.event import (
    MAX_CREATED_AT,
    RAW_ID,
    RAW_PUBKEY,
    Address,
    Event,
    d_value,
    indexed_tags,
    parse_event,
    stored_event,
    supersedes,
)
from nostrtx.nostr.json import loads
from nostrtx.nostr.signing import verify
from tests.nostr.test_json import EVERY_CHARACTER
from tests.nostr.vectors import load, real_events, signed_events
from tests.storage.events import ALICE, NOW, event_id, make_event, signed_event

_MEMBERS = ["id", "pubkey", "created_at", "kind", "tags", "content", "sig"]


def _members(event: Event) -> dict[str, Any]:
    """What a client sends for ``event``."""
    members: dict[str, Any] = json.loads(event.raw)
    return members


class ParseEventTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.event.parse_event`."""

    def assert_rejected(self, members: object, about: str = "") -> None:
        """Assert that ``members`` are refused as invalid, in a line about this."""
        error = self.assertRaises(Rejected, parse_event, members)
        self.assertTrue(error.reason.startswith("invalid: "))
        self.assertIn(about, error.reason)
        self.assertNotIn("\n", error.reason)
        self.assertTrue(error.reason.isascii())

    def assert_same(self, event: Event, members: dict[str, Any]) -> None:
        """Assert that ``event`` is, in every member, what was sent."""
        self.assertEqual(event.id.hex(), members["id"])
        self.assertEqual(event.pubkey.hex(), members["pubkey"])
        self.assertEqual(event.created_at, members["created_at"])
        self.assertEqual(event.kind, members["kind"])
        self.assertEqual(event.tags, members["tags"])
        self.assertEqual(event.sig.hex(), members["sig"])
        written = json.loads(event.raw)
        self.assertEqual(list(written), _MEMBERS)
        self.assertEqual(written, {name: members[name] for name in _MEMBERS})
        self.assertEqual(event.raw[RAW_ID].decode(), members["id"])
        self.assertEqual(event.raw[RAW_PUBKEY].decode(), members["pubkey"])

    def test_members(self) -> None:
        """All of an event is kept, and nothing else."""
        event = signed_event(tags=[["t", "é\x00"], ["x"], ["", ""]], content='"\n')
        members = _members(event)
        self.assert_same(parse_event(members), members)
        self.assert_same(parse_event({**members, "extra": 1}), members)
        backwards = dict(reversed(members.items()))
        self.assertEqual(parse_event(backwards).raw, event.raw)

    def test_bytes(self) -> None:
        """``raw`` is compact JSON in the fixed order."""
        event = signed_event(kind=7, tags=[["e", "x"]], content="a/b")
        self.assertEqual(
            parse_event(_members(event)).raw,
            b'{"id":"%b","pubkey":"%b","created_at":%d,"kind":7,"tags":[["e","x"]],'
            b'"content":"a/b","sig":"%b"}'
            % (
                event.id.hex().encode(),
                event.pubkey.hex().encode(),
                NOW,
                event.sig.hex().encode(),
            ),
        )

    def test_not_an_object(self) -> None:
        """An event is an object."""
        wrong: list[Any] = [None, [], "x", 1, True]
        for value in wrong:
            self.assert_rejected(value)

    def test_missing_members(self) -> None:
        """Each member must be there; the refusal names the one that is not."""
        for name in _MEMBERS:
            members = _members(make_event())
            del members[name]
            self.assert_rejected(members, f"no {name}")

    def test_wrong_members(self) -> None:
        """Each member must have its form, even if the hash were right."""
        key = "ab" * 32
        wrong: dict[str, list[Any]] = {
            "id": [None, 1, "", key[:-1], key.upper(), key + "\n", f" {key[2:]} "],
            "pubkey": [None, 1, "", key[:-1], key + "ab", key.upper(), f" {key[2:]} "],
            "created_at": [None, "1", 1.0, True, -1, MAX_CREATED_AT + 1, 2**64, [1]],
            "kind": [None, "1", 1.0, True, -1, 65536, 2**64, [1]],
            "tags": [
                None,
                {},
                "x",
                1,
                [None],
                ["t"],
                [1],
                [{}],
                [[]],
                [["t"], []],
                [[1]],
                [["t", None]],
                [["t", "x", True]],
                [["t", ["x"]]],
                [["t", "\ud800"]],
            ],
            "content": [None, 1, [], {}, True, "\ud800", "\udc00\ud800"],
            "sig": [None, 1, "", key, key * 2 + "ab", key.upper() * 2],
        }
        for name, values in wrong.items():
            for value in values:
                self.assert_rejected({**_members(make_event()), name: value})

    def test_id_is_the_hash(self) -> None:
        """A change in any member makes the id wrong."""
        members = _members(make_event(tags=[["t", "x"]], content="x"))
        self.assertTrue(parse_event(members))
        for name, value in (
            ("id", "00" * 32),
            ("pubkey", "ab" * 32),
            ("created_at", NOW + 1),
            ("kind", 2),
            ("tags", [["t", "y"]]),
            ("tags", []),
            ("content", "y"),
        ):
            self.assert_rejected({**members, name: value}, "not the hash")

    def test_extremes(self) -> None:
        """The first and last second and kind are taken."""
        for created_at in (0, MAX_CREATED_AT):
            for kind in (0, 65535):
                event = signed_event(created_at=created_at, kind=kind)
                self.assertEqual(parse_event(_members(event)).raw, event.raw)

    def test_every_character(self) -> None:
        """Every character is hashed, written and read back as it is."""
        event = make_event(tags=[["t", EVERY_CHARACTER]], content=EVERY_CHARACTER)
        members = _members(event)
        self.assertEqual(members["content"], EVERY_CHARACTER)
        self.assert_same(parse_event(members), members)

    def test_verbatim_controls(self) -> None:
        """An id over verbatim control characters is right too (NIP-01's letter)."""
        content = "\x00\x1f\\u0001\x01 \\\x02\n\x7f"
        verbatim = (
            b'[0,"%b",%d,1,[["t","\x03"]],"\x00\x1f\\\\u0001\x01 \\\\\x02\\n\x7f"]'
            % (ALICE.hex().encode(), NOW)
        )
        event = make_event(
            id=sha256(verbatim).digest(), tags=[["t", "\x03"]], content=content
        )
        self.assertEqual(parse_event(_members(event)).raw, event.raw)
        mixed = verbatim.replace(b"\x1f", b"\\u001f")
        event = make_event(
            id=sha256(mixed).digest(), tags=[["t", "\x03"]], content=content
        )
        self.assert_rejected(_members(event), "not the hash")

    def test_valid_vectors(self) -> None:
        """The valid vectors are taken in every spelling, with their very hash."""
        cases = load("events-valid")
        self.assertGreater(len(cases), 15)
        for case in cases:
            members = case["event"]
            serialization = bytes.fromhex(case["serialization_hex"])
            self.assertEqual(sha256(serialization).hexdigest(), members["id"])
            if case["expect"] == "invalid":
                self.assert_rejected(members, "not the hash")
                continue
            event = parse_event(members)
            self.assert_same(event, members)
            self.assertTrue(verify(event.sig, event.id, event.pubkey), case["name"])
            for wire in case["wire"]:
                message = parse(wire.encode())
                assert isinstance(message, EventMessage)
                self.assertEqual(parse_event(message.members).raw, event.raw)

    def test_invalid_vectors(self) -> None:
        """The invalid vectors are refused, with the id to answer with."""
        cases = load("events-invalid")["events"]
        self.assertGreater(len(cases), 50)
        for case in cases:
            accepted, message = self._taken(case["wire"].encode())
            self.assertEqual(accepted, case["expect"]["ok"], case["name"])
            if message is None:
                self.assertIn("NOTICE", case["also_allowed"], case["name"])
            else:
                self.assertEqual(message.id, case["ok_id"], case["name"])
            if "served_as" in case:
                assert message is not None
                self.assert_same(parse_event(message.members), case["served_as"])

    def _taken(self, wire: bytes) -> tuple[bool, EventMessage | None]:
        try:
            message = parse(wire)
        except Rejected:
            return False, None
        assert isinstance(message, EventMessage)
        try:
            event = parse_event(message.members)
        except Rejected:
            return False, message
        return verify(event.sig, event.id, event.pubkey), message

    def test_other_vectors(self) -> None:
        """Every signed event of the other vectors is taken."""
        for members in signed_events():
            self.assert_same(parse_event(members), members)
        printed = load("protected_expiration")["protected"]["nip70_spec_event"]
        self.assert_rejected(printed, "not the hash")

    def test_real_events(self) -> None:
        """Events that people have published are taken and kept in every member."""
        texts = real_events()
        self.assertGreaterEqual(len(texts), 300)
        for text in texts:
            event = parse_event(loads(text))
            self.assert_same(event, json.loads(text))
            self.assertTrue(verify(event.sig, event.id, event.pubkey))
            self.assertEqual(stored_event(event.raw).tags, event.tags)


class StoredEventTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.event.stored_event`."""

    def test_same_event(self) -> None:
        """What a store kept is the event that was parsed, whatever its id."""
        for event in (
            signed_event(tags=[["d", "é"]], content="x"),
            make_event(id=event_id(1)),
        ):
            again = stored_event(event.raw)
            for name in ("id", "pubkey", "created_at", "kind", "tags", "sig", "raw"):
                self.assertEqual(getattr(again, name), getattr(event, name))

    def test_not_an_event(self) -> None:
        """Other bytes are refused."""
        for raw in (b"", b"x", b"[]", b"null", b"{}", b'{"id":1}', b'{"id":"x"}'):
            self.assertRaises(ValueError, stored_event, raw)


class AddressTests(SynchronousTestCase):
    """Tests for addresses and what takes whose place."""

    def test_address(self) -> None:
        """Replaceable kinds have one per author, addressable ones one per ``d``."""
        tags = [["t", "y"], ["d", "x", "z"], ["d", "w"]]
        for kind, d in ((0, ""), (3, ""), (10002, ""), (30023, "x"), (39999, "x")):
            event = make_event(kind=kind, tags=tags)
            self.assertEqual(event.address, Address(kind, ALICE, d))
        for kind in (1, 5, 1059, 20001, 40000):
            self.assertIsNone(make_event(kind=kind, tags=tags).address)

    def test_d_value(self) -> None:
        """Without a ``d`` tag, or one without a value, ``d`` is empty."""
        cases: list[tuple[Sequence[Sequence[str]], str]] = [
            ([], ""),
            ([["d"]], ""),
            ([["d", ""]], ""),
            ([["d"], ["d", "x"]], ""),
            ([["D", "x"]], ""),
            ([["x", "d"], ["d", "x"], ["d"]], "x"),
        ]
        for tags, expected in cases:
            self.assertEqual(d_value(tags), expected, tags)

    def test_supersedes(self) -> None:
        """The later takes the place; in one second, the lower id."""
        event = make_event(id=event_id(5), created_at=NOW)
        self.assertTrue(supersedes(event, NOW - 1, event_id(1)))
        self.assertFalse(supersedes(event, NOW + 1, event_id(9)))
        self.assertTrue(supersedes(event, NOW, event_id(6)))
        self.assertFalse(supersedes(event, NOW, event_id(4)))
        self.assertFalse(supersedes(event, NOW, event_id(5)))


class IndexedTagsTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.event.indexed_tags`."""

    def test_first_values_of_letters(self) -> None:
        """One-letter tags are found by their first value."""
        event = make_event(
            tags=[
                ["t", "a", "b"],
                ["t", "c"],
                ["T", ""],
                ["t", "a"],
                ["t"],
                ["tt", "x"],
                ["1", "x"],
                ["é", "x"],
                ["-"],
                ["", "x"],
            ]
        )
        self.assertEqual(indexed_tags(event), {("t", "a"), ("t", "c"), ("T", "")})

    def test_empty_d(self) -> None:
        """An addressable event without ``d`` is found under an empty one."""
        cases: list[tuple[int, Sequence[Sequence[str]], set[str]]] = [
            (30000, [], {""}),
            (30000, [["d"]], {""}),
            (30000, [["d"], ["d", "x"]], {"", "x"}),
            (30000, [["d", "x"], ["d", "y"]], {"x", "y"}),
            (30000, [["d", "x"], ["d"]], {"x"}),
            (1, [], set()),
            (1, [["d"]], set()),
            (10000, [], set()),
            (1, [["d", "x"]], {"x"}),
        ]
        for kind, tags, expected in cases:
            event = make_event(kind=kind, tags=tags)
            self.assertEqual(
                {value for _, value in indexed_tags(event)}, expected, tags
            )


class ExpirationTests(SynchronousTestCase):
    """Tests for expiration (NIP-40)."""

    def test_expires(self) -> None:
        """An event is expired from the second that its tag names."""
        event = make_event(tags=[["t", "x"], ["expiration", str(NOW), "x"]])
        self.assertEqual(event.expiration, NOW)
        self.assertFalse(event.is_expired(NOW - 0.001))
        self.assertTrue(event.is_expired(NOW))
        self.assertTrue(event.is_expired(NOW + 1))

    def test_never(self) -> None:
        """Without a proper tag, an event does not expire."""
        for tags in (
            [],
            [["expiration"]],
            [["expiration", ""]],
            [["expiration", "x"], ["expiration", "1"]],
            [["Expiration", "1"]],
            [["expiration", "1" * 21]],
            [["expiration", "1.0"]],
            [["expiration", "1e3"]],
            [["expiration", "0x1"]],
            [["expiration", "²"]],
        ):
            event = make_event(tags=tags)
            self.assertIsNone(event.expiration, tags)
            self.assertFalse(event.is_expired(2**80))

    def test_vectors(self) -> None:
        """The vectors expire at their second; odd values by no account."""
        vectors = load("protected_expiration")["expiration"]
        event = parse_event(vectors["event"])
        self.assertEqual(event.expiration, vectors["expires_at"])
        self.assertTrue(vectors["odd_values"])
        for case in vectors["odd_values"]:
            odd = parse_event(case["event"])
            self.assertFalse(odd.is_expired(vectors["expires_at"]), case["value"])
