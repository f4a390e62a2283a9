# -*- test-case-name: tests.nostr.test_vanish -*-
"""
Requests to vanish: whom they are for, and what they take with them (NIP-62).

Stores apply these rules inside the transaction that saves an event, in either
order of arrival.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from nostrtx.nostr.deletion import may_delete
from nostrtx.nostr.errors import invalid
from nostrtx.nostr.event import Event
from nostrtx.nostr.kinds import DELETION_REQUEST, REQUEST_TO_VANISH
from nostrtx.nostr.relay_url import is_one_of

#: What a request says in the place of a URL if it is for every relay.
ALL_RELAYS: Final = "ALL_RELAYS"


def is_vanish_request(event: Event) -> bool:
    """Whether ``event`` asks for all of its author's events to go (kind 62)."""
    return event.kind == REQUEST_TO_VANISH


def check_vanish_request(request: Event) -> None:
    """
    Refuse a request that is for no relay at all.

    Raises:
        Rejected: ``invalid:``; it has no relay tag with a value.
    """
    if not _relays(request):
        raise invalid("a request to vanish must have a relay tag")


def names_relay(request: Event, relay_urls: Collection[str]) -> bool:
    """
    Whether a request is for the relay that has ``relay_urls``, or for all relays.

    One matching tag suffices, whatever other relays the request names. If none
    matches, the request has no effect here.
    """
    return any(
        relay == ALL_RELAYS or is_one_of(relay, relay_urls)
        for relay in _relays(request)
    )


def names_all_relays(request: Event) -> bool:
    """Whether a request is for every relay there is."""
    return names_relay(request, ())


def vanishes_with(event: Event) -> set[bytes]:
    """
    The pubkeys whose request to vanish takes ``event`` along.

    Its author, deletion requests included; for a gift wrap also its recipients.
    Requests to vanish stay: they are what keeps the rest from coming back. Only
    events up to the request's ``created_at`` are meant, inclusive.
    """
    if event.kind == DELETION_REQUEST:
        return {event.pubkey}
    return may_delete(event)


def _relays(request: Event) -> list[str]:
    return [
        tag[1] for tag in request.tags if tag[0] == "relay" and len(tag) > 1 and tag[1]
    ]
