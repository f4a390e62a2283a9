# -*- test-case-name: tests.storage.test_lmdb -*-
"""
What is banned, in the embedded store: of each subject the last change, by its number.

What was lifted stays as a change, so that whoever has read the bans up to some number
hears of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from nostrtx.interfaces.store import BanChange
from nostrtx.nostr.bans import Ban, BanKind
from nostrtx.nostr.json import dumps, loads
from nostrtx.storage.lmdb.keys import number
from nostrtx.storage.lmdb.schema import Databases


def put_ban(db: Databases, txn: Any, ban: Ban) -> None:
    """Put a ban in force, in the transaction ``txn``."""
    _change(db, txn, ban, False)


def lift_bans(
    db: Databases, txn: Any, bans: Iterable[tuple[BanKind, str]]
) -> list[tuple[BanKind, str]]:
    """Lift bans in the transaction ``txn``; those that were in force."""
    lifted = []
    for kind, subject in bans:
        at = txn.get(_key(kind, subject), db=db.bans)
        if at is None:
            continue
        change = _change_of(at, txn.get(at, db=db.ban_changes))
        if not change.is_lifted:
            _change(db, txn, change.ban, True)
            lifted.append((kind, subject))
    return lifted


def ban_changes(db: Databases, after: int, most: int) -> Sequence[BanChange]:
    """The next ``most`` changes after number ``after``."""
    with db.env.begin() as txn:
        cursor = txn.cursor(db.ban_changes)
        if not cursor.set_range(number(after + 1)):
            return ()
        return list(islice(_understood(cursor), most))


def _understood(records: Iterable[tuple[bytes, bytes]]) -> Iterator[BanChange]:
    """The changes; what a later version has written is passed over."""
    for key, value in records:
        try:
            change = _change_of(key, value)
        except (ValueError, TypeError):
            continue
        yield change


def _key(kind: BanKind, subject: str) -> bytes:
    return f"{kind.value} {subject}".encode()


def _change(db: Databases, txn: Any, ban: Ban, is_lifted: bool) -> None:
    """Write a change, in place of the one before it of the same subject."""
    key = _key(ban.kind, ban.subject)
    cursor = txn.cursor(db.ban_changes)
    last = int.from_bytes(cursor.key(), "big") if cursor.last() else 0
    before = txn.get(key, db=db.bans)
    if before is not None:
        txn.delete(before, db=db.ban_changes)
    at = number(last + 1)
    record = [ban.kind.value, ban.subject, ban.reason, ban.made_at, is_lifted]
    txn.put(at, dumps(record), db=db.ban_changes)
    txn.put(key, at, db=db.bans)


def _change_of(key: bytes, value: bytes) -> BanChange:
    record: Any = loads(value)
    kind, subject, reason, made_at, is_lifted = record
    ban = Ban(BanKind(kind), subject, reason, made_at)
    return BanChange(int.from_bytes(key, "big"), ban, is_lifted)
