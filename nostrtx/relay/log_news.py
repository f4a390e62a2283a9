# -*- test-case-name: tests.relay.test_log_news -*-
"""
What processes of one relay tell one another of events: messages on the bus.

Stored events come in runs: parts of the arrival log without a hole, each with the
events in it or, where all read the same store, without. Ephemeral events, which are
in no log, come by themselves.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Final

import attrs

#: Topics of the bus: runs of the log, ephemeral events, ids of removed events.
STORED: Final = "stored"
PASSED: Final = "passed"
REMOVED: Final = "removed"

#: A run with more bytes of events than this is parted.
_RUN_BYTES: Final = 256 * 1024

_HEAD: Final = Struct(">QQ")
_LENGTH: Final = Struct(">I")


class NewsError(Exception):
    """The message is not of the form that this version of the relay sends."""


@attrs.frozen(slots=True)
class Run:
    """
    A part of the arrival log without a hole.

    Attributes:
        first: The ``seq`` of its first event.
        last: The ``seq`` of its last event.
        events: All of them as :attr:`Event.raw`, in order; none if whoever hears of
            the run can read it.
    """

    first: int
    last: int
    events: Sequence[bytes] = ()

    def pack(self) -> bytes:
        """The run as a message."""
        parts = [_HEAD.pack(self.first, self.last)]
        for raw in self.events:
            parts += (_LENGTH.pack(len(raw)), raw)
        return b"".join(parts)


def unpack_run(message: bytes) -> Run:
    """
    The run that a message tells of.

    Raises:
        NewsError: It does not tell of any.
    """
    if len(message) < _HEAD.size:
        raise NewsError("the message is cut off")
    first, last = _HEAD.unpack_from(message)
    events = list(_events(message))
    if not 0 < first <= last or len(events) not in (0, last + 1 - first):
        raise NewsError("the message holds another number of events than it says")
    return Run(first, last, events)


def _events(message: bytes) -> Iterator[bytes]:
    at = _HEAD.size
    while at < len(message):
        begin = at + _LENGTH.size
        if begin > len(message):
            raise NewsError("the message is cut off")
        (length,) = _LENGTH.unpack_from(message, at)
        at = begin + length
        if at > len(message):
            raise NewsError("the message is cut off")
        yield message[begin:at]


def runs(stored: Iterable[tuple[int, bytes]]) -> Iterator[Run]:
    """
    The runs that these events make, none of them very long.

    Args:
        stored: Events with their ``seq``, in order.
    """
    events: list[bytes] = []
    size = first = 0
    for seq, raw in stored:
        if events and (seq != first + len(events) or size > _RUN_BYTES):
            yield Run(first, first + len(events) - 1, events)
            events = []
        if not events:
            first, size = seq, 0
        events.append(raw)
        size += len(raw)
    if events:
        yield Run(first, first + len(events) - 1, events)


def pack_ids(ids: Iterable[bytes]) -> bytes:
    """Event ids as a message."""
    return b"".join(ids)


def unpack_ids(message: bytes) -> list[bytes]:
    """
    The event ids in a message.

    Raises:
        NewsError: It does not hold any.
    """
    if len(message) % 32:
        raise NewsError("the message is cut off")
    return [message[at : at + 32] for at in range(0, len(message), 32)]
