# -*- test-case-name: tests.relay.membership.test_register -*-
"""
The register of members in a small SQLite file, for the processes of one machine.

The relay and the ``nostrtx`` command write to it side by side. A transaction is on
disk when it has ended.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from time import sleep
from typing import Any, Final

from zope.interface import implementer

from nostrtx.interfaces.register import IRegisterDatabase, RegisterError

#: How long to wait for another process that is writing, in seconds.
_BUSY_SECONDS: Final = 5.0

#: How long to wait before the same is tried again, in seconds.
_PAUSE_SECONDS: Final = 0.02


@implementer(IRegisterDatabase)
class RegisterFile:
    """
    A file, or none.

    Args:
        path: The file, made if there is none; ``:memory:`` for a database that is
            forgotten.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = Lock()
        self._database: sqlite3.Connection | None = None
        self._seen = 0

    def open(self, schema: str, version: int) -> None:
        """Open the file, and make the tables if it is new."""
        with _told(self._path):
            if self._path != ":memory:":
                # SQLite would make it readable for others.
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            self._database = sqlite3.connect(
                self._path,
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            self._use_wal()
            self._db.execute("PRAGMA synchronous = FULL")
            with self.transaction():
                self._prepare(schema, version)
        self._seen = self._data_version()

    def _use_wal(self) -> None:
        """Have SQLite write ahead; it does not wait for others that say so too."""
        tries = round(_BUSY_SECONDS / _PAUSE_SECONDS)
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                tries -= 1
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or not tries:
                    raise
                sleep(_PAUSE_SECONDS)
            else:
                return

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._database is not None:
                self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on disk at the end, with nobody else writing meanwhile."""
        with self._lock, _told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a query finds."""
        return self._db.execute(query, tuple(values)).fetchall()

    def change(self, statement: str, values: Sequence[object] = ()) -> int:
        """Change something; how many rows that concerned."""
        return self._db.execute(statement, tuple(values)).rowcount

    def has_changed(self) -> bool:
        """Whether others have changed it since this was last asked."""
        with self._lock, _told():
            before, self._seen = self._seen, self._data_version()
            return self._seen != before

    @property
    def _db(self) -> sqlite3.Connection:
        assert self._database is not None, "the register was not opened"
        return self._database

    def _prepare(self, schema: str, version: int) -> None:
        (found,) = self._db.execute("PRAGMA user_version").fetchone()
        if found == 0:
            for statement in schema.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {version}")
        elif found != version:
            raise RegisterError(
                f"the register of members {self._path!r}: its version is {found},"
                f" not {version}"
            )

    def _data_version(self) -> int:
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        assert type(version) is int
        return version


@contextmanager
def _told(path: str = "") -> Iterator[None]:
    """Turn what SQLite and the system say into one line of ours."""
    place = f" {path!r}" if path else ""
    try:
        yield
    except sqlite3.Error as error:
        raise RegisterError(f"the register of members{place}: {error}") from error
    except OSError as error:
        raise RegisterError(
            f"the register of members{place}: {error.strerror}"
        ) from error
