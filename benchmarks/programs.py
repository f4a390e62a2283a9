"""
What a policy program costs: ``python -m benchmarks.programs``.

Events are published to a relay without one and to a relay with one that answers after
a millisecond, in turns; what is printed are medians.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median

import click

from benchmarks.running import build_nload, running_relay
from benchmarks.scenarios import publish_notes

_JUDGE = Path(__file__).parent / "judge.py"


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Runs of each.")
@click.option("--in-flight", default=256, show_default=True, help="As the setting.")
def main(rounds: int, in_flight: int) -> None:
    """Measure how many events a second are taken with a program and without."""
    build_nload()
    command = json.dumps([sys.executable, str(_JUDGE)])
    table = f"[[programs]]\ncommand = {command}\nin_flight = {in_flight}\n"
    settings = {"without": "", "with": table}
    rates: dict[str, list[float]] = {name: [] for name in settings}
    for _ in range(rounds):
        for name, text in settings.items():
            with running_relay(settings=text) as relay:
                found = publish_notes(relay)
            rates[name].append(found["events_per_s"])
            print(
                f"{name:8} {found['events_per_s']:7,.0f} events/s,"
                f" {found['relay_cpu_us_per_event']:.0f} µs each,"
                f" OK p99 {found['ack_ms']['p99']:.0f} ms {found['problems'] or ''}"
            )
    without, with_ = median(rates["without"]), median(rates["with"])
    print(f"with a program: {100 * (with_ / without - 1):+.1f} %")


if __name__ == "__main__":
    main()
