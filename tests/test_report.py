"""Tests for :mod:`benchmarks.report`."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.report import Row, Run, as_json, markdown, refresh, rows
from benchmarks.running import Relay
from benchmarks.scenarios import Figure, Outcome, Scenario


def _never(relay: Relay) -> Outcome:
    raise AssertionError(relay)


_SCENARIO = Scenario(
    "notes", "stored", "Publish notes", (Figure("cost", "sig", 4.0, 3.0),), _never
)


def _run(value: float, steal: float = 0.0, *problems: str) -> Run:
    outcome = Outcome(values=(value,), problems=problems, remarks=f"as {value}")
    return Run(outcome=outcome, steal=steal)


class RowTests(SynchronousTestCase):
    """What the table says of several runs."""

    def _row(self, *runs: Run) -> Row:
        (row,) = rows(_SCENARIO, runs)
        return row

    def test_median(self) -> None:
        """The value is the median, with the remarks of that run."""
        row = self._row(_run(2.0), _run(9.0), _run(3.5))
        self.assertEqual((row.value, row.remarks, row.doubts), (3.5, "as 3.5", ()))
        self.assertEqual(row.values, (2.0, 3.5, 9.0))

    def test_disturbed(self) -> None:
        """Runs with steal or with problems do not count beside one without."""
        row = self._row(_run(1.0, 0.3), _run(3.6), _run(1.0, 0.0, "lost"))
        self.assertEqual((row.values, row.doubts), ((3.6,), ()))

    def test_nothing_counts(self) -> None:
        """If no run counts, the quietest is shown and says what was wrong."""
        row = self._row(_run(3.0, 0.4), _run(2.5, 0.2), _run(1.0, 0.0, "lost"))
        self.assertEqual(row.values, (2.5,))
        self.assertEqual(row.doubts, ("steal 0.20 cores",))
        self.assertIn("as 2.5 (steal 0.20 cores)", row.cells())

    def test_busy_machine(self) -> None:
        """Other jobs make latencies doubtful, but not costs."""
        latency = Figure("delivery p50", "ms", 4, 2)
        scenario = Scenario(
            "both", "stored", "Both", (_SCENARIO.figures[0], latency), _never
        )
        outcome = Outcome(values=(3.0, 5.0), problems=())
        cost, delivery = rows(scenario, [Run(outcome, steal=0.0, others=0.7)])
        self.assertEqual(cost.doubts, ())
        self.assertEqual(delivery.doubts, ("other jobs took 0.7 cores",))

    def test_verdicts(self) -> None:
        """A figure meets its aim, or only what it must, or neither."""
        verdicts = [self._row(_run(value)).verdict for value in (3.0, 3.1, 4.1)]
        self.assertEqual(verdicts, ["aim", "must", "missed"])


class DocumentTests(SynchronousTestCase):
    """Where the table is kept."""

    def test_refreshed(self) -> None:
        """The table takes the place of the old one and nothing else changes."""
        path = Path(self.mktemp())
        path.write_text(
            "before\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nafter\n"
        )
        table = markdown(rows(_SCENARIO, [_run(3.0)]), "a machine")
        refresh(path, table)
        refresh(path, table)
        text = path.read_text()
        self.assertTrue(text.startswith("before\n<!-- figures: begin -->\na machine"))
        self.assertTrue(text.endswith("|\n<!-- figures: end -->\nafter\n"))
        self.assertNotIn("old", text)
        self.assertEqual(text.count("| notes | cost | 3 sig |"), 1)

    def test_no_place(self) -> None:
        """A document that does not say where its table is stays as it is."""
        path = Path(self.mktemp())
        path.write_text("no figures here\n")
        self.assertRaises(ValueError, refresh, path, "table")
        self.assertEqual(path.read_text(), "no figures here\n")

    def test_json(self) -> None:
        """Other programs read the same values."""
        found = json.loads(as_json(rows(_SCENARIO, [_run(3.0)]), "a machine"))
        self.assertEqual(found["figures"][0]["value"], 3.0)
        self.assertEqual(found["where"], "a machine")
