# -*- test-case-name: tests.storage.test_postgres_exchange -*-
"""
Several statements to PostgreSQL and their rows back, in one round trip.

psycopg's own pipeline sends statement by statement, which takes four times as long;
here all of them leave in one write. What is asked often is prepared, unless there is
a pooler in between.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from select import POLLIN, POLLOUT, poll
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import lookup
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from nostrtx.storage.postgres.columns import sent, type_of

#: A statement with placeholders such as ``%(name)s``, and what stands for them.
Ask: TypeAlias = tuple[str, Mapping[str, Any]]

#: Rows, each a tuple.
Rows: TypeAlias = list[Any]

#: So many statements a connection keeps prepared.
_MAX_PREPARED: Final = 200

_PLACEHOLDER: Final = re.compile(r"%\((\w+)\)s")


class Exchange:
    """
    One connection's statements.

    Args:
        connection: In autocommit mode; for one thread at a time.
        prepares: Whether statements may be prepared.
    """

    def __init__(self, connection: psycopg.Connection[Any], prepares: bool) -> None:
        self._connection = connection
        self._prepares = prepares
        self._prepared: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._names = 0

    def ask(self, asks: Sequence[Ask]) -> list[Rows]:
        """
        Have statements executed in order; the rows of each.

        Raises:
            psycopg.Error: One failed; those after it were not executed.
        """
        pgconn = self._connection.pgconn
        pgconn.nonblocking = 1
        pgconn.enter_pipeline_mode()
        try:
            are_of_asks: list[bool] = []
            for statement, values in asks:
                self._send(pgconn, statement, values, are_of_asks)
            pgconn.pipeline_sync()
            results = _received(pgconn)
        except BaseException:
            # Whatever is still to come would be taken for the next answer.
            self._connection.close()
            raise
        pgconn.exit_pipeline_mode()
        for result in results:
            if result.status == ExecStatus.FATAL_ERROR:
                self._forget_prepared()
                raise _error(result)
        return [
            self._rows(result)
            for result, is_of_ask in zip(results, are_of_asks, strict=True)
            if is_of_ask
        ]

    def _send(
        self,
        pgconn: PGconn,
        statement: str,
        values: Mapping[str, Any],
        are_of_asks: list[bool],
    ) -> None:
        text, names = _numbered(statement)
        given = [values[name] for name in names]
        types = tuple([type_of(value) for value in given])
        parameters = [sent(value) for value in given]
        formats = [1] * len(given)
        if not self._prepares:
            pgconn.send_query_params(text, parameters, types, formats, 1)
            are_of_asks.append(True)
            return
        name = self._prepared.get((text, types))
        if name is None:
            if len(self._prepared) >= _MAX_PREPARED:
                self._prepared.clear()
                pgconn.send_query_params(b"DEALLOCATE ALL", None)
                are_of_asks.append(False)
            self._names += 1
            name = b"s%d" % self._names
            self._prepared[text, types] = name
            pgconn.send_prepare(name, text, types)
            are_of_asks.append(False)
        pgconn.send_query_prepared(name, parameters, formats, 1)
        are_of_asks.append(True)

    def _forget_prepared(self) -> None:
        """After a failure nobody knows which of them there are."""
        if self._prepared:
            self._prepared.clear()
            self._connection.pgconn.nonblocking = 0
            self._connection.pgconn.exec_(b"ROLLBACK; DEALLOCATE ALL")

    def _rows(self, result: PGresult) -> Rows:
        if not result.nfields:
            return []
        transformer = Transformer(self._connection)
        transformer.set_pgresult(result)
        rows: Rows = transformer.load_rows(0, result.ntuples, tuple)
        return rows


@lru_cache(maxsize=1000)
def _numbered(statement: str) -> tuple[bytes, tuple[str, ...]]:
    """The statement with numbered placeholders, and the names of these."""
    names: dict[str, None] = {}

    def number(match: re.Match[str]) -> str:
        names.setdefault(match[1])
        return f"${list(names).index(match[1]) + 1}"

    text = _PLACEHOLDER.sub(number, statement)
    return text.encode(), tuple(names)


def _received(pgconn: PGconn) -> list[PGresult]:
    """The results of all that was sent, up to the synchronisation."""
    results: list[PGresult] = []
    waiting = poll()
    socket = pgconn.socket
    is_flushed = pgconn.flush() == 0
    waiting.register(socket, POLLIN if is_flushed else POLLIN | POLLOUT)
    while True:
        while pgconn.is_busy():
            for _, event in waiting.poll():
                if event & ~POLLOUT:
                    pgconn.consume_input()
            if not is_flushed:
                is_flushed = pgconn.flush() == 0
                if is_flushed:
                    waiting.modify(socket, POLLIN)
        result = pgconn.get_result()
        if result is None:
            # The end of one statement's results.
            continue
        if result.status == ExecStatus.PIPELINE_SYNC:
            return results
        if result.status != ExecStatus.PIPELINE_ABORTED:
            results.append(result)
        if pgconn.status != 0:
            # The connection is gone; there will be no synchronisation.
            return results


def _error(result: PGresult) -> psycopg.Error:
    state = result.error_field(ord("C"))
    kind: type[psycopg.Error] = psycopg.OperationalError
    if state is not None:
        try:
            kind = lookup(state.decode())
        except KeyError:
            kind = psycopg.DatabaseError
    return kind(result.error_message.decode(errors="replace").strip())
