# -*- test-case-name: tests.cli.test_public_events -*-
"""Which stored events anybody may read, and so another relay may be given."""

from __future__ import annotations

from collections.abc import Callable

from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.event import Event, d_value
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.group_state import recorded
from nostrtx.nostr.groups import GROUP_METADATA
from nostrtx.relay.finding import find_events
from nostrtx.relay.groups.access import GroupAccess
from nostrtx.relay.visibility import Visibility
from nostrtx.settings.tree import Settings


async def public_events(
    settings: Settings, store: IEventStore, seconds: Callable[[], float]
) -> Callable[[Event], bool]:
    """
    What says whether the relay would show an event to somebody without a key.

    Private kinds it would not, nor what is in private groups.

    Args:
        settings: Say which kinds are private, and whether there are groups.
        store: Where groups are described.
        seconds: Tells the time.

    Raises:
        StoreError: The store failed.
    """
    groups = None
    if settings.groups.enabled:
        groups = GroupAccess()
        described = Filter(kinds=(GROUP_METADATA,))
        for event in await find_events(store, [described], seconds()):
            id_ = d_value(event.tags)
            groups.groups[id_] = recorded(id_, {GROUP_METADATA: event.tags})
        groups.is_loaded = True
    visibility = Visibility(settings.auth.private_kinds, groups=groups)
    return lambda event: visibility.may_read(event, (), seconds())
