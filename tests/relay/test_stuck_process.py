"""A relay of several processes, of which one is alone and does not come to an end."""

from __future__ import annotations

from typing import Any

from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.event import Event
from nostrtx.relay.groups.office import MAX_WAITING
from nostrtx.relay.membership.members import MAX_REQUESTS
from nostrtx.relay.membership.register import Invite
from nostrtx.relay.own_events import ALONE_SECONDS
from nostrtx.settings.access import GroupSettings
from nostrtx.settings.storing import StoreSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import accepted
from tests.relay.membership.membership_case import MembershipTestCase
from tests.relay.test_several_processes import ADMIN, BOB, SeveralProcessesCase
from tests.storage.events import public_key, signed_event

_REASON = "error: another process of the relay is busy; try again later"


def refused(event: Event, reason: str = _REASON) -> list[Any]:
    """The OK for an event that was not taken."""
    return ["OK", event.id.hex(), False, reason]


class GroupTests(SeveralProcessesCase):
    """What happens to groups meanwhile."""

    settings = Settings(
        groups=GroupSettings(enabled=True), store=StoreSettings("memory:")
    )

    def setUp(self) -> None:
        """Have a group, and let another process be alone."""
        super().setUp()
        self.publish(self.one, self.event(ADMIN, 9007))
        self.leave = self.successResultOf(self.there.store.alone())

    def event(self, secret: int, kind: int, *tags: list[str], text: str = "") -> Event:
        """An event for the group."""
        return signed_event(
            secret,
            kind=kind,
            tags=[["h", "pizza"], *tags],
            content=text,
            created_at=int(self.here.clock.seconds()),
        )

    def edit(self, name: str) -> Event:
        """A change of the group."""
        return self.event(ADMIN, 9002, ["name", name])

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.here.clock.advance(seconds)
        self.settle()

    def test_changes(self) -> None:
        """Changes are refused after some seconds, all that have waited together."""
        edits = [self.edit("a"), self.edit("b"), self.edit("c")]
        for edit in edits[:2]:
            self.assertEqual(self.publish(self.one, edit), [])
        self.wait(ALONE_SECONDS - 1)
        self.assertEqual(self.publish(self.one, edits[2]), [])
        self.assertEqual(self.one.heard(), [])
        self.wait(1)
        self.assertCountEqual(self.one.heard(), map(refused, edits))

    def test_many_changes(self) -> None:
        """However many they are, and what is too many is refused at once."""
        edits = [self.edit(str(number)) for number in range(MAX_WAITING)]
        for edit in edits:
            self.assertEqual(self.publish(self.one, edit), [])
        ((_, _, is_accepted, reason),) = self.publish(self.one, self.edit("more"))
        self.assertEqual((is_accepted, reason[:14]), (False, "rate-limited: "))
        self.wait(ALONE_SECONDS)
        self.assertCountEqual(self.one.heard(), map(refused, edits))

    def test_later_changes(self) -> None:
        """A change that comes later waits anew, and is made once that is possible."""
        self.publish(self.one, early := self.edit("a"))
        self.wait(ALONE_SECONDS)
        self.assertEqual(self.one.heard(), [refused(early)])
        self.assertEqual(self.publish(self.one, late := self.edit("b")), [])
        self.wait(ALONE_SECONDS - 1)
        self.leave()
        self.settle()
        self.assertEqual(self.one.heard(), [accepted(late)])
        self.assertEqual(
            self.publish(self.one, early), [accepted(early)], "it may be sent again"
        )

    def test_other_events(self) -> None:
        """Other events wait no longer than the changes before them."""
        edit, note = self.edit("a"), self.event(BOB, 9)
        self.publish(self.one, edit)
        self.assertEqual(self.publish(self.one, note), [])
        self.wait(ALONE_SECONDS)
        self.assertEqual(self.one.heard(), [refused(edit), accepted(note)])

    def test_many_other_events(self) -> None:
        """Of other events, too, not too many wait; all that do are answered."""
        self.publish(self.one, edit := self.edit("a"))
        notes = [self.event(BOB, 9, text=str(n)) for n in range(MAX_WAITING)]
        for note in notes:
            self.assertEqual(self.publish(self.one, note), [])
        more = self.event(BOB, 9, text="more")
        self.assertEqual(
            self.publish(self.one, more),
            [refused(more, "rate-limited: too many events at a time")],
        )
        self.leave()
        self.settle()
        answers = [accepted(edit), *map(accepted, notes)]
        self.assertCountEqual(self.one.heard(), answers)
        self.assertEqual(self.publish(self.one, more), [accepted(more)])


class MembershipTests(MembershipTestCase):
    """What happens to members meanwhile."""

    def setUp(self) -> None:
        """Let another process be alone."""
        super().setUp()
        self.register.add_invite(Invite("code", uses_left=None))
        self.leave = self.successResultOf(self.under_test.store.alone())

    def test_join(self) -> None:
        """Who joins is told so after some seconds, and listed as soon as may be."""
        alice = self.person(1)
        event = alice.event(28934, [["claim", "code"]])
        alice.session.message_received(b'["EVENT",%b]' % event.raw)
        self.under_test.turns.settle()
        self.assertEqual(alice.client.heard(), [])
        self.assertIn(public_key(1), self.register.contents().members)
        self.clock.advance(ALONE_SECONDS)
        ((_, _, is_accepted, reason),) = alice.client.heard()
        self.assertEqual((is_accepted, reason[:13]), (True, "info: welcome"))
        self.leave()
        self.notice()
        self.assertEqual(len(self.published(8000)), 1)
        self.flushLoggedErrors(StoreError)

    def test_many(self) -> None:
        """Not too many wait; all that do are answered together."""
        people = [self.person(secret) for secret in range(1, MAX_REQUESTS + 2)]
        for person in people:
            event = person.event(28934, [["claim", "code"]])
            person.session.message_received(b'["EVENT",%b]' % event.raw)
        self.under_test.turns.settle()
        *waiting, last = [person.client.heard() for person in people]
        self.assertEqual(waiting, [[]] * MAX_REQUESTS)
        self.assertIn("rate-limited: ", last[0][3])
        self.clock.advance(ALONE_SECONDS)
        for person in people[:-1]:
            self.assertEqual([answer[2] for answer in person.client.heard()], [True])
        self.flushLoggedErrors(StoreError)
