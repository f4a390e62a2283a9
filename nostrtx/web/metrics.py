# -*- test-case-name: tests.web.test_metrics -*-
"""
What the relay has counted and measured, as Prometheus reads it.

Numbers come by the names that statistics and measurements have for them; here they
become families with units, labels and a line of help. docs/metrics.md lists them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import attrs
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from nostrtx import __version__
from nostrtx.relay.histogram import SCALE, part_name, sum_name
from nostrtx.relay.measurements import (
    HISTOGRAMS,
    KINDS,
    REASONS,
    UNFINISHED,
    VERBS,
)
from nostrtx.relay.policies.verdicts import (
    POLICY_SECONDS,
    Verdict,
    bounds_of,
    verdict_of,
)

#: Begins the name of every family.
_PREFIX: Final = "nostrtx_"

#: Gauges: what each fact is called, and what it means.
_GAUGES: Final = (
    ("processes", "processes", "Processes of this node that serve clients."),
    ("bus_connected", "bus_connected_processes", "Processes that hear the others."),
    ("sessions", "connections", "Clients that are connected."),
    ("subscriptions", "subscriptions", "Subscriptions that are open."),
    ("events_pending", "events_pending", "Events taken up and not answered yet."),
    ("events_unchecked", "events_unchecked", "Events whose signature is not checked."),
    ("events_unsaved", "events_unsaved", "Events that wait for a transaction."),
    ("queries_waiting", "queries_waiting", "Stored queries that wait for their turn."),
    ("log_lag", "log_lag_events", "Stored events that are not delivered here yet."),
)

#: Counters by one label: the family, its label, help, and each fact by its value.
_OUTCOMES: Final = {
    "stored": "events_stored",
    "passed_on": "events_passed_on",
    "taken": "events_taken",
    "duplicate": "events_duplicate",
    "refused": "events_refused",
}
_VERBS: Final = {
    "EVENT": "events_received",
    "REQ": "requests",
    "COUNT": "counts",
    "NEG-OPEN": "reconciliations",
    **{verb: part_name(VERBS, verb) for verb in ("CLOSE", "AUTH")},
    **{verb: part_name(VERBS, verb) for verb in ("NEG-MSG", "NEG-CLOSE")},
}
_REFUSED: Final = {
    "REQ": "requests_refused",
    "COUNT": "counts_refused",
    "NEG-OPEN": "reconciliations_refused",
}
_NEWS: Final = {
    outcome: f"news_{outcome}"
    for outcome in (
        "published",
        "received",
        "unsent",
        "foreign",
        "forged",
        "replayed",
    )
}
_UNFINISHED: Final = {
    why: part_name(UNFINISHED, why) for why in ("failed", "given_up", "out_of_time")
}
_LABELLED: Final = (
    ("events", "outcome", "Events of clients, by what became of them.", _OUTCOMES),
    ("messages", "verb", "Messages of clients.", _VERBS),
    ("news", "outcome", "News between processes, by what became of it.", _NEWS),
    ("queries_unfinished", "why", "Queries that came to no EOSE.", _UNFINISHED),
    ("requests_refused", "verb", "Requests that were refused at once.", _REFUSED),
)

#: Counters by whatever labels there are: the family, its label, help, and the facts.
_FAMILIES: Final = (
    ("events_accepted", "kind", "Events stored or passed on.", KINDS),
    ("events_refused", "reason", "Events answered with OK false.", REASONS),
)

#: Plain counters: what each fact is called, and what it means.
_COUNTERS: Final = (
    ("events_sent", "stored_events_sent", "Stored events sent in answer to REQ."),
    ("events_delivered", "live_events_sent", "Live events sent to subscriptions."),
    ("notices", "notices", "Messages that could only be answered with NOTICE."),
    ("events_expired", "events_expired", "Events removed because their time came."),
    ("events_heard", "events_heard", "Events that other processes told of."),
    ("redis_reconnections", "redis_reconnections", "Connections to Redis begun anew."),
    ("events_read", "events_read", "Events of others that were found in the log."),
)

_HISTOGRAM_HELP: Final = {
    "verify_seconds": "From an event's arrival until its batch's signatures are known.",
    "verify_events": "Signatures in a batch.",
    "commit_seconds": "How long the store took for a batch of events.",
    "commit_events": "Events in a batch that was committed.",
    "delivery_seconds": "From an event's arrival until it was delivered and answered.",
    "query_seconds": "From REQ to EOSE, without waiting for the client.",
}


@attrs.frozen
class StoreState:
    """
    What is told of the store, which all processes of a node share.

    Attributes:
        is_reachable: Whether it answers.
        last_seq: The ``seq`` of the event stored last.
        sizes: The bytes that each part takes; empty if that is not known.
    """

    is_reachable: bool
    last_seq: int = 0
    sizes: Mapping[str, int] = attrs.field(factory=dict)


class _Fixed(Collector):
    """Metrics that are known already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def exposition(
    facts: Mapping[str, int],
    store: StoreState,
    certificate_ends: Mapping[str, float],
) -> tuple[bytes, str]:
    """
    All metrics as text, in the format of Prometheus.

    It is not OpenMetrics, whoever would rather have that: the same takes twice as long.

    Args:
        facts: Counters and measurements of the node by name.
        store: What is told of the store.
        certificate_ends: When certificates end, in seconds since 1970, by endpoint.

    Returns:
        The text and its media type.
    """
    registry = CollectorRegistry()
    registry.register(
        _Fixed(
            [*_of_facts(facts), *_of_store(store), _of_certificates(certificate_ends)]
        )
    )
    encode, media_type = choose_encoder("")
    return encode(registry), media_type


