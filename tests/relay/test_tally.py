"""Tests for :mod:`nostrtx.relay.tally`."""

from __future__ import annotations

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.past_counts import KNOWN
from nostrtx.relay.roll_call import MOST_SILENT_BEATS, RollCall
from nostrtx.relay.statistics import GAUGES, Statistics
from nostrtx.relay.tally import COUNTERS, NEWS_BEATS, Tally
from tests.relay.company import Company


def with_counts(**counts: int) -> Statistics:
    """What a process has counted."""
    statistics = Statistics()
    for name, count in counts.items():
        setattr(statistics, name, count)
    return statistics


class TallyTests(SynchronousTestCase):
    """Sums over all processes."""

    def setUp(self) -> None:
        """Nobody is there yet."""
        self.company = Company()
        self.roll_calls: dict[str, RollCall] = {}

    def process(self, name: str, **counts: int) -> Tally:
        """A process that has joined the others, and has counted this."""
        roll_call = self.roll_calls[name] = self.company.process(name)
        tally = Tally(roll_call, with_counts(**counts), self.company.buses[name])
        self.company.join(name, roll_call)
        return tally

    def published(self, name: str) -> list[str]:
        """The topics of all that a process has said."""
        return [topic for topic, _ in self.company.buses[name].published]

    def said(self, name: str) -> int:
        """How often a process has told its counters."""
        return self.published(name).count(COUNTERS)

    def stored(self, *tallies: Tally) -> list[int]:
        """What each thinks how many events were stored in all."""
        return [tally.facts()["events_stored"] for tally in tallies]

    def test_alone(self) -> None:
        """The sums of one process are its own counters, and it tells nobody."""
        tally = self.process("a", events_stored=3, sessions=1)
        self.company.beat(3)
        facts = tally.facts()
        self.assertEqual(facts.pop("news_published"), len(self.published("a")))
        self.assertEqual(facts, Statistics(events_stored=3, sessions=1).facts())
        self.assertEqual(self.said("a"), 1)

    def test_sums(self) -> None:
        """All processes show the same sums, counters and gauges alike."""
        tallies = [
            self.process(name, events_stored=count, sessions=1)
            for name, count in (("a", 3), ("b", 4), ("c", 5))
        ]
        for tally in tallies:
            facts = tally.facts()
            self.assertEqual((facts["events_stored"], facts["sessions"]), (12, 3))

    def test_changes(self) -> None:
        """What changes is told within a second, and only then."""
        mine = Statistics()
        roll_call = self.company.process("a")
        here = Tally(roll_call, mine, self.company.buses["a"])
        self.company.join("a", roll_call)
        there = self.process("b")
        told = self.said("a")
        self.company.beat(5)
        self.assertEqual(self.said("a"), told)
        mine.events_stored += 7
        mine.sessions += 1
        self.assertEqual(self.stored(here, there), [7, 0])
        self.company.beat(1)
        self.assertEqual(self.stored(here, there), [7, 7])
        self.assertEqual(there.facts()["sessions"], 1)
        mine.sessions -= 1
        self.company.beat(5)
        self.assertEqual(there.facts()["sessions"], 0)
        self.assertEqual(self.said("a"), told + 2)

    def test_news(self) -> None:
        """
        What is counted of news is added up as well, within some seconds.

        That telling it changes it makes nobody say more.
        """
        here, there = self.process("a"), self.process("b")
        self.company.buses["a"].counted["news_unsent"] = 3
        self.company.buses["b"].counted["news_forged"] = 1
        told = self.said("a")
        self.company.beat(NEWS_BEATS)
        for tally in (here, there):
            facts = tally.facts()
            self.assertEqual((facts["news_unsent"], facts["news_forged"]), (3, 1))
        self.company.beat(9 * NEWS_BEATS)
        self.assertLessEqual(self.said("a") - told, 10)
        said = len(self.published("a")) + len(self.published("b"))
        self.assertIn(there.facts()["news_published"], range(said - 20, said + 1))

    def test_silent(self) -> None:
        """Who is silent for long has no sessions; what it counted stays, once."""
        here = self.process("a")
        self.process("b", events_stored=4, sessions=2)
        self.company.cut_off("b")
        self.company.beat(MOST_SILENT_BEATS + 1)
        facts = here.facts()
        self.assertEqual((facts["events_stored"], facts["sessions"]), (4, 0))
        self.company.buses["b"].reconnect()
        facts = here.facts()
        self.assertEqual((facts["events_stored"], facts["sessions"]), (4, 2))

    def test_measured(self) -> None:
        """What is measured is added up, too; queues of who is gone are empty."""
        here = self.process("a")
        statistics = Statistics()
        statistics.measurements.commit_seconds.observe(0.5)
        statistics.measurements.report(lambda: {"processes": 1, "events_unsaved": 9})
        roll_call = self.company.process("b")
        Tally(roll_call, statistics, self.company.buses["b"])
        self.company.join("b", roll_call)
        facts = here.facts()
        self.assertEqual((facts["processes"], facts["events_unsaved"]), (1, 9))
        self.company.cut_off("b")
        self.company.beat(MOST_SILENT_BEATS + 1)
        facts = here.facts()
        self.assertEqual(facts["commit_seconds:0.5"], 1)
        self.assertEqual(
            (facts.get("processes", 0), facts.get("events_unsaved", 0)), (0, 0)
        )

    def test_replaced(self) -> None:
        """A process that died has counted all the same, also for who comes later."""
        here = self.process("a", events_stored=1)
        self.process("b", events_stored=4, sessions=2)
        replacement = self.process("b", events_stored=10)
        self.assertEqual(self.stored(here, replacement), [15, 15])
        self.assertEqual(here.facts()["sessions"], 0)
        late = self.process("c", events_stored=100)
        again = self.process("b", events_stored=1000)
        self.assertEqual(self.stored(here, late, again), [1115] * 3)

    def test_left(self) -> None:
        """So it is with one that has said farewell."""
        here = self.process("a", events_stored=1)
        self.process("b", events_stored=4, sessions=2)
        self.roll_calls["b"].stop()
        late = self.process("c")
        self.assertEqual(self.stored(here, late), [5, 5])
        self.assertEqual(late.facts()["sessions"], 0)

    def test_killed(self) -> None:
        """So it is with one that was killed, and started again when it was missed."""
        here = self.process("a", events_stored=1)
        self.process("b", events_stored=4, sessions=2)
        self.company.cut_off("b")
        self.company.beat(MOST_SILENT_BEATS + 1)
        again = self.process("b", events_stored=10)
        late = self.process("c")
        self.assertEqual(self.stored(here, again, late), [15] * 3)

    def test_farewell_missed(self) -> None:
        """Who has missed that one left, and is told of it as past, counts it once."""
        here = self.process("a", events_stored=1)
        there = self.process("b")
        self.process("c", events_stored=4)
        self.company.buses["b"].is_deaf = True
        self.roll_calls["c"].stop()
        self.company.buses["b"].is_deaf = False
        self.process("d")
        self.assertEqual(self.stored(here, there), [5, 5])
        self.company.beat(MOST_SILENT_BEATS + 1)
        late = self.process("e")
        self.assertEqual(self.stored(here, there, late), [5] * 3)

    def test_seen_by_few(self) -> None:
        """One that is out of sight for some only counts once for all of them."""
        here = self.process("a", events_stored=1)
        there = self.process("b", events_stored=4)
        self.company.buses["a"].is_deaf = True
        self.company.beat(MOST_SILENT_BEATS + 1)
        self.company.buses["a"].is_deaf = False
        late = self.process("c", events_stored=10)
        self.company.beat(1)
        self.assertEqual(self.stored(here, there, late), [15] * 3)

    def test_many(self) -> None:
        """However many processes come and go, all have the same sum, told in short."""
        here, there = self.process("a"), self.process("b")
        for number in range(250):
            self.process(f"node {number}", events_stored=1)
            self.roll_calls[f"node {number}"].stop()
            del self.company._all[2:]
        late = self.process("late")
        self.assertEqual(self.stored(here, there, late), [250] * 3)
        _, message = self.company.buses["a"].published[-1]
        self.assertLess(len(message), 50 * 2 * KNOWN)

    def test_nonsense(self) -> None:
        """Counters that are not understood are logged and change nothing."""
        here = self.process("a", events_stored=1)
        bus = self.company.buses["a"]
        for nonsense in (
            b"",
            b"[]",
            b"7",
            b'["a",{"x":"y"},null]',
            b'["a",{},[]]',
            b"[1,{},null]",
        ):
            with capturedLogs() as logs:
                bus.hear(COUNTERS, "b", nonsense)
            self.assertEqual(len(logs), 1, nonsense)
        self.assertEqual(self.stored(here), [1])

    def test_gauges(self) -> None:
        """Every gauge is one of the statistics."""
        self.assertTrue(GAUGES <= set(Statistics().facts()))
