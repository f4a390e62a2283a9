"""
Protected events are taken from their authors only (NIP-70).

Tests for :mod:`nostrtx.relay.session_auth` and :mod:`nostrtx.relay.ingest`.
"""

from __future__ import annotations

from nostrtx.nostr.event import Event, parse_event
from nostrtx.nostr.json import dumps
from tests.nostr.vectors import load
from tests.relay.fakes import accepted, event_message, seen
from tests.relay.visitor import VisitorTestCase
from tests.storage.events import signed_event

_ALICE, _BOB = 1, 2

_VECTORS = load("protected_expiration")


def vector(*path: str | int) -> Event:
    """An event of the vectors."""
    members = _VECTORS
    for step in path:
        members = members[step]
    return parse_event(members)


class ProtectedTests(VisitorTestCase):
    """Protected events and who sends them."""

    def test_stranger(self) -> None:
        """Who did not authenticate is challenged, and then refused."""
        event = signed_event(_ALICE, tags=[["-"]])
        challenge, *answer = self.visitor.publish(event)
        self.assertEqual(challenge[0], "AUTH")
        self.assert_refused(answer, event, "auth-required")
        self.assertFalse(self.under_test.store.holds(event))

    def test_somebody_else(self) -> None:
        """Somebody else is told that no authentication will help."""
        event = signed_event(_ALICE, tags=[["-"]])
        self.assert_refused(self.known(_BOB).publish(event), event, "restricted")
        self.assertFalse(self.under_test.store.holds(event))

    def test_author(self) -> None:
        """The author may publish it, whatever other keys the connection has."""
        for number, keys in enumerate(((_ALICE,), (_BOB, _ALICE), (_ALICE, _BOB))):
            event = signed_event(_ALICE, tags=[["-"]], content=str(number))
            self.assert_accepted(self.known(*keys), event)

    def test_after_authentication(self) -> None:
        """What was refused before is taken once the author has authenticated."""
        event = signed_event(_ALICE, tags=[["-"]])
        self.visitor.publish(event)
        self.visitor.authenticate(_ALICE)
        self.assert_accepted(self.visitor, event)

    def test_every_kind(self) -> None:
        """Deletion requests, profiles and ephemeral events can be protected, too."""
        author = self.known(_ALICE)
        for kind in (0, 5, 20001, 30023):
            event = signed_event(_ALICE, kind=kind, tags=[["-"], ["d", ""]])
            answer = [one for one in self.visitor.publish(event) if one[0] != "AUTH"]
            self.assert_refused(answer, event, "auth-required")
            self.assert_accepted(author, event)

    def test_no_oracle(self) -> None:
        """Others do not learn whether the relay has it, stored or just passed on."""
        author, other = self.known(_ALICE), self.known(_BOB)
        for kind in (1, 20001):
            event = signed_event(_ALICE, kind=kind, tags=[["-"]])
            self.assert_accepted(author, event)
            self.assert_refused(other.publish(event), event, "restricted")
            answer = [one for one in self.visitor.publish(event) if one[0] != "AUTH"]
            self.assert_refused(answer, event, "auth-required")
            ((_, _, is_accepted, reason),) = author.publish(event)
            self.assertTrue(is_accepted)
            self.assertTrue(reason.startswith("duplicate: "), reason)

    def test_no_oracle_while_it_is_saved(self) -> None:
        """Nor do they while it is on its way into the store."""
        author, other = self.known(_ALICE), self.known(_BOB)
        self.under_test.store.hold_saves = True
        event = signed_event(_ALICE, tags=[["-"]])
        self.assertEqual(author.publish(event), [])
        self.assert_refused(other.publish(event), event, "restricted")
        self.under_test.store.saves[0].succeed()
        self.assertEqual(author.heard(), [accepted(event)])
        self.assertEqual(other.heard(), [])

    def test_bad_signature_first(self) -> None:
        """Nobody is challenged for a forged event."""
        event = signed_event(_ALICE, tags=[["-"]])
        forged = event_message(event).replace(
            event.sig.hex().encode(), signed_event(_BOB).sig.hex().encode()
        )
        self.assertEqual(
            self.visitor.say(forged),
            [["OK", event.id.hex(), False, "invalid: bad signature"]],
        )

    def test_reading(self) -> None:
        """Anybody may read it, stored and live."""
        author = self.known(_ALICE)
        event, live = (
            signed_event(_ALICE, tags=[["-"]], content=text) for text in "ab"
        )
        author.publish(event)
        self.assertEqual(self.visitor.ask({}), [seen("s", event), ["EOSE", "s"]])
        author.publish(live)
        self.assertEqual(self.visitor.heard(), [seen("s", live)])

    def test_request_to_vanish(self) -> None:
        """A request to vanish is taken from anybody, protected or not."""
        request = signed_event(_ALICE, kind=62, tags=[["-"], ["relay", "ALL_RELAYS"]])
        self.assert_accepted(self.known(_BOB), request)


