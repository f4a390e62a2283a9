# -*- test-case-name: tests.storage.test_postgres -*-
"""
What is banned, in the shared store: of each subject the last change, by its number.

Numbers are given under the lock of those who write, so that whoever has read the
changes up to some number misses none that is smaller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from nostrtx.interfaces.store import BanChange
from nostrtx.nostr.bans import Ban, BanKind
from nostrtx.nostr.deletion import NOBODY
from nostrtx.nostr.json import dumps
from nostrtx.storage.postgres.changes import marking, removing
from nostrtx.storage.postgres.columns import byteas
from nostrtx.storage.postgres.exchange import Ask
from nostrtx.storage.postgres.rules import Marks
from nostrtx.storage.postgres.session import Session

_LAST: Final[Ask] = ("SELECT last_ban FROM nostrtx.counters", {})

_RECORDS: Final = (
    "jsonb_to_recordset((%(records)s)::jsonb) AS r"
    " (number bigint, kind text, subject text, reason text, made_at bigint)"
)
_PUT: Final = (
    "INSERT INTO nostrtx.bans (number, kind, subject, reason, made_at, is_lifted)"
    f" SELECT number, kind, subject, reason, made_at, false FROM {_RECORDS}"
    " ON CONFLICT (kind, subject) DO UPDATE SET number = excluded.number,"
    " reason = excluded.reason, made_at = excluded.made_at, is_lifted = false"
)
_IN_FORCE: Final = (
    f"SELECT b.kind, b.subject FROM nostrtx.bans b JOIN {_RECORDS}"
    " ON b.kind = r.kind AND b.subject = r.subject WHERE NOT b.is_lifted"
    " ORDER BY r.number"
)
_LIFT: Final = (
    "UPDATE nostrtx.bans b SET number = r.number, is_lifted = true"
    f" FROM {_RECORDS} WHERE b.kind = r.kind AND b.subject = r.subject"
)
_COUNTER: Final = "UPDATE nostrtx.counters SET last_ban = %(last)s"
_BANNED_EVENTS: Final = "SELECT seq FROM nostrtx.events WHERE id = ANY(%(ids)s)"
_MAY_COME_BACK: Final = (
    "DELETE FROM nostrtx.deleted_ids WHERE deleter = %(deleter)s AND id = ANY(%(ids)s)"
)
# What a later version has written is passed over.
_KINDS: Final = ", ".join(f"'{kind.value}'" for kind in BanKind)
_CHANGES: Final = (
    "SELECT number, kind, subject, reason, made_at, is_lifted FROM nostrtx.bans"
    f" WHERE number > %(after)s AND kind IN ({_KINDS})"
    " ORDER BY number LIMIT %(most)s"
)


def put_bans(
    session: Session, begin: Iterable[Ask], bans: Sequence[Ban]
) -> tuple[Sequence[Ask], None]:
    """
    Put ``bans`` in force, and end the opposite.

    Args:
        session: The connection.
        begin: Begins the transaction.
        bans: Of each subject the last one counts.

    Returns:
        What changes, and nothing else.
    """
    last_of: dict[tuple[BanKind, str], Ban] = {}
    for ban in bans:
        if ban.opposite is not None:
            last_of.pop(ban.opposite, None)
        last_of[ban.kind, ban.subject] = ban
    opposites = [ban.opposite for ban in last_of.values() if ban.opposite is not None]
    *_, [(last,)], rows, in_force = session.ask(
        *begin,
        _LAST,
        (_BANNED_EVENTS, {"ids": _event_ids(last_of)}),
        _in_force(opposites),
    )
    records = [
        {
            "number": number,
            "kind": ban.kind.value,
            "subject": ban.subject,
            "reason": ban.reason,
            "made_at": ban.made_at,
        }
        for number, ban in enumerate(last_of.values(), last + 1)
    ]
    marks = Marks({(id_, NOBODY) for id_ in _ids(last_of)})
    return (
        (_PUT, {"records": dumps(records).decode()}),
        *_lifting(in_force, last + len(records)),
        *marking(marks),
        *removing([seq for (seq,) in rows]),
    ), None


def lift_bans(
    session: Session, begin: Iterable[Ask], named: Sequence[tuple[BanKind, str]]
) -> tuple[Sequence[Ask], int]:
    """
    Lift bans.

    Args:
        session: The connection.
        begin: Begins the transaction.
        named: Which.

    Returns:
        What changes, and how many there were.
    """
    *_, [(last,)], rows = session.ask(*begin, _LAST, _in_force(named))
    if not rows:
        return (), 0
    return _lifting(rows, last), len(rows)


def ban_changes(session: Session, after: int, most: int) -> Sequence[BanChange]:
    """The next ``most`` changes after number ``after``."""
    [rows] = session.ask((_CHANGES, {"after": after, "most": most}))
    return [_change(row) for row in rows]


def _in_force(named: Iterable[tuple[BanKind, str]]) -> Ask:
    """Asks which of these bans are in force, in their order."""
    asked = [
        {"number": number, "kind": kind.value, "subject": subject}
        for number, (kind, subject) in enumerate(dict.fromkeys(named))
    ]
    return _IN_FORCE, {"records": dumps(asked).decode()}


def _lifting(in_force: Sequence[tuple[Any, ...]], last: int) -> Sequence[Ask]:
    """
    What lifts bans.

    Args:
        in_force: Kind and subject of each; there may be none.
        last: The number of the change before.
    """
    counter: Ask = (_COUNTER, {"last": last + len(in_force)})
    if not in_force:
        return (counter,)
    records = [
        {"number": number, "kind": kind, "subject": subject}
        for number, (kind, subject) in enumerate(in_force, last + 1)
    ]
    ids = _event_ids([(BanKind(kind), subject) for kind, subject in in_force])
    return (
        (_LIFT, {"records": dumps(records).decode()}),
        counter,
        (_MAY_COME_BACK, {"ids": ids, "deleter": NOBODY}),
    )


def _change(row: tuple[Any, ...]) -> BanChange:
    number, kind, subject, reason, made_at, is_lifted = row
    return BanChange(number, Ban(BanKind(kind), subject, reason, made_at), is_lifted)


def _ids(named: Iterable[tuple[BanKind, str]]) -> list[bytes]:
    return [bytes.fromhex(id_) for kind, id_ in named if kind is BanKind.EVENT]


def _event_ids(named: Iterable[tuple[BanKind, str]]) -> bytes:
    return byteas(_ids(named))
