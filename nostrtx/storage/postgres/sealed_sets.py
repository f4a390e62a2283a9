# -*- test-case-name: tests.storage.test_postgres -*-
"""
What matches a filter, as times and ids, for reconciliation (NIP-77).

The server joins all of it into one value, so that a million events cost this process
little more than their bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from nostrtx.interfaces.queries import IScreen
from nostrtx.interfaces.store import TooManyEvents
from nostrtx.nostr.event import stored_event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.negentropy.snapshot import Snapshot as SealedSet
from nostrtx.storage.postgres.columns import int8s
from nostrtx.storage.postgres.conditions import (
    Asking,
    conditions_for,
    hidden_kinds,
    hides_everything,
)
from nostrtx.storage.postgres.counting import matching, parted, seen_of
from nostrtx.storage.postgres.newest import find_newest

#: Time and id of one event, as the server joins them.
_RECORD: Final = "substr(uuid_send(e.place), 1, 5) || e.id"
_RECORD_BYTES: Final = 5 + 32

#: How many events are looked up at once.
_LOOKUPS: Final = 5000

_LOOKED_UP: Final = (
    f"SELECT string_agg({_RECORD}, ''::bytea) FROM nostrtx.events e"
    " WHERE e.seq = ANY(%(seqs)s)"
)


def find_records(
    chosen: Filter, now: float, screen: IScreen | None, most: int | None
) -> Asking[bytes]:
    """
    The records of what matches ``chosen``, joined, in any order.

    Args:
        chosen: What is asked for; its limit holds.
        now: What has expired by then is left out.
        screen: What it hides is left out; None hides nothing.
        most: How many there may be; None for any number.

    Raises:
        TooManyEvents: There are more than ``most``, limit and all.
    """
    limit = chosen.limit
    if limit == 0 or chosen.matches_nothing or hides_everything(screen):
        return b""
    if limit is not None:
        if most is not None:
            limit = min(limit, most + 1)
        cut = yield from find_newest(chosen.with_limit(limit), now, screen)
        records = yield from _looked_up([seq for _, seq, _ in cut.found])
    else:
        records = yield from _all(chosen, now, screen, most)
    if most is not None and len(records) > most * _RECORD_BYTES:
        raise TooManyEvents(most)
    return records


def sealed(records: bytes) -> SealedSet:
    """The set of joined records."""
    rows = np.frombuffer(records, np.uint8).reshape(-1, _RECORD_BYTES)
    times = np.zeros((len(rows), 8), np.uint8)
    times[:, 3:] = rows[:, :5]
    seconds = times.view(">u8").reshape(-1).astype(np.uint64)
    return SealedSet(seconds, rows[:, 5:].copy())


def _all(
    chosen: Filter, now: float, screen: IScreen | None, most: int | None
) -> Asking[bytes]:
    records = b""
    public, private = parted([chosen], screen)
    hidden = hidden_kinds(screen) if not private else (screen and screen.kinds)
    for one in public:
        conditions = yield from conditions_for(one, now, hidden or frozenset())
        if not conditions.can_match:
            continue
        in_events = conditions.table == "nostrtx.events"
        columns = "x.place, x.id" if in_events else "x.seq"
        statement, values = matching([conditions], columns)
        if most is not None:
            statement = f"{statement} LIMIT {most + 1}"
        source = f"({statement}) e"
        if not in_events:
            source = f"({statement}) m JOIN nostrtx.events e ON e.seq = m.seq"
        [(joined,)] = yield (
            f"SELECT string_agg({_RECORD}, ''::bytea) FROM {source}",
            values,
        )
        records += joined or b""
        if most is not None and len(records) > most * _RECORD_BYTES:
            return records
    if private and screen is not None:
        records += b"".join((yield from seen_of(private, now, screen, _record)))
    return records


def _record(raw: bytes) -> bytes:
    event = stored_event(raw)
    return event.created_at.to_bytes(5, "big") + event.id


def _looked_up(seqs: Sequence[int]) -> Asking[bytes]:
    records = []
    for at in range(0, len(seqs), _LOOKUPS):
        block = int8s(seqs[at : at + _LOOKUPS])
        [(joined,)] = yield _LOOKED_UP, {"seqs": block}
        records.append(joined or b"")
    return b"".join(records)
