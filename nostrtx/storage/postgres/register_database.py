# -*- test-case-name: tests.relay.membership.test_register -*-
"""
The register of members in PostgreSQL, beside the events, for all nodes of a relay.

Nothing is left in the session between transactions, so a pooler may stand in between:
who changes something holds a lock that its transaction gives back.

Whoever has changed something stamps the register anew. A stamp is drawn, not counted:
so one that is known is the same register even after the server was put back to an
earlier state.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from zope.interface import implementer

from nostrtx.interfaces import IRegisterDatabase, RegisterError

#: How connections behave unless the URL says something else. What does not answer
#: for some seconds is taken for dead.
_DEFAULTS: Final = {
    "application_name": "nostrtx",
    "connect_timeout": "3",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "client_encoding": "utf8",
}

#: Names the lock of whoever changes the register.
_LOCK: Final = int.from_bytes(b"nostrtx2", "big")

#: How long to wait for another process that is writing, in seconds.
BUSY_SECONDS: Final = 5.0

#: How long a transaction may stand still because its process does.
_IDLE_SECONDS: Final = 10

#: How long a server that could not be reached is not tried again, in seconds.
_PAUSE_SECONDS: Final = 1.0

# Several statements in one round trip, each of which sees what is there when it begins.
_BEGIN: Final = """
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SELECT set_config('search_path', 'nostrtx_membership', true),
    set_config('lock_timeout', '{busy}', true),
    set_config('statement_timeout', '{twice}', true),
    set_config('idle_in_transaction_session_timeout', '{idle}', true),
    set_config(
        'synchronous_commit',
        CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
            THEN 'on' ELSE current_setting('synchronous_commit') END,
        true);
