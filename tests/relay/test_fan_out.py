"""Tests for :mod:`nostrtx.relay.fan_out` and :mod:`nostrtx.relay.subscription`."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.errors import Rejected
from nostrtx.nostr.filters import Filter
from nostrtx.relay import subscription as subscription_module
from nostrtx.relay.fan_out import FanOut
from nostrtx.relay.statistics import Statistics
from nostrtx.relay.subscription import Subscription
from nostrtx.relay.visibility import Visibility
from tests.relay.fakes import FakeClient, auth_of, seen
from tests.storage.events import ALICE, BOB, NOW, make_event

_EVERYTHING = [Filter()]


class FanOutTestCase(SynchronousTestCase):
    """A fan-out, and subscriptions to it."""

    def setUp(self) -> None:
        """A fan-out without subscriptions."""
        self.clock = Clock()
        self.clock.advance(NOW)
        self.statistics = Statistics()
        self.fan_out = FanOut(Visibility((4, 1059)), self.statistics)
        self.refusals: list[tuple[str, Rejected]] = []

    def subscription(
        self,
        id_: str = "s",
        filters: list[Filter] = _EVERYTHING,
        *,
        client: FakeClient | None = None,
        live: bool = True,
    ) -> tuple[FakeClient, Subscription]:
        """An open subscription and its client."""
        client = client or FakeClient()
        subscription = Subscription(
            client, auth_of(client, self.clock), id_, self.refuse
        )
        self.fan_out.subscribe(subscription, filters)
        if live:
            subscription.go_live()
        return client, subscription

    def refuse(self, id_: str, refusal: Rejected) -> None:
        """Record a refusal, as a session would send it."""
        self.refusals.append((id_, refusal))


class FanOutTests(FanOutTestCase):
    """Live events on their way to subscriptions."""

    def test_matching_only(self) -> None:
        """An event goes to the subscriptions it matches and to no other."""
        alices, _ = self.subscription("a", [Filter(authors=(ALICE,))])
        bobs, _ = self.subscription("b", [Filter(authors=(BOB,))])
        event = make_event(pubkey=ALICE)
        self.fan_out.deliver(event, 1, NOW)
        self.assertEqual(alices.heard(), [seen("a", event)])
        self.assertEqual(bobs.heard(), [])
        self.assertEqual(self.statistics.events_delivered, 1)

    def test_nobody(self) -> None:
        """An event that nobody asked for goes nowhere."""
        client, _ = self.subscription("b", [Filter(authors=(BOB,))])
        self.fan_out.deliver(make_event(pubkey=ALICE), 1, NOW)
        self.assertEqual(client.heard(), [])

    def test_once_per_subscription(self) -> None:
        """However many filters of a subscription match, it gets an event once."""
        client, _ = self.subscription("s", [Filter(), Filter(kinds=(1,)), Filter()])
        event = make_event()
        self.fan_out.deliver(event, 1, NOW)
        self.assertEqual(client.heard(), [seen("s", event)])

    def test_each_of_a_client(self) -> None:
        """Each matching subscription of one client gets the event."""
        client, _ = self.subscription("a")
        self.subscription("b", client=client)
        event = make_event()
        self.fan_out.deliver(event, 1, NOW)
        self.assertCountEqual(client.heard(), [seen("a", event), seen("b", event)])

    def test_shared(self) -> None:
        """Whatever their names, all share the body of the message, byte for byte."""
        clients = [self.subscription(name)[0] for name in ("s", "s", "t")]
        event = make_event(content='"\u2028\\')
        self.fan_out.deliver(event, 1, NOW)
        first, second, third = clients
        self.assertEqual(first.messages, [b'["EVENT","s",' + event.raw + b"]"])
        self.assertEqual(third.messages, [b'["EVENT","t",' + event.raw + b"]"])
        self.assertIs(first.bodies[0], second.bodies[0])
        self.assertIs(first.bodies[0], third.bodies[0])

    def test_name_is_escaped(self) -> None:
        """A name with quotes and line breaks comes back as it was."""
        name = 'a"\\\n\x01\u2028'
        client, _ = self.subscription(name)
        event = make_event()
        self.fan_out.deliver(event, 1, NOW)
        self.assertEqual(client.heard(), [seen(name, event)])

    def test_limit_does_not_matter(self) -> None:
        """A filter's limit is for stored events; live ones keep coming."""
        client, _ = self.subscription("s", [Filter(limit=0)])
        events = [make_event(content=str(number)) for number in range(3)]
        for seq, event in enumerate(events, 1):
            self.fan_out.deliver(event, seq, NOW)
        self.assertEqual(client.heard(), [seen("s", event) for event in events])

    def test_until_holds(self) -> None:
        """An event after ``until`` is not sent; one from the past is."""
        client, _ = self.subscription("s", [Filter(until=NOW - 10)])
        self.fan_out.deliver(make_event(created_at=NOW), 1, NOW)
        self.assertEqual(client.heard(), [])
        event = make_event(created_at=NOW - 10)
        self.fan_out.deliver(event, 2, NOW)
        self.assertEqual(client.heard(), [seen("s", event)])

    def test_floor(self) -> None:
        """What the stored query has seen, up to its floor, is left to it."""
        client, subscription = self.subscription()
        subscription.floor = 5
        events = {seq: make_event(content=str(seq)) for seq in (4, 5, 6)}
        for seq, event in events.items():
            self.fan_out.deliver(event, seq, NOW)
        self.assertEqual(client.heard(), [seen("s", events[6])])

    def test_ephemeral(self) -> None:
        """An ephemeral event has no place in the log, and is above every floor."""
        client, subscription = self.subscription()
        subscription.floor = 5
        event = make_event(kind=20001)
        self.fan_out.deliver(event, 0, NOW)
        self.assertEqual(client.heard(), [seen("s", event)])

    def test_not_for_reading(self) -> None:
        """Expired events and those that authenticate are sent to nobody."""
        client, _ = self.subscription()
        self.fan_out.deliver(make_event(tags=[["expiration", str(NOW)]]), 1, NOW)
        self.fan_out.deliver(make_event(kind=22242), 0, NOW)
        self.fan_out.deliver(make_event(kind=27235), 2, NOW)
        self.assertEqual(client.heard(), [])
        self.assertEqual(self.statistics.events_delivered, 0)

    def test_unsubscribe(self) -> None:
        """After the end nothing is delivered, and others are not touched."""
        gone, subscription = self.subscription("gone")
        stays, _ = self.subscription("stays")
        self.assertEqual(self.statistics.subscriptions, 2)
        self.fan_out.unsubscribe(subscription)
        event = make_event()
        self.fan_out.deliver(event, 1, NOW)
        self.assertEqual(gone.heard(), [])
        self.assertEqual(stays.heard(), [seen("stays", event)])
        self.assertEqual(self.statistics.subscriptions, 1)


