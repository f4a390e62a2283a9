# -*- test-case-name: tests.relay.groups.test_joining -*-
"""
Invite codes, made by admins with events of kind 9009 (NIP-29).

A code lives as long as its event, and as long as who made it may invite. A code that
is good for one goes with its event when it is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from nostrtx.nostr.errors import Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.group_state import Group
from nostrtx.nostr.groups import CREATE_INVITE, group_ids, invite_code
from nostrtx.relay.groups.archive import Archive
from nostrtx.relay.groups.ledger import GroupLedger
from nostrtx.settings.live import LiveSettings

_DAY: Final = 86_400


class Invites:
    """
    The codes of all groups.

    Args:
        ledger: Removes what is used up.
        archive: Knows what is still there.
        settings: How long and how often a code is good.
    """

    def __init__(
        self, ledger: GroupLedger, archive: Archive, settings: LiveSettings
    ) -> None:
        self._ledger = ledger
        self._archive = archive
        self._settings = settings
        self._events: dict[tuple[str, str], Event] = {}

    def note(self, event: Event) -> None:
        """Take note of a stored event of kind 9009."""
        try:
            code = invite_code(event)
        except Rejected:
            return
        for id_ in group_ids(event.tags):
            self._events[id_, code] = event

    def has(self, id_: str, code: str) -> bool:
        """Whether there is such a code in the group."""
        return (id_, code) in self._events

    def forget(self, ids: Iterable[bytes]) -> None:
        """Take note that events are removed."""
        gone = set(ids)
        for key in [key for key, one in self._events.items() if one.id in gone]:
            del self._events[key]

    def forget_group(self, id_: str) -> None:
        """Take note that a group is no more."""
        for key in [key for key in self._events if key[0] == id_]:
            del self._events[key]

    async def use(
        self, group: Group, codes: Iterable[str], relay: bytes, now: float
    ) -> bool:
        """
        Whether one of these codes lets somebody in; if so, it is used.

        Args:
            group: Where to.
            codes: What was shown.
            relay: The relay's public key, which may always invite.
            now: Seconds since 1970.

        Raises:
            StoreError: The store failed.
        """
        days = self._settings.now.groups.invite_days
        for code in codes:
            event = self._events.get((group.id, code))
            if event is None:
                continue
            is_over = days and now >= event.created_at + days * _DAY
            author = event.pubkey
            if is_over or not (author == relay or group.may(author, CREATE_INVITE)):
                continue
            if not self._settings.now.groups.invite_once:
                if await self._archive.has(event):
                    return True
                continue
            del self._events[group.id, code]
            # Whoever has deleted the event meanwhile has taken the code back.
            if await self._ledger.remove([event.id]):
                return True
        return False
