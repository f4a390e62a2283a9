"""Tests for :mod:`nostrtx.relay.session_auth`: authentication (NIP-42)."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from nostrtx.broadcast.local import LocalBroadcaster
from nostrtx.nostr.json import dumps
from nostrtx.relay.relay import Relay
from nostrtx.relay.session_auth import MAX_FAILURES
from nostrtx.settings.access import AuthSettings
from nostrtx.settings.limits import LimitSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from tests.nostr.vectors import load
from tests.relay.fakes import (
    RELAY_URL,
    FakeTurns,
    HeldStore,
    accepted,
    auth_message,
    close_message,
    event_message,
    seen,
)
from tests.relay.visitor import Visitor, VisitorTestCase
from tests.storage.events import NOW, public_key, signed_event

_AUTH_REQUIRED = "auth-required"


class ChallengeTests(VisitorTestCase):
    """When a client is asked to prove who it is."""

    def test_not_without_need(self) -> None:
        """Who publishes and asks for what is public is not asked who it is."""
        note = signed_event()
        self.assertEqual(self.visitor.heard(), [])
        self.assertEqual(self.visitor.publish(note), [accepted(note)])
        for filter_ in (
            {},
            {"ids": [note.id.hex()]},
            {"authors": [note.pubkey.hex()]},
            {"kinds": [1]},
        ):
            self.assertEqual(
                self.visitor.ask(filter_), [seen("s", note), ["EOSE", "s"]]
            )

    def test_before_a_refusal(self) -> None:
        """The challenge comes before the refusal that asks for it."""
        challenge, *closed = self.visitor.ask({"kinds": [1059]})
        self.assertEqual(challenge[0], "AUTH")
        self.assert_closed(closed, _AUTH_REQUIRED)

    def test_for_private_events_among_others(self) -> None:
        """Who asks for private events among others is challenged and served."""
        for filters in (
            [{"kinds": [1, 4]}],
            [{"kinds": [1]}, {"kinds": [1059]}],
            [{"#p": [public_key(1).hex()]}],
        ):
            visitor = self.stranger()
            challenge, *rest = visitor.ask(*filters)
            self.assertEqual(challenge[0], "AUTH")
            self.assertEqual(rest, [["EOSE", "s"]])

    def test_once(self) -> None:
        """A connection has one challenge, and hears it once."""
        self.visitor.ask({"kinds": [1, 4]})
        self.assert_closed(self.visitor.ask({"kinds": [4]}), _AUTH_REQUIRED)
        protected = signed_event(tags=[["-"]])
        self.assert_refused(self.visitor.publish(protected), protected, _AUTH_REQUIRED)

    def test_own(self) -> None:
        """Every connection has a challenge of its own, of 128 random bits."""
        challenges = set()
        for _ in range(10):
            visitor = self.stranger()
            visitor.ask({"kinds": [4]})
            challenges.add(visitor.challenge)
            self.assertEqual(len(bytes.fromhex(visitor.challenge)), 16)
        self.assertEqual(len(challenges), 10)

    def test_of_another(self) -> None:
        """The challenge of another connection is not answered on this one."""
        self.visitor.ask({"kinds": [4]})
        other = self.stranger()
        other.ask({"kinds": [4]})
        ((verb, _, is_accepted, reason),) = self.visitor.say(
            auth_message(other.challenge)
        )
        self.assertEqual((verb, is_accepted), ("OK", False))
        self.assertTrue(reason.startswith("invalid: "), reason)


class AuthenticateTests(VisitorTestCase):
    """What a client answers, and what that is worth."""

    def setUp(self) -> None:
        """Have the client challenged."""
        super().setUp()
        self.visitor.ask({"kinds": [4]})

    def refused(self, answer: list[Any]) -> str:
        """The reason of the OK that refuses an AUTH."""
        ((verb, id_, is_accepted, reason),) = answer
        self.assertEqual((verb, len(id_), is_accepted), ("OK", 64, False))
        return str(reason)

    def test_accepted(self) -> None:
        """A good answer gets an OK true under its own id."""
        ((verb, id_, is_accepted, reason),) = self.visitor.authenticate(1)
        self.assertEqual((verb, is_accepted, reason), ("OK", True, ""))
        expected = signed_event(
            kind=22242,
            tags=[["relay", RELAY_URL], ["challenge", self.visitor.challenge]],
        )
        self.assertEqual(id_, expected.id.hex())

    def test_no_challenge(self) -> None:
        """Who was not challenged has nothing to answer."""
        stranger = self.stranger()
        for challenge in ("", self.visitor.challenge):
            reason = self.refused(stranger.say(auth_message(challenge)))
            self.assertTrue(reason.startswith("invalid: "), reason)

    def test_another_relay(self) -> None:
        """An answer that was made for another relay proves nothing here."""
        for url in ("wss://evil.example.net/", "wss://relay.example.com@evil.net", ""):
            reason = self.refused(self.visitor.authenticate(1, url=url))
            self.assertTrue(reason.startswith("invalid: "), reason)
        self.assert_closed(self.visitor.ask({"kinds": [4]}), _AUTH_REQUIRED)

    def test_spelling_of_the_url(self) -> None:
        """The relay's URL may be spelled in any way that means the same."""
        for secret, url in enumerate(
            (
                "wss://relay.example.com",
                "WSS://RELAY.Example.COM:443",
                "ws://relay.example.com/",
            ),
            1,
        ):
            ((_, _, is_accepted, _),) = self.visitor.authenticate(secret, url=url)
            self.assertTrue(is_accepted, url)

    def test_time(self) -> None:
        """The answer is from now, give or take ten minutes."""
        for created_at in (NOW - 601, NOW + 601):
            reason = self.refused(self.visitor.authenticate(1, created_at=created_at))
            self.assertTrue(reason.startswith("invalid: "), reason)
        for created_at in (NOW - 600, NOW + 600):
            ((_, _, is_accepted, _),) = self.visitor.authenticate(
                1, created_at=created_at
            )
            self.assertTrue(is_accepted)

    def test_again(self) -> None:
        """To authenticate twice with one key does no harm."""
        for _ in range(2):
            ((_, _, is_accepted, reason),) = self.visitor.authenticate(1)
            self.assertEqual((is_accepted, reason), (True, ""))

    def test_several_keys(self) -> None:
        """One challenge serves several keys, and a later one adds to the earlier."""
        messages = [
            signed_event(3, kind=4, tags=[["p", public_key(secret).hex()]])
            for secret in (1, 2)
        ]
        self.under_test.stored(*messages)
        for secret in (1, 2):
            self.visitor.authenticate(secret)
        self.assertCountEqual(
            self.visitor.ask({"kinds": [4]}),
            [*(seen("s", message) for message in messages), ["EOSE", "s"]],
        )

    def test_failure_after_success(self) -> None:
        """A failed attempt does not undo what was proved before."""
        message = signed_event(1, kind=4)
        self.under_test.stored(message)
        self.visitor.authenticate(1)
        self.refused(self.visitor.authenticate(2, url="wss://evil.example.net"))
        self.assertEqual(
            self.visitor.ask({"kinds": [4]}), [seen("s", message), ["EOSE", "s"]]
        )

    def test_for_one_connection(self) -> None:
        """Authentication holds for the connection it was made on, and no other."""
        self.visitor.authenticate(1)
        _, *closed = self.stranger().ask({"kinds": [4]})
        self.assert_closed(closed, _AUTH_REQUIRED)

    def test_too_many_failures(self) -> None:
        """A connection that fails too often may not try again."""
        for _ in range(MAX_FAILURES):
            reason = self.refused(self.visitor.authenticate(1, url="wss://x.example"))
            self.assertTrue(reason.startswith("invalid: "), reason)
        reason = self.refused(self.visitor.authenticate(1))
        self.assertTrue(reason.startswith("rate-limited: "), reason)

    def test_no_event(self) -> None:
        """What is no event is refused under its id, or with a NOTICE."""
        ((verb, id_, is_accepted, reason),) = self.visitor.say(b'["AUTH",{"id":"x"}]')
        self.assertEqual((verb, id_, is_accepted), ("OK", "x", False))
        self.assertTrue(reason.startswith("invalid: "), reason)
        for message in (
            b'["AUTH",{}]',
            b'["AUTH",{"id":5}]',
            b'["AUTH","x"]',
            b'["AUTH"]',
        ):
            ((verb, reason),) = self.visitor.say(message)
            self.assertEqual(verb, "NOTICE")
            self.assertTrue(reason.startswith("invalid: "), reason)

    def test_is_not_published(self) -> None:
        """Who authenticates publishes nothing: not live, and not in the store."""
        other = self.stranger()
        other.ask({})
        self.visitor.authenticate(1)
        self.assertEqual(other.heard(), [])
        self.assertEqual(other.ask({}, id_="t"), [["EOSE", "t"]])

    def test_as_an_event(self) -> None:
        """The kinds of authentication are refused as an EVENT, and prove nothing."""
        for kind in (22242, 27235):
            event = signed_event(
                kind=kind,
                tags=[["relay", RELAY_URL], ["challenge", self.visitor.challenge]],
            )
            self.assert_refused(self.visitor.publish(event), event, "invalid")
        self.assert_closed(self.visitor.ask({"kinds": [4]}), _AUTH_REQUIRED)


