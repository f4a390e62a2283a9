# -*- test-case-name: tests.nostr.negentropy.test_messages -*-
"""
Negentropy messages: a version byte, then ranges in ascending order (NIP-77).

A range is its upper bound, a mode, and what the mode tells about the records in
it; it begins where the one before ends. After the last range everything is skipped.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from binascii import Error, unhexlify
from collections.abc import Iterator
from enum import IntEnum

import attrs

from nostrtx.nostr.errors import invalid
from nostrtx.nostr.negentropy.bound import INFINITE_TIMESTAMP, Bound
from nostrtx.nostr.negentropy.varint import decode_varint, encode_varint

VERSION = 0x61
ID_BYTES = 32
FINGERPRINT_BYTES = 16


class Mode(IntEnum):
    """
    What a range tells about the records in it.

    Attributes:
        SKIP: Nothing; this range is settled.
        FINGERPRINT: Their fingerprint.
        ID_LIST: All their ids.
    """

    SKIP = 0
    FINGERPRINT = 1
    ID_LIST = 2


@attrs.frozen(slots=True)
class Range:
    """
    One range of a message.

    Attributes:
        bound: Where it ends.
        mode: What ``payload`` is.
        payload: Nothing, a fingerprint, or ids one after the other.
    """

    bound: Bound
    mode: Mode
    payload: bytes


def message_from_hex(text: str) -> bytes:
    """
    The message of a NEG-OPEN or NEG-MSG.

    Args:
        text: Hexadecimal digits of either case and nothing else.

    Raises:
        Rejected: It is something else.
    """
    try:
        return unhexlify(text)
    except (Error, ValueError):
        raise invalid("the negentropy message is not hexadecimal") from None


def speaks_our_version(message: bytes) -> bool:
    """
    Whether ``message`` is in version 1; if not, the answer is a lone version byte.

    Raises:
        Rejected: It is empty, or not in any version of the protocol.
    """
    if not message:
        raise invalid("the negentropy message is empty")
    if message[0] & 0xF0 != VERSION & 0xF0:
        raise invalid("the negentropy message does not start with a version")
    return message[0] == VERSION


def read_ranges(message: bytes) -> Iterator[Range]:
    """
    The ranges of a message in version 1, each parsed when it is asked for.

    Raises:
        Rejected: The next range is cut off, unknown, too big, or not ascending.
    """
    end = len(message)
    at = 1
    last = Bound(0)
    while at < end:
        bound, at = _decode_bound(message, at, last.timestamp)
        if bound.is_below(last):
            raise invalid("the ranges of the negentropy message do not ascend")
        last = bound
        number, at = decode_varint(message, at)
        if number == Mode.SKIP:
            mode, size = Mode.SKIP, 0
        elif number == Mode.FINGERPRINT:
            mode, size = Mode.FINGERPRINT, FINGERPRINT_BYTES
        elif number == Mode.ID_LIST:
            count, at = decode_varint(message, at)
            mode, size = Mode.ID_LIST, count * ID_BYTES
        else:
            raise invalid("the negentropy message has a range of an unknown mode")
        if size > end - at:
            raise invalid("the negentropy message ends within a range")
        yield Range(bound, mode, message[at : at + size])
        at += size


def _decode_bound(message: bytes, at: int, last: int) -> tuple[Bound, int]:
    offset, at = decode_varint(message, at)
    if offset:
        timestamp = min(last + offset - 1, INFINITE_TIMESTAMP)
    else:
        timestamp = INFINITE_TIMESTAMP
    length, at = decode_varint(message, at)
    if length > ID_BYTES:
        raise invalid("a bound of the negentropy message is longer than an id")
    if length > len(message) - at:
        raise invalid("the negentropy message ends within a bound")
    return Bound(timestamp, message[at : at + length]), at + length


class MessageWriter:
    """A message in version 1 that is being written, range by range."""

    def __init__(self) -> None:
        self._message = bytearray((VERSION,))
        self._timestamp = 0

    def __len__(self) -> int:
        return len(self._message)

    def add(self, bound: Bound, mode: Mode, payload: bytes = b"") -> None:
        """
        Write a range.

        Args:
            bound: Where it ends; not below where the one before ended.
            mode: What ``payload`` is.
            payload: Nothing, a fingerprint, or ids one after the other.
        """
        timestamp = bound.timestamp
        if timestamp == INFINITE_TIMESTAMP:
            offset = 0
        else:
            offset = timestamp - self._timestamp + 1
        self._timestamp = timestamp
        message = self._message
        message += encode_varint(offset)
        message.append(len(bound.prefix))
        message += bound.prefix
        message.append(mode)
        if mode is Mode.ID_LIST:
            message += encode_varint(len(payload) // ID_BYTES)
        message += payload

    def mark(self) -> tuple[int, int]:
        """This point in the message, to come back to."""
        return len(self._message), self._timestamp

    def back_to(self, mark: tuple[int, int]) -> None:
        """Take back what was written since ``mark``."""
        length, self._timestamp = mark
        del self._message[length:]

    def message(self) -> bytes:
        """The message as written so far."""
        return bytes(self._message)
