"""Tests for :mod:`nostrtx.relay.membership.members`."""

from __future__ import annotations

from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.event import parse_event
from nostrtx.nostr.membership import Role
from nostrtx.relay.membership.register import Invite
from nostrtx.settings.access import MembershipSettings
from tests.relay.membership.membership_case import (
    NOW,
    MembershipTestCase,
)
from tests.storage.events import public_key, signed_event


def listed(*secrets: int) -> list[list[str]]:
    """The tags of a list of members without roles."""
    keys = sorted(public_key(secret).hex() for secret in secrets)
    return [["-"], *(["member", key] for key in keys)]


def news(secret: int) -> list[list[str]]:
    """The tags of the news of somebody."""
    return [["-"], ["p", public_key(secret).hex()]]


class JoinTests(MembershipTestCase):
    """Requests to join."""

    def test_welcome(self) -> None:
        """Whoever has a code becomes a member, and may write from then on."""
        self.register.add_invite(Invite("code"))
        alice = self.person(1)
        alice.authenticate()
        self.assertEqual(
            alice.send(alice.event(1)),
            (False, "restricted: this is for members of the relay"),
        )
        self.assertEqual(
            alice.join("code"), (True, "info: welcome to wss://relay.example.com/!")
        )
        self.assertEqual(alice.send(alice.event(1)), (True, ""))

    def test_published_with_the_answer(self) -> None:
        """By the time of the answer the list names the new member, and so the news."""
        self.assertEqual(self.published(13534), [listed()])
        self.register.add_invite(Invite("code"))
        self.person(1).join("code")
        self.assertEqual(self.published(13534), [listed(1)])
        self.assertEqual(self.published(8000), [news(1)])
        self.assertEqual(self.published(8001), [])

    def test_refused(self) -> None:
        """A code that is none, is used up or too old lets nobody in."""
        self.register.add_invite(Invite("old", expires_at=NOW))
        alice = self.person(1)
        invalid = (False, "restricted: that is an invalid invite code")
        self.assertEqual(alice.join("none"), invalid)
        self.assertEqual(
            alice.join("old"), (False, "restricted: that invite code is expired")
        )
        self.register.add_invite(Invite("code"))
        self.person(2).join("code")
        self.assertEqual(alice.join("code"), invalid)
        self.assertEqual(self.published(13534), [listed(2)])

    def test_already(self) -> None:
        """A member that asks again is told so, and uses nothing up."""
        self.register.add_invite(Invite("code", uses_left=2))
        alice = self.person(1)
        alice.join("code")
        self.clock.advance(1)
        self.assertEqual(
            alice.join("code"),
            (True, "duplicate: you are already a member of this relay"),
        )
        self.assertEqual(self.register.invites(), [Invite("code", uses_left=1)])

    def test_malformed(self) -> None:
        """A request without a code, or made at another time, is malformed."""
        alice = self.person(1)
        for event in (
            alice.event(28934),
            signed_event(1, kind=28934, created_at=NOW - 301, tags=[["claim", "x"]]),
            signed_event(1, kind=28934, created_at=NOW + 301, tags=[["claim", "x"]]),
        ):
            is_accepted, reason = alice.send(event)
            self.assertFalse(is_accepted)
            self.assertTrue(reason.startswith("invalid: "), reason)

    def test_protected(self) -> None:
        """As in the NIP's example a request may be protected; then it is proved."""
        self.register.add_invite(Invite("code"))
        alice = self.person(1)
        event = alice.event(28934, [["-"], ["claim", "code"]])
        is_accepted, reason = alice.send(event)
        self.assertFalse(is_accepted)
        self.assertTrue(reason.startswith("auth-required: "), reason)
        alice.authenticate()
        self.assertTrue(alice.send(event)[0])

    def test_neither_stored_nor_shown(self) -> None:
        """The code in a request is a secret: nobody else gets to see it."""
        self.register.add_invite(Invite("code"))
        other = self.person(2)
        other.ask({})
        alice = self.person(1)
        event = alice.event(28934, [["claim", "code"]])
        alice.send(event)
        seen = [message[2]["kind"] for message in other.client.heard()]
        self.assertEqual(sorted(seen), [8000, 13534])
        self.assertFalse(self.under_test.store.holds(event))

    def test_replayed(self) -> None:
        """A captured request does not bring back who has left since."""
        self.register.add_invite(Invite("code", uses_left=None))
        alice = self.person(1)
        event = alice.event(28934, [["claim", "code"]])
        alice.send(event)
        alice.authenticate()
        alice.send(alice.event(28936, [["-"]]))
        is_accepted, reason = self.person(2).send(event)
        self.assertEqual(
            (is_accepted, reason), (True, "duplicate: this request was granted before")
        )
        self.assertEqual(self.published(13534), [listed()])


