"""Tests for :mod:`nostrtx.relay.measurements`."""

from __future__ import annotations

from math import inf

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.measurements import (
    HISTOGRAMS,
    Measurements,
    kind_label,
    reason_label,
)


class LabelTests(SynchronousTestCase):
    """What clients send makes no more labels than there are."""

    def test_kinds(self) -> None:
        """Common kinds are told apart, the rest by how long such events live."""
        for kind, label in (
            (1, "1"),
            (30023, "30023"),
            (999, "regular"),
            (10999, "replaceable"),
            (20999, "ephemeral"),
            (30999, "addressable"),
        ):
            self.assertEqual(kind_label(kind), label)
        labels = {kind_label(kind) for kind in range(65536)}
        self.assertLess(len(labels), 50)

    def test_reasons(self) -> None:
        """A refusal counts by its prefix, if that is one of the protocol's."""
        self.assertEqual(reason_label("blocked: by its author"), "blocked")
        self.assertEqual(reason_label("rate-limited: slow down"), "rate-limited")
        for reason in ("", "whatever", "my own: reason"):
            self.assertEqual(reason_label(reason), "other")


class MeasurementsTests(SynchronousTestCase):
    """All that one process measures."""

    def test_histograms(self) -> None:
        """There is one of each name, with the bounds that are known of it."""
        measurements = Measurements()
        for name, bounds in HISTOGRAMS.items():
            for bound in bounds:
                getattr(measurements, name).observe(bound if bound < inf else 1e9)
            facts = measurements.facts()
            for bound in bounds:
                self.assertEqual(facts[f"{name}:{bound}"], 1)

    def test_reports(self) -> None:
        """What others report is asked for anew each time."""
        measurements = Measurements()
        waiting = [3]
        measurements.report(lambda: {"queries_waiting": waiting[0]})
        self.assertEqual(measurements.facts(), {"queries_waiting": 3})
        waiting[0] = 1
        self.assertEqual(measurements.facts(), {"queries_waiting": 1})

    def test_families(self) -> None:
        """Parts of a family have its name in front."""
        measurements = Measurements()
        measurements.kinds["1"] += 2
        measurements.reasons["pow"] += 1
        measurements.verbs["CLOSE"] += 4
        self.assertEqual(
            measurements.facts(),
            {
                "events_accepted:1": 2,
                "events_refused_because:pow": 1,
                "messages:CLOSE": 4,
            },
        )
