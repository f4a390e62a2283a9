# -*- test-case-name: tests.relay.test_roll_call -*-
"""
Who else is there: the relay's other processes, and what each tells of itself.

Every process says once a second that it is here. One that is not heard of for some
seconds, or says farewell, or for which somebody else says it, is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from nostrtx.interfaces.processes import IBroadcaster, IOtherProcesses

#: The topic on which processes say that they are here.
HERE: Final = "here"

#: The topic on which processes, or others for them, say that they leave.
FAREWELL: Final = "farewell"

#: How often a process says that it is here, in seconds.
BEAT_SECONDS: Final = 1.0

#: After so many beats of this process without a word, another one counts as gone.
#: Beats, not seconds: one that was stopped for a while finds nobody missing.
MOST_SILENT_BEATS: Final = 5

#: An instance is the time of the start, in milliseconds, and random bytes.
_TIME_BYTES: Final = 6
_RANDOM_BYTES: Final = 6
_INSTANCE_BYTES: Final = _TIME_BYTES + _RANDOM_BYTES


@attrs.define(eq=False, slots=True)
class _Other:
    """
    Another process.

    Attributes:
        instance: Tells it from an earlier one of the same name; empty as long as it
            is not known.
        silent: How many beats ago it was last heard.
    """

    instance: bytes = b""
    silent: int = 0


@implementer(IOtherProcesses)
class RollCall:
    """
    Provides :class:`IOtherProcesses` on a bus.

    Args:
        broadcaster: The bus; whoever starts it starts this first.
        clock: Counts the beats.
        random_bytes: Tells this process from an earlier one of the same name.
    """

    _log = Logger()

    def __init__(
        self,
        broadcaster: IBroadcaster,
        clock: IReactorTime,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._bus = broadcaster
        self._clock = clock
        started = int(clock.seconds() * 1000).to_bytes(_TIME_BYTES, "big")
        self._instance = started + random_bytes(_RANDOM_BYTES)
        self._others: dict[str, _Other] = {}
        self._beats: list[Callable[[], None]] = []
        self._arrivals: list[Callable[[], None]] = []
        self._departures: list[Callable[[str], None]] = []
        self._next: IDelayedCall | None = None
        self._is_over = False
        broadcaster.listen(HERE, self._heard_here)
        broadcaster.listen(FAREWELL, self._heard_farewell)
        broadcaster.on_connected(self._connected)

    @property
    def names(self) -> list[str]:
        """What the others are called that are here, in order."""
        return sorted(self._others)

    @property
    def instance(self) -> str:
        """Names this start of this process, in hexadecimal."""
        return self._instance.hex()

    @property
    def are_none(self) -> bool:
        """Whether nobody else is here."""
        return not self._others

    @property
    def is_first(self) -> bool:
        """Whether nobody is here who was started before, or may have been."""
        return all(self._instance < other.instance for other in self._others.values())

    def listen(self, topic: str, heard: Callable[[str, bytes], None]) -> None:
        """Have ``heard`` called with what others say of themselves on ``topic``."""

        def heard_of(sender: str, payload: bytes) -> None:
            self._note(sender)
            heard(sender, payload)

        self._bus.listen(topic, heard_of)

    def publish(self, topic: str, payload: bytes) -> bool:
        """Tell the others, unless this process has said farewell."""
        return not self._is_over and self._bus.publish(topic, payload)

    def on_beat(self, call: Callable[[], None]) -> None:
        """Have ``call`` made about once a second."""
        self._beats.append(call)

    def on_arrival(self, call: Callable[[], None]) -> None:
        """Have ``call`` made when somebody needs to be told everything."""
        self._arrivals.append(call)

    def on_departure(self, call: Callable[[str], None]) -> None:
        """Have ``call`` made when a process is gone."""
        self._departures.append(call)

    def start(self) -> None:
        """Begin to say that this process is here."""
        self._next = self._clock.callLater(BEAT_SECONDS, self._beat)

    def stop(self) -> None:
        """Say farewell; the bus is still up."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._bus.publish(FAREWELL, b"")
        self._is_over = True

    def _beat(self) -> None:
        self._next = self._clock.callLater(BEAT_SECONDS, self._beat)
        self.publish(HERE, self._instance)
        for name, other in list(self._others.items()):
            other.silent += 1
            if other.silent > MOST_SILENT_BEATS:
                self._log.info("{name} has not been heard of.", name=name)
                self._depart(name)
        self._call_all(self._beats)

    def _connected(self) -> None:
        """Ask the others to tell everything, and do so."""
        self.publish(HERE, self._instance + b"?")
        self._call_all(self._arrivals)

    def _heard_here(self, sender: str, message: bytes) -> None:
        instance, question = message[:_INSTANCE_BYTES], message[_INSTANCE_BYTES:]
        other = self._others.get(sender)
        if other is not None and other.instance not in (b"", instance):
            self._depart(sender)
        asks = self._note(sender, instance)
        if question and not asks:
            self._call_all(self._arrivals)

    def _heard_farewell(self, sender: str, message: bytes) -> None:
        self._depart(sender)

    def _note(self, sender: str, instance: bytes = b"") -> bool:
        """Take note that somebody is there; whether that is news."""
        other = self._others.get(sender)
        if other is not None:
            other.silent = 0
            other.instance = instance or other.instance
            return False
        self._others[sender] = _Other(instance)
        self.publish(HERE, self._instance)
        self._call_all(self._arrivals)
        return True

    def _depart(self, name: str) -> None:
        if self._others.pop(name, None) is None:
            return
        for call in self._departures:
            try:
                call(name)
            except Exception:
                self._log.failure("Forgetting {name} failed.", name=name)

    def _call_all(self, calls: list[Callable[[], None]]) -> None:
        for call in calls:
            try:
                call()
            except Exception:
                self._log.failure("Telling other processes failed.")
