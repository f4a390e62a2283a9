# -*- test-case-name: tests.cli.test_exporting -*-
"""Stored events for commands that look at all of them."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Sequence

from twisted.internet.defer import Deferred

from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.filters import Filter


async def count_events(
    store: IEventStore, filters: Sequence[Filter], now: float
) -> int:
    """
    How many events match any of ``filters``, whose limits do not apply.

    Args:
        store: Where they are.
        filters: What is counted.
        now: Seconds since 1970; what has expired by then is not counted.

    Raises:
        StoreError: The store failed.
    """
    counting = store.count(filters, now)
    count = counting.go_on(math.inf)
    if isinstance(count, Deferred):
        count = await count
    counting.close()
    return count.events


async def stored_pages(
    store: IEventStore, filters: Sequence[Filter], now: float, page_bytes: int
) -> AsyncGenerator[Sequence[bytes], None]:
    """
    All events that match any of ``filters``, newest first, each as its JSON.

    Whoever does not take all of it must close it.

    Args:
        store: Where they are.
        filters: What is asked for.
        now: Seconds since 1970; what has expired by then is left out.
        page_bytes: About how much is given at a time.

    Raises:
        StoreError: The store failed.
    """
    query = store.query(filters, now)
    try:
        done = False
        while not done:
            page = query.next_page(page_bytes, math.inf)
            if isinstance(page, Deferred):
                page = await page
            yield page.events
            done = page.done
    finally:
        query.close()
