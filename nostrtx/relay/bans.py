# -*- test-case-name: tests.relay.test_bans -*-
"""
Bans that hold in all processes of a relay, at once where news arrives.

What was allowed by name goes the same way.

A command on the store, which tells nobody, takes effect soon after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from nostrtx.interfaces.policies import IEventCheck, Source
from nostrtx.interfaces.processes import IBroadcaster
from nostrtx.interfaces.store import BanChange, IEventStore
from nostrtx.nostr.bans import BANS, Ban, BanError, BanKind
from nostrtx.nostr.event import Event
from nostrtx.relay.banned import Banned
from nostrtx.relay.following import Following
from nostrtx.relay.moment import Moment

#: The topic of the bus: that bans have changed. What has, is in the store.
TOPIC: Final = "bans"

#: How many changes are read in one turn; that takes about two milliseconds.
_PART: Final = 250

#: Called with changes of one kind of bans, after they were taken up.
Follower = Callable[[Sequence[BanChange]], None]

_log = Logger()


async def next_changes(store: IEventStore, after: int) -> Sequence[BanChange]:
    """
    The next part of the changes of bans after number ``after``; empty at their end.

    Raises:
        StoreError: The store failed.
    """
    changes = store.ban_changes(after, _PART)
    return await changes if isinstance(changes, Deferred) else changes


def _take_up(banned: Banned, changes: Sequence[BanChange]) -> list[BanChange]:
    """Take up changes; what is not understood is passed over, and left out here."""
    taken = []
    for change in changes:
        try:
            banned.take(change)
        except ValueError as error:
            _log.warn("A ban is not understood: {reason}.", reason=error)
        else:
            taken.append(change)
    return taken


async def read_bans(store: IEventStore) -> Banned:
    """
    The bans in force at this moment.

    Raises:
        StoreError: The store failed.
    """
    banned, number = Banned(), 0
    while changes := await next_changes(store, number):
        _take_up(banned, changes)
        number = changes[-1].number
    return banned


@implementer(IEventCheck)
class Bans:
    """
    Keeps up with the bans in the store, and changes them.

    Args:
        store: Where they are kept.
        broadcaster: Hears from other processes, and tells them.
        clock: Wall-clock time.
        poll_seconds: How often the store is asked for what nobody told.
        own_pubkey: The relay's own key in hexadecimal, empty if it has none: it is
            never banned.

    Attributes:
        banned: What is banned.
        following: Reads them; is started once the store is open, and stopped.
        loaded: When all bans have been read since the start.
    """

    _log = Logger()

    def __init__(
        self,
        store: IEventStore,
        broadcaster: IBroadcaster,
        clock: IReactorTime,
        poll_seconds: float,
        own_pubkey: Callable[[], str],
    ) -> None:
        self.banned = Banned()
        self.loaded = Moment()
        self._store = store
        self._clock = clock
        self._own_pubkey = own_pubkey
        self._followers: list[tuple[BanKind, Follower]] = []
        self._number = 0
        self.following = Following(
            self._catch_up, broadcaster, TOPIC, clock, poll_seconds, "the bans"
        )

    def follow(self, kind: BanKind, follower: Follower) -> None:
        """Have ``follower`` called with what has changed about bans of this kind."""
        self._followers.append((kind, follower))

    def check_event(self, event: Event, source: Source) -> None:
        """Refuse what is banned, as :meth:`Banned.check_event`."""
        self.banned.check_event(event)

    async def put(self, bans: Sequence[Ban]) -> None:
        """
        Ban or allow, which ends the opposite, here and everywhere.

        Returns:
            Once that is durable and holds here.

        Raises:
            BanError: The relay's own key is among them; nothing was changed.
            StoreError: The store failed.
        """
        if any(self._is_own(ban) for ban in bans):
            raise BanError("the relay's own key cannot be banned")
        await self._store.put_bans(bans)
        await self.following.changed()

    async def lift(self, kind: BanKind, subject: str) -> bool:
        """
        Lift a ban, or allow no longer, here and everywhere.

        Returns:
            Whether there was such a ban; once that is durable and known here.

        Raises:
            StoreError: The store failed.
        """
        lifted = await self._store.lift_bans([(kind, subject)])
        await self.following.changed()
        return lifted > 0

    async def _catch_up(self) -> None:
        """
        Take up all changes that are in the store by now.

        Raises:
            StoreError: The store failed; what was read before holds.
        """
        fresh: list[BanChange] = []
        known = self._number
        # Begin with what was read last: that, or what has come in its place, is there
        # unless the store was put back.
        after = max(known - 1, 0)
        try:
            while True:
                changes = await next_changes(self._store, after)
                if not changes and after < known:
                    fresh += await self._begin_anew()
                    break
                fresh += self._take_up([one for one in changes if one.number > known])
                if len(changes) < _PART:
                    break
                after = changes[-1].number
                await deferLater(self._clock, 0)
            self.loaded.comes()
        finally:
            self._tell(fresh)

    async def _begin_anew(self) -> list[BanChange]:
        """
        Let hold what is in the store, which has lost what was read last.

        Returns:
            All that has changed.

        Raises:
            StoreError: The store failed; what was read before holds.
        """
        self._log.warn(
            "The store has lost bans: it was put back to an earlier state. What it"
            " still has holds now."
        )
        changes: list[BanChange] = []
        number = 0
        while part := await next_changes(self._store, number):
            changes += part
            number = part[-1].number
        there = {
            (change.ban.kind, change.ban.subject)
            for change in changes
            if not change.is_lifted
        }
        gone = [
            BanChange(0, ban, is_lifted=True)
            for kind in BanKind
            for ban in self.banned.bans(kind)
            if (kind, ban.subject) not in there
        ]
        self._number = 0
        return self._take_up([*gone, *changes])

    def _take_up(self, changes: Sequence[BanChange]) -> list[BanChange]:
        """Take up changes; those that mean something here."""
        if changes:
            self._number = changes[-1].number
        others = [change for change in changes if not self._is_own(change.ban)]
        return _take_up(self.banned, others)

    def _tell(self, changes: Sequence[BanChange]) -> None:
        if not changes:
            return
        if any(change.ban.kind in BANS for change in changes):
            self._log.info("{count} bans are in force now.", count=len(self.banned))
        for kind, follower in self._followers:
            of_kind = [change for change in changes if change.ban.kind is kind]
            if of_kind:
                try:
                    follower(of_kind)
                except Exception:
                    self._log.failure("Heeding a ban failed.")

    def _is_own(self, ban: Ban) -> bool:
        return ban.kind is BanKind.PUBKEY and ban.subject == self._own_pubkey()
