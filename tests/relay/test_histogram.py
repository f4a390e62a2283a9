"""Tests for :mod:`nostrtx.relay.histogram`."""

from __future__ import annotations

from math import inf

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.histogram import Histogram


class HistogramTests(SynchronousTestCase):
    """How often a value was how large."""

    def setUp(self) -> None:
        """Two bounds, and what is beyond."""
        self.histogram = Histogram("seconds", (0.1, 1.0, inf))

    def test_classes(self) -> None:
        """A bound belongs to what is below it, and nothing is too large."""
        for value in (0.0, 0.1, 0.11, 1.0, 1000.0):
            self.histogram.observe(value)
        self.assertEqual(
            self.histogram.facts(),
            {
                "seconds:0.1": 2,
                "seconds:1.0": 2,
                "seconds:inf": 1,
                "seconds:sum": 1_001_210_000,
            },
        )

    def test_nothing(self) -> None:
        """As long as there was nothing, nothing is told."""
        self.assertEqual(self.histogram.facts(), {})

    def test_many(self) -> None:
        """Many that end at once are counted like each by itself."""
        self.histogram.observe_since([1.0, 1.95, 2.0], 2.0)
        one_by_one = Histogram("seconds", (0.1, 1.0, inf))
        for value in (1.0, 2.0 - 1.95, 0.0):
            one_by_one.observe(value)
        self.assertEqual(self.histogram.facts(), one_by_one.facts())

    def test_clock_is_put_back(self) -> None:
        """A time that seems negative counts as none, and takes nothing away."""
        self.histogram.observe(0.5)
        self.histogram.observe(-3600)
        self.histogram.observe_since([3600.0], 0.0)
        facts = self.histogram.facts()
        self.assertEqual(facts["seconds:sum"], 500_000)
        self.assertEqual(facts["seconds:0.1"], 2)

    def test_weight(self) -> None:
        """A value may stand for several."""
        self.histogram.observe(0.5, 17)
        self.assertEqual(
            self.histogram.facts(), {"seconds:1.0": 17, "seconds:sum": 8_500_000}
        )