class RepostTests(VisitorTestCase):
    """Reposts of protected events."""

    def test_embedded(self) -> None:
        """A repost that carries one is refused, whoever sends it."""
        original = signed_event(_ALICE, tags=[["-"]])
        for kind in (6, 16):
            repost = signed_event(_ALICE, kind=kind, content=original.raw.decode())
            self.assert_refused(self.visitor.publish(repost), repost, "blocked")
            self.assert_refused(self.known(_ALICE).publish(repost), repost, "blocked")

    def test_not_embedded(self) -> None:
        """A repost that names one, or carries another event, is taken."""
        original = signed_event(_ALICE, tags=[["-"]])
        public = signed_event(_ALICE, tags=[["t", "-"]], content='["-"]')
        tags = [["e", original.id.hex()]]
        self.assert_accepted(
            self.visitor,
            signed_event(_BOB, kind=6, tags=tags),
            signed_event(_BOB, kind=6, tags=tags, content='[["-"]]'),
            signed_event(_BOB, kind=6, content=public.raw.decode()),
            signed_event(_BOB, kind=1, content=original.raw.decode()),
        )


class VectorTests(VisitorTestCase):
    """The vectors of NIP-70."""

    def setUp(self) -> None:
        """Know the keys that the vectors were signed with."""
        super().setUp()
        self.author, self.other = (
            int(key["sk"], 16) for key in load("keys")["keys"][:2]
        )

    def test_states(self) -> None:
        """The answer depends on who the connection has authenticated as."""
        vectors = _VECTORS["protected"]
        event = vector("protected", "event")
        for name, secrets in (
            ("unauthenticated", ()),
            ("authenticated_as_other", (self.other,)),
            ("authenticated_as_other_and_author", (self.other, self.author)),
        ):
            answer = self.known(*secrets).publish(event)
            (ok,) = (one for one in answer if one[0] != "AUTH")
            prefix = ok[3].partition(" ")[0]
            self.assertEqual([*ok[:3], prefix], vectors[name], name)

    def test_author(self) -> None:
        """The author alone will do."""
        self.assertEqual(
            self.known(self.author).publish(vector("protected", "event")),
            [_VECTORS["protected"]["authenticated_as_author"]],
        )

    def test_wrong_id(self) -> None:
        """The example that NIP-70 prints has an id that is not its hash."""
        members = _VECTORS["protected"]["nip70_spec_event"]
        ((_, id_, is_accepted, reason),) = self.visitor.say(dumps(["EVENT", members]))
        self.assertEqual((id_, is_accepted), (members["id"], False))
        self.assertTrue(reason.startswith("invalid: "), reason)

    def test_reposts(self) -> None:
        """Reposts that embed it are refused, those that only look so are not."""
        for number in range(len(_VECTORS["repost_embedding_protected"])):
            repost = vector("repost_embedding_protected", number)
            self.assert_refused(self.visitor.publish(repost), repost, "blocked")
        self.assert_accepted(
            self.visitor,
            vector("repost_without_content"),
            vector("repost_text_only_looks_protected"),
        )
