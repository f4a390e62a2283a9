# -*- test-case-name: tests.web.test_elsewhere -*-
"""
The connections of the relay's other processes, by address.

Each process tells how many connections it has from an address when that changes; what
changes within a few milliseconds goes in one message. Numbers, not steps, are told:
what could not be told is told soon, and all of it now and then, so that no message that
was lost counts for long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from nostrtx.interfaces.processes import IOtherProcesses
from nostrtx.nostr import json

#: The topic on which connections are counted.
CONNECTIONS: Final = "connections"

#: How long a change may wait for others, in seconds.
_GATHER_SECONDS: Final = 0.005

#: All is told after so many beats.
ALL_BEATS: Final = 60


@attrs.define(eq=False, slots=True)
class _Process:
    """What is known of another process: its connections, in all and by group."""

    count: int = 0
    by_group: dict[str, int] = attrs.field(factory=dict)


class ConnectionsElsewhere:
    """
    Counts what others have, and tells them what this process has.

    Args:
        others: The other processes.
        clock: Says when to tell.
        own: Gives this process's connections, in all and by address group.

    Attributes:
        count: Connections of the others in all.
    """

    _log = Logger()

    def __init__(
        self,
        others: IOtherProcesses,
        clock: IReactorTime,
        own: Callable[[], tuple[int, Mapping[str, int]]],
    ) -> None:
        self.count = 0
        self._others = others
        self._clock = clock
        self._own = own
        self._by_group: Counter[str] = Counter()
        self._processes: dict[str, _Process] = {}
        self._changed: set[str] = set()
        self._telling: IDelayedCall | None = None
        self._is_behind = False
        self._beats = 0
        others.listen(CONNECTIONS, self._heard)
        others.on_beat(self._beat)
        others.on_arrival(self._tell_all)
        others.on_departure(self._departed)

    def of_group(self, group: str) -> int:
        """Connections of the others from one address group."""
        return self._by_group[group]

    def changed(self, group: str) -> None:
        """Tell the others that the number of connections here has changed."""
        if self._others.are_none:
            # Whoever arrives is told everything.
            return
        if group:
            self._changed.add(group)
        if self._telling is None:
            self._telling = self._clock.callLater(_GATHER_SECONDS, self._tell_changes)

    def _beat(self) -> None:
        """Make good what was not heard."""
        if self._others.are_none:
            return
        self._beats += 1
        if self._beats >= ALL_BEATS:
            self._tell_all()
        elif self._is_behind:
            self._tell_changes()

    def _tell_changes(self) -> None:
        self._telling = None
        count, by_group = self._own()
        changed = {group: by_group.get(group, 0) for group in self._changed}
        self._tell(False, count, changed)

    def _tell_all(self) -> None:
        count, by_group = self._own()
        # If it cannot be told now, then at the next beat.
        self._beats = 0 if self._tell(True, count, by_group) else ALL_BEATS

    def _tell(self, is_all: bool, count: int, by_group: Mapping[str, int]) -> bool:
        message = json.dumps([is_all, count, dict(by_group)])
        is_told = self._others.publish(CONNECTIONS, message)
        self._is_behind = not is_told
        if is_told:
            self._changed.clear()
        return is_told

    def _heard(self, sender: str, message: bytes) -> None:
        try:
            told: Any = json.loads(message)
            is_all, count, by_group = told
            if is_all:
                self._departed(sender)
            process = self._processes.setdefault(sender, _Process())
            self.count += count - process.count
            process.count = count
            for group, number in by_group.items():
                self._set(process, group, number)
        except (AttributeError, TypeError, ValueError) as error:
            self._log.warn(
                "{sender} counts connections in a way not understood: {reason}.",
                sender=sender,
                reason=error,
            )

    def _set(self, process: _Process, group: str, number: int) -> None:
        before = process.by_group.pop(group, 0)
        if number:
            process.by_group[group] = number
        total = self._by_group[group] + number - before
        if total:
            self._by_group[group] = total
        else:
            del self._by_group[group]

    def _departed(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is None:
            return
        self.count -= process.count
        for group in list(process.by_group):
            self._set(process, group, 0)
