"""Tests for :mod:`nostrtx.cli.asked_policies`; whole runs are in tests/live."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from nostrtx.cli.asked_policies import (
    AskedPolicies,
    Questions,
    Verdict,
    enforced,
    names_policies,
    questions_to,
    reason_of,
)
from nostrtx.interfaces.policies import IEventCheck, IEventPolicy, Source, Taken
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.json import dumps
from nostrtx.relay.management.kinds import RECORD
from nostrtx.relay.measurements import Measurements
from nostrtx.relay.policies.policies import Policies
from nostrtx.settings.file import parse_settings
from nostrtx.settings.tree import Settings
from nostrtx.storage.memory import MemoryEventStore
from tests.relay.policies.watched import observed
from tests.storage.events import make_event

_NO = Rejected(ReasonPrefix.BLOCKED, "no")


@implementer(IEventCheck, IEventPolicy)
class Later:
    """A policy that refuses kind 4 first, kind 6 then, and answers others later."""

    def __init__(self) -> None:
        self.asked: list[Deferred[Taken | None]] = []

    def check_event(self, event: Event, source: Source) -> None:
        """Refuse kind 4."""
        if event.kind == 4:
            raise _NO

    def admit(self, event: Event, source: Source) -> Deferred[Taken | None]:
        """Decide later."""
        if event.kind == 6:
            raise _NO
        self.asked.append(Deferred())
        return self.asked[-1]


@implementer(IEventPolicy)
class AtOnce:
    """A policy whose answer is a Deferred that has fired already."""

    def admit(self, event: Event, source: Source) -> Deferred[Taken | None]:
        """Let it through."""
        return succeed(None)


class QuestionsTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.cli.asked_policies.Questions`."""

    def setUp(self) -> None:
        """Ask about two events at a time."""
        self.policy = Later()
        policies = Policies(observed(self.policy), observed(self.policy))
        self.questions = Questions(policies, Source(), 2)
        self.told: list[tuple[str, Verdict]] = []

    def telling(self, name: str) -> Callable[[Verdict], None]:
        """Take note of the verdict of an event."""
        return lambda verdict: self.told.append((name, verdict))

    def test_before_the_signature(self) -> None:
        """What can be refused before the signature is checked is refused then."""
        self.questions.check(make_event())
        with self.assertRaises(Rejected):
            self.questions.check(make_event(kind=4))

    def test_at_once(self) -> None:
        """Policies are asked about so many at a time, and all get their verdict."""
        for name in "abcd":
            self.questions.ask(make_event(content=name), self.telling(name))
        self.assertEqual(len(self.policy.asked), 2)
        self.policy.asked[1].callback(Taken("kept"))
        self.assertEqual(len(self.policy.asked), 3)
        self.policy.asked[0].errback(_NO)
        self.policy.asked[2].callback(None)
        self.policy.asked[3].callback(None)
        self.assertEqual(
            self.told, [("b", Taken("kept")), ("a", _NO), ("c", None), ("d", None)]
        )

    def test_refused_at_once(self) -> None:
        """Who is refused at once takes nobody's place."""
        for kind in (1, 6, 6, 1):
            self.questions.ask(make_event(kind=kind), self.telling(f"{kind}"))
        self.assertEqual(len(self.policy.asked), 2)
        self.assertEqual(self.told, [("6", _NO)] * 2)

    def test_room(self) -> None:
        """Whoever waits until there are fewer is told so, and not before."""
        waiting = Deferred.fromCoroutine(self.questions.until_fewer(1))
        self.successResultOf(waiting)
        for name in "abc":
            self.questions.ask(make_event(content=name), self.telling(name))
        two = Deferred.fromCoroutine(self.questions.until_fewer(2))
        none = Deferred.fromCoroutine(self.questions.until_fewer(1))
        self.policy.asked[0].callback(None)
        self.assertNoResult(two)
        self.policy.asked[1].callback(None)
        self.successResultOf(two)
        self.assertNoResult(none)
        self.policy.asked[2].callback(None)
        self.successResultOf(none)

    def test_many_answers_at_once(self) -> None:
        """However many verdicts come at once, each event gets one."""
        questions = Questions(Policies(events=observed(AtOnce())), Source(), 2)
        later = Questions(Policies(events=observed(self.policy, AtOnce())), Source(), 1)
        for _ in range(3000):
            questions.ask(make_event(), self.telling("x"))
            later.ask(make_event(), self.telling("y"))
        self.assertEqual(self.told, [("x", None)] * 3000)
        self.told.clear()
        while len(self.told) < 3000:
            self.policy.asked[-1].callback(None)
        self.assertEqual(self.told, [("y", None)] * 3000)

    def test_stopped(self) -> None:
        """Who is stopped while it is asked says nothing."""
        self.questions.ask(make_event(), self.telling("a"))
        self.policy.asked[0].errback(CancelledError())
        self.assertEqual(self.told, [])


