# -*- test-case-name: tests.storage.test_postgres_keys -*-
"""
The keys under which the shared store finds events: 16 bytes each, a ``uuid``.

A *place* is where an event stands among all others: ``created_at`` in five bytes,
then the first eleven of the id, inverted. Read backwards, an index by place is in
NIP-01's order, newest first and then by id. Two events may have the same place, if
somebody takes the trouble; so ties are settled by the whole id.

Tags and addresses are known by a hash, which holds for any text of any length.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from nostrtx.nostr.event import MAX_CREATED_AT, Event, d_value, indexed_tags
from nostrtx.nostr.kinds import has_address, is_addressable

#: Before all places, and after all of them.
FIRST_PLACE: Final = bytes(16)
AFTER_PLACES: Final = b"\xff" * 16

#: Where the time stands in a place.
SECOND: Final = slice(0, 5)

#: What an expiration is taken for if it is even later.
LATEST: Final = 2**63 - 1

_INVERTED: Final = bytes(range(255, -1, -1))


def place_of(created_at: int, id_: bytes) -> bytes:
    """Where the event with this time and id stands among all."""
    return created_at.to_bytes(5, "big") + id_[:11].translate(_INVERTED)


def created_at_of(place: bytes) -> int:
    """The time of the event at ``place``."""
    return int.from_bytes(place[SECOND], "big")


def first_place(since: int | None) -> bytes | None:
    """The least place of an event made then or later; None if there is none."""
    if since is None or since <= 0:
        return FIRST_PLACE
    return since.to_bytes(5, "big") + bytes(11) if since <= MAX_CREATED_AT else None


def end_of_places(until: int | None) -> bytes | None:
    """What is greater than the places of events until then; None if there are none."""
    if until is None or until >= MAX_CREATED_AT:
        return AFTER_PLACES
    return (until + 1).to_bytes(5, "big") + bytes(11) if until >= 0 else None


def tag_key(letter: str, value: str) -> bytes:
    """What stands for a tag."""
    return blake2b(f"{letter}{value}".encode(), digest_size=16).digest()


def own_d_key(author: bytes, value: str) -> bytes:
    """What stands for any ``d`` tag of an addressable event of ``author``."""
    return blake2b(b"\0%b%b" % (author, value.encode()), digest_size=16).digest()


def address_key(pubkey: bytes, kind: int, d: str) -> bytes:
    """What stands for an address."""
    text = b"%b%b%b" % (kind.to_bytes(2, "big"), pubkey, d.encode())
    return blake2b(text, digest_size=16).digest()


def address_of(event: Event) -> bytes | None:
    """The key of an event's address; None where every event is kept."""
    if not has_address(event.kind):
        return None
    d = d_value(event.tags) if is_addressable(event.kind) else ""
    return address_key(event.pubkey, event.kind, d)


def tag_keys(event: Event) -> set[bytes]:
    """All keys under which an event's tags are found."""
    pairs = indexed_tags(event)
    keys = {tag_key(letter, value) for letter, value in pairs}
    if is_addressable(event.kind):
        author = event.pubkey
        keys |= {own_d_key(author, value) for letter, value in pairs if letter == "d"}
    return keys
