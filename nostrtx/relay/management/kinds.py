# -*- test-case-name: tests.relay.management.test_methods -*-
"""
Kinds of events that owners have allowed or disallowed while the relay runs (NIP-86).

As long as no kind was allowed by name, all are that were not disallowed; after that
only those are. Whoever manages the relay may publish any.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from twisted.logger import Logger
from zope.interface import implementer

from nostrtx.interfaces.policies import IEventCheck, Source
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.kinds import REQUEST_TO_VANISH
from nostrtx.relay.management.kept import Keeping, Members

#: The topic of the bus: that this has changed. What has, is in the store.
TOPIC: Final = "kinds"

#: Where they are kept in the store.
RECORD: Final = "allowed kinds"


@implementer(IEventCheck)
class AllowedKinds:
    """
    Keeps up with the kinds that are allowed, and changes them.

    Args:
        keeping: Keeps them, for all processes.

    Attributes:
        allowed: Kinds that were allowed by name.
    """

    _log = Logger()

    def __init__(self, keeping: Keeping) -> None:
        self.allowed: frozenset[int] = frozenset()
        self._disallowed: frozenset[int] = frozenset()
        self._managers: frozenset[bytes] = frozenset()
        what = "the kinds that are allowed"
        self._kept = keeping.keep(RECORD, TOPIC, what, self._heed)

    def managed_by(self, managers: frozenset[bytes]) -> None:
        """
        Say who manages the relay, and may publish any kind.

        If nobody does, all kinds are allowed.
        """
        self._managers = managers

    def check_event(self, event: Event, source: Source) -> None:
        """Refuse an event of a kind that is not allowed."""
        kind = event.kind
        is_fine = kind in self.allowed if self.allowed else kind not in self._disallowed
        if (
            not is_fine
            and self._managers
            and kind != REQUEST_TO_VANISH
            and event.pubkey not in self._managers
        ):
            raise Rejected(ReasonPrefix.BLOCKED, f"kind {kind} is not allowed here")

    async def allow(self, kind: int) -> None:
        """
        Allow a kind; one that was disallowed is as if it never had been.

        Raises:
            StoreError: The store failed.
        """

        def change(members: Members) -> Members:
            allowed, disallowed = _lists(members)
            if kind in disallowed:
                return _changed(members, allowed, disallowed - {kind})
            return _changed(members, allowed | {kind}, disallowed)

        await self._kept.change(change)

    async def disallow(self, kind: int) -> None:
        """
        Allow a kind no longer.

        Raises:
            StoreError: The store failed.
        """

        def change(members: Members) -> Members:
            allowed, disallowed = _lists(members)
            if kind in allowed:
                # It is not among them, which is enough as long as there are others.
                rest = allowed - {kind}
                return _changed(
                    members, rest, disallowed if rest else disallowed | {kind}
                )
            return _changed(members, allowed, disallowed | {kind})

        await self._kept.change(change)

    def _heed(self, members: Members) -> None:
        self.allowed, self._disallowed = _lists(members)
        self._log.info(
            "Kinds that are allowed: {allowed}; not: {disallowed}.",
            allowed=", ".join(map(str, sorted(self.allowed))) or "all others",
            disallowed=", ".join(map(str, sorted(self._disallowed))) or "none",
        )


def _lists(members: Members) -> tuple[frozenset[int], frozenset[int]]:
    return (
        frozenset(members.get("allowed", ())),
        frozenset(members.get("disallowed", ())),
    )


def _changed(
    members: Members, allowed: Collection[int], disallowed: Collection[int]
) -> Members:
    return members | {"allowed": sorted(allowed), "disallowed": sorted(disallowed)}
