# -*- test-case-name: tests.storage.test_lmdb_scan -*-
"""
How many events an index leads to, told from a few of its keys.

LMDB knows how many postings stand under a key, so asking costs no more than finding
the key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final

from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import MAX_KIND, has_address
from nostrtx.storage.lmdb.keys import kind_key, tag_prefix
from nostrtx.storage.lmdb.snapshot import Snapshot
from nostrtx.storage.query_plan import Way

#: Up to so many keys are asked; the rest are taken to be like them.
_MAX_KEYS: Final = 64


def size_of(snapshot: Snapshot, asked: Filter, way: Way, tag: int) -> int:
    """
    About how many postings there are under the authors or one tag of a filter.

    Args:
        snapshot: The view of the store.
        asked: What is asked for.
        way: By author or by tag.
        tag: The number of the tag condition.
    """
    db = snapshot.db
    if way is Way.AUTHORS:
        prefixes: Sequence[bytes] = asked.authors or ()
        places: list[tuple[Any, Sequence[int] | None]] = [
            (snapshot.cursor(db.authors), asked.kinds)
        ]
    else:
        letter, values = asked.tags[tag]
        prefixes = [tag_prefix(letter, value) for value in values]
        kinds = asked.kinds
        regular = None if kinds is None else [k for k in kinds if not has_address(k)]
        versioned = None if kinds is None else [k for k in kinds if has_address(k)]
        places = [
            (snapshot.cursor(db.tags), regular),
            (snapshot.cursor(db.slot_tags), versioned),
        ]
    step = max(1, len(prefixes) * len(asked.kinds or (1,)) // _MAX_KEYS)
    tried = prefixes[::step][:_MAX_KEYS]
    total = 0
    for cursor, kinds_there in places:
        for prefix in tried:
            if kinds_there is None:
                total += _under(cursor, prefix)
            else:
                total += _of_kinds(cursor, prefix, islice(kinds_there, _MAX_KEYS))
    return total * len(prefixes) // max(1, len(tried))


def _of_kinds(cursor: Any, prefix: bytes, kinds: Iterable[int]) -> int:
    total = 0
    for kind in kinds:
        if 0 <= kind <= MAX_KIND and cursor.set_key(prefix + kind_key(kind)):
            total += cursor.count()
    return total


def _under(cursor: Any, prefix: bytes) -> int:
    total = 0
    found = cursor.set_range(prefix)
    for _ in range(_MAX_KEYS):
        if not found or not cursor.key().startswith(prefix):
            break
        total += cursor.count()
        found = cursor.next_nodup()
    return total
