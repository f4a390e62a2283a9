"""
What it costs that a Prometheus asks for metrics: ``python -m benchmarks.scraping``.

First the CPU time of one answer, from a relay that has counted something of most kinds
and has nothing else to do. Then that of an event at full ingest, while nobody asks, and
while somebody does every five seconds, every second, and ten times a second; in rounds,
one after the other. The last is far more than anybody does, for the others are within
the noise.
"""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from socket import socket
from statistics import median
from threading import Event, Thread
from typing import Final

from benchmarks import material
from benchmarks.machine import cpu_seconds
from benchmarks.running import Load, Relay, build_nload, running_relay

_ANSWERS: Final = 300
_EVENTS: Final = 40_000
_PAUSES: Final = (0.0, 5.0, 1.0, 0.1)


@contextmanager
def _relay() -> Iterator[tuple[Relay, str]]:
    """A relay, and where its metrics are."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f'endpoints = ["tcp:{port}:interface=127.0.0.1"]'
    with running_relay(settings=f"[admin]\n{endpoint}\n") as relay:
        yield relay, f"http://127.0.0.1:{port}/metrics"


def _ask(page: str) -> int:
    with urllib.request.urlopen(page, timeout=30) as answer:
        return len(answer.read())


def _answer_milliseconds() -> float:
    with _relay() as (relay, page):
        events = material.notes_20k()
        Load(relay, "ingest", events=events, count=2000, conns=10, window=64).result()
        before = sum(map(cpu_seconds, relay.pids))
        for _ in range(_ANSWERS):
            _ask(page)
        return (sum(map(cpu_seconds, relay.pids)) - before) / _ANSWERS * 1000


def _event_microseconds(pause: float) -> float:
    done = Event()
    with _relay() as (relay, page):

        def ask() -> None:
            while not done.wait(pause):
                _ask(page)

        asking = Thread(target=ask)
        if pause:
            asking.start()
        try:
            events = material.notes_100k()
            found = Load(
                relay, "ingest", events=events, count=_EVENTS, conns=10, window=64
            ).result()
        finally:
            done.set()
            if pause:
                asking.join()
    return float(found["relay_cpu_us_per_event"])


def main(rounds: int) -> None:
    """Measure, and print."""
    build_nload()
    print(f"an answer: {_answer_milliseconds():.1f} ms")
    costs: dict[float, list[float]] = {pause: [] for pause in _PAUSES}
    for at in range(rounds):
        for pause in _PAUSES if at % 2 else reversed(_PAUSES):
            costs[pause].append(_event_microseconds(pause))
    for pause, some in costs.items():
        how_often = f"asked every {pause:g} s" if pause else "nobody asks"
        print(f"an event, {how_often}: {median(some):.1f} µs ({min(some):.1f} at best)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
