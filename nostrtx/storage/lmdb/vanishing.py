# -*- test-case-name: tests.storage.test_lmdb -*-
"""
What goes with a request to vanish, found in the indexes (NIP-62).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from nostrtx.nostr.event import Event
from nostrtx.nostr.kinds import GIFT_WRAP, REQUEST_TO_VANISH
from nostrtx.storage.lmdb.keys import first_posting, kind_key, tag_prefix
from nostrtx.storage.lmdb.schema import Databases


def vanishing(
    databases: Databases, txn: Any, request: Event, most: int | None
) -> list[bytes]:
    """
    The postings of what ``request`` takes along, once each.

    Args:
        databases: The store.
        txn: A transaction, in which nothing is left to be written.
        request: The request to vanish.
        most: How many are wanted at most; None for all.
    """
    found = dict.fromkeys(islice(_postings(databases, txn, request), most))
    return list(found)


def _postings(databases: Databases, txn: Any, request: Event) -> Iterator[bytes]:
    first = first_posting(request.created_at)
    authors = txn.cursor(databases.authors)
    kept = request.pubkey + kind_key(REQUEST_TO_VANISH)
    is_there = authors.set_range(request.pubkey)
    while is_there and (key := authors.key()).startswith(request.pubkey):
        if key != kept:
            yield from _under(authors, key, first)
            authors.set_key(key)
        is_there = authors.next_nodup()
    wraps = tag_prefix("p", request.pubkey.hex()) + kind_key(GIFT_WRAP)
    yield from _under(txn.cursor(databases.tags), wraps, first)


def _under(cursor: Any, key: bytes, first: bytes) -> Iterator[bytes]:
    found = cursor.set_range_dup(key, first) if first else cursor.set_key(key)
    if found:
        yield from cursor.iternext_dup()
