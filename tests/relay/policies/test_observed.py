"""Tests for :mod:`nostrtx.relay.policies.observed`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from nostrtx.interfaces.policies import (
    IConnectionPolicy,
    IEventCheck,
    IEventPolicy,
    IRequestPolicy,
    Source,
    Taken,
    Verb,
)
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.relay.measurements import Measurements
from nostrtx.relay.policies.observed import (
    TIMED,
    NoVerdict,
    Observation,
    Observed,
)
from nostrtx.relay.policies.policies import Policies
from tests.storage.events import make_event

_NO = Rejected(ReasonPrefix.RESTRICTED, "not here")


@implementer(IEventCheck, IEventPolicy, IRequestPolicy, IConnectionPolicy)
class FakePolicy:
    """
    A policy that says what the test says.

    Attributes:
        verdict: What it returns, or raises.
        asked: How often it was asked.
    """

    def __init__(self) -> None:
        self.verdict: Any = None
        self.asked = 0

    def _say(self) -> Any:
        self.asked += 1
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict

    def check_event(self, event: Event, source: Source) -> None:
        """As the test says."""
        self._say()

    def admit(self, event: Event, source: Source) -> Any:
        """As the test says."""
        return self._say()

    def check_request(
        self, verb: Verb, filters: Sequence[Filter], source: Source
    ) -> None:
        """As the test says."""
        self._say()

    def check_connection(self, address: str) -> None:
        """As the test says."""
        self._say()


class ObservedTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.observed.Observed`."""

    def setUp(self) -> None:
        """Observe a policy."""
        self.policy = FakePolicy()
        self.clock = Clock()
        self.measurements = Measurements()
        self.observe()

    def observe(
        self, enforced: bool = True, fails_open: bool = False, is_own: bool = False
    ) -> None:
        """Observe it in this way."""
        observation = Observation("p", enforced, fails_open, is_own)
        observed = Observed(self.policy, observation, self.measurements, self.clock)
        each = [observed]
        self.policies = Policies(each, each, each, each)

    def admit(self, verdict: Any) -> Any:
        """What becomes of an event with this verdict."""
        self.policy.verdict = verdict
        return self.policies.admit(make_event(), Source())

    def verdicts(self) -> dict[str, int]:
        """How often it said what, about events that are known to be good."""
        start = "policy_verdicts:p:admit::"
        return {
            name.removeprefix(start): count
            for name, count in self.measurements.facts().items()
            if name.startswith(start)
        }

    def test_counted(self) -> None:
        """What a policy says is passed on and counted."""
        self.assertIsNone(self.admit(None))
        self.assertEqual(self.admit(Taken("x")), Taken("x"))
        self.assertRaises(Rejected, self.admit, _NO)
        failed = self.assertRaises(Rejected, self.admit, ZeroDivisionError())
        self.assertEqual(failed.reason, "error: internal error")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(
            self.verdicts(),
            {"yes:accepted": 1, "yes:taken": 1, "yes:refused": 1, "yes:failed": 1},
        )

    def test_later(self) -> None:
        """So is what it says only later, with the time that it took."""
        for result in (None, Taken(), _NO, ValueError("x"), CancelledError()):
            verdict: Deferred[Any] = Deferred()
            waiting = self.admit(verdict)
            self.clock.advance(0.2)
            if isinstance(result, Exception):
                verdict.errback(result)
                self.failureResultOf(waiting, Rejected, CancelledError)
            else:
                verdict.callback(result)
                self.assertEqual(self.successResultOf(waiting), result)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(
            self.verdicts(),
            {"yes:accepted": 1, "yes:taken": 1, "yes:refused": 1, "yes:failed": 1},
        )
        facts = self.measurements.facts()
        self.assertEqual(facts["policy_seconds:p:admit:0.25"], 4)
        self.assertEqual(facts["policy_seconds:p:admit:sum"], 800_000)

    def test_shadow(self) -> None:
        """In shadow, nothing is refused, and no event waits; all is counted."""
        self.observe(enforced=False)
        waiting: Deferred[Any] = Deferred()
        for verdict in (None, Taken(), _NO, NoVerdict("x"), waiting):
            self.assertIsNone(self.admit(verdict))
        waiting.errback(_NO)
        self.assertEqual(
            self.verdicts(),
            {"no:accepted": 1, "no:taken": 1, "no:refused": 2, "no:failed": 1},
        )

    def test_fails_in_shadow(self) -> None:
        """In shadow, a fault of the policy is only in the log."""
        self.observe(enforced=False)
        self.assertIsNone(self.admit(ZeroDivisionError()))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_no_verdict(self) -> None:
        """Without a verdict, the event is refused, or taken if that was chosen."""
        error = self.assertRaises(Rejected, self.admit, NoVerdict("x"))
        self.assertEqual(error.reason, "error: internal error")
        self.observe(fails_open=True)
        self.assertIsNone(self.admit(NoVerdict("x")))
        waiting: Deferred[Any] = Deferred()
        late = self.admit(waiting)
        waiting.errback(NoVerdict("x"))
        self.assertIsNone(self.successResultOf(late))
        self.assertEqual(self.verdicts(), {"yes:failed": 3})

    def test_checks(self) -> None:
        """Checks of events, requests and connections are observed likewise."""
        self.policy.verdict = _NO
        policies = self.policies
        for ask in (
            lambda: policies.check_event(make_event(), Source()),
            lambda: policies.check_request("REQ", (), Source()),
            lambda: policies.check_connection("192.0.2.1"),
        ):
            self.assertRaises(Rejected, ask)
        self.observe(enforced=False)
        self.policies.check_connection("192.0.2.1")
        self.policy.verdict = None
        self.policies.check_request("COUNT", (), Source())
        counted = {
            name.removeprefix("policy_verdicts:p:")
            for name in self.measurements.policies.facts()
            if "seconds" not in name
        }
        self.assertEqual(
            counted,
            {
                "check::yes:refused",
                "request::yes:refused",
                "connect::yes:refused",
                "connect::no:refused",
                "request::no:accepted",
            },
        )

    def test_vanish(self) -> None:
        """A request to vanish is taken whatever policies say (NIP-62)."""
        self.policy.verdict = _NO
        request = make_event(kind=62)
        self.assertIsNone(self.policies.admit(request, Source()))
        self.policies.check_event(request, Source())
        self.assertEqual(self.policy.asked, 0)

    def test_own(self) -> None:
        """Rules are told apart only of the relay's own, where they are few."""
        self.observe(is_own=True)
        by_rule = Rejected(ReasonPrefix.BLOCKED, "no", "rule-7")
        self.assertRaises(Rejected, self.admit, by_rule)
        facts = self.measurements.facts()
        self.assertEqual(facts["policy_verdicts:p:admit:rule-7:yes:refused"], 1)
        self.observe()
        self.assertRaises(Rejected, self.admit, by_rule)
        self.assertEqual(self.verdicts(), {"yes:refused": 1})

    def test_samples(self) -> None:
        """Of the relay's own, a few are timed, and stand for all there were."""
        self.observe(is_own=True)
        for _ in range(3 * TIMED):
            self.assertIsNone(self.admit(None))
        self.assertEqual(self.verdicts(), {"yes:accepted": 3 * TIMED})
        facts = self.measurements.policies.facts()
        timed = sum(
            count
            for name, count in facts.items()
            if name.startswith("policy_seconds:p:admit:")
        )
        self.assertEqual(timed, 3 * TIMED)

    def test_same_refusal(self) -> None:
        """A refusal that is raised again and again does not grow with that."""
        for _ in range(20):
            self.assertRaises(Rejected, self.admit, _NO)
        depth, part = 0, _NO.__traceback__
        while part is not None:
            depth, part = depth + 1, part.tb_next
        self.assertLess(depth, 20)
