# -*- test-case-name: tests.relay.test_tally -*-
"""
What all processes of the relay have counted together.

Each tells its counters about once a second, if they have changed. Gauges count as
long as a process is there. What a process has counted stays in the sum when it is
gone, also for processes that start later: those who knew it pass that on.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from twisted.logger import Logger

from nostrtx.interfaces import IOtherProcesses
from nostrtx.nostr import json
from nostrtx.relay.statistics import GAUGES, Statistics

#: The topic on which counters travel.
COUNTERS: Final = "counters"

#: Of so many processes that are gone it is known what each of them counted.
_MOST_PAST: Final = 1000

Counts = dict[str, int]


class Tally:
    """
    Adds up the statistics of this process and of all others.

    Args:
        others: The other processes.
        statistics: Of this one.
    """

    _log = Logger()

    def __init__(self, others: IOtherProcesses, statistics: Statistics) -> None:
        self._others = others
        self._own = statistics
        self._told: Counts = {}
        self._theirs: dict[str, Counts] = {}
        self._past: dict[str, Counts] = {}
        others.listen(COUNTERS, self._heard)
        others.on_beat(self._tell_changes)
        others.on_arrival(self._tell_all)
        others.on_departure(self._departed)

    def facts(self) -> Counts:
        """The sums, by the names that :class:`Statistics` has for them."""
        sums = Counter(self._own.facts())
        for counts in (*self._past.values(), *self._theirs.values()):
            sums.update(counts)
        return dict(sums)

    def _tell_changes(self) -> None:
        if self._others.are_none:
            return
        facts = self._own.facts()
        if facts != self._told:
            self._tell(facts, {})

    def _tell_all(self) -> None:
        self._tell(self._own.facts(), self._past)

    def _tell(self, facts: Counts, past: dict[str, Counts]) -> None:
        present = {name: count for name, count in facts.items() if count}
        if self._others.publish(COUNTERS, json.dumps([present, past])):
            self._told = facts

    def _heard(self, sender: str, message: bytes) -> None:
        try:
            told: Any = json.loads(message)
            present, past = told
            self._theirs[sender] = _counts(present)
            for name, counts in past.items():
                self._add_past(name, _counts(counts))
        except (AttributeError, TypeError, ValueError) as error:
            self._log.warn(
                "{sender} sent counters that are not understood: {reason}.",
                sender=sender,
                reason=error,
            )

    def _add_past(self, name: str, counts: Counts) -> None:
        """Learn what somebody else knows of the past: the larger number is later."""
        known = self._past.setdefault(name, {})
        for counter, count in counts.items():
            known[counter] = max(known.get(counter, 0), count)
        self._forget_names()

    def _departed(self, name: str, for_good: bool) -> None:
        counts = self._theirs.get(name)
        if counts is None:
            return
        counts = {what: count for what, count in counts.items() if what not in GAUGES}
        if not for_good:
            self._theirs[name] = counts
            return
        del self._theirs[name]
        self._past[name] = dict(Counter(self._past.get(name, {})) + Counter(counts))
        self._forget_names()

    def _forget_names(self) -> None:
        while len(self._past) > _MOST_PAST:
            oldest = next(name for name in self._past if name)
            nameless = Counter(self._past.get("", {}))
            nameless.update(self._past.pop(oldest))
            self._past[""] = dict(nameless)


def _counts(value: object) -> Counts:
    if not isinstance(value, dict) or not all(
        type(count) is int for count in value.values()
    ):
        raise ValueError("not counters")
    return value
