"""What is measured, and what it must come to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs

from benchmarks import material
from benchmarks.machine import signature_microseconds
from benchmarks.running import Load, Relay, delivery_between_nodes, takeover


@attrs.frozen
class Outcome:
    """
    What one run of a scenario gave.

    Attributes:
        values: What was measured, in the order of the scenario's figures.
        problems: What did not add up; a run with any is no good.
        remarks: What else is worth knowing, such as a rate.
    """

    values: tuple[float, ...]
    problems: tuple[str, ...]
    remarks: str = ""


@attrs.frozen
class Figure:
    """
    One number that a scenario gives. Less is better.

    Attributes:
        title: What it is.
        unit: Its unit.
        must: Most that is acceptable; None if it is only reported.
        aim: What it should be.
    """

    title: str
    unit: str
    must: float | None = None
    aim: float | None = None

    @property
    def is_latency(self) -> bool:
        """Whether it is wall-clock time, which other jobs on the machine lengthen."""
        return self.unit == "ms"


@attrs.frozen
class Scenario:
    """
    One kind of load.

    Attributes:
        name: For ``--only``.
        group: Scenarios of one group share a relay, in the order of the list.
        explanation: What is done, in one line.
        figures: What it gives.
        run: Does it.
        holds_notes: Whether the store must hold the 20,000 notes.
        settings: More of the relay's settings; the same in one group.
        nodes: How many nodes the relay has, which share PostgreSQL and, if there are
            several, Redis; 0 if it is one with a store of its own.
    """

    name: str
    group: str
    explanation: str
    figures: tuple[Figure, ...]
    run: Callable[[Relay], Outcome]
    holds_notes: bool = False
    settings: str = ""
    nodes: int = 0


def publish_notes(relay: Relay) -> dict[str, Any]:
    """Publish the 20,000 notes as fast as 10 connections with 64 each under way do."""
    events = material.notes_20k()
    return Load(relay, "ingest", events=events, conns=10, window=64).result()


def _ingest(relay: Relay) -> Outcome:
    before = signature_microseconds()
    found = publish_notes(relay)
    signature = (before + signature_microseconds()) / 2
    cost = found["relay_cpu_us_per_event"]
    return Outcome(
        values=(cost / signature, found["ack_ms"]["p99"]),
        problems=tuple(found["problems"]),
        remarks=f"{found['events_per_s']:,.0f} events/s, {cost:.0f} µs each, "
        f"sig {signature:.1f} µs",
    )


def _ingest_time(relay: Relay) -> Outcome:
    before = signature_microseconds()
    found = publish_notes(relay)
    signature = (before + signature_microseconds()) / 2
    cost = found["relay_cpu_us_per_event"]
    return Outcome(
        values=(cost / signature, 1e6 / found["events_per_s"]),
        problems=tuple(found["problems"]),
        remarks=f"{found['events_per_s']:,.0f} events/s, {cost:.0f} µs each, "
        f"sig {signature:.1f} µs, OK p99 {found['ack_ms']['p99']:.0f} ms",
    )


def _ingest_shared(relay: Relay) -> Outcome:
    found = publish_notes(relay)
    return Outcome(
        values=(found["relay_cpu_us_per_event"], 1e6 / found["events_per_s"]),
        problems=tuple(found["problems"]),
        remarks=f"{found['events_per_s']:,.0f} events/s, "
        f"OK p99 {found['ack_ms']['p99']:.0f} ms",
    )


def _between_nodes(relay: Relay) -> Outcome:
    found = delivery_between_nodes(relay, material.notes_100k(), 500)
    delivery, answers = found["delivery_ms"], found["ack_ms"]
    return Outcome(
        values=(delivery["p50"], delivery["p99"]),
        problems=tuple(found["problems"]),
        remarks=f"OK p50 {answers['p50']:.1f} ms, p99 {answers['p99']:.1f} ms",
    )


def _takeover(relay: Relay) -> Outcome:
    found = takeover(relay)
    before, during = found["before_ms"], found["during_ms"]
    return Outcome(
        values=(during["client"], during["anybody"]),
        problems=tuple(found["problems"]),
        remarks=f"median of clients {during['median']:.0f} ms; before: a client"
        f" {before['client']:.0f} ms, anybody {before['anybody']:.0f} ms;"
        f" {found['events_per_s']:.0f} events/s,"
        f" {found['start_seconds']:.1f} s to start",
    )


def _paced_fan_out(relay: Relay) -> Outcome:
    found = Load(
        relay,
        "fanout",
        events=material.notes_100k(),
        count=4000,
        conns=20,
        pub_conns=4,
        rate=500,
    ).result()
    delivery = found["delivery_ms"]
    return Outcome(
        values=(delivery["p50"], delivery["p99"]),
        problems=tuple(found["problems"]),
        remarks=f"{found['delivery']['per_s']:,.0f} deliveries/s, "
        f"{found['relay_cpu_us_per_event']:.0f} µs CPU per event",
    )


def _query(what: str, cost: str) -> Callable[[Relay], Outcome]:
    def run(relay: Relay) -> Outcome:
        filters = material.filters(what)
        found = Load(relay, "query", filters=filters, conns=10, duration=4).result()
        return Outcome(
            values=(found[cost],),
            problems=tuple(found["problems"]),
            remarks=f"{found['reqs_per_s']:,.0f} REQ/s, "
            f"{found['events_per_s']:,.0f} events/s, "
            f"EOSE p99 {found['eose_ms']['p99']:.1f} ms",
        )

    return run


def _fan_out(cost: str, **options: Any) -> Callable[[Relay], Outcome]:
    def run(relay: Relay) -> Outcome:
        events = material.notes_100k()
        options_ = {"count": 5000, "conns": 100, "window": 16} | options
        found = Load(relay, "fanout", events=events, **options_).result()
        return Outcome(
            values=(found[cost],),
            problems=tuple(found["problems"]),
            remarks=f"{found['delivery']['per_s']:,.0f} deliveries/s, "
            f"{found['events_per_s']:,.0f} events/s, "
            f"delivery p99 {found['delivery_ms']['p99']:.1f} ms",
        )

    return run


def _mixed(relay: Relay) -> Outcome:
    found = Load(
        relay,
        "mixed",
        events=material.notes_100k(),
        filters=material.filters("mix"),
        conns=50,
        subs=5,
        rate=100,
        req_rate=50,
        duration=8,
    ).result()
    delivery = found["delivery_ms"]
    return Outcome(
        values=(delivery["p50"], delivery["p99"]),
        problems=tuple(found["problems"]),
        remarks=f"{found['cpu']['relay_cores']:.2f} cores, "
        f"EOSE p99 {found['eose_ms']['p99']:.1f} ms",
    )


def _ids_during_ingest(relay: Relay) -> Outcome:
    filters = material.filters("ids")
    events = material.notes_100k()
    ingest = Load(relay, "ingest", events=events, conns=10, window=64)
    time.sleep(1.5)
    asked = Load(relay, "query", filters=filters, conns=10, req_rate=50, duration=4)
    found = asked.result()
    problems = list(found["problems"])
    if not ingest.going_on():
        problems.append("ingest ended before the queries did")
    ingested = ingest.result()
    return Outcome(
        values=(found["eose_ms"]["p99"],),
        problems=(*problems, *ingested["problems"]),
        remarks=f"{ingested['events_per_s']:,.0f} events/s ingested, "
        f"EOSE p50 {found['eose_ms']['p50']:.1f} ms",
    )


def _idle(relay: Relay) -> Outcome:
    found = Load(relay, "idle", conns=5000, hold=5).result()
    return Outcome(
        values=(
            found["rss_bytes_per_conn_end"] / 1000,
            found["relay_cpu_us_per_handshake"],
        ),
        problems=tuple(found["problems"]),
        remarks=f"{found['relay_cpu_cores_idle']:.3f} cores while idle, "
        f"{found['connect']['per_s']:,.0f} handshakes/s",
    )


def _slow_reader(relay: Relay) -> Outcome:
    events = material.notes_100k()
    found = Load(
        relay, "slow", events=events, count=15000, conns=5, slow_subs=10, window=16
    ).result()
    slow = found["slow"]
    problems = list(found["problems"])
    if not slow["disconnected"]:
        problems.append("the slow reader was not cut off")
    before, after = (found[part]["delivery_ms"] for part in ("phase_a", "phase_b"))
    return Outcome(
        values=(after["p50"] / before["p50"], found["rss_growth_b_mb"]),
        problems=tuple(problems),
        remarks=f"cut off after {slow['seconds_after_stop'] or 0:.1f} s; "
        f"delivery p99 {before['p99']:.1f} ms before, {after['p99']:.1f} ms after",
    )


def _million_reads(relay: Relay) -> Outcome:
    ids_filters = material.million_filters("ids")
    home_filters = material.million_filters("home")
    home = Load(relay, "query", filters=home_filters, conns=1, duration=6)
    time.sleep(0.5)
    ids = Load(relay, "query", filters=ids_filters, conns=1, req_rate=50, duration=4)
    beside = ids.result()
    found = home.result()
    return Outcome(
        values=(found["eose_ms"]["p99"], beside["eose_ms"]["p99"]),
        problems=(*found["problems"], *beside["problems"]),
        remarks=f"home p50 {found['eose_ms']['p50']:.1f} ms, "
        f"{found['relay_cpu_us_per_req']:.0f} µs CPU with what goes on beside",
    )


def _million_lists(relay: Relay) -> Outcome:
    first, following = material.contact_lists()
    made = Load(relay, "ingest", events=first, conns=1).result()
    found = Load(relay, "ingest", events=following, conns=1, window=64).result()
    return Outcome(
        values=(found["relay_cpu_us_per_event"],),
        problems=(*made["problems"], *found["problems"]),
        remarks=f"{found['events_per_s']:,.0f} lists/s; "
        f"first versions {made['relay_cpu_us_per_event']:.0f} µs",
    )


_ONE_WORKER = """\
[ingest]
verifier_processes = 0
"""
_TAKEOVER = """\
[listen]
takeover = "takeover.sock"
"""
_TWO_WORKERS = f"""\
{_ONE_WORKER}
[cluster]
workers = 2
"""

SCENARIOS = (
    Scenario(
        "ingest",
        "stored",
        "20,000 notes over 10 connections, 64 under way on each",
        (Figure("CPU per event", "sig", 4.0, 3.0), Figure("OK p99", "ms")),
        _ingest,
    ),
    Scenario(
        "e",
        "stored",
        "REQ by #e as fast as 10 connections ask",
        (Figure("CPU per event sent", "µs", 6, 3.5),),
        _query("e", "relay_cpu_us_per_event"),
        holds_notes=True,
    ),
    Scenario(
        "ids",
        "stored",
        "REQ by 1 to 20 ids as fast as 10 connections ask",
        (Figure("CPU per REQ", "µs", 130, 80),),
        _query("ids", "relay_cpu_us_per_req"),
        holds_notes=True,
    ),
    Scenario(
        "home",
        "stored",
        "REQ for the home feed of 100 to 500 authors, 100 events",
        (Figure("CPU per REQ", "µs", 1600, 900),),
        _query("home", "relay_cpu_us_per_req"),
        holds_notes=True,
    ),
    Scenario(
        "all",
        "fan-out to all",
        "every event to 100 subscribers",
        (Figure("CPU per delivery", "µs", 6, 3.5),),
        _fan_out("relay_cpu_us_per_delivery"),
    ),
    Scenario(
        "authors",
        "fan-out by author",
        "100 clients with 5 subscriptions on 20 authors each",
        (Figure("CPU per event", "µs", 340, 200),),
        _fan_out(
            "relay_cpu_us_per_event", subs=5, mode="authors", per_sub=20, random=True
        ),
    ),
    Scenario(
        "mixed",
        "mixed",
        "50 clients with 5 subscriptions; 100 events/s and 50 REQ/s in all",
        (Figure("delivery p50", "ms", 4, 2), Figure("delivery p99", "ms", 20, 6)),
        _mixed,
        holds_notes=True,
    ),
    Scenario(
        "busy",
        "busy",
        "REQ by ids, 50/s, while events are ingested at full speed",
        (Figure("EOSE p99", "ms", 25, 10),),
        _ids_during_ingest,
        holds_notes=True,
    ),
    Scenario(
        "idle",
        "idle",
        "5,000 connections that do nothing",
        (
            Figure("memory per connection", "kB", 8, 4.5),
            Figure("CPU per handshake", "µs", 400, 200),
        ),
        _idle,
    ),
    Scenario(
        "slow",
        "slow reader",
        "one of six subscribers stops reading: it is cut off, nobody else suffers",
        (
            Figure("others' delivery p50, after to before", "×", 1.5),
            Figure("memory grown", "MB", 64),
        ),
        _slow_reader,
    ),
)

WORKERS = (
    Scenario(
        "one-worker",
        "one worker",
        "20,000 notes over 10 connections; the relay is one process, with no helpers",
        (Figure("CPU per event", "sig"), Figure("time per event", "µs")),
        _ingest_time,
        settings=_ONE_WORKER,
    ),
    Scenario(
        "two-workers",
        "two workers",
        "the same, and the relay is two workers without helpers",
        (Figure("CPU per event", "sig"), Figure("time per event", "µs")),
        _ingest_time,
        settings=_TWO_WORKERS,
    ),
    Scenario(
        "between-workers",
        "between workers",
        "500 events/s to 20 subscribers, spread over two workers",
        (Figure("delivery p50", "ms"), Figure("delivery p99", "ms", 40)),
        _paced_fan_out,
        settings=_TWO_WORKERS,
    ),
)

_GAPS = (
    Figure("longest gap, a client", "ms", 1000, 250),
    Figure("longest gap, anybody", "ms", 250, 50),
)

TAKEOVER = (
    Scenario(
        "takeover",
        "takeover",
        "a process takes over from another, while ten clients publish",
        _GAPS,
        _takeover,
        settings=_TAKEOVER,
    ),
    Scenario(
        "takeover-workers",
        "takeover of workers",
        "the same, from two workers to two workers",
        _GAPS,
        _takeover,
        settings=f"{_TWO_WORKERS}{_TAKEOVER}",
    ),
)

CLUSTER = (
    Scenario(
        "postgres",
        "PostgreSQL",
        "20,000 notes over 10 connections, into PostgreSQL",
        (
            Figure("CPU per event, PostgreSQL's too", "µs", 400),
            Figure("time per event", "µs"),
        ),
        _ingest_shared,
        nodes=1,
    ),
    Scenario(
        "between-nodes",
        "between nodes",
        "500 events/s to one node, and a subscriber on another, by way of Redis",
        (Figure("delivery p50", "ms", 5), Figure("delivery p99", "ms", 25)),
        _between_nodes,
        nodes=2,
    ),
)

MILLION = (
    Scenario(
        "million-reads",
        "million",
        "1,000,000 events stored: one client asks for home feeds, one for ids",
        (Figure("home EOSE p99", "ms", 10), Figure("ids EOSE p99", "ms")),
        _million_reads,
    ),
    Scenario(
        "million-lists",
        "million",
        "1,000,000 events stored: contact lists of 400 people, one changed",
        (Figure("CPU per list", "µs", 300),),
        _million_lists,
    ),
)
