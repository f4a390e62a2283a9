"""Tests for :mod:`nostrtx.relay.statistics`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.statistics import Statistics


class StatisticsTests(SynchronousTestCase):
    """Counters by name."""

    def test_facts(self) -> None:
        """Every counter is reported, under its own name, as it stands."""
        statistics = Statistics()
        self.assertEqual(set(statistics.facts().values()), {0})
        statistics.events_stored += 3
        self.assertEqual(statistics.facts()["events_stored"], 3)
        self.assertEqual(sum(statistics.facts().values()), 3)

    def test_a_snapshot(self) -> None:
        """What was reported does not change afterwards."""
        statistics = Statistics()
        facts = statistics.facts()
        statistics.sessions += 1
        self.assertEqual(facts["sessions"], 0)
