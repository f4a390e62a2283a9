"""What bans do to the clients of a relay of several processes."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from nostrtx.nostr.bans import Ban, BanKind
from nostrtx.nostr.event import Event
from nostrtx.settings.access import AuthSettings
from nostrtx.settings.tree import Settings
from tests.broadcast.fakes import FakeBroadcaster
from tests.relay.fakes import RelayUnderTest, accepted, seen
from tests.relay.test_several_processes import SeveralProcessesCase
from tests.relay.visitor import Visitor
from tests.storage.events import public_key, signed_event

_T = TypeVar("_T")

ALICE, BOB = 21, 22


def ban_of(secret: int, reason: str = "spam") -> Ban:
    """A ban of the key that belongs to a secret one."""
    return Ban(BanKind.PUBKEY, public_key(secret).hex(), reason)


def blocked(event: Event, why: str = "this key is banned: spam") -> list[Any]:
    """The OK for an event that is refused for a ban."""
    return ["OK", event.id.hex(), False, f"blocked: {why}"]


class BanningCase(SeveralProcessesCase):
    """Two processes; what is banned in the first has effect in the second."""

    settings = Settings(auth=AuthSettings(required="read"))

    def do(self, doing: Coroutine[Deferred[Any], Any, _T]) -> _T:
        """Have a change made, and let both processes come to rest."""
        result = self.successResultOf(Deferred.fromCoroutine(doing))
        self.settle()
        return result

    def ban(self, *bans: Ban) -> None:
        """Ban in the first process."""
        self.do(self.here.relay.bans.put(bans))

    def lift(self, ban: Ban) -> None:
        """Lift a ban in the first process."""
        self.do(self.here.relay.bans.lift(ban.kind, ban.subject))

    def lose_news(self) -> None:
        """Have no news arrive from the first process."""
        bus = self.here.broadcaster
        assert isinstance(bus, FakeBroadcaster)
        bus.is_connected = False

    def wait(self) -> None:
        """Let a second pass in the second process."""
        self.there.clock.advance(1)
        self.settle()

    def member(self, *secrets: int, process: RelayUnderTest | None = None) -> Visitor:
        """A client that has authenticated with these keys, of the second process."""
        visitor = Visitor(process or self.there)
        for secret in secrets:
            ((_, _, is_accepted, _),) = visitor.authenticate(secret)
            self.assertTrue(is_accepted)
        return visitor


class AuthorTests(BanningCase):
    """Banned authors and what they publish."""

    def test_refused_everywhere(self) -> None:
        """What a banned author publishes is refused by every process, with the why."""
        self.ban(ban_of(ALICE))
        for visitor in (self.one, self.other):
            visitor.heard()
            for kind in (1, 0, 20_000, 5):
                event = signed_event(ALICE, kind=kind)
                self.assertEqual(self.publish(visitor, event), [blocked(event)])
        event = signed_event(BOB)
        self.assertEqual(self.publish(self.other, event), [accepted(event)])

    def test_news_is_lost(self) -> None:
        """If no news of the ban arrives, it has effect after a second."""
        self.other.heard()
        self.lose_news()
        self.ban(ban_of(ALICE))
        before, after = signed_event(ALICE), signed_event(ALICE, content="after")
        self.assertEqual(self.publish(self.other, before), [accepted(before)])
        self.wait()
        self.assertEqual(self.publish(self.other, after), [blocked(after)])
        self.assertEqual(self.publish(self.other, before), [blocked(before)])

    def test_lifted(self) -> None:
        """Once the ban is lifted, all is as before, also for what was refused."""
        self.other.heard()
        self.ban(ban_of(ALICE))
        event = signed_event(ALICE)
        self.publish(self.other, event)
        self.lift(ban_of(ALICE))
        self.assertEqual(self.publish(self.other, event), [accepted(event)])

    def test_removed_while_banned(self) -> None:
        """After the ban nobody is told that the relay has what was removed."""
        self.other.heard()
        event = signed_event(ALICE)
        self.publish(self.other, event)
        self.ban(ban_of(ALICE))
        self.successResultOf(self.here.store.remove_events([event.id]))
        self.lift(ban_of(ALICE))
        ((_, _, is_accepted, reason),) = self.publish(self.other, event)
        self.assertFalse(is_accepted, reason)

    def test_to_vanish(self) -> None:
        """Who is banned may still ask the relay to forget all about it (NIP-62)."""
        self.other.heard()
        note = signed_event(ALICE)
        self.publish(self.other, note)
        self.ban(ban_of(ALICE))
        wish = signed_event(ALICE, kind=62, tags=[["relay", "ALL_RELAYS"]])
        self.assertEqual(self.publish(self.other, wish), [accepted(wish)])
        self.assertFalse(self.there.store.holds(note))

    def test_not_delivered(self) -> None:
        """What a process lets in that has not heard of the ban, nobody else is sent."""
        reader = self.member(BOB)
        reader.ask({})
        self.there.relay.bans.following.stop()
        self.ban(ban_of(ALICE))
        there = Visitor(self.there)
        here = self.member(BOB, process=self.here)
        here.ask({})
        here.heard()
        for kind in (1, 20_000):
            event = signed_event(ALICE, kind=kind)
            there.heard()
            self.assertEqual(self.publish(there, event), [accepted(event)])
            self.assertEqual(reader.heard(), [seen("s", event)])
        self.settle()
        self.assertEqual(here.heard(), [])
        event = signed_event(BOB)
        self.publish(there, event)
        self.assertEqual(here.heard(), [seen("s", event)])

    def test_stored_before(self) -> None:
        """What a banned author published before stays, unless it is removed."""
        event = signed_event(ALICE)
        self.publish(self.one, event)
        self.ban(ban_of(ALICE))
        reader = self.member(BOB)
        self.assertEqual(reader.ask({}), [seen("s", event), ["EOSE", "s"]])


class EventTests(BanningCase):
    """Banned events."""

    def test_removed_and_refused(self) -> None:
        """A banned event is gone from the store, and refused by every process."""
        one, other = signed_event(ALICE), signed_event(ALICE, content="other")
        for event in (one, other):
            self.publish(self.one, event)
        self.ban(Ban(BanKind.EVENT, one.id.hex()))
        self.assertFalse(self.there.store.holds(one))
        self.assertTrue(self.there.store.holds(other))
        self.one.heard()
        self.other.heard()
        for visitor in (self.one, self.other):
            answer = self.publish(visitor, one)
            self.assertEqual(answer, [blocked(one, "this event is banned")])

    def test_while_nobody_knows(self) -> None:
        """A process that has not heard of the ban does not let the event in either."""
        self.other.heard()
        self.lose_news()
        event = signed_event(ALICE)
        self.ban(Ban(BanKind.EVENT, event.id.hex()))
        ((_, _, is_accepted, reason),) = self.publish(self.other, event)
        self.assertEqual((is_accepted, reason[:9]), (False, "blocked: "))

    def test_comes_back(self) -> None:
        """Once the ban is lifted, the event can be published again, anywhere."""
        self.other.heard()
        event = signed_event(ALICE)
        ban = Ban(BanKind.EVENT, event.id.hex())
        self.publish(self.other, event)
        self.ban(ban)
        self.lift(ban)
        self.assertEqual(self.publish(self.other, event), [accepted(event)])
        self.assertTrue(self.there.store.holds(event))


class ClientTests(BanningCase):
    """Connections of those who are banned."""

    def test_authentication(self) -> None:
        """A banned key is of no use to authenticate, in any process."""
        self.ban(ban_of(ALICE))
        for visitor in (self.one, self.other):
            ((_, _, is_accepted, reason),) = visitor.authenticate(ALICE)
            self.assertFalse(is_accepted)
            self.assertEqual(reason, "restricted: this key is banned: spam")
        self.assertEqual(self.one.client.closed, [])

    def test_closed(self) -> None:
        """Who has authenticated with a banned key is disconnected, nobody else is."""
        hers, both, his = self.member(ALICE), self.member(BOB, ALICE), self.member(BOB)
        self.ban(ban_of(ALICE))
        for visitor in (hers, both):
            closed = [(1008, "blocked: this key is banned: spam")]
            self.assertEqual(visitor.client.closed, closed)
        self.assertEqual(his.client.closed, [])
        self.assertEqual(self.other.client.closed, [])

    def test_closed_once(self) -> None:
        """Later bans do not close a connection again, nor one that is gone."""
        hers, gone = self.member(ALICE), self.member(ALICE)
        gone.session.connection_lost()
        self.ban(ban_of(ALICE))
        self.ban(ban_of(BOB))
        self.assertEqual(len(hers.client.closed), 1)
        self.assertEqual(gone.client.closed, [])

    def test_private_events(self) -> None:
        """Until the connection has ended it is of no more use than a stranger's."""
        hers = self.member(ALICE)
        hers.ask({"kinds": [4], "#p": [public_key(ALICE).hex()]})
        self.ban(ban_of(ALICE))
        message = signed_event(BOB, kind=4, tags=[["p", public_key(ALICE).hex()]])
        self.other.heard()
        self.assertEqual(self.publish(self.other, message), [accepted(message)])
        self.assertEqual(hers.heard(), [])

    def test_closed_without_news(self) -> None:
        """If no news of the ban arrives, the connection is closed after a second."""
        hers = self.member(ALICE)
        self.lose_news()
        self.ban(ban_of(ALICE))
        self.assertEqual(hers.client.closed, [])
        self.wait()
        self.assertEqual(len(hers.client.closed), 1)


