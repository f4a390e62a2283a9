# -*- test-case-name: tests.storage.test_postgres -*-
"""
How the shared store comes to an answer: EXPLAIN ANALYZE for each of its statements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from nostrtx.nostr.filters import Filter
from nostrtx.storage.explanation import Explanation, Look
from nostrtx.storage.postgres.exchange import Ask, Rows
from nostrtx.storage.postgres.newest import find_newest, is_more
from nostrtx.storage.postgres.session import Session
from nostrtx.storage.postgres.snapshot import Known, Snapshot

_EXPLAIN: Final = "EXPLAIN (ANALYZE, BUFFERS) "


class _ExplainingSession(Session):
    """A session that also has what it is asked explained."""

    def __init__(self, session: Session, seconds: Callable[[], float]) -> None:
        self._session = session
        self._seconds = seconds
        self.looks: list[Look] = []

    def ask(self, *asks: Ask) -> list[Rows]:
        """The rows of each, asked one by one."""
        answers = []
        for statement, values in asks:
            began = self._seconds()
            [rows] = self._session.ask((statement, values))
            took = self._seconds() - began
            answers.append(rows)
            if (
                statement.startswith(("SELECT", "WITH"))
                and "set_config" not in statement
            ):
                [plan] = self._session.ask((_EXPLAIN + statement, values))
                self.looks.append(
                    Look(
                        f"statement {len(self.looks) + 1}",
                        keys=0,
                        entries=len(rows),
                        seconds=took,
                        details=[statement, *(line for (line,) in plan)],
                    )
                )
        return answers


def explain(
    session: Session,
    statement_seconds: float,
    asked: Filter,
    now: float,
    seconds: Callable[[], float],
) -> Explanation:
    """
    Answer a filter, and tell how; in a thread.

    Args:
        session: The connection.
        statement_seconds: How long a statement may take.
        asked: What is asked for.
        now: What expires by then is left out.
        seconds: Tells the time.
    """
    explaining = _ExplainingSession(session, seconds)
    snapshot = Snapshot(explaining, statement_seconds, Known())
    [cut] = snapshot.run([find_newest(asked, now, None)])
    snapshot.finish()
    seqs = [seq for _, seq, _ in cut.found]
    total = sum(look.seconds or 0.0 for look in explaining.looks)
    return Explanation("", (), explaining.looks, len(seqs), is_more([cut], seqs), total)