class LeaveTests(MembershipTestCase):
    """Requests to leave."""

    settings = MembershipSettings(enabled=True, required="both")

    def setUp(self) -> None:
        """A member."""
        super().setUp()
        self.register.add_member(public_key(1))
        self.register.add_member(public_key(99))
        self.notice()
        self.alice = self.person(1)
        self.alice.authenticate()

    def test_leave(self) -> None:
        """Who leaves loses all rights at once, also for what is open already."""
        self.assertEqual(self.alice.ask({"kinds": [1]}), [["EOSE", "s"]])
        self.assertEqual(self.alice.send(self.alice.event(28936, [["-"]])), (True, ""))
        bob = self.person(99)
        bob.authenticate()
        self.assertEqual(bob.send(bob.event(1)), (True, ""))
        self.assertEqual(self.alice.client.heard(), [])
        restricted = "restricted: this is for members of the relay"
        self.assertEqual(self.alice.send(self.alice.event(1)), (False, restricted))
        self.assertEqual(self.alice.ask({}), [["CLOSED", "s", restricted]])

    def test_published(self) -> None:
        """The list and the news tell of it."""
        self.alice.send(self.alice.event(28936, [["-"]]))
        bob = self.person(99)
        bob.authenticate()
        answers = bob.ask({"kinds": [8001, 13534]})
        self.assertEqual(
            sorted(answer[2]["tags"] for answer in answers[:-1]),
            sorted([news(1), listed(99)]),
        )

    def test_no_member(self) -> None:
        """Who is no member has nothing to leave."""
        carol = self.person(3)
        carol.authenticate()
        self.assertEqual(
            carol.send(carol.event(28936, [["-"]])),
            (True, "duplicate: you are no member of this relay"),
        )

    def test_by_another(self) -> None:
        """Nobody leaves for another; the request needs its author's presence."""
        event = self.alice.event(28936, [["-"]])
        carol = self.person(3)
        carol.authenticate()
        is_accepted, reason = carol.send(event)
        self.assertFalse(is_accepted)
        self.assertTrue(reason.startswith("restricted: "), reason)
        self.assertIn(public_key(1), self.register.contents().members)

    def test_malformed(self) -> None:
        """Without protection, or made at another time, it is malformed."""
        old = signed_event(1, kind=28936, tags=[["-"]], created_at=NOW - 400)
        for event in (self.alice.event(28936), old):
            self.assertIn("invalid: ", self.alice.send(event)[1])
        self.assertIn(public_key(1), self.register.contents().members)


