# -*- test-case-name: tests.cli.test_stored_events -*-
"""
Stored events for commands that look at all of them.

An embedded store answers at once, however much it is asked for. So here it is asked for
a little at a time, and the reactor gets a turn in between: an interrupt must not wait
until the last event.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.filters import Filter

#: How long the store works at a time.
_SLICE_SECONDS: Final = 0.1


async def count_events(
    store: IEventStore, clock: Any, filters: Sequence[Filter], now: float
) -> int:
    """
    How many events match any of ``filters``, whose limits do not apply.

    Args:
        store: Where they are.
        clock: The reactor, which gets its turns.
        filters: What is counted.
        now: Seconds since 1970; what has expired by then is not counted.

    Raises:
        StoreError: The store failed.
    """
    counting = store.count(filters, now)
    try:
        while True:
            count = counting.go_on(clock.seconds() + _SLICE_SECONDS)
            if isinstance(count, Deferred):
                # Such a store needs no turns and stops halfway only if it must.
                return (await count).events
            if count.done:
                return count.events
            await deferLater(clock, 0)
    finally:
        counting.close()


async def stored_pages(
    store: IEventStore,
    clock: Any,
    filters: Sequence[Filter],
    now: float,
    page_bytes: int,
) -> AsyncGenerator[Sequence[bytes], None]:
    """
    All events that match any of ``filters``, newest first, each as its JSON.

    Whoever does not take all of it must close it.

    Args:
        store: Where they are.
        clock: The reactor, which gets its turns.
        filters: What is asked for.
        now: Seconds since 1970; what has expired by then is left out.
        page_bytes: About how much is given at a time.

    Raises:
        StoreError: The store failed.
    """
    query = store.query(filters, now)
    try:
        while True:
            page = query.next_page(page_bytes, clock.seconds() + _SLICE_SECONDS)
            if isinstance(page, Deferred):
                page = await page
            yield page.events
            if page.done:
                return
            await deferLater(clock, 0)
    finally:
        query.close()