class WaitingTests(FanOutTestCase):
    """Live events while the stored ones are being sent."""

    def test_held_back_in_order(self) -> None:
        """Live events wait, and then come in the order in which they arrived."""
        client, subscription = self.subscription(live=False)
        events = [make_event(content=str(number)) for number in range(3)]
        for seq, event in enumerate(events, 1):
            self.fan_out.deliver(event, seq, NOW)
        self.assertEqual(client.heard(), [])
        self.assertEqual(subscription.go_live(), 3)
        self.assertEqual(client.heard(), [seen("s", event) for event in events])

    def test_nothing_waited(self) -> None:
        """Without live events there is nothing to send."""
        client, subscription = self.subscription(live=False)
        self.assertEqual(subscription.go_live(), 0)
        self.assertEqual(client.heard(), [])

    def test_not_sent_twice(self) -> None:
        """What waited comes once; what is new comes at once."""
        client, subscription = self.subscription(live=False)
        events = [make_event(content=str(number)) for number in range(2)]
        self.fan_out.deliver(events[0], 1, NOW)
        subscription.go_live()
        self.fan_out.deliver(events[1], 2, NOW)
        self.assertEqual(client.heard(), [seen("s", event) for event in events])

    def test_overrun(self) -> None:
        """When too much waits the subscription is ended; others get the event."""
        _, slow = self.subscription("slow", live=False)
        fast, _ = self.subscription("fast")
        most = subscription_module.MAX_WAITING_BYTES
        message = 400_000 + len(b'["EVENT","slow",]') + len(make_event().raw)
        event = make_event(content="x" * 400_000)
        self.assertEqual(len(event.raw) - len(make_event().raw), 400_000)
        sent: list[Any] = []
        for seq in range(1, most // message + 1):
            self.fan_out.deliver(event, seq, NOW)
            sent.append(seen("fast", event))
        self.assertEqual(self.refusals, [])
        self.fan_out.deliver(event, 1000, NOW)
        sent.append(seen("fast", event))
        ((id_, refusal),) = self.refusals
        self.assertEqual(id_, "slow")
        self.assertTrue(refusal.reason.startswith("error: live events pile up"))
        self.assertEqual(fast.heard(), sent)
        self.assertEqual(len(slow.waiting or ()), most // message)
