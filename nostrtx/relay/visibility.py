# -*- test-case-name: tests.relay.test_visibility -*-
"""
Who may read an event: the one predicate that every way out asks.

Deleted and superseded events are not in the store, and the store leaves out what
has expired by the time of a query; this decides the rest.
"""

from __future__ import annotations

from nostrtx.nostr.event import Event
from nostrtx.nostr.kinds import NEVER_SERVED


def may_read(event: Event, now: float) -> bool:
    """
    Whether ``event`` may be sent to a client at the time ``now``.

    Authentication events (NIP-42, NIP-98) speak to one server and are never passed
    on; an expired event (NIP-40) is sent to nobody.
    """
    return event.kind not in NEVER_SERVED and not event.is_expired(now)