class StrictLimitsTests(VisitorTestCase):
    """A relay that is strict with events."""

    settings = Settings(
        limits=LimitSettings(
            min_pow_difficulty=20,
            created_at_lower_seconds=1,
            created_at_upper_seconds=1,
            max_event_tags=1,
        )
    )

    def test_do_not_apply(self) -> None:
        """What limits events in age and work does not limit authentication."""
        self.visitor.ask({"kinds": [4]})
        ((_, _, is_accepted, reason),) = self.visitor.authenticate(
            1, created_at=NOW - 500
        )
        self.assertEqual((is_accepted, reason), (True, ""))


class TooManyKeysTests(VisitorTestCase):
    """How many keys one connection may have."""

    settings = Settings(auth=AuthSettings(max_pubkeys=2))

    def test_limit(self) -> None:
        """One key more than the limit is refused; the others stay."""
        visitor = self.known(1, 2)
        ((_, _, is_accepted, reason),) = visitor.authenticate(3)
        self.assertFalse(is_accepted)
        self.assertTrue(reason.startswith("restricted: "), reason)
        ((_, _, is_accepted, _),) = visitor.authenticate(2)
        self.assertTrue(is_accepted)


class VectorTests(VisitorTestCase):
    """The vectors of NIP-42, through a session."""

    def test_vectors(self) -> None:
        """Each AUTH gets the OK that it should, on a connection of its own."""
        vectors = load("auth")
        clock = Clock()
        clock.advance(vectors["now"])
        self.under_test.relay = Relay(
            HeldStore(),
            LocalBroadcaster(),
            FakeTurns(),
            clock,
            LiveSettings(Settings()),
            lambda: [vectors["relay_url"]],
            lambda _: bytes.fromhex(vectors["challenge"]),
        )
        self.assertGreater(len(vectors["cases"]), 15)
        for case in vectors["cases"]:
            visitor = self.stranger()
            visitor.ask({"kinds": [4]})
            self.assertEqual(visitor.challenge, vectors["challenge"])
            ((verb, id_, is_accepted, reason),) = visitor.say(dumps(case["message"]))
            self.assertEqual((verb, id_), ("OK", case["message"][1]["id"]))
            self.assertEqual(is_accepted, case["expect_ok"], case["name"])
            self.assertEqual(reason == "", case["expect_ok"], case["name"])


