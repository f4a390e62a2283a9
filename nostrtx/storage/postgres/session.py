# -*- test-case-name: tests.storage.test_postgres_exchange -*-
"""
One connection to PostgreSQL, as the threads of the shared store use it.

Nothing is left in the session between transactions, so a pooler may stand in
between: what is set is set in each transaction, and only there.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from threading import Timer
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from nostrtx.interfaces.store import StoreError, StoreUnusable
from nostrtx.storage.postgres.columns import register_columns
from nostrtx.storage.postgres.exchange import Ask, Exchange, Rows

#: What a server that cannot be reached is called; fit for a client's eyes.
UNREACHABLE: Final = "the event store cannot be reached"

#: How connections behave unless the URL says something else. What does not answer
#: for half a minute is taken for dead.
_DEFAULTS: Final = {
    "application_name": "nostrtx",
    "connect_timeout": "3",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
    "client_encoding": "utf8",
}

#: The planner is told what it cannot know: that lists are short, and time matters.
_PLANNING: Final = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}

_READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_FLOOR: Final = "(SELECT last_seq FROM nostrtx.counters)"

#: How long a server may take for the first answers after a connection is made, in
#: seconds: what accepts it may be a pooler.
_FIRST_ANSWER_SECONDS: Final = 3.0

#: How long a transaction may stand still because its process does.
_IDLE_SECONDS: Final = 10


class TookTooLong(StoreError):
    """A query has used up its time."""

    def __init__(self) -> None:
        super().__init__(
            "the query took too long; name ids, authors, kinds or tags, or a"
            " shorter time"
        )


class Busy(StoreError):
    """There is too much to do, or others hold what is needed."""

    def __init__(self) -> None:
        super().__init__("the event store is busy, try again later")


class InConflict(StoreError):
    """What was asked had to make room for what others do."""

    def __init__(self) -> None:
        super().__init__("the event store is busy, try again later")


class WrongServer(psycopg.OperationalError):
    """A server answers that is not the right one, or not any more."""


def connection_parameters(url: str) -> dict[str, Any]:
    """
    How to connect to what ``url`` names.

    Raises:
        StoreUnusable: It is no such URL; the text does not repeat it, for it may
            hold a password.
    """
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:
        raise StoreUnusable(
            "the store's URL is not understood: it must be like"
            " postgresql://user@host/database"
        ) from None
    host, database = (str(given.get(name, "")) for name in ("host", "dbname"))
    # With one in front, a host is a socket that is no file.
    if "@" in host[1:] or "@" in database:
        # A piece of a password, which whoever cannot connect to it would tell.
        raise StoreUnusable(
            "the store's URL is not understood: in a password, write @ and / as"
            " %40 and %2F"
        )
    return {**_DEFAULTS, **given}


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


class TimeLimit:
    """
    While it is entered, breaks a connection after a time, whatever waits for it.

    Args:
        connection: The connection.
        seconds: How long.

    Attributes:
        is_over: Whether the connection was broken.
    """

    def __init__(self, connection: psycopg.Connection[Any], seconds: float) -> None:
        self._connection = connection
        self._timer = Timer(seconds, self._break)
        self._timer.daemon = True
        self.is_over = False

    def __enter__(self) -> TimeLimit:
        """Begin."""
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self.lift()

    def lift(self) -> None:
        """Let it take however long it takes from now on."""
        self._timer.cancel()

    def _break(self) -> None:
        self.is_over = True
        abort(self._connection)


def abort(connection: psycopg.Connection[Any]) -> None:
    """End a connection, whatever waits for it; from any thread."""
    try:
        with socket.fromfd(
            connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM
        ) as sock:
            sock.shutdown(socket.SHUT_RDWR)
    except (OSError, psycopg.Error):
        pass


class Session:
    """
    A connection, for one thread at a time.

    Args:
        connection: The connection, in autocommit mode.
        is_pooled: Whether there is a pooler between here and PostgreSQL.
    """

    def __init__(self, connection: psycopg.Connection[Any], is_pooled: bool) -> None:
        self._connection = connection
        self._exchange = Exchange(connection, not is_pooled)
        self.is_pooled = is_pooled

    @classmethod
    def connect(
        cls,
        parameters: Mapping[str, Any],
        check: Callable[[Session], None] | None = None,
    ) -> Session:
        """
        A new connection.

        Args:
            parameters: How to connect.
            check: Asks whether it is the right server; raises psycopg's errors if
                it is not. None if every server is.

        Raises:
            psycopg.Error: There is none.
        """
        connection = psycopg.connect(**parameters, autocommit=True)
        limit = TimeLimit(connection, _FIRST_ANSWER_SECONDS)
        try:
            register_columns(connection)
            with limit:
                # A pooler invents the number by which it knows a connection; and
                # behind it a prepared statement may be gone with the next
                # transaction.
                asked = connection.execute(b"SELECT pg_backend_pid()")
                is_pooled = asked.fetchall() != [(connection.info.backend_pid,)]
                session = cls(connection, is_pooled)
                if check is not None:
                    check(session)
                return session
        except BaseException as error:
            connection.close()
            if limit.is_over:
                raise WrongServer("the server does not answer") from error
            raise

    @property
    def is_broken(self) -> bool:
        """Whether nothing can be asked any more."""
        return bool(self._connection.closed)

    def ask(self, *asks: Ask) -> list[Rows]:
        """
        Have statements executed in order, in one round trip; the rows of each.

        Raises:
            psycopg.Error: One failed, and those after it were not executed.
        """
        return self._exchange.ask(asks)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Undo whatever transaction is left when this is left."""
        try:
            yield
        finally:
            status = self._connection.info.transaction_status
            if status not in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN):
                try:
                    self._connection.rollback()
                except psycopg.Error:
                    self._connection.close()

    def time_limit(self, seconds: float) -> TimeLimit:
        """What breaks the connection after so many seconds while it is entered."""
        return TimeLimit(self._connection, seconds)

    def cancel(self) -> bool:
        """
        Have the server give up what it is doing; from any thread.

        Returns:
            Whether the server took notice.
        """
        try:
            self._connection.cancel_safe(timeout=2)
        except psycopg.Error:
            return False
        return True

    def abort(self) -> None:
        """End the connection, whatever waits for it; from any thread."""
        abort(self._connection)

    def close(self) -> None:
        """End the connection; harmless if it has ended."""
        self._connection.close()


