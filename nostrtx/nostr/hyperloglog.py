# -*- test-case-name: tests.nostr.test_hyperloglog -*-
"""
HyperLogLog: how many authors, in a form that relays' answers add up in (NIP-45).

Every relay must fill the same registers from the same authors, so what is done
here is fixed bit by bit, :meth:`Registers.estimate` apart.

Pure: no I/O and no clock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from math import log
from typing import Final

from nostrtx.nostr.filters import Filter

#: How many registers there are, of one byte each.
REGISTERS: Final = 256

#: What is added to the digit that a filter gives, to be an offset.
_FIRST_OFFSET: Final = 8

_KEY: Final = re.compile(r"[0-9a-f]{64}")
_ADDRESS: Final = re.compile(r"[0-9]+:([0-9a-f]{64}):.*", re.DOTALL)

_BIAS: Final = 0.7213 / (1 + 1.079 / REGISTERS)


def offset(filters: Sequence[Filter]) -> int | None:
    """
    Where in a pubkey its register is found, for the answer to ``filters``.

    None if they are not eligible: there must be one filter, and its first tag
    condition, in the order of the client's JSON, must allow exactly one value.
    """
    if len(filters) != 1 or not filters[0].tags:
        return None
    _, values = filters[0].tags[0]
    if len(values) != 1:
        return None
    return int(_hex_of(values[0])[32], 16) + _FIRST_OFFSET


class Registers:
    """
    The authors that were counted, in 256 bytes.

    Args:
        offset: Where in a pubkey its register is found; see :func:`offset`.
    """

    __slots__ = ("_bytes", "_offset")

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._bytes = bytearray(REGISTERS)

    def add(self, pubkey: bytes) -> None:
        """Count an author; one who was counted before changes nothing."""
        at = self._offset
        # The zero bits that the next seven bytes begin with, and one.
        value = 57 - int.from_bytes(pubkey[at + 1 : at + 8], "big").bit_length()
        register = pubkey[at]
        if value > self._bytes[register]:
            self._bytes[register] = value

    def merge(self, other: Registers) -> None:
        """
        Count all authors that ``other`` has counted.

        Raises:
            ValueError: The offsets differ, so the registers do not compare.
        """
        if other._offset != self._offset:
            raise ValueError("registers of different offsets cannot be merged")
        self._bytes[:] = map(max, self._bytes, other._bytes)

    def hex(self) -> str:
        """The registers as a COUNT message has them: 512 lower-case digits."""
        return self._bytes.hex()

    def estimate(self) -> int:
        """About how many authors were counted; the standard error is 6.5 %."""
        registers = self._bytes
        raw = _BIAS * REGISTERS**2 / sum([2.0**-value for value in registers])
        empty = registers.count(0)
        if empty and raw <= 2.5 * REGISTERS:
            return round(REGISTERS * log(REGISTERS / empty))
        return round(raw)


def _hex_of(value: str) -> str:
    """64 digits for a tag value: the key in it, or its hash where there is none."""
    if _KEY.fullmatch(value):
        return value
    address = _ADDRESS.fullmatch(value)
    return address[1] if address else sha256(value.encode()).hexdigest()
