"""Runs gathered into figures, shown as a table, kept as Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

import attrs
from rich.console import Console
from rich.table import Table

from benchmarks.scenarios import Figure, Outcome, Scenario

MOST_STEAL = 0.05
"""Runs during which the hypervisor took more cores than this are not counted."""

MOST_OTHERS = 0.2
"""Latencies are doubtful if other jobs took more cores than this; CPU time is not."""

_BEGIN = "<!-- figures: begin -->"
_END = "<!-- figures: end -->"
_HEAD = ("scenario", "figure", "measured", "range", "must", "aim", "verdict", "remarks")


@attrs.frozen
class Run:
    """
    One run of a scenario.

    Attributes:
        outcome: What it gave.
        steal: Cores that the hypervisor took meanwhile.
        others: Cores that other jobs took meanwhile.
    """

    outcome: Outcome
    steal: float
    others: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether the machine was quiet and everything added up."""
        return self.steal <= MOST_STEAL and not self.outcome.problems


@attrs.frozen
class Row:
    """
    One figure of a scenario over all its runs.

    Attributes:
        scenario: Which one.
        figure: Which of its figures.
        values: Its value in each run that counts; else in the quietest one.
        doubts: Why the values are not to be trusted; empty if they are.
        remarks: Of the run whose value is in the middle.
    """

    scenario: Scenario
    figure: Figure
    values: tuple[float, ...]
    doubts: tuple[str, ...]
    remarks: str

    @property
    def value(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def verdict(self) -> str:
        """What the figure means: ``aim``, ``must``, ``missed`` or nothing."""
        if self.figure.must is None:
            return ""
        if self.figure.aim is not None and self.value <= self.figure.aim:
            return "aim"
        return "must" if self.value <= self.figure.must else "missed"

    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of the table's head."""
        unit = self.figure.unit
        spread = "–".join(_short(f(self.values)) for f in (min, max))
        problems = "; ".join(self.doubts)
        return (
            self.scenario.name,
            self.figure.title,
            f"{_short(self.value)} {unit}",
            spread if len(self.values) > 1 else "one run",
            "" if self.figure.must is None else _short(self.figure.must),
            "" if self.figure.aim is None else _short(self.figure.aim),
            self.verdict,
            f"{self.remarks} ({problems})".lstrip() if problems else self.remarks,
        )


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rows(scenario: Scenario, runs: Sequence[Run]) -> list[Row]:
    """The figures of ``scenario`` from all its ``runs``."""
    counting = [run for run in runs if run.counts]
    doubts: tuple[str, ...] = ()
    if not counting:
        quietest = min(runs, key=lambda run: (len(run.outcome.problems), run.steal))
        counting = [quietest]
        doubts = quietest.outcome.problems
        if quietest.steal > MOST_STEAL:
            doubts += (f"steal {quietest.steal:.2f} cores",)
    found = []
    others = median(run.others for run in counting)
    for number, figure in enumerate(scenario.figures):
        busy = figure.is_latency and others > MOST_OTHERS
        ranked = sorted(counting, key=lambda run: run.outcome.values[number])
        found.append(
            Row(
                scenario=scenario,
                figure=figure,
                values=tuple(run.outcome.values[number] for run in ranked),
                doubts=(*doubts, f"other jobs took {others:.1f} cores")
                if busy
                else doubts,
                remarks=ranked[len(ranked) // 2].outcome.remarks if number == 0 else "",
            )
        )
    return found


def show(found: Iterable[Row], description: str) -> None:
    """Print the table, without remarks: there was one on each run."""
    table = Table()
    for title in (*_HEAD[:-1], "doubts"):
        table.add_column(title, justify="right" if title in _HEAD[2:6] else "left")
    styles = {"aim": "green", "must": "yellow", "missed": "bold red"}
    last = ""
    for row in found:
        cells = [*row.cells()[:-1], "; ".join(row.doubts)]
        if row.scenario.name == last:
            cells[0] = ""
        elif last:
            table.add_section()
        last = row.scenario.name
        table.add_row(*cells, style=styles.get(row.verdict) if not row.doubts else "")
    Console(soft_wrap=True).print(description)
    Console().print(table)


def markdown(found: Iterable[Row], description: str) -> str:
    """The table in Markdown, with what was measured where."""
    lines = [description, ""]
    lines.append("| " + " | ".join(_HEAD) + " |")
    lines.append("|" + "---|" * len(_HEAD))
    lines += ["| " + " | ".join(row.cells()) + " |" for row in found]
    return "\n".join(lines) + "\n"


def as_json(found: Iterable[Row], description: str) -> str:
    """The same for other programs."""
    figures = [
        {
            "scenario": row.scenario.name,
            "figure": row.figure.title,
            "unit": row.figure.unit,
            "value": row.value,
            "values": row.values,
            "must": row.figure.must,
            "aim": row.figure.aim,
            "doubts": row.doubts,
            "remarks": row.remarks,
        }
        for row in found
    ]
    return json.dumps({"where": description, "figures": figures}, indent=1) + "\n"


def refresh(document: Path, table: str) -> None:
    """
    Put ``table`` in place of the one in ``document``.

    Raises:
        ValueError: The document does not say where.
    """
    text = document.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{document} has no lines {_BEGIN} and {_END}")
    document.write_text(f"{before}{_BEGIN}\n{table}{_END}{after}", encoding="utf-8")
