# -*- test-case-name: tests.nostr.test_deletion -*-
"""
Deletion requests: what they name, and whom they bind (NIP-09, NIP-59).

Stores apply these rules inside the transaction that saves an event, in either
order of arrival.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from typing import Final

from nostrtx.nostr.event import Address, Event
from nostrtx.nostr.kinds import (
    DELETION_REQUEST,
    GIFT_WRAP,
    UNDELETABLE,
    has_address,
    is_addressable,
)

#: Stands where a requester would, if the relay itself removes an event. No event can
#: be signed with it: it is no point on the curve.
NOBODY: Final = bytes(32)


def deleted_ids(request: Event) -> set[bytes]:
    """The event ids in the ``e`` tags of a deletion request; malformed are skipped."""
    ids = set()
    for tag in request.tags:
        if tag[0] == "e" and len(tag) > 1:
            id_ = _key(tag[1])
            if id_ is not None:
                ids.add(id_)
    return ids


def deleted_addresses(request: Event) -> set[Address]:
    """
    The requester's own addresses in the ``a`` tags of a deletion request.

    Addresses of other authors, of kinds without one, and malformed ones are
    skipped. All versions up to the request's ``created_at`` are meant, inclusive.
    """
    addresses = set()
    for tag in request.tags:
        if tag[0] != "a" or len(tag) < 2:
            continue
        kind_text, _, rest = tag[1].partition(":")
        pubkey_text, colon, d = rest.partition(":")
        if not colon or _key(pubkey_text) != request.pubkey:
            continue
        kind = _kind(kind_text)
        if kind is None or not has_address(kind):
            continue
        addresses.add(Address(kind, request.pubkey, d if is_addressable(kind) else ""))
    return addresses


def may_delete(event: Event) -> set[bytes]:
    """
    The pubkeys whose request deletes ``event`` by its id.

    Its author; for a gift wrap also its recipients (NIP-59). Nobody deletes a
    deletion request or a request to vanish.
    """
    if event.kind in UNDELETABLE:
        return set()
    deleters = {event.pubkey}
    if event.kind == GIFT_WRAP:
        for tag in event.tags:
            if tag[0] == "p" and len(tag) > 1:
                recipient = _key(tag[1])
                if recipient is not None:
                    deleters.add(recipient)
    return deleters


def is_deletion_request(event: Event) -> bool:
    """Whether ``event`` asks for deletions (kind 5)."""
    return event.kind == DELETION_REQUEST


def _kind(text: str) -> int | None:
    if len(text) > 5 or not text.isascii() or not text.isdigit():
        return None
    kind = int(text)
    return kind if str(kind) == text else None


def _key(text: str) -> bytes | None:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        return None
    return value if len(value) == 32 and value.hex() == text else None
