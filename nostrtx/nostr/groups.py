# -*- test-case-name: tests.nostr.test_groups -*-
"""
Relay-based groups: their kinds, their tags, and what may be asked of them (NIP-29).

Pure: no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from nostrtx.nostr.errors import invalid
from nostrtx.nostr.event import Event

PUT_USER: Final = 9000
REMOVE_USER: Final = 9001
EDIT_METADATA: Final = 9002
DELETE_EVENT: Final = 9005
CREATE_GROUP: Final = 9007
DELETE_GROUP: Final = 9008
CREATE_INVITE: Final = 9009
UPDATE_PINS: Final = 9010
JOIN_REQUEST: Final = 9021
LEAVE_REQUEST: Final = 9022

GROUP_METADATA: Final = 39000
GROUP_ADMINS: Final = 39001
GROUP_MEMBERS: Final = 39002
GROUP_ROLES: Final = 39003
GROUP_PARTICIPANTS: Final = 39004
GROUP_PINS: Final = 39005

#: What admins do to a group; not all of these kinds mean something yet.
MODERATION: Final = frozenset(range(9000, 9021))

#: All that may change a group.
CHANGES: Final = MODERATION | {JOIN_REQUEST, LEAVE_REQUEST}

#: What the relay tells of a group, under its own key only.
RELAY_SIGNED: Final = frozenset(range(GROUP_METADATA, GROUP_PINS + 1))

#: Longest id of a group and longest invite code, in characters.
MAX_ID_LENGTH: Final = 256

#: Most events that may be pinned in one group.
MAX_PINS: Final = 100

#: How many hexadecimal digits of an id stand in a ``previous`` tag.
REFERENCE_LENGTH: Final = 8

#: The roles that mean something here, with what they are for.
ROLES: Final[Mapping[str, str]] = {
    "admin": "may do everything in the group",
    "moderator": "may delete and pin events and remove ordinary members",
}

_POWERS: Final[Mapping[str, frozenset[int]]] = {
    "admin": MODERATION,
    "moderator": frozenset({REMOVE_USER, DELETE_EVENT, UPDATE_PINS}),
}

_FLAGS: Final = ("private", "restricted", "hidden", "closed")
_TEXTS: Final = ("name", "picture", "banner", "about")


@attrs.frozen(slots=True)
class Profile:
    """
    What an event of kind 39000 says of a group.

    Attributes:
        name: For people, as are ``picture``, ``banner`` and ``about``.
        private: Only members read what is in it.
        restricted: Only members write to it.
        hidden: Only members learn that there is such a group.
        closed: One comes in by invitation only.
        supported_kinds: What may be written to it; None for every kind.
    """

    name: str = ""
    picture: str = ""
    banner: str = ""
    about: str = ""
    private: bool = False
    restricted: bool = False
    hidden: bool = False
    closed: bool = False
    supported_kinds: frozenset[int] | None = None


def group_ids(tags: Sequence[Sequence[str]]) -> set[str]:
    """The ids of the groups that an event with these tags is for."""
    return {tag[1] for tag in tags if tag[0] == "h" and len(tag) > 1}


def the_group_id(event: Event) -> str:
    """
    The id of the one group that an event is about.

    Raises:
        Rejected: ``invalid:``; it names none, more than one, or one too long.
    """
    ids = group_ids(event.tags)
    if len(ids) != 1:
        raise invalid("an h tag must name the group, and only one")
    (id_,) = ids
    if not 0 < len(id_) <= MAX_ID_LENGTH:
        raise invalid(f"the id of a group has 1 to {MAX_ID_LENGTH} characters")
    return id_


def powers(roles: Sequence[str]) -> frozenset[int]:
    """The kinds of moderation events that somebody with these roles may publish."""
    return frozenset().union(*(_POWERS.get(role, ()) for role in roles))


def profile_of(tags: Sequence[Sequence[str]]) -> Profile:
    """
    What the tags of a 9002 or 39000 say; unknown ones are passed over.

    Raises:
        Rejected: ``invalid:``; a kind is none, or there is to be a subgroup.
    """
    said: dict[str, str | bool] = {}
    kinds: frozenset[int] | None = None
    for tag in reversed(tags):
        name = tag[0]
        if name in _TEXTS and len(tag) > 1:
            said[name] = tag[1]
        elif name in _FLAGS:
            said[name] = True
        elif name == "supported_kinds":
            kinds = frozenset(map(_kind, tag[1:]))
        elif name in ("parent", "child"):
            raise invalid("this relay has no subgroups")
    return Profile(**said, supported_kinds=kinds)  # type: ignore[arg-type]


def profile_tags(profile: Profile) -> list[list[str]]:
    """The tags that say what :func:`profile_of` reads."""
    tags = [[name, text] for name in _TEXTS if (text := getattr(profile, name))]
    tags += [[name] for name in _FLAGS if getattr(profile, name)]
    if profile.supported_kinds is not None:
        tags.append(["supported_kinds", *map(str, sorted(profile.supported_kinds))])
    return tags


def named_users(event: Event) -> dict[bytes, tuple[str, ...]]:
    """
    Whom the ``p`` tags name, each with the roles behind the key.

    Raises:
        Rejected: ``invalid:``; they name nobody, or what is no public key.
    """
    users = {}
    for tag in event.tags:
        if tag[0] == "p":
            users[_hex32(tag, "a public key")] = tuple(dict.fromkeys(tag[2:]))
    if not users:
        raise invalid("a p tag must name somebody")
    return users


def named_events(event: Event) -> list[bytes]:
    """
    The ids in the ``e`` tags.

    Raises:
        Rejected: ``invalid:``; there are none, or one is no id.
    """
    ids = [_hex32(tag, "an event id") for tag in event.tags if tag[0] == "e"]
    if not ids:
        raise invalid("an e tag must name an event")
    return ids


def pins_of(event: Event) -> tuple[tuple[str, str], ...]:
    """
    The names and values of the ``e`` and ``a`` tags, in order.

    Raises:
        Rejected: ``invalid:``; one is malformed, or they are too many.
    """
    pins = []
    for tag in event.tags:
        if tag[0] == "e":
            pins.append(("e", _hex32(tag, "an event id").hex()))
        elif tag[0] == "a":
            address = tag[1] if len(tag) > 1 else ""
            kind, _, rest = address.partition(":")
            pubkey, colon, _ = rest.partition(":")
            if not colon:
                raise invalid("an a tag must hold an address")
            _kind(kind)
            _hex32(["a", pubkey], "an address")
            pins.append(("a", address))
    if len(pins) > MAX_PINS:
        raise invalid(f"at most {MAX_PINS} events are pinned")
    return tuple(pins)


def invite_code(event: Event) -> str:
    """
    The one code that a 9009 makes.

    Raises:
        Rejected: ``invalid:``; there is none, more than one, or it is too long.
    """
    codes = codes_of(event)
    if len(codes) != 1 or not 0 < len(codes[0]) <= MAX_ID_LENGTH:
        raise invalid(f"a code tag with 1 to {MAX_ID_LENGTH} characters is needed")
    return codes[0]


def codes_of(event: Event) -> list[str]:
    """The values of all ``code`` tags."""
    return [tag[1] for tag in event.tags if tag[0] == "code" and len(tag) > 1]


def references(event: Event) -> set[str]:
    """
    The values of all ``previous`` tags: how ids of earlier events begin.

    Raises:
        Rejected: ``invalid:``; one has not the right form.
    """
    found = {value for tag in event.tags if tag[0] == "previous" for value in tag[1:]}
    for value in found:
        if len(value) != REFERENCE_LENGTH or not set(value) <= _HEX_DIGITS:
            raise invalid(f"previous holds the first {REFERENCE_LENGTH} digits of ids")
    return found


_HEX_DIGITS: Final = frozenset("0123456789abcdef")


def _kind(text: str) -> int:
    if len(text) <= 5 and text.isascii() and text.isdigit() and int(text) <= 65535:
        return int(text)
    raise invalid("a kind is a number up to 65535")


def _hex32(tag: Sequence[str], what: str) -> bytes:
    text = tag[1] if len(tag) > 1 else ""
    if len(text) != 64 or not set(text) <= _HEX_DIGITS:
        raise invalid(f"{tag[0]} must hold {what}: 64 lower-case hexadecimal digits")
    return bytes.fromhex(text)
