# -*- test-case-name: tests.storage.test_postgres -*-
"""What is kept in the shared store under a name and is no event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from nostrtx.storage.postgres.exchange import Ask
from nostrtx.storage.postgres.session import Session

_RECORD: Final = "SELECT record FROM nostrtx.records WHERE name = %(name)s"
_PUT: Final = (
    "INSERT INTO nostrtx.records (name, record) VALUES (%(name)s, %(record)s)"
    " ON CONFLICT (name) DO UPDATE SET record = excluded.record"
)


def record(session: Session, name: str) -> bytes | None:
    """What is kept under ``name``; None if nothing is."""
    [rows] = session.ask((_RECORD, {"name": name}))
    return rows[0][0] if rows else None


def change_record(
    session: Session,
    begin: Iterable[Ask],
    name: str,
    change: Callable[[bytes | None], bytes | None],
) -> tuple[Sequence[Ask], bool]:
    """
    Keep something else under a name.

    Args:
        session: The connection.
        begin: Begins the transaction.
        name: What it is called.
        change: Makes of what there is what there is to be; None leaves it.

    Returns:
        What changes, and whether anything does.
    """
    *_, rows = session.ask(*begin, (_RECORD, {"name": name}))
    fresh = change(rows[0][0] if rows else None)
    if fresh is None:
        return (), False
    return ((_PUT, {"name": name, "record": fresh}),), True
