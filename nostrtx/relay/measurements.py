# -*- test-case-name: tests.relay.test_measurements -*-
"""
What the relay measures while it runs, beyond plain counters.

All of it is a number by a name, so that the figures of several processes can be added
up like other counters. A part of a family has the name of the family, a colon, and
what it is: ``commit_seconds:0.01`` counts what took up to ten milliseconds and more
than the bound before.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Final

from nostrtx.nostr.errors import ReasonPrefix
from nostrtx.nostr.kinds import is_addressable, is_ephemeral, is_replaceable

#: Upper bounds of what is measured in seconds.
SECONDS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    inf,
)

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
RULES: Final = "rule_matches"

#: Of policies: a part is the name, whether it is enforced, and the verdict.
VERDICTS: Final = "policy_verdicts"

#: Histograms, each by the name of a policy.
POLICY_SECONDS: Final = "policy_seconds"

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

#: Sums are kept in whole millionths, for what is added up must be integers.
SCALE: Final = 1_000_000

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


class Histogram:
    """
    How often a value was how large.

    Args:
        name: What the value is, with its unit.
        bounds: Of the classes, each inclusive; the last one is infinite.
    """

    __slots__ = ("_bounds", "_counts", "_name", "_total")

    def __init__(self, name: str, bounds: tuple[float, ...]) -> None:
        self._name = name
        self._bounds = bounds
        self._counts = [0] * len(bounds)
        self._total = 0.0

    def observe(self, value: float) -> None:
        """Count one value; what is negative, after a step of the clock, is none."""
        self._counts[bisect_left(self._bounds, value)] += 1
        if value > 0:
            self._total += value

    def observe_since(self, starts: Iterable[float], now: float) -> None:
        """Count the time from each of ``starts`` until ``now``."""
        bounds, counts, total = self._bounds, self._counts, 0.0
        for start in starts:
            value = now - start
            counts[bisect_left(bounds, value)] += 1
            total += value
        if total > 0:
            self._total += total

    def facts(self) -> dict[str, int]:
        """What was counted, by the names described above; zeros are left out."""
        facts = {
            part_name(self._name, bound): count
            for bound, count in zip(self._bounds, self._counts, strict=True)
            if count
        }
        if self._total:
            facts[sum_name(self._name)] = round(self._total * SCALE)
        return facts


def part_name(family: str, part: object) -> str:
    """The name of a part of a family."""
    return f"{family}:{part}"


def sum_name(histogram: str) -> str:
    """The name of the sum of all values of a histogram, in millionths."""
    return part_name(histogram, "sum")


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
        verbs: Messages of clients that are not counted otherwise, by verb.
        rules: How often each rule of the operator's table has held, by its name, what
            came of it, and whether it is enforced, with slashes in between.
    """

    __slots__ = (
        "_policy_seconds",
        "_reporters",
        "_verdicts",
        "commit_events",
        "commit_seconds",
        "delivery_seconds",
        "kinds",
        "query_seconds",
        "reasons",
        "rules",
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
        self.verbs: Counter[str] = Counter()
        self.rules: Counter[str] = Counter()
        self._verdicts: dict[str, Counter[str]] = {}
        self._policy_seconds: dict[str, Histogram] = {}
        self._reporters: list[Callable[[], Mapping[str, int]]] = []

    def verdicts_of(self, policy: str, enforced: bool) -> Counter[str]:
        """Where the verdicts of a policy are counted, by what they are."""
        part = part_name(policy, "yes" if enforced else "no")
        return self._verdicts.setdefault(part, Counter())

    def policy_seconds_of(self, policy: str) -> Histogram:
        """How long a policy takes to decide."""
        name = part_name(POLICY_SECONDS, policy)
        return self._policy_seconds.setdefault(policy, Histogram(name, SECONDS))

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
            (VERBS, self.verbs),
            (RULES, self.rules),
        ):
            for part, count in counts.items():
                facts[part_name(family, part)] = count
        for policy, verdicts in self._verdicts.items():
            for verdict, count in verdicts.items():
                facts[f"{VERDICTS}:{policy}:{verdict}"] = count
        for histogram in self._policy_seconds.values():
            facts.update(histogram.facts())
        for reporter in self._reporters:
            facts.update(reporter())
        return facts