class AddressTests(BanningCase):
    """Banned addresses, as the edge asks for them."""

    def test_everywhere(self) -> None:
        """A banned address is refused by every process, with 403 and the reason."""
        told: list[str] = []
        for process in (self.here, self.there):
            process.relay.on_refusals(lambda: told.append("told"))
        self.ban(Ban(BanKind.ADDRESS, "203.0.113.0/24", "flood"))
        self.assertEqual(len(told), 2)
        for process in (self.here, self.there):
            refusal = process.relay.refusal("203.0.113.7")
            self.assertEqual(refusal, (403, "blocked: this address is banned: flood"))
            for other in ("203.0.114.7", "127.0.0.1", ""):
                self.assertIsNone(process.relay.refusal(other), other)
        self.lift(Ban(BanKind.ADDRESS, "203.0.113.0/24"))
        self.assertIsNone(self.there.relay.refusal("203.0.113.7"))

    def test_other_bans(self) -> None:
        """The edge is left in peace when something else was banned."""
        told: list[str] = []
        self.there.relay.on_refusals(lambda: told.append("told"))
        self.ban(ban_of(ALICE))
        self.assertEqual(told, [])

    def test_while_it_is_not_known(self) -> None:
        """As long as the bans have not been read, nobody is let in."""
        process = RelayUnderTest()
        process.store.hold_bans = True
        process.relay.start(None, 0)
        self.addCleanup(process.relay.stop)
        refusal = process.relay.refusal("203.0.113.7")
        assert refusal is not None
        self.assertEqual(refusal[0], 503)
        process.store.give_bans()
        self.assertIsNone(process.relay.refusal("203.0.113.7"))
