# -*- test-case-name: tests.relay.test_measurements -*-
"""
What the relay measures while it runs, beyond plain counters.

All of it is a number by a name, so that the figures of several processes can be added
up like other counters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from math import inf
from typing import Final

from nostrtx.nostr.errors import ReasonPrefix
from nostrtx.nostr.kinds import is_addressable, is_ephemeral, is_replaceable
from nostrtx.relay.histogram import SECONDS, Histogram, part_name
from nostrtx.relay.policies.verdicts import VerdictRecord

#: Upper bounds of the sizes of batches.
SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, inf)

#: Each histogram and its bounds.
HISTOGRAMS: Final[Mapping[str, tuple[float, ...]]] = {
    "verify_seconds": SECONDS,
    "verify_events": SIZES,
    "commit_seconds": SECONDS,
    "commit_events": SIZES,
    "delivery_seconds": SECONDS,
    "query_seconds": SECONDS,
}

#: Families of counters: what is counted of each.
KINDS: Final = "events_accepted"
REASONS: Final = "events_refused_because"
VERBS: Final = "messages"
UNFINISHED: Final = "queries_unfinished"

#: Those that tell how things are now, of what is reported.
MEASURED_GAUGES: Final = frozenset(
    {
        "processes",
        "bus_connected",
        "events_pending",
        "events_unchecked",
        "events_unsaved",
        "queries_waiting",
    }
)

#: Kinds that are counted by themselves; all others by the range they are in.
_COMMON_KINDS: Final = {
    kind: str(kind)
    for kind in (
        *(0, 1, 3, 4, 5, 6, 7, 9, 11, 13, 14, 16, 20, 21, 22, 62, 1059, 1111, 1311),
        *(1984, 9734, 9735, 10000, 10002, 10050, 22242, 24133, 30023, 30078, 30311),
    )
}

_PREFIXES: Final = frozenset(prefix.value for prefix in ReasonPrefix)


def kind_label(kind: int) -> str:
    """What events of a kind are counted as: one of few labels, whatever is sent."""
    label = _COMMON_KINDS.get(kind)
    if label is not None:
        return label
    if is_replaceable(kind):
        return "replaceable"
    if is_ephemeral(kind):
        return "ephemeral"
    return "addressable" if is_addressable(kind) else "regular"


def reason_label(reason: str) -> str:
    """What a refusal with this reason is counted as: its prefix, if that is one."""
    prefix = reason.partition(":")[0]
    return prefix if prefix in _PREFIXES else "other"


class Measurements:
    """
    What one process of the relay has measured since it started.

    Attributes:
        verify_seconds: From the arrival of a batch's first event until the signatures
            of the batch are checked.
        verify_events: Signatures in such a batch.
        commit_seconds: How long the store took for a batch of events.
        commit_events: Events in such a batch.
        delivery_seconds: From the arrival of an event until it was handed to all who
            subscribe to it here; then it is answered OK.
        query_seconds: From a REQ until its EOSE, without waiting for the client.
        kinds: Events that were stored or passed on, by kind.
        reasons: Refusals of events, by reason.
        unfinished: Queries that did not come to their EOSE, by why.
        verbs: Messages of clients that are not counted otherwise, by verb.
        policies: What policies have said.
    """

    __slots__ = (
        "_reporters",
        "commit_events",
        "commit_seconds",
        "delivery_seconds",
        "kinds",
        "policies",
        "query_seconds",
        "reasons",
        "unfinished",
        "verbs",
        "verify_events",
        "verify_seconds",
    )

    def __init__(self) -> None:
        self.verify_seconds = Histogram("verify_seconds", SECONDS)
        self.verify_events = Histogram("verify_events", SIZES)
        self.commit_seconds = Histogram("commit_seconds", SECONDS)
        self.commit_events = Histogram("commit_events", SIZES)
        self.delivery_seconds = Histogram("delivery_seconds", SECONDS)
        self.query_seconds = Histogram("query_seconds", SECONDS)
        self.kinds: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.unfinished: Counter[str] = Counter()
        self.verbs: Counter[str] = Counter()
        self.policies = VerdictRecord()
        self._reporters: list[Callable[[], Mapping[str, int]]] = []

    def report(self, reporter: Callable[[], Mapping[str, int]]) -> None:
        """Have ``reporter`` asked for further numbers whenever they are wanted."""
        self._reporters.append(reporter)

    def facts(self) -> dict[str, int]:
        """All that was measured, by name; zeros may be left out."""
        facts: dict[str, int] = {}
        for name in HISTOGRAMS:
            facts.update(getattr(self, name).facts())
        for family, counts in (
            (KINDS, self.kinds),
            (REASONS, self.reasons),
            (UNFINISHED, self.unfinished),
            (VERBS, self.verbs),
        ):
            for part, count in counts.items():
                facts[part_name(family, part)] = count
        facts.update(self.policies.facts())
        for reporter in self._reporters:
            facts.update(reporter())
        return facts