SELECT pg_advisory_xact_lock({lock})
"""

_TABLE: Final = b"""
CREATE TABLE register (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint NOT NULL,
    stamp uuid NOT NULL DEFAULT gen_random_uuid()
)
"""

_STAMP: Final = b"SELECT stamp FROM nostrtx_membership.register"

_STAMP_ANEW: Final = b"""
UPDATE register SET stamp = gen_random_uuid() FROM register before
RETURNING before.stamp, register.stamp
"""

#: What the types in a schema are called here.
_TYPES: Final = {"BLOB": "bytea", "INTEGER": "bigint", "TEXT": 'text COLLATE "C"'}
_TYPE: Final = re.compile("|".join(rf"\b{name}\b" for name in _TYPES))


@implementer(IRegisterDatabase)
class PostgresRegisterDatabase:
    """
    The schema ``nostrtx_membership`` of a database.

    A connection that has broken is made anew by the next call.

    Args:
        url: Names the database.
        seconds: Tells the time.
        busy_seconds: How long to wait for another process that is writing.
    """

    def __init__(
        self,
        url: str,
        seconds: Callable[[], float] = monotonic,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        self._url = url
        self._seconds = seconds
        busy = round(busy_seconds * 1000)
        self._begin_query = _BEGIN.format(
            busy=busy, twice=2 * busy, idle=_IDLE_SECONDS * 1000, lock=_LOCK
        ).encode()
        self._lock = Lock()
        self._parameters: dict[str, Any] = {}
        self._connection: psycopg.Connection[Any] | None = None
        self._next_try = 0.0
        self._is_changed = False
        self._seen: UUID | None = None

    def open(self, schema: str, version: int) -> None:
        """Connect, and make the tables if there are none."""
        try:
            self._parameters = {**_DEFAULTS, **conninfo_to_dict(self._url)}
        except psycopg.Error:
            # What it says repeats the URL, which may hold a password.
            raise RegisterError(
                "the register of members: the store's URL is not understood: it must"
                " be like postgresql://user@host/database"
            ) from None
        with self.transaction():
            self._prepare(schema, version)
        with self._lock, _told():
            self._seen = self._stamp()

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            self._drop()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable at the end, with nobody else writing meanwhile."""
        with self._lock, _told():
            connection = self._begin()
            stamps: tuple[Any, ...] | None = None
            try:
                yield
                if self._is_changed:
                    stamps = connection.execute(_STAMP_ANEW).fetchone()
                connection.execute(b"COMMIT")
            except BaseException:
                self._undo()
                raise
            if stamps is not None and stamps[0] == self._seen:
                # Nobody else has changed anything before.
                self._seen = stamps[1]

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What a query finds."""
        found: list[tuple[Any, ...]] = self._execute(query, values).fetchall()
        return found

    def change(self, statement: str, *values: object) -> int:
        """Change something; how many rows that concerned."""
        count: int = self._execute(statement, values).rowcount
        self._is_changed = self._is_changed or count > 0
        return count

    def has_changed(self) -> bool:
        """Whether others have changed it since this was last asked."""
        with self._lock, _told():
            before, self._seen = self._seen, self._stamp()
            return self._seen != before

    def _execute(self, statement: str, values: tuple[object, ...]) -> Any:
        assert self._connection is not None, "there is no transaction"
        query = statement.replace("?", "%s").encode()
        return self._connection.execute(query, values)

    def _begin(self) -> psycopg.Connection[Any]:
        self._is_changed = False
        connection, _ = self._at_first(self._begin_query)
        return connection

    def _stamp(self) -> UUID:
        _, cursor = self._at_first(_STAMP)
        row = cursor.fetchone()
        if row is None:
            raise RegisterError("the register of members has lost its only stamp")
        stamp: UUID = row[0]
        return stamp

    def _at_first(
        self, query: bytes
    ) -> tuple[psycopg.Connection[Any], psycopg.Cursor[Any]]:
        """Ask what nothing was asked before: if the connection is lost, a new one."""
        has_connected = self._is_lost
        while True:
            connection = self._connected()
            try:
                return connection, connection.execute(query)
            except (errors.LockNotAvailable, errors.QueryCanceled):
                self._undo()
                raise
            except psycopg.OperationalError:
                self._drop()
                if has_connected:
                    raise
                has_connected = True
            except BaseException:
                self._undo()
                raise

    @property
    def _is_lost(self) -> bool:
        return self._connection is None or bool(self._connection.closed)

    def _connected(self) -> psycopg.Connection[Any]:
        if not self._is_lost:
            assert self._connection is not None
            return self._connection
        self._drop()
        if self._seconds() < self._next_try:
            # Whoever waits here keeps others waiting.
            raise RegisterError("the register of members cannot be reached")
        try:
            self._connection = psycopg.connect(
                **self._parameters, autocommit=True, prepare_threshold=None
            )
        except psycopg.Error:
            self._next_try = self._seconds() + _PAUSE_SECONDS
            raise
        return self._connection

    def _undo(self) -> None:
        """End what is left of a transaction."""
        try:
            if self._connection is not None:
                self._connection.rollback()
        except psycopg.Error:
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _prepare(self, schema: str, version: int) -> None:
        [(there,)] = self.rows("SELECT to_regclass('register') IS NOT NULL")
        if there:
            [(found,)] = self.rows("SELECT version FROM register")
            if found != version:
                raise RegisterError(
                    f"the register of members: its version is {found}, not {version}"
                )
            return
        connection = self._connection
        assert connection is not None
        connection.execute(b"CREATE SCHEMA IF NOT EXISTS nostrtx_membership")
        connection.execute(_TABLE)
        connection.execute(b"INSERT INTO register (version) VALUES (%s)", (version,))
        words = _TYPE.sub(lambda found: _TYPES[found.group()], schema)
        connection.execute(words.encode())


@contextmanager
def _told() -> Iterator[None]:
    """Turn what psycopg says into one line of ours, without values and passwords."""
    try:
        yield
    except psycopg.Error as error:
        text = " ".join((error.diag.message_primary or str(error)).split())
        raise RegisterError(
            f"the register of members: {text or type(error).__name__}"
        ) from error
