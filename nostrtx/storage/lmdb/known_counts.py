# -*- test-case-name: tests.storage.test_lmdb_scan -*-
"""
Numbers of events that the indexes of the embedded store know (NIP-45).

LMDB knows how many postings stand under a key, so a count by kind, author or one
tag costs no more than finding the keys.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Final

from nostrtx.nostr.event import stored_event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import has_address
from nostrtx.storage.lmdb.keys import SEQ, SLOT_PUBKEY, kind_key, tag_prefix
from nostrtx.storage.lmdb.scan import Scan
from nostrtx.storage.lmdb.snapshot import Snapshot
from nostrtx.storage.lmdb.tag_sources import kinds_under
from nostrtx.storage.query_plan import Plan, Way

_Number = Generator[None, None, int]

#: Up to so many expired events are looked at, to be taken off.
_MAX_EXPIRED: Final = 200

#: How many slots are looked up between two pauses.
_SLOTS_AT_ONCE: Final = 256


def is_known(snapshot: Snapshot, filter_: Filter, scan: Scan) -> bool:
    """Whether the indexes know how many events the ``scan`` of a filter will find."""
    plan = scan.plan
    return (
        scan.is_exact
        and len(snapshot.expired) <= _MAX_EXPIRED
        and filter_.since is None
        and filter_.until is None
        and plan.way not in (Way.IDS, Way.ADDRESSES)
        and (plan.way is not Way.TAG or len(filter_.tags[plan.tag][1]) == 1)
    )


def known_count(snapshot: Snapshot, filter_: Filter, plan: Plan) -> _Number:
    """How many events match, less what has expired."""
    number = yield from _postings(snapshot, filter_, plan)
    for seq in snapshot.expired:
        event = stored_event(snapshot.get(seq, db=snapshot.db.events))
        if filter_.matches(event) and (
            event.kind not in plan.left_out
            if plan.kinds is None
            else event.kind in plan.kinds
        ):
            number -= 1
    return number


def has_slots_only(filter_: Filter, plan: Plan) -> bool:
    """Whether the events are found by one tag of theirs, and all have addresses."""
    return (
        plan.way is Way.TAG
        and plan.kinds is not None
        and all(map(has_address, plan.kinds))
    )


def count_slots(
    snapshot: Snapshot, filter_: Filter, plan: Plan, author: Callable[[bytes], None]
) -> _Number:
    """Tell the ``author`` of each event that matches; how many there are."""
    letter, values = filter_.tags[plan.tag]
    prefix = tag_prefix(letter, values[0])
    get, slots, expired = snapshot.get, snapshot.db.slots, snapshot.expired
    cursor = snapshot.cursor(snapshot.db.slot_tags)
    number = looked_at = 0
    for kind in plan.kinds or ():
        if not cursor.set_key(prefix + kind_key(kind)):
            continue
        for slot in cursor.iternext_dup():
            value = get(slot, None, slots)
            if value[SEQ] not in expired:
                author(value[SLOT_PUBKEY])
                number += 1
            looked_at += 1
            if looked_at % _SLOTS_AT_ONCE == 0:
                yield
    return number


def _postings(snapshot: Snapshot, filter_: Filter, plan: Plan) -> _Number:
    db = snapshot.db
    if plan.way is Way.EVERYTHING:
        left_out = _total(snapshot.cursor(db.kinds), map(kind_key, plan.left_out))
        return snapshot.size(db.ids) - left_out
    if plan.way is Way.TAG:
        letter, values = filter_.tags[plan.tag]
        prefixes: Sequence[bytes] = [tag_prefix(letter, values[0])]
    elif plan.way is Way.AUTHORS:
        prefixes = filter_.authors or ()
    else:
        prefixes = [b""]
    total = 0
    for prefix in prefixes:
        if plan.way is Way.TAG:
            total += yield from _under(snapshot, db.tags, prefix, plan, False)
            total += yield from _under(snapshot, db.slot_tags, prefix, plan, True)
        else:
            index = db.authors if plan.way is Way.AUTHORS else db.kinds
            total += yield from _under(snapshot, index, prefix, plan, None)
        yield
    return total


def _under(
    snapshot: Snapshot,
    index: object,
    prefix: bytes,
    plan: Plan,
    versioned: bool | None,
) -> _Number:
    """How many postings an index has under ``prefix`` and the kinds of the plan."""
    cursor = snapshot.cursor(index)
    if plan.kinds is None:
        left_out = set(map(kind_key, plan.left_out))
        kinds = yield from kinds_under(cursor, prefix, left_out)
    else:
        kinds = [
            kind_key(kind)
            for kind in plan.kinds
            if versioned is None or has_address(kind) is versioned
        ]
    return _total(cursor, [prefix + kind for kind in kinds])


def _total(cursor: Any, keys: Iterable[bytes]) -> int:
    return sum([cursor.count() for key in keys if cursor.set_key(key)])
