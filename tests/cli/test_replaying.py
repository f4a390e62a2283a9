"""Tests for :mod:`nostrtx.cli.replaying`."""

from __future__ import annotations

import io
from collections.abc import Coroutine
from typing import Any

from click.testing import CliRunner
from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from nostrtx.cli.main import main
from nostrtx.cli.replaying import Replay, chosen, replay_events, show
from nostrtx.interfaces.policies import IEventPolicy, Source, Taken
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.relay.measurements import Measurements
from nostrtx.relay.policies.observed import Observation, Observed
from nostrtx.relay.policies.policies import Policies
from nostrtx.relay.policies.programs.lines import OtherSource
from nostrtx.settings.file import parse_settings
from nostrtx.settings.policies import RuleSettings
from nostrtx.settings.programs import PluginSettings, ProgramSettings
from nostrtx.storage.memory import MemoryEventStore
from tests.storage.events import NOW, make_event


@implementer(IEventPolicy)
class ByKind:
    """A policy that decides by kind: at once, or when the test says."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[Taken | None]] = []
        self.sources: set[type] = set()

    def admit(
        self, event: Event, source: Source
    ) -> Deferred[Taken | None] | Taken | None:
        """Decide."""
        self.sources.add(type(source))
        if event.kind == 4:
            raise Rejected(ReasonPrefix.BLOCKED, "no messages")
        if event.kind == 5:
            return Taken()
        if event.kind == 7:
            self.waiting.append(Deferred())
            return self.waiting[-1]
        return None


class ReplayTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.cli.replaying.Replay`."""

    def setUp(self) -> None:
        """Have events and a policy."""
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = MemoryEventStore()
        self.store.open()
        self.policy = ByKind()
        self.measurements = Measurements()
        observed = Observed(
            self.policy, Observation("by-kind"), self.measurements, self.clock
        )
        self.replay = Replay(Policies(events=[observed]), 2)
        events = [
            make_event(kind=kind, content=str(n))
            for n, kind in enumerate((1, 1, 4, 4, 4, 4, 6, 7, 7, 7))
        ]
        self.successResultOf(self.store.save_events(events))

    def begin(self, *kinds: range) -> Deferred[None]:
        """Replay everything."""
        task: Coroutine[Any, Any, None] = replay_events(
            self.store, self.clock, [Filter()], kinds, self.replay
        )
        return Deferred.fromCoroutine(task)

    def test_outcomes(self) -> None:
        """Each event is asked about; a few wait at a time; all are counted."""
        ends = self.begin()
        self.assertNoResult(ends)
        self.assertEqual(len(self.policy.waiting), 2)
        no = Rejected(ReasonPrefix.POW, "too easy")
        self.policy.waiting[0].errback(no)
        self.policy.waiting[1].callback(None)
        self.policy.waiting[2].callback(Taken("muted"))
        self.successResultOf(ends)
        outcomes = self.replay.outcomes
        self.assertEqual(outcomes.verdicts, {"accepted": 4, "refused": 5, "taken": 1})
        self.assertEqual(
            outcomes.reasons,
            {"blocked: no messages": 4, "pow: too easy": 1, "muted": 1},
        )
        self.assertEqual(len(outcomes.samples["blocked: no messages"]), 3)
        self.assertEqual(self.policy.sources, {OtherSource})

    def test_kinds(self) -> None:
        """Other kinds than those that are named are left out."""
        self.successResultOf(self.begin(range(3, 5), range(6, 7)))
        self.assertEqual(self.replay.outcomes.verdicts, {"accepted": 1, "refused": 4})

    def test_report(self) -> None:
        """The report has numbers, shares, each policy, and examples of each reason."""
        self.successResultOf(self.begin(range(0, 5)))
        out = io.StringIO()
        show(self.replay.outcomes, self.measurements, 2.0, Console(file=out, width=99))
        lines = [line.split() for line in out.getvalue().splitlines()]
        self.assertEqual(lines[0], "6 events in 2.0 s (3 a second)".split())
        self.assertIn(["refused", "4", "66.7", "%"], lines)
        self.assertIn(["by-kind", "2", "4", "0", "0"], lines)
        self.assertIn(["4", "blocked:", "no", "messages"], lines)
        self.assertEqual(sum(len(line[0]) == 64 for line in lines if line), 3)


class ChosenTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.cli.replaying.chosen`."""

    def test_chosen(self) -> None:
        """All policies of the settings are asked, or the one that is named."""
        settings = parse_settings(
            "[[programs]]\ncommand = 'a'\nshadow = true\n"
            "[[plugins]]\nname = 'p'\noptions = {x = 1}\n"
            "[[rules]]\nkinds = [4]\nshadow = true\n"
        )
        program, plugin = ProgramSettings(command="a"), PluginSettings("p", {"x": 1})
        rule = RuleSettings(kinds=(4,))
        for named, rules, programs, plugins in (
            ((None, None, False), (rule,), (program,), (plugin,)),
            ((None, None, True), (rule,), (), ()),
            (("b c", None, False), (), (ProgramSettings(command="b c"),), ()),
            ((None, "p", False), (), (), (plugin,)),
            ((None, "q", False), (), (), (PluginSettings("q"),)),
        ):
            found = chosen(settings, *named)
            self.assertEqual(found.rules, rules)
            self.assertEqual((found.programs, found.plugins), (programs, plugins))


class CommandTests(SynchronousTestCase):
    """Tests for ``nostrtx policy-replay``; it runs in :mod:`tests.live`."""

    def test_options(self) -> None:
        """What is no kind, or no store, is refused."""
        for arguments, complaint in (
            (["--kinds", "x"], "must hold kinds"),
            (["--store", "lmdb:/nonexistent"], "there is no store at"),
            (["--rules", "--plugin", "p"], "nobody else"),
        ):
            result = CliRunner().invoke(main, ["policy-replay", *arguments])
            self.assertNotEqual(result.exit_code, 0)
            self.assertIn(complaint, result.output)
