# -*- test-case-name: tests.nostr.negentropy.test_reconciliation -*-
"""
Both sides of a reconciliation: what to answer to a message (NIP-77).

A range whose fingerprints differ is split in 16, or listed when it is small. The
side that initiates compares lists and so learns what only one side holds.

The work for one message is a generator that pauses after each range. A range costs
microseconds, whatever its width; a list costs some 0.3 microseconds per id.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import NamedTuple, TypeVar

from nostrtx.nostr.errors import invalid
from nostrtx.nostr.negentropy.bound import INFINITY, Bound
from nostrtx.nostr.negentropy.messages import (
    ID_BYTES,
    VERSION,
    MessageWriter,
    Mode,
    read_ranges,
    speaks_our_version,
)
from nostrtx.nostr.negentropy.snapshot import Snapshot

MIN_FRAME_BYTES = 4096
"""The smallest limit for a message; every answer makes some progress in it."""

_BUCKETS = 16
_RESERVE_BYTES = 200
_UNLIMITED = 1 << 62

_Compare = Callable[[int, int, bytes], None]
_Result = TypeVar("_Result")


class Reconciled(NamedTuple):
    """
    What one message of the other side has brought.

    Attributes:
        message: What to send next; None when all is settled.
        have: Ids that only this side holds. Later messages may name them again.
        need: Ids that only the other side holds, as far as it says the truth. Later
            messages may name them again.
    """

    message: bytes | None
    have: list[bytes]
    need: list[bytes]


class Reconciliation:
    """
    The side that answers, as a relay does.

    Nothing is remembered between messages but the snapshot.

    Args:
        snapshot: What this side holds.
        max_frame_bytes: The longest answer, before it is made hexadecimal;
            0 for no limit.

    Raises:
        ValueError: ``max_frame_bytes`` is less than :data:`MIN_FRAME_BYTES`.
    """

    def __init__(self, snapshot: Snapshot, max_frame_bytes: int = 0) -> None:
        self._snapshot = snapshot
        self._full_bytes = _full_bytes(max_frame_bytes)

    def answer(self, message: bytes) -> bytes:
        """
        The answer to ``message``.

        Raises:
            Rejected: The message is malformed.
        """
        return _run(self.answer_in_steps(message))

    def answer_in_steps(self, message: bytes) -> Generator[None, None, bytes]:
        """:meth:`answer`, one range at a time; raises at the malformed range."""
        if not speaks_our_version(message):
            return bytes((VERSION,))
        return (yield from _reply(self._snapshot, message, self._full_bytes))


class Initiator:
    """
    The side that asks, as a client does.

    Send :meth:`initiate`, then each :attr:`Reconciled.message` until there is none.
    A side that misbehaves could keep that up for ever: limit the rounds.

    Args:
        snapshot: What this side holds.
        max_frame_bytes: The longest message, before it is made hexadecimal;
            0 for no limit.

    Raises:
        ValueError: ``max_frame_bytes`` is less than :data:`MIN_FRAME_BYTES`.
    """

    def __init__(self, snapshot: Snapshot, max_frame_bytes: int = 0) -> None:
        self._snapshot = snapshot
        self._full_bytes = _full_bytes(max_frame_bytes)

    def initiate(self) -> bytes:
        """The first message."""
        reply = _Reply(self._snapshot, _UNLIMITED)
        reply.split(0, len(self._snapshot), INFINITY)
        return reply.message()

    def reconcile(self, message: bytes) -> Reconciled:
        """
        Take the answer to what was sent last.

        Raises:
            Rejected: The message is malformed, or in a version we do not speak.
        """
        return _run(self.reconcile_in_steps(message))

    def reconcile_in_steps(self, message: bytes) -> Generator[None, None, Reconciled]:
        """:meth:`reconcile`, one range at a time; raises at the malformed range."""
        if not speaks_our_version(message):
            raise invalid("the other side does not speak version 1 of negentropy")
        have: list[bytes] = []
        need: list[bytes] = []

        def compare(lower: int, upper: int, theirs: bytes) -> None:
            only_theirs = dict.fromkeys(_each_id(theirs))
            for id_ in _each_id(self._snapshot.ids(lower, upper)):
                if id_ in only_theirs:
                    del only_theirs[id_]
                else:
                    have.append(id_)
            need.extend(only_theirs)

        reply = yield from _reply(self._snapshot, message, self._full_bytes, compare)
        return Reconciled(reply if len(reply) > 1 else None, have, need)


def _reply(
    snapshot: Snapshot, message: bytes, full_bytes: int, compare: _Compare | None = None
) -> Generator[None, None, bytes]:
    """
    The reply to a message in version 1, pausing after each range.

    Args:
        snapshot: What this side holds.
        message: What the other side sent.
        full_bytes: When a reply is so long, one more range ends it.
        compare: Takes a range and the ids the other side has in it, which settles
            the range. None to answer a list with a list.
    """
    reply = _Reply(snapshot, full_bytes)
    lower = 0
    for range_ in read_ranges(message):
        bound, mode, payload = range_.bound, range_.mode, range_.payload
        upper = snapshot.find(bound, lower)
        if mode is Mode.ID_LIST:
            if compare is None:
                reply.list_ids(lower, upper, bound)
            else:
                compare(lower, upper, payload)
                reply.skip(bound)
        elif mode is Mode.SKIP or payload == snapshot.fingerprint(lower, upper):
            reply.skip(bound)
        else:
            reply.split(lower, upper, bound, payload)
        if reply.is_ended:
            break
        yield
        lower = upper
    return reply.message()


class _Reply:
    """
    A message that is made of one decision per range, and that ends when it is full.

    It then ends in the fingerprint of all that remains.

    Attributes:
        is_ended: Whether it is complete, though ranges may be left.
    """

    def __init__(self, snapshot: Snapshot, full_bytes: int) -> None:
        self.is_ended = False
        self._snapshot = snapshot
        self._full_bytes = full_bytes
        self._writer = MessageWriter()
        self._skipped: Bound | None = None

    def message(self) -> bytes:
        return self._writer.message()

    def skip(self, bound: Bound) -> None:
        """Settle the range up to ``bound``; written when something follows it."""
        self._skipped = bound

    def split(
        self, lower: int, upper: int, bound: Bound, theirs: bytes | None = None
    ) -> None:
        """Tell more about a range: its ids if they are few, else its parts."""
        mark = self._writer.mark()
        self._write_skip()
        count = upper - lower
        if count < 2 * _BUCKETS:
            ids = self._snapshot.ids(lower, upper)
            self._writer.add(bound, Mode.ID_LIST, ids)
        else:
            self._write_parts(lower, count, bound)
        if len(self._writer) > self._full_bytes:
            self._writer.back_to(mark)
            # This range is left out, yet the remainder begins behind it: as the other
            # side has records in it, the fingerprints differ and both come back to it.
            # Without records there they could agree, and ours would be lost.
            is_empty = theirs == self._snapshot.fingerprint(0, 0)
            self._end_with_remainder(lower if is_empty else upper)

    def list_ids(self, lower: int, upper: int, bound: Bound) -> None:
        """List a range, or as much of it as there is room for."""
        room = self._full_bytes - len(self._writer)
        fitting = lower + room // ID_BYTES + 1
        if fitting < upper:
            upper = fitting
            bound = self._snapshot.bound_at(upper)
        self._write_skip()
        self._writer.add(bound, Mode.ID_LIST, self._snapshot.ids(lower, upper))
        if len(self._writer) > self._full_bytes:
            self._end_with_remainder(upper)

    def _write_skip(self) -> None:
        if self._skipped is not None:
            self._writer.add(self._skipped, Mode.SKIP)
            self._skipped = None

    def _write_parts(self, lower: int, count: int, bound: Bound) -> None:
        snapshot = self._snapshot
        size, larger = divmod(count, _BUCKETS)
        for bucket in range(_BUCKETS):
            upper = lower + size + (bucket < larger)
            is_last = bucket == _BUCKETS - 1
            end = bound if is_last else snapshot.bound_before(upper)
            part = snapshot.fingerprint(lower, upper)
            self._writer.add(end, Mode.FINGERPRINT, part)
            lower = upper

    def _end_with_remainder(self, lower: int) -> None:
        remainder = self._snapshot.fingerprint(lower, len(self._snapshot))
        self._writer.add(INFINITY, Mode.FINGERPRINT, remainder)
        self.is_ended = True


def _full_bytes(max_frame_bytes: int) -> int:
    if not max_frame_bytes:
        return _UNLIMITED
    if max_frame_bytes < MIN_FRAME_BYTES:
        raise ValueError(f"max_frame_bytes must be 0 or at least {MIN_FRAME_BYTES}")
    return max_frame_bytes - _RESERVE_BYTES


def _each_id(ids: bytes) -> list[bytes]:
    return [ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES)]


def _run(steps: Generator[None, None, _Result]) -> _Result:
    """Take all steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            result: _Result = finished.value
            return result
