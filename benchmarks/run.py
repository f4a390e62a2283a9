"""
Measure the relay: ``make bench``, or ``python -m benchmarks.run --help``.

Cost is CPU time, user and system, of all the relay's processes, so that it means the
same on a busy machine; latencies are only as good as the machine is quiet.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import click

from benchmarks.cluster import running_nodes
from benchmarks.machine import Disturbance, description
from benchmarks.material import million_store
from benchmarks.report import Run, as_json, markdown, refresh, rows, show
from benchmarks.running import HERE, BenchmarkError, build_nload, running_relay
from benchmarks.scenarios import (
    CLUSTER,
    MILLION,
    SCENARIOS,
    TAKEOVER,
    WORKERS,
    Scenario,
    publish_notes,
)

_NAMES = [
    scenario.name for scenario in (*SCENARIOS, *WORKERS, *TAKEOVER, *CLUSTER, *MILLION)
]
_Runs = dict[str, list[Run]]


def _run_group(group: Iterable[Scenario], runs: _Runs, store: Path | None) -> None:
    """Run each scenario of a group once, all on one relay."""
    members = list(group)
    first = members[0]
    running = (
        running_nodes(first.nodes)
        if first.nodes
        else running_relay(store, first.settings)
    )
    with running as relay:
        has_notes = False
        for scenario in members:
            if scenario.holds_notes and not has_notes:
                publish_notes(relay)
                has_notes = True
            disturbance = Disturbance(relay.pids)
            outcome = scenario.run(relay)
            steal, others = disturbance.cores()
            run = Run(outcome, steal, others)
            has_notes = has_notes or scenario.name == "ingest"
            runs.setdefault(scenario.name, []).append(run)
            values = ", ".join(f"{value:.4g}" for value in run.outcome.values)
            print(
                f"{scenario.name:14} {values:>16}  {run.outcome.remarks}"
                f"{'' if run.counts else '  (does not count)'}",
                *(f"\n    {problem}" for problem in run.outcome.problems),
                f"\n    steal {steal:.2f} cores, other jobs {others:.2f} cores"
                if steal >= 0.01 or others >= 0.05
                else "",
                file=sys.stderr,
                sep="",
            )


def _measure(chosen: list[Scenario], rounds: int, repeats: int) -> _Runs:
    """Run groups until each scenario has ``rounds`` runs that count, or too many."""
    runs: _Runs = {}
    for name, members in groupby(chosen, key=lambda scenario: scenario.group):
        group = list(members)
        store = million_store() if name == "million" else None
        for _ in range(rounds + repeats):
            wanting = [
                scenario
                for scenario in group
                if sum(run.counts for run in runs.get(scenario.name, ())) < rounds
            ]
            if not wanting:
                break
            _run_group(wanting, runs, store)
    return runs


@click.command()
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(_NAMES),
    help="Run this scenario; may be given several times.",
)
@click.option(
    "--rounds", default=3, show_default=True, help="Runs that count, per scenario."
)
@click.option(
    "--repeats",
    default=3,
    show_default=True,
    help="Further runs in place of those that do not count: the hypervisor took more "
    "than 0.05 cores away, or something did not add up.",
)
@click.option(
    "--million",
    is_flag=True,
    help="Also measure a store of 1,000,000 events. The first time this makes 1.2 GB "
    "of events and a store of them, which takes minutes.",
)
@click.option(
    "--write",
    type=click.Path(path_type=Path, exists=True),
    metavar="FILE",
    help="Refresh the table in this document, such as docs/performance.md.",
)
def main(
    only: tuple[str, ...], rounds: int, repeats: int, million: bool, write: Path | None
) -> None:
    """
    Measure the relay and compare with what it must come to.

    Each group of scenarios gets a relay of its own with an empty store, on a free port
    of the loopback interface. Work is made by nload, which counts every answer: a run
    in which something is lost or sent twice does not count. The table shows medians,
    and for each figure two bounds: what it must be, and what it should be (aim).

    The unit sig is one check of a signature by libsecp256k1, measured in the same run:
    no relay can take an event for less. It makes different machines comparable.

    \b
    Examples:
      python -m benchmarks.run --only ingest --rounds 1
      python -m benchmarks.run --million --write docs/performance.md
      make bench BENCH='--only mixed --only busy'

    Corpora are made once and made again after 20 hours, in benchmarks/corpora; results
    go to benchmarks/results as Markdown and JSON.
    """
    every = [
        *SCENARIOS,
        *WORKERS,
        *TAKEOVER,
        *CLUSTER,
        *(MILLION if million or set(only) & _MILLION_NAMES else ()),
    ]
    chosen = [scenario for scenario in every if not only or scenario.name in only]
    try:
        build_nload()
        runs = _measure(chosen, rounds, repeats)
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from None
    found = [row for scenario in chosen for row in rows(scenario, runs[scenario.name])]
    where = description()
    show(found, where)
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    (results / "latest.md").write_text(markdown(found, where), encoding="utf-8")
    (results / "latest.json").write_text(as_json(found, where), encoding="utf-8")
    if write:
        refresh(write, markdown(found, where))
    if any(row.verdict == "missed" and not row.doubts for row in found):
        sys.exit(1)


_MILLION_NAMES = {scenario.name for scenario in MILLION}

if __name__ == "__main__":
    main()
