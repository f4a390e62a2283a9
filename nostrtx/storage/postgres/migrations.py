# -*- test-case-name: tests.live.test_postgres_recovery -*-
"""
The tables of the shared store: made when they are missing, brought up to date.

What changes them stands in ``schema/``, numbered, and is never undone. One process
at a time does it, and the others wait for it.

Who waits to change a table makes all others wait behind it, and a backup reads tables
for hours. So it is waited for one second only, again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from time import sleep
from typing import Any, Final
from uuid import UUID

import attrs
import psycopg
from psycopg import errors

from nostrtx.interfaces.store import StoreUnusable
from nostrtx.storage.postgres.session import TimeLimit, one_line

#: The oldest PostgreSQL in which the queries are quick.
_OLDEST: Final = 14

#: How long to wait for another process that changes the tables, in seconds.
_LOCK_SECONDS: Final = 30.0

#: How much longer a server may say nothing at all, in seconds.
_GRACE_SECONDS: Final = 10.0

#: Names the lock under which tables are changed.
_LOCK: Final = int.from_bytes(b"nostrtx0", "big")

#: How often to try to change tables that somebody uses, and how long to let others use
#: them meanwhile, in seconds.
_TRIES: Final = 10
_PAUSE_SECONDS: Final = 2.0

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS nostrtx.migrations (
    version integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@attrs.frozen
class Prepared:
    """
    What a store learns when it is opened.

    Attributes:
        version: Of its tables.
        identity: Tells it from all other stores; the same for every node.
        last_seq: The ``seq`` of the event stored last.
    """

    version: int
    identity: str
    last_seq: int


class _TablesInUse(Exception):
    """Somebody uses a table that is to be changed."""


def migrations() -> list[tuple[int, str]]:
    """All changes there are, by number."""
    found = [
        (int(file.name.removesuffix(".sql")), file.read_text())
        for file in files(__package__).joinpath("schema").iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found)


def prepare_store(
    parameters: Mapping[str, Any],
    seconds: float = _LOCK_SECONDS,
    pause: Callable[[float], object] = sleep,
) -> Prepared:
    """
    Bring the tables up to date.

    Args:
        parameters: How to connect.
        seconds: How long to wait for another process that does the same.
        pause: Lets some seconds pass.

    Raises:
        StoreUnusable: There is no server, or it cannot hold the store.
    """
    for attempt in range(_TRIES):
        if attempt:
            pause(_PAUSE_SECONDS)
        try:
            return _prepare_once(parameters, seconds)
        except _TablesInUse:
            continue
        except psycopg.Error as error:
            raise StoreUnusable(f"cannot open the store: {one_line(error)}") from None
    raise StoreUnusable(
        "cannot bring the store's tables up to date while somebody uses them, as a"
        " backup does: start again when that is over"
    )


def _prepare_once(parameters: Mapping[str, Any], seconds: float) -> Prepared:
    with psycopg.connect(**parameters) as connection:
        limit = TimeLimit(connection, seconds + _GRACE_SECONDS)
        try:
            with limit:
                return _prepare(connection, limit, seconds)
        except psycopg.Error:
            if limit.is_over:
                raise StoreUnusable("the store's server does not answer") from None
            raise


def _prepare(
    connection: psycopg.Connection[Any], limit: TimeLimit, seconds: float
) -> Prepared:
    if connection.info.server_version < _OLDEST * 10_000:
        raise StoreUnusable(
            f"the store needs PostgreSQL {_OLDEST} or newer; this is"
            f" {connection.info.server_version // 10_000}"
        )
    encoding = _one(connection, b"SHOW server_encoding")
    if encoding != "UTF8":
        raise StoreUnusable(
            f"the store's database must be encoded in UTF8; this is in {encoding}:"
            " make it with ENCODING 'UTF8' TEMPLATE template0"
        )
    if _one(connection, b"SELECT pg_is_in_recovery()"):
        raise StoreUnusable(
            "the store's server is a replica, which cannot be written; name the one"
            " that it follows"
        )
    _wait_for_others(connection, seconds)
    there = _one(connection, b"SELECT to_regclass('nostrtx.migrations') IS NOT NULL")
    current = 0
    if there:
        current = _one(connection, b"SELECT max(version) FROM nostrtx.migrations") or 0
    known = migrations()
    newest = known[-1][0]
    if current > newest:
        raise StoreUnusable(
            f"a newer nostrtx made this store (version {current} of its tables; this"
            f" one knows {newest}): run that one"
        )
    if not there:
        connection.execute(b"CREATE SCHEMA IF NOT EXISTS nostrtx")
        connection.execute(_TABLE.encode())
    if current < newest:
        connection.execute(b"SET LOCAL lock_timeout = '1s'")
    for version, statements in known:
        if version > current:
            # However long it takes.
            limit.lift()
            try:
                connection.execute(statements.encode())
            except errors.LockNotAvailable:
                raise _TablesInUse from None
            connection.execute(
                b"INSERT INTO nostrtx.migrations (version) VALUES (%s)", (version,)
            )
    connection.execute(
        b"DELETE FROM nostrtx.writers WHERE at < now() - interval '7 days'"
    )
    identity: UUID = _one(connection, b"SELECT identity FROM nostrtx.identity")
    last_seq: int = _one(connection, b"SELECT last_seq FROM nostrtx.counters")
    return Prepared(newest, str(identity), last_seq)


def _wait_for_others(connection: psycopg.Connection[Any], seconds: float) -> None:
    connection.execute(
        b"SELECT set_config('lock_timeout', %s, true),"
        b" set_config('statement_timeout', '0', true)",
        (str(round(seconds * 1000)),),
    )
    try:
        connection.execute(b"SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    except errors.LockNotAvailable:
        raise StoreUnusable(
            "another node is bringing the store's tables up to date; start this one"
            " again when it is done"
        ) from None


def _one(connection: psycopg.Connection[Any], query: bytes) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]