def _of_facts(facts: Mapping[str, int]) -> Iterator[Metric]:
    build = GaugeMetricFamily(
        f"{_PREFIX}build_info", "The version of the relay.", labels=["version"]
    )
    build.add_metric([__version__], 1)
    yield build
    for fact, name, meaning in _GAUGES:
        yield GaugeMetricFamily(_PREFIX + name, meaning, value=facts.get(fact, 0))
    for name, label, meaning, values in _LABELLED:
        family = CounterMetricFamily(_PREFIX + name, meaning, labels=[label])
        for value, fact in values.items():
            family.add_metric([value], facts.get(fact, 0))
        yield family
    for name, label, meaning, prefix in _FAMILIES:
        family = CounterMetricFamily(_PREFIX + name, meaning, labels=[label])
        start = part_name(prefix, "")
        for fact in sorted(fact for fact in facts if fact.startswith(start)):
            family.add_metric([fact.removeprefix(start)], facts[fact])
        yield family
    for fact, name, meaning in _COUNTERS:
        yield CounterMetricFamily(_PREFIX + name, meaning, value=facts.get(fact, 0))
    for name in HISTOGRAMS:
        yield _histogram(name, facts)
    yield from _of_policies(facts)


def _of_policies(facts: Mapping[str, int]) -> Iterator[Metric]:
    labels = [field.name for field in attrs.fields(Verdict)]
    family = CounterMetricFamily(
        f"{_PREFIX}policy_verdicts", "What policies have decided.", labels=labels
    )
    for fact in sorted(facts):
        if counted := verdict_of(fact):
            family.add_metric(attrs.astuple(counted), facts[fact])
    yield family
    seconds = HistogramMetricFamily(
        f"{_PREFIX}{POLICY_SECONDS}",
        "How long policies take.",
        labels=["policy", "step"],
    )
    start = part_name(POLICY_SECONDS, "")
    names = {fact.rpartition(":")[0] for fact in facts if fact.startswith(start)}
    for name in sorted(names):
        policy, _, step = name.removeprefix(start).partition(":")
        buckets, total = _buckets(name, bounds_of(policy), facts)
        seconds.add_metric([policy, step], buckets, total)
    yield seconds


def _histogram(name: str, facts: Mapping[str, int]) -> Metric:
    family = HistogramMetricFamily(_PREFIX + name, _HISTOGRAM_HELP[name])
    family.add_metric([], *_buckets(name, HISTOGRAMS[name], facts))
    return family


def _buckets(
    name: str, bounds: Iterable[float], facts: Mapping[str, int]
) -> tuple[list[tuple[str, float]], float]:
    """The buckets of a histogram, and the sum."""
    buckets: list[tuple[str, float]] = []
    count = 0
    for bound in bounds:
        count += facts.get(part_name(name, bound), 0)
        buckets.append(("+Inf" if bound == float("inf") else str(bound), count))
    return buckets, facts.get(sum_name(name), 0) / SCALE


def _of_store(store: StoreState) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        f"{_PREFIX}store_up", "Whether the store answers.", value=store.is_reachable
    )
    if store.is_reachable:
        yield GaugeMetricFamily(
            f"{_PREFIX}store_last_seq",
            "The number of the event stored last.",
            value=store.last_seq,
        )
        sizes = GaugeMetricFamily(
            f"{_PREFIX}store_bytes",
            "What each part of the store takes.",
            labels=["part"],
        )
        for part, size in sorted(store.sizes.items()):
            sizes.add_metric([part], size)
        yield sizes


def _of_certificates(ends: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(
        f"{_PREFIX}certificate_expiry_timestamp_seconds",
        "When the certificate of an endpoint ends, in seconds since 1970.",
        labels=["endpoint"],
    )
    for endpoint, end in sorted(ends.items()):
        family.add_metric([endpoint], end)
    return family
