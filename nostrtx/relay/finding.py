# -*- test-case-name: tests.relay.test_finding -*-
"""Stored events for the relay itself: a few, and all of them at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred

from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.event import Event, stored_event
from nostrtx.nostr.filters import Filter

_PAGE_BYTES: Final = 1024 * 1024


async def find_events(
    store: IEventStore, filters: Sequence[Filter], now: float
) -> list[Event]:
    """
    All events that match any of ``filters``, newest first.

    Args:
        store: Where they are.
        filters: What is sought; must match few.
        now: Seconds since 1970; what has expired by then is left out.

    Raises:
        StoreError: The store failed.
    """
    query = store.query(filters, now)
    events: list[Event] = []
    try:
        while True:
            page = query.next_page(_PAGE_BYTES, math.inf)
            if isinstance(page, Deferred):
                page = await page
            events += map(stored_event, page.events)
            if page.done:
                return events
    finally:
        query.close()
