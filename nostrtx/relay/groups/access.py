# -*- test-case-name: tests.relay.groups.test_reading -*-
"""
Who may read what is in groups and about them (NIP-29): what is asked all the time.

Groups are looked at when the question is put, so whoever is removed from a private
group gets nothing more, on whatever subscription, from that moment on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from nostrtx.nostr.event import Event, d_value, stored_event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.group_state import Group
from nostrtx.nostr.groups import (
    CHANGES,
    CREATE_INVITE,
    JOIN_REQUEST,
    RELAY_SIGNED,
    codes_of,
    group_ids,
)
from nostrtx.nostr.kinds import DELETION_REQUEST

#: How a tag that names a group begins in :attr:`Event.raw`.
_H_TAG: Final = b'["h",'

#: With more tags than this, looking at each takes longer than at the bytes.
_MANY_TAGS: Final = 20

#: Where the kind is looked for in :attr:`Event.raw`: behind id and pubkey.
_BEHIND_PUBKEY: Final = 148
_KIND: Final = b'"kind":'

#: Kinds of which events may be hidden although no group is private.
_SECRETIVE: Final = frozenset({CREATE_INVITE, JOIN_REQUEST, DELETION_REQUEST})


def is_in_group(event: Event) -> bool:
    """Whether the event has an ``h`` tag; quick to say no."""
    tags = event.tags
    if len(tags) > _MANY_TAGS:
        return _H_TAG in event.raw
    for tag in tags:
        if tag[0] == "h":
            return True
    return False


class GroupAccess:
    """
    The groups of this relay, as readers meet them.

    Attributes:
        groups: By id. A change puts another :class:`Group` in place of the first.
        deleted: Ids of groups that are no more, and will not be again.
        is_loaded: Whether all groups are known; until then, what is in any group is
            shown to nobody.
        clearing: Ids of deleted groups of which events may still be in the store.
    """

    def __init__(self) -> None:
        self.groups: dict[str, Group] = {}
        self.deleted: set[str] = set()
        self.clearing: set[str] = set()
        self.is_loaded = False

    def may_read(self, event: Event, readers: Collection[bytes]) -> bool:
        """
        Whether the owner of the keys ``readers`` may see ``event``.

        What a reader without keys may see, anybody may.
        """
        if event.kind in RELAY_SIGNED:
            group = self.groups.get(d_value(event.tags))
            if group is None or not group.profile.hidden:
                return self.is_loaded
            return group.has_any(readers)
        if not is_in_group(event):
            return True
        return all(
            self._may_read_in(id_, event, readers) for id_ in group_ids(event.tags)
        )

    def may_read_raw(self, raw: bytes, readers: Collection[bytes]) -> bool:
        """As :meth:`may_read`, of an event as a store has it; quick to say yes."""
        if _H_TAG not in raw and kind_of(raw) not in RELAY_SIGNED:
            return True
        return self.may_read(stored_event(raw), readers)

    def secretive_kinds(self) -> frozenset[int] | None:
        """The kinds of which some events may be hidden; None if it may be any."""
        if not self.is_loaded or self.clearing:
            return None
        profiles = [group.profile for group in self.groups.values()]
        if any(profile.private for profile in profiles):
            return None
        if any(profile.hidden for profile in profiles):
            return _SECRETIVE | CHANGES | RELAY_SIGNED
        return _SECRETIVE

    def names_groups(self, filters: Sequence[Filter]) -> bool:
        """Whether a filter asks for what is in groups, or about them."""
        return any(
            _asked_groups(one) is not None
            or (one.kinds is not None and not RELAY_SIGNED.isdisjoint(one.kinds))
            for one in filters
        )

    def asks_only_closed(
        self, filters: Sequence[Filter], readers: Collection[bytes]
    ) -> bool:
        """
        Whether the filters ask for nothing but what is in groups closed to a reader.

        Of hidden groups nothing is said: they seem not to be there.
        """
        return all(
            bool(ids := _asked_groups(one))
            and all(self._is_closed_to(id_, readers) for id_ in ids or ())
            for one in filters
        )

    def _may_read_in(self, id_: str, event: Event, readers: Collection[bytes]) -> bool:
        group = self.groups.get(id_)
        if group is None:
            return self.is_loaded and id_ not in self.deleted
        kind = event.kind
        profile = group.profile
        if (
            profile.private or (profile.hidden and kind in CHANGES)
        ) and not group.has_any(readers):
            return False
        if kind == CREATE_INVITE or (kind == JOIN_REQUEST and codes_of(event)):
            # A code is for whom it was made, not for whoever reads along.
            return event.pubkey in readers or any(
                group.may(reader, CREATE_INVITE) for reader in readers
            )
        return True

    def _is_closed_to(self, id_: str, readers: Collection[bytes]) -> bool:
        group = self.groups.get(id_)
        if group is None or group.profile.hidden or not group.profile.private:
            return False
        return not group.has_any(readers)


def kind_of(raw: bytes) -> int:
    """The kind of the event with this :attr:`Event.raw`."""
    begin = raw.index(_KIND, _BEHIND_PUBKEY) + len(_KIND)
    return int(raw[begin : raw.index(b",", begin)])


def _asked_groups(one: Filter) -> Collection[str] | None:
    """The groups that the filter names in ``#h``; None if it does not name any."""
    return next((values for letter, values in one.tags if letter == "h"), None)
