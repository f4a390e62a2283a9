# -*- test-case-name: tests.relay.groups.test_ledger -*-
"""
What the relay says of its groups: written with each change, read at the start.

Only the relay can sign it, and nobody else can delete it, so that is what groups are
made of again. Whoever follows the moderation events comes to the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from nostrtx.interfaces.store import IEventStore, SaveOutcome, SaveResult, StoreError
from nostrtx.nostr.deletion import deleted_addresses
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event, d_value
from nostrtx.nostr.group_state import Group, recorded, records
from nostrtx.nostr.groups import GROUP_METADATA, GROUP_PINS, RELAY_SIGNED, group_ids
from nostrtx.nostr.kinds import DELETION_REQUEST
from nostrtx.relay.complaint import Complaint
from nostrtx.relay.event_log import EventLog
from nostrtx.relay.groups.access import GroupAccess
from nostrtx.relay.groups.archive import Archive
from nostrtx.relay.own_events import Draft, OwnEvents
from nostrtx.relay.tasks import BackgroundTasks

#: How many events of a deleted group are removed in one transaction.
_CLEARED_AT_ONCE: Final = 500

#: After how many seconds that is tried again if it cannot be done.
_CLEARED_AGAIN_SECONDS: Final = 10.0


class GroupLedger:
    """
    The groups in the store.

    Args:
        access: Learns what groups there are.
        own: Signs for the relay.
        store: Where events are kept.
        archive: Looks things up there.
        clock: Wall-clock time.
        events: Delivers what is new, and tells all processes what is removed.
    """

    _log = Logger()

    def __init__(
        self,
        access: GroupAccess,
        own: OwnEvents,
        store: IEventStore,
        archive: Archive,
        clock: IReactorTime,
        events: EventLog,
    ) -> None:
        self._access = access
        self._own = own
        self._store = store
        self._archive = archive
        self._clock = clock
        self._events = events
        self._told: dict[str, dict[int, Sequence[Sequence[str]]]] = {}
        self._dated: dict[tuple[str, int], int] = {}
        self._complaint = Complaint(self._log, "Clearing deleted groups away")
        self._tasks = BackgroundTasks()

    async def load(self) -> None:
        """
        Find all groups again, and finish what was left of deleted ones.

        Raises:
            StoreError: The store failed.
        """
        access = self._access
        for event in await self._own.stored(DELETION_REQUEST):
            if _is_epitaph(event):
                access.deleted |= group_ids(event.tags)
        for kind in sorted(RELAY_SIGNED):
            for event in await self._own.stored(kind):
                self._note_record(event)
        for id_ in list(self._told):
            self._recall(id_)
        self.clear(sorted(access.deleted))

    def note(self, event: Event) -> None:
        """Take note of what the relay says of groups, by whatever process."""
        if event.pubkey != self._own.pubkey:
            return
        if event.kind in RELAY_SIGNED:
            if self._note_record(event):
                self._recall(d_value(event.tags))
        elif _is_epitaph(event):
            for id_ in group_ids(event.tags):
                self._bury(id_)
        elif event.kind == DELETION_REQUEST:
            for address in deleted_addresses(event):
                if address.kind in RELAY_SIGNED:
                    self._told.get(address.d, {}).pop(address.kind, None)
                    self._recall(address.d)

    async def save(
        self,
        event: Event,
        before: Group | None,
        after: Group,
        said: Iterable[Draft] = (),
    ) -> None:
        """
        Save a change with what the relay says to it, and deliver all of it.

        Args:
            event: What changes the group.
            before: The group until now; None if there was none.
            after: The group from now on.
            said: What else the relay says, each dated now or later.

        Raises:
            Rejected: ``blocked:``; the event may not be saved, and nothing changed.
            StoreError: Nothing was saved.
        """
        now = int(self._clock.seconds())
        issued = [self._own.sign(one, max(now, one.not_before)) for one in said]
        told = self._records(before, after, now)
        results = await self._store.save_events([event, *issued, *told])
        outcome = results[0].outcome
        if outcome is not SaveOutcome.STORED:
            await self._undo(before, after, issued, now)
            raise Rejected(ReasonPrefix.BLOCKED, f"the event is {outcome.value}")
        for one in told:
            self._note_record(one)
        self._access.groups[after.id] = after
        self._pass_on([event, *issued, *told], results)

    async def remove(self, ids: Sequence[bytes]) -> int:
        """
        Remove events of a group for good; how many were there.

        Raises:
            StoreError: Nothing was removed.
        """
        removed = await self._store.remove_events(ids)
        self._events.removed(ids)
        return removed

    async def bury(self, event: Event, group: Group) -> None:
        """
        Delete a group, of which ``event`` says so, for good.

        All that remains is the relay's own deletion request, which nobody sees.

        Raises:
            StoreError: Nothing was changed.
        """
        id_ = group.id
        dates = [self._dated.get((id_, kind), 0) for kind in RELAY_SIGNED]
        now = max(int(self._clock.seconds()), *dates)
        tags = [["h", id_], *self._addresses(id_)]
        epitaph = self._own.sign(
            Draft(DELETION_REQUEST, tags, "the group is deleted"), now
        )
        results = await self._store.save_events([epitaph])
        # As long as members are known, they are told.
        self._events.show(event)
        self._bury(id_)
        self._pass_on([epitaph], results)

    def clear(self, ids: Sequence[str]) -> None:
        """Remove what is left of deleted groups; until then, nobody sees it."""
        self._access.clearing.update(ids)
        self._tasks.start(self._clear_away(ids), "Clearing deleted groups away")

    def stop(self) -> None:
        """Clear away nothing more for now."""
        self._tasks.cancel_all()

    def _records(self, before: Group | None, after: Group, now: int) -> list[Event]:
        """What of the group has to be told anew, each later than what it replaces."""
        told = {GROUP_PINS: records(after)[GROUP_PINS]}
        if before is not None:
            told = dict(records(before))
        return [
            self._own.sign(
                Draft(kind, tags), max(now, self._dated.get((after.id, kind), 0) + 1)
            )
            for kind, tags in records(after).items()
            if told.get(kind) != tags
        ]

    async def _undo(
        self, before: Group | None, after: Group, issued: Sequence[Event], now: int
    ) -> None:
        """Say again how things were: the change itself was not to be saved."""
        await self._store.remove_events([one.id for one in issued])
        id_ = after.id
        dates = [self._dated.get((id_, kind), 0) + 1 for kind in RELAY_SIGNED]
        latest = max(now, *dates)
        for kind in RELAY_SIGNED:
            self._dated[id_, kind] = latest
        if before is None:
            tags = self._addresses(id_)
            again = [self._own.sign(Draft(DELETION_REQUEST, tags), latest)]
        else:
            again = self._records(after, before, now)
        self._pass_on(again, await self._store.save_events(again))

    def _addresses(self, id_: str) -> list[list[str]]:
        """The tags of a deletion request for all that the relay tells of a group."""
        pubkey = self._own.pubkey.hex()
        return [["a", f"{kind}:{pubkey}:{id_}"] for kind in sorted(RELAY_SIGNED)]

    def _pass_on(self, events: Sequence[Event], results: Sequence[SaveResult]) -> None:
        self._events.committed(
            [
                (result.seq, event)
                for event, result in zip(events, results, strict=True)
                if result.outcome is SaveOutcome.STORED
            ]
        )

    def _note_record(self, event: Event) -> bool:
        """Take note of what was told of a group; whether that is the latest."""
        id_, kind = d_value(event.tags), event.kind
        if event.created_at <= self._dated.get((id_, kind), -1):
            return False
        self._dated[id_, kind] = event.created_at
        self._told.setdefault(id_, {})[kind] = event.tags
        return True

    def _recall(self, id_: str) -> None:
        """Make a group of what was told of it."""
        told = self._told.get(id_, {})
        if GROUP_METADATA not in told:
            self._access.groups.pop(id_, None)
        elif id_ not in self._access.deleted:
            self._access.groups[id_] = recorded(id_, told)

    def _bury(self, id_: str) -> None:
        """Take note that a group is deleted, and clear it away."""
        if id_ in self._access.deleted:
            return
        self._access.deleted.add(id_)
        self._access.groups.pop(id_, None)
        self._told.pop(id_, None)
        self._archive.forget_group(id_)
        self.clear([id_])

    async def _clear_away(self, ids: Iterable[str]) -> None:
        for id_ in ids:
            is_clear = False
            while not is_clear:
                try:
                    is_clear = await self._clear_part(id_)
                except StoreError as error:
                    self._complaint.fails(error)
                    await deferLater(self._clock, _CLEARED_AGAIN_SECONDS)
                else:
                    self._complaint.works()
            self._access.clearing.discard(id_)

    async def _clear_part(self, id_: str) -> bool:
        """Remove a part of what is left of a group; whether nothing was."""
        if not await self._left(id_):
            return True
        # Every process of the relay looks for it; one at a time removes a part.
        leave = await self._own.alone(self._clock.seconds())
        try:
            if left := await self._left(id_):
                await self.remove(left)
        finally:
            leave()
        return False

    async def _left(self, id_: str) -> list[bytes]:
        """The ids of some events that are left of a deleted group."""
        events = await self._archive.in_group(id_, (), _CLEARED_AT_ONCE)
        return [event.id for event in events if not self.is_epitaph(event)]

    def is_epitaph(self, event: Event) -> bool:
        """Whether ``event`` is the relay's word that a group is deleted."""
        return event.pubkey == self._own.pubkey and _is_epitaph(event)


def _is_epitaph(event: Event) -> bool:
    """Whether an event, the relay's own, says that a group is deleted."""
    return event.kind == DELETION_REQUEST and bool(group_ids(event.tags))
