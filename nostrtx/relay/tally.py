# -*- test-case-name: tests.relay.test_tally -*-
"""
What all processes of the relay have counted together.

Each tells its counters about once a second, if they have changed; those of news, which
this very telling changes, wait some seconds for others. Gauges count as long as a
process is there. What a process has counted stays in the sum when it is
gone, also for processes that start later: those who knew it pass that on.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import attrs
from twisted.logger import Logger

from nostrtx.interfaces.processes import IBroadcaster, IOtherProcesses
from nostrtx.nostr import json
from nostrtx.relay.measurements import MEASURED_GAUGES
from nostrtx.relay.past_counts import Counts, PastCounts, counts_in, raise_to
from nostrtx.relay.statistics import GAUGES, Statistics

#: The topic on which counters travel.
COUNTERS: Final = "counters"

#: After so many beats it is told if no more has changed than the counters of news.
NEWS_BEATS: Final = 10

_PASSING: Final = GAUGES | MEASURED_GAUGES


@attrs.frozen
class _Process:
    """Another process that is there, and what it has counted."""

    instance: str
    counts: Counts


class Tally:
    """
    Adds up the statistics of this process and of all others.

    Args:
        others: The other processes.
        statistics: Of this one.
        broadcaster: Counts the news.
    """

    _log = Logger()

    def __init__(
        self,
        others: IOtherProcesses,
        statistics: Statistics,
        broadcaster: IBroadcaster,
    ) -> None:
        self._others = others
        self._statistics = statistics
        self._broadcaster = broadcaster
        self._told: Counts = {}
        self._beats = 0
        self._there: dict[str, _Process] = {}
        self._past = PastCounts()
        others.listen(COUNTERS, self._heard)
        others.on_beat(self._tell_changes)
        others.on_arrival(self._tell_all)
        others.on_departure(self._departed)

    def facts(self) -> Counts:
        """The sums, by the names that statistics and broadcaster have for them."""
        sums = Counter(self._own())
        sums.update(self._past.total())
        for process in self._there.values():
            sums.update(process.counts)
        return dict(sums)

    def _own(self) -> Counts:
        return {**self._statistics.facts(), **self._broadcaster.facts()}

    def _tell_changes(self) -> None:
        if self._others.are_none:
            return
        self._beats += 1
        counted = self._statistics.facts()
        own = {**counted, **self._broadcaster.facts()}
        has_changed = not counted.items() <= self._told.items()
        if has_changed or (self._beats >= NEWS_BEATS and own != self._told):
            self._tell(own, None)

    def _tell_all(self) -> None:
        self._tell(self._own(), self._past.told())

    def _tell(self, facts: Counts, past: list[Any] | None) -> None:
        present = {name: count for name, count in facts.items() if count}
        message = json.dumps([self._others.instance, present, past])
        if self._others.publish(COUNTERS, message):
            self._told = facts
            self._beats = 0

    def _heard(self, sender: str, message: bytes) -> None:
        try:
            told: Any = json.loads(message)
            instance, present, past = told
            if not isinstance(instance, str):
                raise ValueError("not an instance")
            process = _Process(instance, counts_in(present))
            if past is not None:
                self._past.learn(past)
        except (TypeError, ValueError) as error:
            self._log.warn(
                "{sender} sent counters that are not understood: {reason}.",
                sender=sender,
                reason=error,
            )
            return
        before = self._there.get(sender)
        if before is not None and before.instance != instance:
            self._departed(sender)
        self._there[sender] = process
        # Whoever lost sight of somebody tells of it what is past for others only.
        self._past.take(self._others.instance)
        for process in self._there.values():
            raise_to(process.counts, self._past.take(process.instance))

    def _departed(self, name: str) -> None:
        process = self._there.pop(name, None)
        if process is not None:
            counts = process.counts.items()
            self._past.add(
                process.instance,
                {what: count for what, count in counts if what not in _PASSING},
            )