def begin_reading(seconds: float) -> tuple[Ask, Ask]:
    """
    Begin to read from one snapshot; the second one gives the last ``seq`` in it.

    Args:
        seconds: How long one statement may take; infinite for any time.
    """
    settings = {**_PLANNING, "statement_timeout": _milliseconds(seconds)}
    values = {f"v{at}": value for at, value in enumerate(settings.values())}
    return (_READING, {}), (_settings_statement(tuple(settings)), values)


def time_left(seconds: float) -> Ask:
    """Have each further statement of this transaction take no longer than that."""
    values = {"left": _milliseconds(seconds)}
    return "SELECT set_config('statement_timeout', %(left)s, true)", values


def last_seq_in(rows: Rows) -> int:
    """What the second statement of :func:`begin_reading` gave."""
    last_seq: int = rows[0][0]
    return last_seq


def begin_writing(seconds: float) -> tuple[Ask, ...]:
    """
    Begin to write; nobody else does until this ends. The last one gives the counters.

    Args:
        seconds: How long to wait for others that write.
    """
    settings = {
        **_PLANNING,
        "lock_timeout": str(round(seconds * 1000)),
        "statement_timeout": str(round(3000 * seconds)),
        "idle_in_transaction_session_timeout": str(_IDLE_SECONDS * 1000),
        # Whoever is gone without a word must not keep the lock.
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": str(_IDLE_SECONDS * 1000),
    }
    names = [f"set_config('{name}', '{v}', true)" for name, v in settings.items()]
    # What an older server does not know.
    names.append(
        "CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN"
        f" set_config('transaction_timeout', '{round(5000 * seconds)}', true) END"
    )
    # Whoever reads a larger number must find all that has a smaller one.
    lock = "SELECT last_seq, last_change FROM nostrtx.counters FOR UPDATE"
    return (
        ("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", {}),
        (f"SELECT {', '.join(names)}, {_DURABLE}", {}),
        (lock, {}),
    )


#: A commit is durable when it is answered, whatever the server's default is.
_DURABLE: Final = (
    "set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit')"
    " IN ('off', 'local') THEN 'on' ELSE current_setting('synchronous_commit') END,"
    " true)"
)


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000))) if isfinite(seconds) else "0"


def _settings_statement(names: Sequence[str]) -> str:
    parts = [f"set_config('{name}', %(v{at})s, true)" for at, name in enumerate(names)]
    return f"SELECT {_FLOOR}, {', '.join(parts)}"
