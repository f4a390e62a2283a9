# -*- test-case-name: tests.nostr.test_membership -*-
"""
Who may use a relay: member lists, roles, and requests to join or leave (NIP-43).

Pure: no I/O and no clock; the caller passes ``now``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from nostrtx.nostr.errors import invalid
from nostrtx.nostr.event import Event, d_value
from nostrtx.nostr.protection import is_protected

MEMBER_ADDED: Final = 8000
MEMBER_REMOVED: Final = 8001
MEMBER_LIST: Final = 13534
JOIN_REQUEST: Final = 28934
INVITE: Final = 28935
LEAVE_REQUEST: Final = 28936
ROLE: Final = 33534

#: Kinds that only the relay itself may sign.
RELAY_SIGNED: Final = frozenset(
    {MEMBER_ADDED, MEMBER_REMOVED, MEMBER_LIST, INVITE, ROLE}
)

#: How far from now a request may be dated, in seconds.
WINDOW_SECONDS: Final = 300

#: Longest code that is looked up, in characters.
MAX_CODE_LENGTH: Final = 256

#: Members by public key, 32 bytes, each with the ids of its roles.
Members = Mapping[bytes, tuple[str, ...]]


@attrs.frozen(slots=True)
class Role:
    """
    A role that members may have.

    Attributes:
        id: Names it.
        label: What people call it.
        description: What it is for.
        color: A hue from 0 to 360.
        order: Where clients show it.
    """

    id: str
    label: str = ""
    description: str = ""
    color: int | None = None
    order: int | None = None


def member_list_tags(members: Members) -> list[list[str]]:
    """The tags of a list of ``members``, always in the same order."""
    return [
        ["-"],
        *(["member", key.hex(), *roles] for key, roles in sorted(members.items())),
    ]


def listed_members(event: Event) -> dict[bytes, tuple[str, ...]]:
    """Who stands in a member list; what is no public key is passed over."""
    members = {}
    for tag in event.tags:
        if tag[0] == "member" and len(tag) > 1:
            try:
                pubkey = bytes.fromhex(tag[1])
            except ValueError:
                continue
            if len(pubkey) == 32:
                members[pubkey] = tuple(tag[2:])
    return members


def change_tags(pubkey: bytes) -> list[list[str]]:
    """The tags of the news that somebody was added or removed."""
    return [["-"], ["p", pubkey.hex()]]


def role_tags(role: Role) -> list[list[str]]:
    """The tags that describe a role; what is not stated is left out."""
    stated = {
        "label": role.label,
        "description": role.description,
        "color": "" if role.color is None else str(role.color),
        "order": "" if role.order is None else str(role.order),
    }
    tags = [["-"], ["d", role.id]]
    tags += [[name, value] for name, value in stated.items() if value]
    return tags


def described_role(event: Event) -> Role:
    """The role that an event describes; a number that is none is left out."""
    stated = {tag[0]: tag[1] for tag in reversed(event.tags) if len(tag) > 1}
    return Role(
        d_value(event.tags),
        stated.get("label", ""),
        stated.get("description", ""),
        _number(stated.get("color", "")),
        _number(stated.get("order", "")),
    )


def invite_tags(code: str) -> list[list[str]]:
    """The tags of an invitation."""
    return [["-"], ["claim", code]]


def join_code(event: Event, now: float) -> str:
    """
    The invite code in a request to join.

    Raises:
        Rejected: ``invalid:``; it has none, or was not made just now.
    """
    _check_time(event.created_at, now)
    code = _claim(event.tags)
    if not code or len(code) > MAX_CODE_LENGTH:
        raise invalid("a request to join needs a claim tag with an invite code")
    return code


def check_leave_request(event: Event, now: float) -> None:
    """
    Refuse a request to leave that is malformed.

    Raises:
        Rejected: ``invalid:``; it is not protected (NIP-70), or was not made just
            now.
    """
    _check_time(event.created_at, now)
    if not is_protected(event):
        raise invalid('a request to leave needs a "-" tag')


def _number(text: str) -> int | None:
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) < 10:
        return int(text)
    return None


def _check_time(created_at: int, now: float) -> None:
    if abs(now - created_at) > WINDOW_SECONDS:
        raise invalid(f"created_at is more than {WINDOW_SECONDS} s from now")


def _claim(tags: Sequence[Sequence[str]]) -> str:
    for tag in tags:
        if tag[0] == "claim":
            return tag[1] if len(tag) > 1 else ""
    return ""
