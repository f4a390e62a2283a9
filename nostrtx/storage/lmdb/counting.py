# -*- test-case-name: tests.storage.test_lmdb_scan -*-
"""
How many events match, in the embedded store (NIP-45).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any

from nostrtx.interfaces import IScreen
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import has_address
from nostrtx.storage.lmdb.keys import SEQ, kind_key, tag_prefix
from nostrtx.storage.lmdb.scan import Scan, hides_everything
from nostrtx.storage.lmdb.snapshot import STRIDE, Snapshot
from nostrtx.storage.lmdb.tag_sources import kinds_under
from nostrtx.storage.query_plan import Plan, Way

_Count = Generator[None, None, int]


def count_matches(
    snapshot: Snapshot, filters: Sequence[Filter], now: float, screen: IScreen | None
) -> _Count:
    """
    Count what matches at least one of ``filters``, but for what is not shown.

    Args:
        snapshot: The view of the store.
        filters: What is asked for.
        now: What has expired by then is not shown,
        screen: nor what this hides.
    """
    yield from snapshot.find_expired(now)
    if hides_everything(screen):
        return 0
    asked = [filter_ for filter_ in filters if not filter_.matches_nothing]
    scans = [
        Scan(snapshot, filter_, None, {}, screen, is_ordered=False) for filter_ in asked
    ]
    if len(scans) == 1 and _is_told(snapshot, asked[0], scans[0]):
        return (yield from _told(snapshot, asked[0], scans[0].plan))
    seqs: set[bytes] = set()
    for scan in scans:
        postings = yield from scan.postings()
        for at in range(0, len(postings), STRIDE):
            seqs.update([posting[SEQ] for posting in postings[at : at + STRIDE]])
            yield
    return len(seqs)


def _is_told(snapshot: Snapshot, filter_: Filter, scan: Scan) -> bool:
    """Whether the index knows the number of matches."""
    plan = scan.plan
    return (
        scan.is_exact
        and not snapshot.expired
        and filter_.since is None
        and filter_.until is None
        and plan.way not in (Way.IDS, Way.ADDRESSES)
        and (plan.way is not Way.TAG or len(filter_.tags[plan.tag][1]) == 1)
    )


def _told(snapshot: Snapshot, filter_: Filter, plan: Plan) -> _Count:
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
) -> _Count:
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
