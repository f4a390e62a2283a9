# -*- test-case-name: tests.nostr.negentropy.test_varint -*-
"""
Numbers in negentropy messages: base 128, most significant digits first (NIP-77).

Every byte but the last has its high bit set. Numbers have at most 64 bits.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from nostrtx.nostr.errors import invalid

_MAX = 2**64 - 1
_MAX_BYTES = 10


def encode_varint(number: int) -> bytes:
    """
    The shortest form of ``number``.

    Args:
        number: 0 to 2**64 - 1; the caller sees to that.
    """
    if number < 0x80:
        return b"%c" % number
    digits = [number & 0x7F]
    number >>= 7
    while number:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.reverse()
    return bytes(digits)


def decode_varint(message: bytes, at: int) -> tuple[int, int]:
    """
    Read a number out of ``message``; leading zero digits are allowed.

    Args:
        message: What it stands in.
        at: The place of its first byte.

    Returns:
        The number, and the place after it.

    Raises:
        Rejected: The message ends within it, or it has more than 64 bits.
    """
    number = 0
    for place in range(at, min(at + _MAX_BYTES, len(message))):
        byte = message[place]
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            if number > _MAX:
                break
            return number, place + 1
    else:
        if len(message) < at + _MAX_BYTES:
            raise invalid("the negentropy message ends within a number")
    raise invalid("a number in the negentropy message has more than 64 bits")
