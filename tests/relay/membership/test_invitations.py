"""Tests for :mod:`nostrtx.relay.membership.invitations`."""

from __future__ import annotations

import attrs

from nostrtx.interfaces.register import RegisterError
from nostrtx.nostr.event import parse_event
from nostrtx.nostr.signing import verify
from nostrtx.settings.access import MembershipSettings
from tests.relay.membership.membership_case import NOW, MembershipTestCase
from tests.storage.events import public_key


class InvitationTests(MembershipTestCase):
    """Members that ask for an invitation."""

    settings = MembershipSettings(
        enabled=True, required="write", members_invite=True, invite_days=3
    )

    def setUp(self) -> None:
        """A member that is known."""
        super().setUp()
        self.register.add_member(public_key(1))
        self.notice()
        self.alice = self.person(1)
        self.alice.authenticate()

    def test_invitation(self) -> None:
        """It comes before EOSE, signed by the relay, with a code that lets one in."""
        (_, _, members), end = self.alice.ask({"kinds": [28935]})
        self.assertEqual(end, ["EOSE", "s"])
        event = parse_event(members)
        self.assertTrue(verify(event.sig, event.id, event.pubkey))
        self.assertEqual(event.pubkey, self.under_test.relay.own_events.pubkey)
        self.assertEqual((event.kind, event.created_at), (28935, NOW + 1))
        (dash, (name, code)) = event.tags
        self.assertEqual((dash, name), (["-"], "claim"))
        (invite,) = self.register.invites()
        self.assertEqual(
            (invite.code, invite.uses_left, invite.expires_at, invite.inviter),
            (code, 1, NOW + 1 + 3 * 86_400, public_key(1)),
        )
        self.assertTrue(self.person(2).join(code)[0])

    def test_not_stored(self) -> None:
        """It is made for the asker: no one else is sent it, then or later."""
        other = self.person(2)
        other.ask({"kinds": [28935, 1]})
        self.alice.ask({"kinds": [28935]})
        self.assertEqual(other.client.heard(), [])
        self.assertEqual(other.ask({"kinds": [28935, 1]}), [["EOSE", "s"]])

    def test_one_at_a_time(self) -> None:
        """Asking again gives the same code until it was used."""
        codes = []
        for _ in range(2):
            (_, _, members), _ = self.alice.ask({"kinds": [28935]})
            codes.append(members["tags"][1][1])
        self.assertEqual(codes[0], codes[1])
        self.person(2).join(codes[0])
        (_, _, members), _ = self.alice.ask({"kinds": [28935]})
        self.assertNotEqual(members["tags"][1][1], codes[0])

    def test_the_filter_holds(self) -> None:
        """One that the filter does not match, or has no room for, is not sent."""
        own = self.under_test.relay.own_events.pubkey.hex()
        for filter_, sent in (
            ({"kinds": [28935], "authors": [own]}, 1),
            ({"kinds": [28935, 1]}, 1),
            ({"kinds": [28935], "authors": ["ab" * 32]}, 0),
            ({"kinds": [28935], "limit": 0}, 0),
            ({"kinds": [28935], "since": NOW + 100}, 0),
            ({}, 0),
        ):
            kinds = [
                answer[2]["kind"]
                for answer in self.alice.ask(filter_)
                if answer[0] == "EVENT"
            ]
            self.assertEqual(kinds.count(28935), sent, filter_)

    def test_strangers(self) -> None:
        """Who is no member is told why there is none."""
        stranger = self.person(2)
        ((verb, _, reason),) = stranger.ask({"kinds": [28935]})
        self.assertEqual((verb, reason[:15]), ("CLOSED", "auth-required: "))
        stranger.authenticate()
        ((verb, _, reason),) = stranger.ask({"kinds": [28935]})
        self.assertEqual((verb, reason[:12]), ("CLOSED", "restricted: "))
        self.assertEqual(stranger.ask({"kinds": [28935, 1]}), [["EOSE", "s"]])

    def test_register_fails(self) -> None:
        """If no code can be entered the subscription is closed as our fault."""
        register = self.under_test.relay._register
        assert register is not None
        register.close()
        self.assertEqual(
            self.alice.ask({"kinds": [28935]}),
            [["CLOSED", "s", "error: internal error"]],
        )
        self.assertEqual(len(self.flushLoggedErrors(RegisterError)), 1)


class OperatorInvitesTests(MembershipTestCase):
    """Where only the operator invites."""

    def test_refused(self) -> None:
        """Members get no invitations, and are told so."""
        self.assertFalse(attrs.asdict(self.settings)["members_invite"])
        self.register.add_member(public_key(1))
        self.notice()
        alice = self.person(1)
        alice.authenticate()
        ((verb, _, reason),) = alice.ask({"kinds": [28935]})
        self.assertEqual((verb, reason[:12]), ("CLOSED", "restricted: "))
        self.assertEqual(self.register.invites(), [])
