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
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock, Timer
from time import monotonic
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import errors
from zope.interface import implementer

from nostrtx.interfaces.register import IRegisterDatabase, RegisterError
from nostrtx.interfaces.store import StoreUnusable
from nostrtx.storage.postgres.session import connection_parameters

#: Names the lock of whoever changes the register.
_LOCK: Final = int.from_bytes(b"nostrtx2", "big")

#: How long to wait for another process that is writing, in seconds.
BUSY_SECONDS: Final = 5.0

#: How many times as long a server may say nothing at all.
_PATIENCE: Final = 4

#: How long closing waits for what is under way, in seconds.
_CLOSING_SECONDS: Final = 1.0

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
        self._patience_seconds = _PATIENCE * busy_seconds
        busy = round(busy_seconds * 1000)
        self._begin_query = _BEGIN.format(
            busy=busy, twice=2 * busy, idle=_IDLE_SECONDS * 1000, lock=_LOCK
        ).encode()
        self._lock = Lock()
        self._parameters: dict[str, Any] = {}
        self._connection: psycopg.Connection[Any] | None = None
        self._next_try = 0.0
        self._is_changed = False
        self._is_late = False
        self._is_closed = False
        self._seen: UUID | None = None

    def open(self, schema: str, version: int) -> None:
        """Connect, and make the tables if there are none."""
        try:
            self._parameters = connection_parameters(self._url)
        except StoreUnusable as error:
            raise RegisterError(f"the register of members: {error}") from None
        with self.transaction():
            self._prepare(schema, version)
        with self._asking():
            self._seen = self._stamp()

    def close(self) -> None:
        """End the connection, also if the server says nothing."""
        self._is_closed = True
        if not self._lock.acquire(timeout=_CLOSING_SECONDS):
            self._abort()
            self._lock.acquire()
        self._drop()
        self._lock.release()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable at the end, with nobody else writing meanwhile."""
        with self._asking():
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

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a query finds."""
        found: list[tuple[Any, ...]] = self._execute(query, values).fetchall()
        return found

    def change(self, statement: str, values: Sequence[object] = ()) -> int:
        """Change something; how many rows that concerned."""
        count: int = self._execute(statement, values).rowcount
        self._is_changed = self._is_changed or count > 0
        return count

    def has_changed(self) -> bool:
        """Whether others have changed it since this was last asked."""
        with self._asking():
            before, self._seen = self._seen, self._stamp()
            return self._seen != before

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Ask the server, alone, and not for ever."""
        with self._lock, _told():
            self._is_late = False
            timer = Timer(self._patience_seconds, self._abort)
            timer.daemon = True
            timer.start()
            try:
                yield
            finally:
                timer.cancel()

    def _abort(self) -> None:
        """Break the connection, whatever waits for it; from any thread."""
        self._is_late = True
        try:
            if (connection := self._connection) is not None:
                with socket.fromfd(
                    connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM
                ) as descriptor:
                    descriptor.shutdown(socket.SHUT_RDWR)
        except (OSError, psycopg.Error):
            pass

    def _execute(self, statement: str, values: Sequence[object]) -> Any:
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
                if has_connected or self._is_late:
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
        if self._is_closed or self._seconds() < self._next_try:
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
