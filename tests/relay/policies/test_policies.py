"""Tests for :mod:`nostrtx.relay.policies.policies`, and for ingest that asks them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from nostrtx.interfaces.policies import (
    IConnectionPolicy,
    IEventCheck,
    IEventPolicy,
    IRequestPolicy,
    Source,
    Taken,
    Verb,
)
from nostrtx.nostr.client_messages import EventMessage
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.json import dumps, loads
from nostrtx.relay.ingest import Ingest
from nostrtx.relay.policies.policies import Policies
from nostrtx.relay.statistics import Statistics
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import (
    FakeClient,
    FakeTurns,
    HeldStore,
    RelayUnderTest,
    accepted,
    auth_of,
    log_of,
)
from tests.relay.policies.watched import observed
from tests.storage.events import NOW, signed_event

_NO = Rejected(ReasonPrefix.RESTRICTED, "not here")


@implementer(IEventPolicy)
class FakeRule:
    """
    A rule that says what the test says.

    Attributes:
        asked: The events it was asked about.
        verdict: What it returns, or raises.
    """

    def __init__(self, verdict: Any = None) -> None:
        self.asked: list[Event] = []
        self.verdict = verdict

    def admit(
        self, event: Event, source: Source
    ) -> Deferred[Taken | None] | Taken | None:
        """As the test says."""
        self.asked.append(event)
        if isinstance(self.verdict, Exception):
            raise self.verdict
        verdict: Deferred[Taken | None] | Taken | None = self.verdict
        return verdict


class EventPolicyTests(SynchronousTestCase):
    """Several rules are one."""

    def verdict(self, *verdicts: Any) -> tuple[Any, int]:
        """What rules with these verdicts say together, and how many were asked."""
        rules = [FakeRule(verdict) for verdict in verdicts]
        said: Any = Policies(events=observed(*rules)).admit(signed_event(), Source())
        return said, sum(len(rule.asked) for rule in rules)

    def test_interface(self) -> None:
        """One rule or all of them, and the fake, are what the relay is promised."""
        for rule in (Policies(), FakeRule()):
            self.assertTrue(verifyObject(IEventPolicy, rule))

    def test_none(self) -> None:
        """Without rules there is nothing to ask."""
        self.assertEqual(self.verdict(), (None, 0))

    def test_at_once(self) -> None:
        """Nothing is put off that need not be; the first to decide decides."""
        self.assertEqual(self.verdict(None, None), (None, 2))
        self.assertEqual(self.verdict(None, Taken("x"), _NO), (Taken("x"), 2))
        self.assertRaises(Rejected, self.verdict, None, _NO)

    def test_later(self) -> None:
        """A rule that takes its time is waited for before the next is asked."""
        first: Deferred[Taken | None] = Deferred()
        second: Deferred[Taken | None] = Deferred()
        last = FakeRule(Taken("x"))
        rules = [FakeRule(first), FakeRule(second), last]
        said = Policies(events=observed(*rules)).admit(signed_event(), Source())
        assert isinstance(said, Deferred)
        first.callback(None)
        self.assertNoResult(said)
        self.assertEqual(last.asked, [])
        second.callback(None)
        self.assertEqual(self.successResultOf(said), Taken("x"))

    def test_later_refused(self) -> None:
        """A rule may refuse after a while, and so may the one behind it."""
        for verdicts in ((fail(_NO), None), (succeed(None), _NO)):
            said, _ = self.verdict(*verdicts)
            self.assertIs(self.failureResultOf(said, Rejected).value, _NO)

    def test_later_taken(self) -> None:
        """Once an event is taken, no other rule is asked."""
        said, asked = self.verdict(succeed(Taken("x")), _NO)
        self.assertEqual((self.successResultOf(said), asked), (Taken("x"), 1))


@implementer(IEventCheck, IRequestPolicy, IConnectionPolicy)
class FakeCheck:
    """
    Checks of all sorts that say what the test says.

    Attributes:
        asked: What it was asked about.
        fault: What it raises, if anything.
    """

    def __init__(self, fault: Exception | None = None) -> None:
        self.asked: list[object] = []
        self.fault = fault

    def check_event(self, event: Event, source: Source) -> None:
        """As the test says."""
        self._ask((event.id, source.address))

    def check_request(
        self, verb: Verb, filters: Sequence[Filter], source: Source
    ) -> None:
        """As the test says."""
        self._ask((verb, len(filters), source.address))

    def check_connection(self, address: str) -> None:
        """As the test says."""
        self._ask(address)

    def _ask(self, about: object) -> None:
        self.asked.append(about)
        if self.fault is not None:
            raise self.fault


class CheckTests(SynchronousTestCase):
    """Checks of events, requests and connections, through a whole relay."""

    def test_interface(self) -> None:
        """The fake is what the relay is promised."""
        for interface in (IEventCheck, IRequestPolicy, IConnectionPolicy):
            self.assertTrue(verifyObject(interface, FakeCheck()))

    def test_event(self) -> None:
        """A check sees an event and its sender before the signature is looked at."""
        relay = RelayUnderTest()
        check = FakeCheck(_NO)
        relay.relay.policies.replace(checks=observed(check))
        client, session = relay.connect()
        event = signed_event()
        session.message_received(b'["EVENT",' + event.raw + b"]")
        (answer,) = client.heard()
        self.assertEqual(answer, ["OK", event.id.hex(), False, "restricted: not here"])
        self.assertEqual(check.asked, [(event.id, client.address)])

    def test_request(self) -> None:
        """Whatever asks for stored events is refused in its own way."""
        relay = RelayUnderTest()
        check = FakeCheck(_NO)
        relay.relay.policies.replace(requests=observed(check))
        client, session = relay.connect()
        for message, answer in (
            (["REQ", "s", {}, {}], ["CLOSED", "s", _NO.reason]),
            (["COUNT", "c", {}], ["CLOSED", "c", _NO.reason]),
            (["NEG-OPEN", "n", {}, "61"], ["NEG-ERR", "n", _NO.reason]),
        ):
            session.message_received(dumps(message))
            self.assertEqual(client.heard(), [answer])
        asked = [("REQ", 2), ("COUNT", 1), ("NEG-OPEN", 1)]
        self.assertEqual(check.asked, [(*one, client.address) for one in asked])

    def test_connection(self) -> None:
        """A connection is refused with the HTTP status that fits."""
        relay = RelayUnderTest().relay
        self.assertIsNone(relay.arrival("192.0.2.1"))
        policies = observed(FakeCheck(), FakeCheck(_NO))
        relay.policies.replace(connections=policies)
        self.assertEqual(relay.arrival("192.0.2.1"), (403, "restricted: not here", 0))
        early = Rejected(ReasonPrefix.RATE_LIMITED, "try again in 3 s")
        relay.policies.replace(connections=observed(FakeCheck(early)))
        self.assertEqual(
            relay.arrival("192.0.2.1"), (429, "rate-limited: try again in 3 s", 0)
        )

    def test_faults(self) -> None:
        """A policy that fails refuses; the log has the fault and nobody else has."""
        policies = Policies(
            observed(FakeCheck(ZeroDivisionError())),
            observed(FakeRule(ZeroDivisionError())),
        )
        event, source = signed_event(), Source()
        for ask in (policies.check_event, policies.admit):
            refusal = self.assertRaises(Rejected, ask, event, source)
            self.assertEqual(refusal.reason, "error: internal error")
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        rules = FakeRule(fail(ZeroDivisionError())), FakeRule()
        policies.replace(events=observed(*rules))
        waiting = policies.admit(event, source)
        assert isinstance(waiting, Deferred)
        failure = self.failureResultOf(waiting, Rejected)
        self.assertEqual(failure.value.reason, "error: internal error")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class WaitingTests(SynchronousTestCase):
    """Events that have to wait on their way in."""

    def setUp(self) -> None:
        """An ingest with one rule."""
        self.clock = Clock()
        self.clock.advance(NOW)
        self.turns = FakeTurns()
        self.store = HeldStore()
        self.statistics = Statistics()
        self.delivered: list[Event] = []
        self.client = FakeClient()
        self.rule = FakeRule()
        self.ingest = Ingest(
            self.store,
            self.turns,
            self.clock,
            LiveSettings(Settings()),
            log_of(
                self.store,
                self.turns,
                self.clock,
                lambda event, seq, now: self.delivered.append(event),
            ),
            self.statistics,
            Policies(events=observed(self.rule)),
        )
        self.auth = auth_of(self.client, self.clock)

    def send(self, event: Event, verdict: Any) -> list[Any]:
        """The answers after an event about which the rule says ``verdict``."""
        self.rule.verdict = verdict
        members = loads(event.raw)
        assert type(members) is dict
        self.ingest.submit(EventMessage(members), self.client, self.auth)
        self.turns.settle()
        return self.client.heard()

    def test_admitted_at_once(self) -> None:
        """What the rule admits goes its way."""
        event = signed_event()
        self.assertEqual(self.send(event, None), [accepted(event)])
        self.assertTrue(self.store.holds(event))

    def test_refused_at_once(self) -> None:
        """What the rule refuses is answered so and goes nowhere."""
        event = signed_event()
        self.assertEqual(
            self.send(event, _NO),
            [["OK", event.id.hex(), False, "restricted: not here"]],
        )
        self.assertEqual((self.store.holds(event), self.delivered), (False, []))
        self.assertEqual(self.statistics.events_refused, 1)

    def test_bad_signature(self) -> None:
        """The rule is not asked about what has a bad signature."""
        good = signed_event()
        bad = bytes(64).hex().encode()
        self.send(
            Event(
                good.id,
                good.pubkey,
                good.created_at,
                1,
                [],
                bytes(64),
                good.raw.replace(good.sig.hex().encode(), bad),
            ),
            None,
        )
        self.assertEqual(self.rule.asked, [])

    def test_taken(self) -> None:
        """What the rule takes is OK with its words, neither stored nor delivered."""
        for kind, verdict in ((1, Taken("info: x")), (28934, succeed(Taken("")))):
            event = signed_event(kind=kind)
            (answer,) = self.send(event, verdict)
            self.assertEqual(answer[:3], ["OK", event.id.hex(), True])
            self.assertEqual((self.store.holds(event), self.delivered), (False, []))
        self.assertEqual(self.statistics.events_taken, 2)

    def test_waiting_holds_up_nobody(self) -> None:
        """While one event waits, others are stored and answered."""
        slow: Deferred[Taken | None] = Deferred()
        waiting, other = signed_event(content="1"), signed_event(content="2")
        self.assertEqual(self.send(waiting, slow), [])
        self.assertEqual(self.send(other, None), [accepted(other)])
        slow.callback(None)
        self.turns.settle()
        self.assertEqual(self.client.heard(), [accepted(waiting)])
        self.assertEqual([one.id for one in self.delivered], [other.id, waiting.id])

    def test_refused_later(self) -> None:
        """A refusal that takes its time is told like any other."""
        slow: Deferred[Taken | None] = Deferred()
        event = signed_event()
        self.send(event, slow)
        slow.errback(_NO)
        ((_, _, is_accepted, reason),) = self.client.heard()
        self.assertEqual((is_accepted, reason), (False, "restricted: not here"))

    def test_rule_fails(self) -> None:
        """A fault of a rule is logged once and told as ours."""
        event = signed_event()
        (answer,) = self.send(event, fail(ZeroDivisionError()))
        self.assertEqual(answer[2:], [False, "error: internal error"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_drain(self) -> None:
        """Draining waits for what waits for a rule."""
        slow: Deferred[Taken | None] = Deferred()
        event = signed_event()
        self.send(event, slow)
        drained = self.ingest.drain()
        self.assertNoResult(drained)
        slow.callback(None)
        self.turns.settle()
        self.assertIsNone(self.successResultOf(drained))
        self.assertEqual(self.client.heard(), [accepted(event)])

    def test_stop(self) -> None:
        """After the stop nothing is waited for."""
        cancelled: list[Deferred[Taken | None]] = []
        slow: Deferred[Taken | None] = Deferred(cancelled.append)
        self.send(signed_event(), slow)
        self.ingest.stop()
        self.assertEqual(cancelled, [slow])
        self.assertEqual(self.client.heard(), [])
