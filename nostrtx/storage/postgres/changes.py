# -*- test-case-name: tests.storage.test_postgres -*-
"""
What a transaction changes in the tables, as statements.

Each table gets all its rows with one statement, column by column.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nostrtx.storage.postgres.columns import byteas, int4s, int8s, uuids
from nostrtx.storage.postgres.exchange import Ask
from nostrtx.storage.postgres.keys import LATEST, place_of, tag_keys
from nostrtx.storage.postgres.rules import Batch, Marks

_REMOVALS: Final = [
    f"DELETE FROM nostrtx.{table} WHERE seq = ANY(%(seqs)s)"
    for table in ("events", "bodies", "tags")
]

_EVENTS: Final = (
    "INSERT INTO nostrtx.events"
    " (seq, expires_at, place, kind, address, id, pubkey)"
    " SELECT * FROM unnest(%(seqs)s, %(expires)s, %(places)s, %(kinds)s,"
    " %(addresses)s, %(ids)s, %(pubkeys)s)"
)
_BODIES: Final = (
    "INSERT INTO nostrtx.bodies (seq, raw) SELECT * FROM unnest(%(seqs)s, %(raws)s)"
)
_TAGS: Final = (
    "INSERT INTO nostrtx.tags (seq, expires_at, place, tag, kind)"
    " SELECT * FROM unnest(%(seqs)s, %(expires)s, %(places)s, %(tags)s, %(kinds)s)"
)
#: Counts a removal that comes without an event; gives the number.
CHANGE: Final[Ask] = (
    "UPDATE nostrtx.counters SET last_change = last_change + 1 RETURNING last_change",
    {},
)
_COUNTER: Final = "UPDATE nostrtx.counters SET last_seq = %(last_seq)s"

_MARKED_IDS: Final = (
    "INSERT INTO nostrtx.deleted_ids (id, deleter)"
    " SELECT * FROM unnest(%(ids)s, %(deleters)s) ON CONFLICT DO NOTHING"
)
_MARKED_ADDRESSES: Final = (
    "INSERT INTO nostrtx.deleted_addresses AS m (address, until)"
    " SELECT * FROM unnest(%(addresses)s, %(untils)s) ON CONFLICT (address)"
    " DO UPDATE SET until = greatest(m.until, excluded.until)"
)
_VANISHED: Final = (
    "INSERT INTO nostrtx.vanished AS m (pubkey, until)"
    " SELECT * FROM unnest(%(pubkeys)s, %(untils)s) ON CONFLICT (pubkey)"
    " DO UPDATE SET until = greatest(m.until, excluded.until)"
)


def changes_of(batch: Batch) -> list[Ask]:
    """All that a batch changes; empty if that is nothing."""
    asks = [*marking(batch.new_marks), *_removals(batch.removed), *_adding(batch)]
    if batch.last_seq != batch.first_seq:
        asks.append((_COUNTER, {"last_seq": batch.last_seq}))
    return asks


def removing(seqs: Sequence[int]) -> list[Ask]:
    """Remove the events with these ``seq`` where no new one tells of it."""
    return [*_removals(seqs), CHANGE] if seqs else []


def _removals(seqs: Sequence[int]) -> list[Ask]:
    if not seqs:
        return []
    values = {"seqs": int8s(seqs)}
    return [(statement, values) for statement in _REMOVALS]


def marking(marks: Marks) -> list[Ask]:
    """Note what must not come back."""
    asks: list[Ask] = []
    if marks.ids:
        pairs = sorted(marks.ids)
        ids = byteas([id_ for id_, _ in pairs])
        deleters = byteas([deleter for _, deleter in pairs])
        asks.append((_MARKED_IDS, {"ids": ids, "deleters": deleters}))
    if marks.addresses:
        untils = int8s(list(marks.addresses.values()))
        addresses = uuids(list(marks.addresses))
        asks.append((_MARKED_ADDRESSES, {"addresses": addresses, "untils": untils}))
    if marks.vanished:
        untils = int8s(list(marks.vanished.values()))
        pubkeys = byteas(list(marks.vanished))
        asks.append((_VANISHED, {"pubkeys": pubkeys, "untils": untils}))
    return asks


def _adding(batch: Batch) -> list[Ask]:
    seqs: list[int] = []
    expires: list[int | None] = []
    places: list[bytes] = []
    kinds: list[int] = []
    addresses: list[bytes | None] = []
    ids: list[bytes] = []
    pubkeys: list[bytes] = []
    raws: list[bytes] = []
    tag_rows: list[tuple[int, int | None, bytes, bytes, int]] = []
    for seq, held in batch.added.items():
        event = held.event
        assert event is not None
        expiry = event.expiration
        if expiry is not None:
            expiry = min(expiry, LATEST)
        place, kind = place_of(event.created_at, event.id), event.kind
        seqs.append(seq)
        expires.append(expiry)
        places.append(place)
        kinds.append(kind)
        addresses.append(held.address)
        ids.append(event.id)
        pubkeys.append(event.pubkey)
        raws.append(event.raw)
        tag_rows += [(seq, expiry, place, key, kind) for key in tag_keys(event)]
    if not seqs:
        return []
    column = int8s(seqs)
    asks: list[Ask] = [
        (
            _EVENTS,
            {
                "seqs": column,
                "expires": int8s(expires),
                "places": uuids(places),
                "kinds": int4s(kinds),
                "addresses": uuids(addresses),
                "ids": byteas(ids),
                "pubkeys": byteas(pubkeys),
            },
        ),
        (_BODIES, {"seqs": column, "raws": byteas(raws)}),
    ]
    if tag_rows:
        asks.append(
            (
                _TAGS,
                {
                    "seqs": int8s([row[0] for row in tag_rows]),
                    "expires": int8s([row[1] for row in tag_rows]),
                    "places": uuids([row[2] for row in tag_rows]),
                    "tags": uuids([row[3] for row in tag_rows]),
                    "kinds": int4s([row[4] for row in tag_rows]),
                },
            )
        )
    return asks
