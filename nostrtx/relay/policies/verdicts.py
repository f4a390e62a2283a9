# -*- test-case-name: tests.relay.policies.test_verdicts -*-
"""
What policies have said, and how long that took them: in one way for all of them.

Of each policy it is counted by the step at which it was asked, whether what it said
was done or it is in shadow, and the rule of it that said so, where it has rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import inf
from typing import Final, Literal

import attrs

from nostrtx.relay.histogram import SECONDS, Histogram, part_name
from nostrtx.settings.programs import OWN_POLICIES

#: The family of counters.
VERDICTS: Final = "policy_verdicts"

#: The family of histograms, by policy and step.
POLICY_SECONDS: Final = "policy_seconds"

#: Upper bounds of these for the relay's own policies: few wait for anything.
_OWN_BOUNDS: Final = (
    *(0.000002, 0.000005, 0.00001, 0.00002, 0.00005, 0.0001, 0.001, 0.01, 0.1, 1.0),
    inf,
)

#: When a policy is asked: about an event before its signature is checked, about an
#: event that is known to be good, about a request, about a connection.
Step = Literal["check", "admit", "request", "connect"]

#: What a policy may say. Taken is accepted, and goes no further; failed is no verdict.
ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"
TAKEN: Final = "taken"
FAILED: Final = "failed"


def bounds_of(policy: str) -> tuple[float, ...]:
    """Upper bounds of how long a policy takes."""
    return _OWN_BOUNDS if policy in OWN_POLICIES else SECONDS


class Verdicts:
    """
    What one policy has said at one step, either in force or in shadow.

    Attributes:
        accepted: How often it had nothing against what it was asked about; whoever
            asks counts this.
    """

    __slots__ = ("_by_rule", "accepted")

    def __init__(self) -> None:
        self.accepted = 0
        self._by_rule: Counter[tuple[str, str]] = Counter()

    def count(self, verdict: str, rule: str = "") -> None:
        """
        Count a verdict; one that accepts only if a rule did, for it is in the sum.

        Args:
            verdict: What was said.
            rule: Which rule of the policy said so; empty if it has none.
        """
        self._by_rule[rule, verdict] += 1

    def expect(self, verdict: str, rule: str) -> None:
        """Tell of a verdict before there is one: what it starts from is then seen."""
        self._by_rule.setdefault((rule, verdict), 0)

    def told(self) -> Iterator[tuple[str, str, int]]:
        """Rule, verdict and how often; what no rule has accepted is without one."""
        rest = self.accepted
        for (rule, verdict), count in self._by_rule.items():
            yield rule, verdict, count
            if verdict == ACCEPTED:
                rest -= count
        if rest > 0:
            yield "", ACCEPTED, rest


@attrs.frozen(slots=True)
class Verdict:
    """
    What a counter of the family counts.

    Attributes:
        policy: Its name.
        step: When it was asked.
        rule: Which rule of the policy said so; empty for none.
        enforced: Whether what was said was done: ``yes``, or ``no`` in shadow.
        verdict: What was said.
    """

    policy: str
    step: str
    rule: str
    enforced: str
    verdict: str

    @property
    def fact(self) -> str:
        """The name of the counter."""
        return ":".join((VERDICTS, *attrs.astuple(self)))


def verdict_of(fact: str) -> Verdict | None:
    """What a counter counts; None if it is not of this family."""
    family, *parts = fact.split(":")
    if family != VERDICTS or len(parts) != len(attrs.fields(Verdict)):
        return None
    return Verdict(*parts)


class VerdictRecord:
    """What all policies of one process have said since it started."""

    def __init__(self) -> None:
        self._verdicts: dict[tuple[str, Step, bool], Verdicts] = {}
        self._seconds: dict[tuple[str, Step], Histogram] = {}

    def of(self, policy: str, step: Step, is_enforced: bool) -> Verdicts:
        """Where it is counted what a policy says at a step."""
        return self._verdicts.setdefault((policy, step, is_enforced), Verdicts())

    def seconds_of(self, policy: str, step: Step) -> Histogram:
        """Where it is counted how long a policy takes at a step."""
        name = part_name(part_name(POLICY_SECONDS, policy), step)
        histogram = Histogram(name, bounds_of(policy))
        return self._seconds.setdefault((policy, step), histogram)

    def facts(self) -> dict[str, int]:
        """All of it, by name; zeros only where something is expected."""
        facts: dict[str, int] = {}
        for (policy, step, is_enforced), verdicts in self._verdicts.items():
            enforced = "yes" if is_enforced else "no"
            for rule, verdict, count in verdicts.told():
                facts[Verdict(policy, step, rule, enforced, verdict).fact] = count
        for histogram in self._seconds.values():
            facts.update(histogram.facts())
        return facts