class RequiredTests(VisitorTestCase):
    """A relay for which everybody must authenticate."""

    settings = Settings(auth=AuthSettings(required="both"))

    def test_challenge_at_the_start(self) -> None:
        """The challenge comes without being asked for, and once."""
        ((verb, challenge),) = self.visitor.heard()
        self.assertEqual((verb, len(challenge)), ("AUTH", 32))
        self.assert_closed(self.visitor.ask({}), _AUTH_REQUIRED)

    def test_before(self) -> None:
        """Before, neither EVENT nor REQ works; CLOSE does."""
        self.visitor.heard()
        note = signed_event()
        self.assert_refused(self.visitor.publish(note), note, _AUTH_REQUIRED)
        self.assertFalse(self.under_test.store.holds(note))
        requests: tuple[list[object], ...] = (
            [{}],
            [{"kinds": [1]}],
            [{"kinds": [0]}, {"kinds": [1]}],
        )
        for filters in requests:
            self.assert_closed(self.visitor.ask(*filters), _AUTH_REQUIRED)
        self.assertEqual(self.visitor.say(close_message("s")), [])

    def test_after(self) -> None:
        """Afterwards everything works, with whatever key."""
        self.visitor.authenticate(7)
        note = signed_event(1)
        self.assertEqual(self.visitor.publish(note), [accepted(note)])
        self.assertEqual(self.visitor.ask({}), [seen("s", note), ["EOSE", "s"]])

    def test_open_kinds(self) -> None:
        """What helps to find a person is taken from and served to anybody."""
        self.visitor.heard()
        events = [signed_event(kind=kind) for kind in (0, 3, 10002, 10050)]
        self.assert_accepted(self.visitor, *events)
        self.assertCountEqual(
            self.visitor.ask({"kinds": [0, 3]}, {"kinds": [10002, 10050]}),
            [*(seen("s", event) for event in events), ["EOSE", "s"]],
        )
        newer = signed_event(kind=0, created_at=NOW + 1)
        self.known_to(7).publish(newer)
        self.assertEqual(self.visitor.heard(), [seen("s", newer)])

    def test_bad_signature_first(self) -> None:
        """Of a forged event the client hears that, and not that it should sign in."""
        self.visitor.heard()
        note = signed_event()
        forged = event_message(note).replace(
            note.sig.hex().encode(), signed_event(2).sig.hex().encode()
        )
        ((_, _, is_accepted, reason),) = self.visitor.say(forged)
        self.assertEqual((is_accepted, reason), (False, "invalid: bad signature"))

    def test_no_oracle(self) -> None:
        """Who may not publish does not learn what the relay has."""
        self.visitor.heard()
        note = signed_event()
        author = self.known_to(1)
        author.publish(note)
        self.assert_refused(self.visitor.publish(note), note, _AUTH_REQUIRED)
        ((_, _, is_accepted, reason),) = author.publish(note)
        self.assertTrue(is_accepted)
        self.assertTrue(reason.startswith("duplicate: "), reason)

    def test_request_to_vanish(self) -> None:
        """A request to vanish is taken from anybody."""
        self.visitor.heard()
        request = signed_event(kind=62, tags=[["relay", "ALL_RELAYS"]])
        self.assertEqual(self.visitor.publish(request), [accepted(request)])

    def known_to(self, secret: int) -> Visitor:
        """Another client, that has authenticated with this key."""
        visitor = self.stranger()
        visitor.authenticate(secret)
        return visitor


