"""A relay of several processes: what one does, clients of the others notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.json import dumps
from nostrtx.relay.membership.members import WATCH_SECONDS
from nostrtx.relay.membership.register import Invite, Register
from nostrtx.settings.access import GroupSettings, MembershipSettings
from nostrtx.settings.identity import RelaySettings
from nostrtx.settings.storing import StoreSettings
from nostrtx.settings.tree import Settings
from nostrtx.storage.register_file import RegisterFile
from tests.broadcast.fakes import FakeBroadcaster
from tests.relay.fakes import RelayUnderTest, accepted, req_message, seen
from tests.relay.membership.membership_case import PoolReactor
from tests.relay.visitor import Visitor
from tests.storage.events import public_key, signed_event

ADMIN, BOB, CAROL = 11, 12, 13


class SeveralProcessesCase(SynchronousTestCase):
    """Two processes with one store, and a client of each."""

    settings = Settings()
    shares_store = True
    reactor: Any = None

    def setUp(self) -> None:
        """Start both."""
        buses: list[FakeBroadcaster] = []
        self.here = RelayUnderTest(
            self.settings, broadcaster=FakeBroadcaster("a", buses, self.shares_store)
        )
        self.there = RelayUnderTest(
            self.settings, broadcaster=FakeBroadcaster("b", buses, self.shares_store)
        )
        self.there.store.inner = self.here.store.inner
        for process in (self.here, self.there):
            process.relay.start(self.reactor, 0)
            self.addCleanup(process.relay.stop)
        self.one = Visitor(self.here)
        self.other = Visitor(self.there)

    def settle(self) -> None:
        """Let both come to rest."""
        for _ in range(3):
            self.here.turns.settle()
            self.there.turns.settle()

    def publish(self, visitor: Visitor, event: Any) -> list[Any]:
        """Publish, let both processes come to rest, and hear the answer."""
        answers = visitor.publish(event)
        self.settle()
        return answers


class DeliveryTests(SeveralProcessesCase):
    """Events that come in at one process and go out at another."""

    def test_live(self) -> None:
        """A subscription in one process gets what is published in the other, once."""
        self.other.ask({"kinds": [1]})
        events = [signed_event(content=str(number)) for number in range(5)]
        for event in events:
            self.assertEqual(self.publish(self.one, event), [accepted(event)])
        self.assertEqual(self.other.heard(), [seen("s", event) for event in events])

    def test_ephemeral(self) -> None:
        """So it is with events that are not stored."""
        self.other.ask({"kinds": [20_000]})
        event = signed_event(kind=20_000)
        self.publish(self.one, event)
        self.assertEqual(self.other.heard(), [seen("s", event)])
        self.publish(self.other, event)
        self.settle()
        self.assertEqual([m[0] for m in self.other.heard()], [])

    def test_not_twice_after_a_query(self) -> None:
        """What a query has found is not delivered again when news of it arrives."""
        self.there.store.hold_pages = True
        self.other.session.message_received(req_message("s", {}))
        event = signed_event()
        self.one.publish(event)
        self.other.session.message_received(req_message("t", {}))
        for query in self.there.store.queries:
            query.answer()
        self.settle()
        heard = self.other.heard()
        for id_ in ("s", "t"):
            self.assertEqual(heard.count(seen(id_, event)), 1, id_)
            self.assertEqual(heard.count(["EOSE", id_]), 1, id_)

    def test_duplicate(self) -> None:
        """An event that another process has stored is a duplicate here."""
        event = signed_event()
        self.publish(self.one, event)
        ((_, _, is_accepted, reason),) = self.publish(self.other, event)
        self.assertTrue(is_accepted)
        self.assertTrue(reason.startswith("duplicate:"))

    def test_deleted(self) -> None:
        """An event that was deleted by way of another process does not come back."""
        event = signed_event()
        self.publish(self.one, event)
        self.publish(self.other, signed_event(kind=5, tags=[["e", event.id.hex()]]))
        ((_, _, is_accepted, reason),) = self.publish(self.one, event)
        self.assertFalse(is_accepted)
        self.assertTrue(reason.startswith("blocked:"))

    def test_while_nothing_is_heard(self) -> None:
        """What is stored while the bus is down is delivered from the store."""
        self.other.ask({"kinds": [1]})
        bus = self.here.broadcaster
        assert isinstance(bus, FakeBroadcaster)
        bus.is_connected = False
        events = [signed_event(content=str(number)) for number in range(700)]
        for event in events:
            self.one.publish(event)
        self.assertEqual(self.other.heard(), [])
        self.there.clock.advance(1)
        self.settle()
        self.assertEqual(self.other.heard(), [seen("s", event) for event in events])


class DistantDeliveryTests(DeliveryTests):
    """The same where news brings the events."""

    shares_store = False


class GroupTests(SeveralProcessesCase):
    """Groups that are changed by way of several processes (NIP-29)."""

    settings = Settings(
        groups=GroupSettings(enabled=True), store=StoreSettings("memory:")
    )

    def do(self, visitor: Visitor, secret: int, kind: int, *tags: list[str]) -> Any:
        """Publish an event for the group; whether it was taken, and why not."""
        event = signed_event(
            secret,
            kind=kind,
            tags=[["h", "pizza"], *tags],
            created_at=int(self.here.clock.seconds()),
        )
        answers = [a for a in self.publish(visitor, event) if a[0] == "OK"]
        for process in (self.here, self.there):
            process.clock.advance(1)
        self.settle()
        ((_, _, is_accepted, reason),) = answers
        return is_accepted, reason

    def test_from_everywhere(self) -> None:
        """A group made in one process is moderated, joined and left in the other."""
        one, other = self.one, self.other
        bob = public_key(BOB).hex()
        self.assertEqual(self.do(one, ADMIN, 9007), (True, ""))
        self.assertEqual(self.do(other, ADMIN, 9002, ["restricted"]), (True, ""))
        self.assertFalse(self.do(one, BOB, 9)[0])
        self.assertEqual(self.do(other, ADMIN, 9000, ["p", bob]), (True, ""))
        self.assertEqual(self.do(one, BOB, 9), (True, ""))
        self.assertEqual(self.do(other, BOB, 9022), (True, ""))
        self.assertFalse(self.do(one, BOB, 9)[0])

    def test_changed_while_nothing_is_heard(self) -> None:
        """A change rests upon all that came before it, even if nobody told of it."""
        self.do(self.one, ADMIN, 9007)
        bus = self.here.broadcaster
        assert isinstance(bus, FakeBroadcaster)
        bus.is_connected = False
        bob = public_key(BOB).hex()
        self.do(self.one, ADMIN, 9000, ["p", bob, "admin"])
        self.assertEqual(self.do(self.other, BOB, 9002, ["name", "x"]), (True, ""))
        self.assertEqual(self.do(self.one, ADMIN, 9001, ["p", bob]), (True, ""))
        self.assertFalse(self.do(self.other, BOB, 9002, ["name", "y"])[0])

    def test_private_at_once(self) -> None:
        """Once a group is private, no process shows strangers what is said there."""
        self.do(self.one, ADMIN, 9007)
        self.other.ask({"kinds": [9]})
        self.do(self.one, ADMIN, 9, ["x", "1"])
        self.assertEqual([m[0] for m in self.other.heard()], ["EVENT"])
        self.do(self.one, ADMIN, 9002, ["private"])
        self.do(self.one, ADMIN, 9, ["x", "2"])
        self.assertEqual(self.other.heard(), [])

    def lose_news(self) -> None:
        """From now on the processes do not hear one another."""
        for process in (self.here, self.there):
            assert isinstance(process.broadcaster, FakeBroadcaster)
            process.broadcaster.is_connected = False

    def test_private_before_that_is_heard(self) -> None:
        """Nobody is shown what came after a change of which there was no news."""
        self.do(self.one, ADMIN, 9007)
        self.lose_news()
        for kind, tags in ((9002, ["private"]), (9, ["x", "secret"])):
            event = signed_event(
                ADMIN,
                kind=kind,
                tags=[["h", "pizza"], tags],
                created_at=int(self.here.clock.seconds()),
            )
            self.one.publish(event)
        self.assertEqual(self.other.ask({"kinds": [9]}), [["EOSE", "s"]])
        answer = self.other.say(dumps(["COUNT", "c", {"kinds": [9]}]))
        self.assertEqual(answer[0][2]["count"], 0)

    def test_member_before_that_is_heard(self) -> None:
        """A member of whom there was no news yet finds all that is there to read."""
        self.do(self.one, ADMIN, 9007)
        self.do(self.one, ADMIN, 9002, ["private"])
        self.lose_news()
        other = Visitor(self.there)
        other.ask({"kinds": [4]})
        other.authenticate(BOB)
        bob = public_key(BOB).hex()
        now = int(self.here.clock.seconds())
        self.one.publish(
            signed_event(
                ADMIN, kind=9000, tags=[["h", "pizza"], ["p", bob]], created_at=now
            )
        )
        note = signed_event(ADMIN, kind=9, tags=[["h", "pizza"]], created_at=now)
        self.one.publish(note)
        self.assertEqual(other.ask({"kinds": [9]}), [seen("s", note), ["EOSE", "s"]])

    def test_deleted(self) -> None:
        """A group deleted by way of one process is gone in the other, for good."""
        self.do(self.one, ADMIN, 9007)
        self.do(self.other, ADMIN, 9, ["x", "1"])
        self.assertEqual(self.do(self.one, ADMIN, 9008), (True, ""))
        is_accepted, reason = self.do(self.other, ADMIN, 9)
        self.assertEqual(
            (is_accepted, reason), (False, "blocked: this group was deleted")
        )
        self.assertEqual(
            [m for m in self.other.ask({"#h": ["pizza"]}) if m[0] == "EVENT"], []
        )

    def test_cleared_once(self) -> None:
        """What is left of a deleted group is removed by one of the processes."""
        self.do(self.one, ADMIN, 9007)
        self.do(self.one, ADMIN, 9, ["x", "1"])
        stores = [self.here.store, self.there.store]
        for store in stores:
            store.hold_removals = True
        self.assertEqual(self.do(self.one, ADMIN, 9008), (True, ""))
        removed = []
        while removals := [one for store in stores for one in store.removals]:
            removed += [id_ for _, ids in removals for id_ in ids]
            for store in stores:
                store.remove()
            self.settle()
        self.assertGreater(len(removed), 0)
        self.assertEqual(len(removed), len(set(removed)))
        for process in (self.here, self.there):
            groups = process.relay._parts.auth.visibility.groups
            assert groups is not None
            self.assertEqual(groups.clearing, set())

    def test_code_is_used_once(self) -> None:
        """An invite code that one process has let somebody in with is used up."""
        self.do(self.one, ADMIN, 9007)
        self.do(self.other, ADMIN, 9002, ["closed"])
        self.do(self.one, ADMIN, 9009, ["code", "abc"])
        self.assertEqual(self.do(self.other, BOB, 9021, ["code", "abc"]), (True, ""))
        self.assertFalse(self.do(self.one, CAROL, 9021, ["code", "abc"])[0])


class DistantGroupTests(GroupTests):
    """The same where news brings the events."""

    shares_store = False


class MembershipTests(SeveralProcessesCase):
    """Members who come and go by way of several processes (NIP-43)."""

    reactor = PoolReactor()

    def setUp(self) -> None:
        """Start both with one register and one key."""
        key_file, register = self.mktemp(), self.mktemp()
        Path(key_file).write_text("77" * 32)
        self.settings = attrs.evolve(
            self.settings,
            relay=RelaySettings(key_file=key_file),
            membership=MembershipSettings(enabled=True, file=register),
        )
        super().setUp()
        self.register = Register(RegisterFile(register))
        self.addCleanup(self.register.close)
        self.settle()
        self.one.ask({"kinds": [8000, 8001, 13534]})
        self.other.ask({"kinds": [8000, 8001, 13534]})

    def watch(self) -> None:
        """Let both look at the register."""
        for process in (self.here, self.there):
            process.clock.advance(WATCH_SECONDS)
            self.settle()

    def send(
        self, under_test: RelayUnderTest, secret: int, kind: int, *tags: list[str]
    ) -> tuple[bool, str]:
        """Publish an event as somebody who is authenticated."""
        now = int(under_test.clock.seconds())
        visitor = Visitor(under_test)
        visitor.publish(signed_event(secret, tags=[["-"]], created_at=now))
        visitor.authenticate(secret, created_at=now)
        event = signed_event(secret, kind=kind, tags=tags, created_at=now)
        ((_, _, is_accepted, reason),) = self.publish(visitor, event)
        return is_accepted, reason

    def heard(self) -> list[tuple[int, list[int]]]:
        """Of what kind the news were that both have heard, and of whom."""
        names = {public_key(one).hex(): one for one in (ADMIN, BOB, CAROL)}
        heard = [
            [
                (
                    message[2]["kind"],
                    sorted(names[tag[1]] for tag in message[2]["tags"] if len(tag) > 1),
                )
                for message in visitor.heard()
            ]
            for visitor in (self.one, self.other)
        ]
        self.assertEqual(*heard)
        return sorted(heard[0])

    def test_join(self) -> None:
        """Who joins at one process is soon a member at the other; one tells of it."""
        self.register.add_invite(Invite("code"))
        self.assertTrue(self.send(self.here, BOB, 28934, ["claim", "code"])[0])
        self.assertEqual(self.send(self.here, BOB, 1), (True, ""))
        self.watch()
        self.assertEqual(self.send(self.there, BOB, 1), (True, ""))
        self.assertEqual(self.heard(), [(8000, [BOB]), (13534, [BOB])])
        self.watch()
        self.assertEqual(self.heard(), [])

    def test_leave(self) -> None:
        """Who leaves by way of one process soon is no member at the other."""
        self.register.add_member(public_key(BOB))
        self.watch()
        self.heard()
        self.assertEqual(self.send(self.there, BOB, 28936, ["-"]), (True, ""))
        self.watch()
        self.assertFalse(self.send(self.here, BOB, 1)[0])
        self.assertEqual(self.heard(), [(8001, [BOB]), (13534, [])])

    def test_code_is_used_once(self) -> None:
        """A code that has let somebody in at one process is used up at all."""
        self.register.add_invite(Invite("code"))
        self.assertTrue(self.send(self.here, BOB, 28934, ["claim", "code"])[0])
        self.assertEqual(
            self.send(self.there, CAROL, 28934, ["claim", "code"]),
            (False, "restricted: that is an invalid invite code"),
        )

    def test_command(self) -> None:
        """All notice what the command has changed, and one tells of it."""
        self.register.add_member(public_key(BOB))
        self.watch()
        for process, text in ((self.here, "1"), (self.there, "2")):
            self.assertEqual(self.send(process, BOB, 1, ["x", text]), (True, ""))
        self.assertEqual(self.heard(), [(8000, [BOB]), (13534, [BOB])])

    def test_told_late(self) -> None:
        """Whoever had to wait tells of what is true by then, and of nothing twice."""
        leave = self.successResultOf(self.here.store.alone())
        self.register.add_member(public_key(BOB))
        self.watch()
        self.assertEqual(self.heard(), [])
        self.assertEqual(self.send(self.there, BOB, 1), (True, ""))
        self.register.add_member(public_key(CAROL))
        leave()
        self.settle()
        self.assertEqual(
            self.heard(), [(8000, [BOB]), (8000, [CAROL]), (13534, [BOB, CAROL])]
        )
        self.watch()
        self.assertEqual(self.heard(), [])


class DistantMembershipTests(MembershipTests):
    """The same where news brings the events."""

    shares_store = False
