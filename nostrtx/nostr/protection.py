# -*- test-case-name: tests.nostr.test_protection -*-
"""
Protected events, which nobody but their author may publish (NIP-70).

Pure: no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.json import NotJSONError, loads
from nostrtx.nostr.kinds import REQUEST_TO_VANISH

#: The kinds whose content may be another event, as JSON (NIP-18).
_REPOSTS: Final = frozenset({6, 16})


def is_protected(event: Event) -> bool:
    """Whether ``event`` has a tag called ``-``."""
    for tag in event.tags:
        if tag[0] == "-":
            return True
    return False


def embeds_protected(event: Event) -> bool:
    """Whether ``event`` is a repost that carries a protected event in its content."""
    if event.kind not in _REPOSTS:
        return False
    members = loads(event.raw)
    assert type(members) is dict
    try:
        embedded = loads(members["content"])
    except NotJSONError:
        return False
    tags = embedded.get("tags") if type(embedded) is dict else None
    return type(tags) is list and any(
        type(tag) is list and tag[:1] == ["-"] for tag in tags
    )


def check_protection(event: Event, authenticated: Collection[bytes] | None) -> None:
    """
    Refuse a protected event from anyone but its author, and reposts of one.

    A request to vanish is taken from anyone who has it (NIP-62). Ask before
    looking for duplicates, so that the answer does not tell what is stored.

    Args:
        event: The event; its signature has been checked.
        authenticated: The pubkeys that this connection has authenticated as
            (NIP-42); None if this relay does not authenticate clients.

    Raises:
        Rejected: ``auth-required:`` if authenticating may help, ``restricted:`` if
            somebody else has authenticated, else ``blocked:``.
    """
    if embeds_protected(event):
        raise Rejected(ReasonPrefix.BLOCKED, "a protected event may not be reposted")
    if event.kind == REQUEST_TO_VANISH or not is_protected(event):
        return
    if authenticated is None:
        raise Rejected(ReasonPrefix.BLOCKED, "protected events are not taken")
    if not authenticated:
        raise _authors_only(ReasonPrefix.AUTH_REQUIRED)
    if event.pubkey not in authenticated:
        raise _authors_only(ReasonPrefix.RESTRICTED)


def _authors_only(prefix: ReasonPrefix) -> Rejected:
    return Rejected(prefix, "this event may only be published by its author")
