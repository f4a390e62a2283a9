"""Tests for :mod:`nostrtx.relay.relay`."""

from __future__ import annotations

import attrs
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.interfaces.edge import IRelay
from nostrtx.relay.policies.verdicts import verdict_of
from nostrtx.relay.statistics import Statistics
from nostrtx.settings.programs import OWN_POLICIES
from tests.relay.fakes import (
    RelayUnderTest,
    accepted,
    event_message,
    req_message,
    seen,
)
from tests.storage.events import NOW, make_event, signed_event


class RelayTests(SynchronousTestCase):
    """What the edge and the service ask of a relay."""

    def setUp(self) -> None:
        """A relay and one client."""
        self.under_test = RelayUnderTest()
        self.relay = self.under_test.relay
        self.store = self.under_test.store
        self.client, self.session = self.under_test.connect()

    def test_interface(self) -> None:
        """A relay is what the edge is promised."""
        self.assertTrue(verifyObject(IRelay, self.relay))

    def test_from_one_client_to_others(self) -> None:
        """An event of one client reaches the subscriptions of all, each once."""
        subscribers = []
        for number in range(3):
            client, session = self.under_test.connect()
            session.message_received(req_message(f"s{number}", {"kinds": [1]}))
            self.assertEqual(client.heard(), [["EOSE", f"s{number}"]])
            subscribers.append(client)
        event = signed_event()
        self.session.message_received(event_message(event))
        self.under_test.turns.settle()
        self.assertEqual(self.client.heard(), [accepted(event)])
        for number, client in enumerate(subscribers):
            self.assertEqual(client.heard(), [seen(f"s{number}", event)])

    def test_a_duplicate_is_not_delivered(self) -> None:
        """One event published by two clients at once reaches a subscription once."""
        self.session.message_received(req_message("s", {}))
        self.client.heard()
        other, session = self.under_test.connect()
        event = signed_event()
        self.session.message_received(event_message(event))
        session.message_received(event_message(event))
        self.under_test.turns.settle()
        self.assertEqual(self.client.heard(), [seen("s", event), accepted(event)])
        ((verb, _, is_accepted, reason),) = other.heard()
        self.assertEqual((verb, is_accepted), ("OK", True))
        self.assertTrue(reason.startswith("duplicate: "))

    def test_deletion(self) -> None:
        """A deleted event is not found any more, and its request is delivered."""
        event = signed_event()
        self.under_test.publish(event)
        self.session.message_received(req_message("s", {"limit": 0}))
        self.client.heard()
        request = signed_event(kind=5, tags=[["e", event.id.hex()]])
        self.under_test.publish(request)
        self.assertEqual(self.client.heard(), [seen("s", request)])
        self.session.message_received(req_message("t", {"ids": [event.id.hex()]}))
        self.assertEqual(self.client.heard(), [["EOSE", "t"]])

    def test_client_gone_before_its_answer(self) -> None:
        """An event whose client has left is stored and delivered all the same."""
        event = signed_event()
        other, session = self.under_test.connect()
        session.message_received(req_message("s", {"limit": 0}))
        other.heard()
        self.store.hold_saves = True
        self.session.message_received(event_message(event))
        self.under_test.turns.settle()
        self.session.connection_lost()
        self.store.saves[0].succeed()
        self.assertEqual(other.heard(), [seen("s", event)])
        self.assertEqual(self.relay.statistics.sessions, 1)

    def test_drain(self) -> None:
        """Draining waits for every answer; connected clients hear them."""
        self.store.hold_saves = True
        event, late = signed_event(), signed_event(content="late")
        self.session.message_received(event_message(event))
        drained = self.relay.drain()
        self.under_test.turns.settle()
        self.assertNoResult(drained)
        self.session.message_received(event_message(late))
        self.assertEqual(
            self.client.heard(),
            [["OK", late.id.hex(), False, "error: shutting down"]],
        )
        self.store.saves[0].succeed()
        self.assertIsNone(self.successResultOf(drained))
        self.assertEqual(self.client.heard(), [accepted(event)])

    def test_sweeps_while_it_runs(self) -> None:
        """Expired events are removed at the start and from time to time."""
        first, second = (
            make_event(tags=[["expiration", str(NOW + seconds)]]) for seconds in (-1, 3)
        )
        self.under_test.stored(first, second)
        self.relay.start(MemoryReactorClock(), 0)
        self.assertFalse(self.store.holds(first))
        self.assertTrue(self.store.holds(second))
        self.under_test.clock.advance(5)
        self.assertFalse(self.store.holds(second))
        self.assertEqual(self.relay.statistics.events_expired, 2)
        self.successResultOf(self.relay.drain())
        self.relay.stop()
        self.assertEqual(self.under_test.clock.getDelayedCalls(), [])

    def test_statistics(self) -> None:
        """What happened is counted."""
        event = signed_event()
        self.under_test.publish(event, event, make_event())
        self.session.message_received(req_message("s", {}))
        self.session.message_received(req_message("t"))
        self.session.message_received(b"?")
        self.under_test.publish(signed_event(kind=20001))
        facts = {name: n for name, n in self.relay.statistics.facts().items() if n}
        measured = facts.keys() - attrs.fields_dict(Statistics).keys()
        self.assertEqual(
            {
                name: facts[name]
                for name in measured
                if "seconds" not in name and not name.endswith(":sum")
                if verdict_of(name) is None
            },
            {
                "processes": 1,
                "bus_connected": 1,
                "events_accepted:1": 1,
                "events_accepted:ephemeral": 1,
                "events_refused_because:invalid": 1,
                "verify_events:1": 1,
                "verify_events:4": 1,
                "commit_events:1": 1,
            },
        )
        verdicts = {verdict_of(name) for name in measured} - {None}
        self.assertEqual(
            {(one.policy, one.step, one.verdict) for one in verdicts if one},
            {
                *((name, "check", "accepted") for name in ("bans", "kinds")),
                *((name, "check", "accepted") for name in ("rates", "rules")),
                *((name, "request", "accepted") for name in ("rates", "rules")),
                ("rates", "admit", "accepted"),
            },
        )
        self.assertLessEqual({one.policy for one in verdicts if one}, OWN_POLICIES)
        self.assertEqual(
            {name: n for name, n in facts.items() if name not in measured},
            {
                "sessions": 3,
                "subscriptions": 1,
                "events_received": 4,
                "events_stored": 1,
                "events_passed_on": 1,
                "events_duplicate": 1,
                "events_refused": 1,
                "requests": 2,
                "requests_refused": 1,
                "events_sent": 1,
                "events_delivered": 1,
                "notices": 1,
            },
        )