class DoorTests(MembershipTestCase):
    """What is for members only."""

    settings = MembershipSettings(enabled=True, required="both")

    def test_strangers(self) -> None:
        """Who has not said who it is is asked; nothing is read or written before."""
        stranger = self.person(1)
        is_accepted, reason = stranger.send(stranger.event(1))
        self.assertEqual((is_accepted, reason[:15]), (False, "auth-required: "))
        ((verb, _, reason),) = stranger.ask({"kinds": [1]})
        self.assertEqual((verb, reason[:15]), ("CLOSED", "auth-required: "))

    def test_never_asked_twice(self) -> None:
        """Who has proved to be somebody else is restricted, not asked again."""
        stranger = self.person(1)
        stranger.authenticate()
        self.assertIn("restricted: ", stranger.send(stranger.event(1))[1])
        self.assertIn("restricted: ", stranger.ask({})[0][2])

    def test_vanish(self) -> None:
        """A request to vanish is taken from anybody."""
        stranger = self.person(1)
        event = stranger.event(62, [["relay", "ALL_RELAYS"]])
        self.assertTrue(stranger.send(event)[0])

    def test_the_relays_own_kinds(self) -> None:
        """What the relay alone may say is refused from everybody else."""
        self.register.add_member(public_key(1))
        self.notice()
        alice = self.person(1)
        alice.authenticate()
        for kind in (8000, 8001, 13534, 28935, 33534):
            is_accepted, reason = alice.send(alice.event(kind))
            self.assertFalse(is_accepted)
            self.assertTrue(reason.startswith("restricted: "), reason)


class RegisterTests(MembershipTestCase):
    """What the command enters while the relay runs, or while it does not."""

    def test_noticed(self) -> None:
        """Changes by another process are noticed and published."""
        self.register.put_role(Role("king", "King", color=37))
        self.register.add_member(public_key(1), ("king",))
        self.register.add_member(public_key(2))
        self.assertEqual(self.published(13534), [listed()])
        self.notice()
        self.assertEqual(
            self.published(13534),
            [
                sorted(
                    [
                        ["-"],
                        ["member", public_key(1).hex(), "king"],
                        ["member", public_key(2).hex()],
                    ]
                )
            ],
        )
        self.assertEqual(len(self.published(8000)), 2)
        self.assertEqual(
            self.published(33534),
            [[["-"], ["d", "king"], ["label", "King"], ["color", "37"]]],
        )

    def test_removed(self) -> None:
        """Members and roles that are removed disappear from what is published."""
        self.register.put_role(Role("king"))
        self.register.add_member(public_key(1), ("king",))
        self.notice()
        self.register.remove_member(public_key(1))
        self.register.remove_role("king")
        self.notice()
        self.assertEqual(self.published(13534), [listed()])
        self.assertEqual(self.published(8001), [news(1)])
        self.assertEqual(self.published(33534), [])

    def test_role_comes_back(self) -> None:
        """A role may be defined again in the second in which it was removed."""
        for _ in range(2):
            self.register.put_role(Role("king"))
            self.notice()
            self.assertEqual(len(self.published(33534)), 1)
            self.register.remove_role("king")
            self.notice()
            self.assertEqual(self.published(33534), [])

    def test_nothing_new(self) -> None:
        """While nothing changes, nothing is published."""
        before = self.under_test.store.inner.last_seq()
        for _ in range(5):
            self.notice()
        self.assertEqual(self.under_test.store.inner.last_seq(), before)

    def test_store_fails_for_a_while(self) -> None:
        """Who was let in is in, and is listed as soon as the store works again."""
        self.register.add_invite(Invite("code"))
        self.under_test.store.save_error = StoreError("the disk is full")
        self.assertTrue(self.person(1).join("code")[0])
        self.notice()
        self.under_test.store.save_error = None
        self.assertEqual(self.published(13534), [listed()])
        self.notice()
        self.assertEqual(self.published(13534), [listed(1)])
        self.assertEqual(self.published(8000), [news(1)])
        self.assertEqual(len(self.flushLoggedErrors(StoreError)), 2)

    def test_lost_register(self) -> None:
        """A new register is filled from what the relay has published."""
        self.register.put_role(Role("king", "King", order=2))
        self.register.add_member(public_key(1), ("king",))
        self.notice()
        answers = self.person(99).ask({"kinds": [13534, 33534]})
        events = [parse_event(answer[2]) for answer in answers[:-1]]
        self.assertEqual(len(events), 2)
        self.start(*events)
        restored = self.register.contents()
        self.assertEqual(restored.members, {public_key(1): ("king",)})
        self.assertEqual(restored.roles, (Role("king", "King", order=2),))