class RequiredToWriteTests(VisitorTestCase):
    """A relay that anybody may read."""

    settings = Settings(auth=AuthSettings(required="write"))

    def test_write(self) -> None:
        """Publishing needs authentication, reading does not."""
        self.visitor.heard()
        note = signed_event()
        self.assert_refused(self.visitor.publish(note), note, _AUTH_REQUIRED)
        self.assertEqual(self.visitor.ask({}), [["EOSE", "s"]])
        self.visitor.authenticate(2)
        self.assertEqual(self.visitor.publish(note), [seen("s", note), accepted(note)])


class RequiredToReadTests(VisitorTestCase):
    """A relay that anybody may publish on."""

    settings = Settings(auth=AuthSettings(required="read"))

    def test_read(self) -> None:
        """Reading needs authentication, publishing does not."""
        self.visitor.heard()
        note = signed_event()
        self.assertEqual(self.visitor.publish(note), [accepted(note)])
        self.assert_closed(self.visitor.ask({}), _AUTH_REQUIRED)
        self.visitor.authenticate(2)
        self.assertEqual(self.visitor.ask({}), [seen("s", note), ["EOSE", "s"]])


class WriteKindsTests(VisitorTestCase):
    """Kinds that need authentication to be published."""

    settings = Settings(auth=AuthSettings(write_kinds=(0, 1059, 20001)))

    def test_kinds(self) -> None:
        """Those need it, also if they are open otherwise; others do not."""
        note = signed_event()
        self.assert_accepted(self.visitor, note)
        first, *answer = self.visitor.publish(profile := signed_event(kind=0))
        self.assertEqual(first[0], "AUTH")
        self.assert_refused(answer, profile, _AUTH_REQUIRED)
        for kind in (1059, 20001):
            event = signed_event(kind=kind)
            self.assert_refused(self.visitor.publish(event), event, _AUTH_REQUIRED)
        self.visitor.authenticate(9)
        for kind in (0, 1059, 20001):
            self.assert_accepted(self.visitor, signed_event(kind=kind))
