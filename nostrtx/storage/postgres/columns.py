# -*- test-case-name: tests.storage.test_postgres_exchange -*-
"""
Values as PostgreSQL's binary protocol has them.

Whole columns are made at once, which is several times quicker than value by value,
and a ``uuid`` is 16 bytes here, not an object.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack
from typing import Any, Final

from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

_NULL: Final = b"\xff\xff\xff\xff"
_INT4, _INT8, _BYTEA, _TEXT, _UUID = 23, 20, 17, 25, 2950


class Uuid(bytes):
    """16 bytes as one ``uuid``."""

    __slots__ = ()


class Uuids(bytes):
    """A column of ``uuid``."""

    __slots__ = ()


class Byteas(bytes):
    """A column of ``bytea``."""

    __slots__ = ()


class Int4s(bytes):
    """A column of ``integer``."""

    __slots__ = ()


class Int8s(bytes):
    """A column of ``bigint``."""

    __slots__ = ()


_TYPES: Final = {
    bytes: _BYTEA,
    Uuid: _UUID,
    Uuids: 2951,
    Byteas: 1001,
    Int4s: 1007,
    Int8s: 1016,
    int: _INT8,
    str: _TEXT,
}


def type_of(value: object) -> int:
    """The number of the type that a value has in PostgreSQL."""
    return _TYPES[type(value)]


def sent(value: Any) -> bytes:
    """A value in the form in which it is sent."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return value.to_bytes(8, "big", signed=True)
    text: bytes = value.encode()
    return text


def uuids(values: Sequence[bytes | None]) -> Uuids:
    """A column of ``uuid`` from 16 bytes each."""
    size = pack(">i", 16)
    parts = [_NULL if value is None else size + value for value in values]
    return Uuids(_array(_UUID, parts))


def byteas(values: Sequence[bytes]) -> Byteas:
    """A column of ``bytea``."""
    parts: list[bytes] = []
    for value in values:
        parts += (len(value).to_bytes(4, "big"), value)
    return Byteas(_array(_BYTEA, parts, len(values)))


def int4s(values: Sequence[int]) -> Int4s:
    """A column of ``integer``."""
    size = pack(">i", 4)
    return Int4s(_array(_INT4, [size + value.to_bytes(4, "big") for value in values]))


def int8s(values: Sequence[int | None]) -> Int8s:
    """A column of ``bigint``, none of them negative."""
    size = pack(">i", 8)
    return Int8s(
        _array(
            _INT8,
            [_NULL if v is None else size + v.to_bytes(8, "big") for v in values],
        )
    )


def _array(oid: int, parts: list[bytes], length: int | None = None) -> bytes:
    length = len(parts) if length is None else length
    if not length:
        return pack(">iii", 0, 0, oid)
    # One dimension, whose first index is 1; there may be NULLs.
    return pack(">iiiii", 1, 1, oid, length, 1) + b"".join(parts)


class _UuidLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        """The 16 bytes."""
        return bytes(data)


def register_columns(context: AdaptContext) -> None:
    """Have a connection give a ``uuid`` as bytes."""
    context.adapters.register_loader(_UUID, _UuidLoader)