class ThreadlessReactor(Clock):
    """A reactor for what needs no threads."""

    def getThreadPool(self) -> None:
        """There are none."""


class QuestionsToTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.cli.asked_policies.questions_to`."""

    def test_asked(self) -> None:
        """Rules that are enforced, and kinds that were disallowed, count."""
        store = MemoryEventStore()
        store.open()
        kept = dumps({"allowed": [], "disallowed": [6]})
        self.successResultOf(store.change_record(RECORD, lambda there: kept))
        settings = parse_settings(
            f"[management]\nowners = ['{'ab' * 32}']\n"
            "[[rules]]\nkinds = [4]\n[[rules]]\nkinds = [5]\nshadow = true\n"
        )
        reactor = ThreadlessReactor()

        async def refused() -> list[int]:
            found = []
            asking = questions_to(settings, Source(), store, reactor)
            async with asking as questions:
                for kind in (1, 4, 5, 6):
                    try:
                        questions.check(make_event(kind=kind))
                    except Rejected:
                        found.append(kind)
            return found

        answer = Deferred.fromCoroutine(refused())
        reactor.pump([0.0] * 10)
        self.assertEqual(self.successResultOf(answer), [4, 6])
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_given_up(self) -> None:
        """Who is interrupted before all is read leaves nothing behind."""
        settings = parse_settings(
            f"[trust]\nroots = ['{'ab' * 32}']\n[[rules]]\nkinds = [4]\n"
        )
        reactor = ThreadlessReactor()
        store = MemoryEventStore()
        store.open()
        asked = AskedPolicies(settings, store, reactor, Measurements())
        self.successResultOf(Deferred.fromCoroutine(asked.stop()))
        self.assertEqual(reactor.getDelayedCalls(), [])


class ChoiceTests(SynchronousTestCase):
    """Which policies are asked."""

    def test_enforced(self) -> None:
        """What is in shadow refuses nothing, and is not asked."""
        settings = parse_settings(
            "[[programs]]\ncommand = 'a'\nshadow = true\n"
            "[[programs]]\ncommand = 'b'\n"
            "[[plugins]]\nname = 'p'\nshadow = true\n"
            "[[plugins]]\nname = 'q'\n"
            "[[rules]]\nkinds = [4]\nshadow = true\n"
            "[[rules]]\nkinds = [5]\n"
        )
        kept = enforced(settings)
        self.assertEqual([one.command for one in kept.programs], ["b"])
        self.assertEqual([one.name for one in kept.plugins], ["q"])
        self.assertEqual([one.kinds for one in kept.rules], [(5,)])

    def test_names_policies(self) -> None:
        """Settings without any have nobody to ask, and with only shadows neither."""
        self.assertFalse(names_policies(Settings()))
        shadow = "[[rules]]\nkinds = [4]\nshadow = true\n"
        self.assertFalse(names_policies(parse_settings(shadow)))
        for table in (
            "[[programs]]\ncommand = 'a'\n",
            "[[plugins]]\nname = 'p'\n",
            "[[rules]]\nkinds = [4]\n",
            f"[management]\nowners = ['{'ab' * 32}']\n",
        ):
            self.assertTrue(names_policies(parse_settings(table)), table)

    def test_reasons(self) -> None:
        """Every event that goes no further has a reason."""
        self.assertEqual(reason_of(_NO), "blocked: no")
        self.assertEqual(reason_of(Taken("muted")), "muted")
        self.assertNotEqual(reason_of(Taken()), "")
