# -*- test-case-name: tests.nostr.test_group_state -*-
"""
A group at one moment, how moderation changes it, and how the relay tells of it.

The same state can be had in three ways (NIP-29): by following the changes as they
come, from the stored changes of kinds 9000 to 9010 in any order, and from what the
relay has published last under its own key.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import attrs

from nostrtx.nostr.event import Event
from nostrtx.nostr.groups import (
    CREATE_GROUP,
    DELETE_GROUP,
    EDIT_METADATA,
    GROUP_ADMINS,
    GROUP_MEMBERS,
    GROUP_METADATA,
    GROUP_PINS,
    GROUP_ROLES,
    PUT_USER,
    REMOVE_USER,
    ROLES,
    UPDATE_PINS,
    Profile,
    named_users,
    pins_of,
    powers,
    profile_of,
    profile_tags,
)

Tags = list[list[str]]

#: Kinds of which each later event takes the place of the earlier in its matter.
STATED: Final = frozenset({PUT_USER, REMOVE_USER, EDIT_METADATA, UPDATE_PINS})


@attrs.frozen(slots=True)
class Group:
    """
    A group at one moment.

    Attributes:
        id: Its name in ``h`` and ``d`` tags.
        members: By public key, 32 bytes, each with its roles.
        profile: What it looks like and who may do what.
        pins: Pinned events, as names and values of tags.
    """

    id: str
    members: Mapping[bytes, tuple[str, ...]] = attrs.field(factory=dict)
    profile: Profile = attrs.field(factory=Profile)
    pins: tuple[tuple[str, str], ...] = ()

    def has_any(self, pubkeys: Collection[bytes]) -> bool:
        """Whether one of these keys is a member's."""
        members = self.members
        return any(pubkey in members for pubkey in pubkeys)

    def may(self, pubkey: bytes, kind: int) -> bool:
        """Whether this member may publish moderation events of this kind."""
        return kind in powers(self.members.get(pubkey, ()))

    def after(self, event: Event) -> Group:
        """
        The group as this moderation event leaves it.

        Raises:
            Rejected: ``invalid:``; the event is malformed.
        """
        kind = event.kind
        if kind == PUT_USER:
            return attrs.evolve(self, members={**self.members, **named_users(event)})
        if kind == REMOVE_USER:
            removed = named_users(event)
            left = {k: r for k, r in self.members.items() if k not in removed}
            return attrs.evolve(self, members=left)
        if kind == EDIT_METADATA:
            return attrs.evolve(self, profile=profile_of(event.tags))
        if kind == UPDATE_PINS:
            return attrs.evolve(self, pins=pins_of(event))
        return self


def records(group: Group) -> dict[int, Tags]:
    """By kind, the tags of the events with which the relay tells of a group."""
    d = ["d", group.id]
    admins = []
    members = []
    for pubkey, roles in sorted(group.members.items()):
        if powers(roles):
            admins.append(["p", pubkey.hex(), *roles])
            members.append(["p", pubkey.hex()])
        else:
            # Roles that mean nothing here are kept for clients to which they do.
            members.append(["p", pubkey.hex(), *roles])
    return {
        GROUP_METADATA: [d, *profile_tags(group.profile)],
        GROUP_ADMINS: [d, *admins],
        GROUP_MEMBERS: [d, *members],
        GROUP_ROLES: [d, *(["role", name, text] for name, text in ROLES.items())],
        GROUP_PINS: [d, *map(list, group.pins)],
    }


def recorded(group_id: str, tags_of: Mapping[int, Sequence[Sequence[str]]]) -> Group:
    """
    The group of which the relay tells so.

    Args:
        group_id: Its id.
        tags_of: What :func:`records` has made; what is missing is empty.
    """
    members = {}
    for kind in (GROUP_MEMBERS, GROUP_ADMINS):
        for tag in tags_of.get(kind, ()):
            if tag[0] == "p":
                members[bytes.fromhex(tag[1])] = tuple(tag[2:])
    pins = [(tag[0], tag[1]) for tag in tags_of.get(GROUP_PINS, ()) if tag[0] != "d"]
    profile = profile_of(tags_of.get(GROUP_METADATA, ()))
    return Group(group_id, members, profile, tuple(pins))


def replayed(group_id: str, events: Iterable[Event]) -> Group | None:
    """
    The group that its moderation events make, whatever their order.

    Args:
        group_id: Its id.
        events: All of the group's that were accepted. In each matter (a member, the
            profile, the pins) the one dated last decides.

    Returns:
        The group; None if it was deleted or never made.
    """
    in_order = sorted(events, key=lambda event: (event.created_at, event.id))
    kinds = {event.kind for event in in_order}
    if DELETE_GROUP in kinds or CREATE_GROUP not in kinds:
        return None
    group = Group(group_id)
    for event in in_order:
        group = group.after(event)
    return group
