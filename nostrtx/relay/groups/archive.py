# -*- test-case-name: tests.relay.groups.test_writing -*-
"""
What the store knows of groups: found again at the start, and looked up now and then.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from twisted.internet.interfaces import IReactorTime

from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.groups import PUT_USER, REFERENCE_LENGTH, REMOVE_USER, group_ids
from nostrtx.nostr.kinds import DELETION_REQUEST, REQUEST_TO_VANISH
from nostrtx.relay.finding import find_events

#: How many events of a group may be referred to: the newest.
REFERABLE: Final = 5000

#: Of how many groups the ids that may be referred to are held in memory.
_GROUPS_HELD: Final = 100


class Archive:
    """
    Questions about groups that the store answers.

    Args:
        store: Where events are kept.
        clock: Wall-clock time.
    """

    def __init__(self, store: IEventStore, clock: IReactorTime) -> None:
        self._store = store
        self._clock = clock
        self._beginnings: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()

    async def find(self, *filters: Filter) -> list[Event]:
        """
        All events that match, newest first.

        Raises:
            StoreError: The store failed.
        """
        return await find_events(self._store, filters, self._clock.seconds())

    async def in_group(self, id_: str, kinds: Sequence[int], most: int) -> list[Event]:
        """The newest events of these kinds in a group; of all kinds if none is."""
        return await self.find(
            Filter(kinds=tuple(kinds) or None, tags=(("h", (id_,)),), limit=most)
        )

    async def has(self, event: Event) -> bool:
        """Whether the event is in the store."""
        return bool(await self.find(Filter(ids=(event.id,))))

    async def is_withdrawn(self, event: Event) -> bool:
        """Whether its author has deleted the event, or has vanished since."""
        return bool(
            await self.find(
                Filter(
                    kinds=(DELETION_REQUEST,),
                    authors=(event.pubkey,),
                    tags=(("e", (event.id.hex(),)),),
                    limit=1,
                ),
                Filter(
                    kinds=(REQUEST_TO_VANISH,),
                    authors=(event.pubkey,),
                    since=event.created_at,
                    limit=1,
                ),
            )
        )

    async def decided_at(self, id_: str, users: Iterable[bytes]) -> dict[bytes, int]:
        """When was last said of each of these users that one is a member or none."""
        kinds = (PUT_USER, REMOVE_USER)
        asked = {user.hex(): user for user in users}
        filters = [
            Filter(kinds=kinds, tags=(("h", (id_,)), ("p", (user,))), limit=1)
            for user in asked
        ]
        times: dict[bytes, int] = {}
        for event in await self.find(*filters):
            for tag in event.tags:
                if tag[0] == "p" and len(tag) > 1 and tag[1] in asked:
                    user = asked[tag[1]]
                    times[user] = max(times.get(user, 0), event.created_at)
        return times

    def note(self, event: Event) -> None:
        """Take note of an event that was stored and has an ``h`` tag."""
        for id_ in group_ids(event.tags):
            beginnings = self._beginnings.get(id_)
            if beginnings is not None:
                beginnings[_beginning(event)] = None
                while len(beginnings) > REFERABLE:
                    beginnings.popitem(last=False)

    def forget(self, ids: Iterable[bytes]) -> None:
        """Take note that events are removed, in whatever groups they were."""
        gone = [one.hex()[:REFERENCE_LENGTH] for one in ids]
        for beginnings in self._beginnings.values():
            for one in gone:
                beginnings.pop(one, None)

    def forget_group(self, id_: str) -> None:
        """Take note that a group is no more."""
        self._beginnings.pop(id_, None)

    async def beginnings(self, id_: str) -> Collection[str]:
        """How the ids begin that events in a group may refer to."""
        found = self._beginnings.get(id_)
        if found is None:
            events = await self.in_group(id_, (), REFERABLE)
            found = self._beginnings[id_] = OrderedDict(
                (_beginning(event), None) for event in reversed(events)
            )
            while len(self._beginnings) > _GROUPS_HELD:
                self._beginnings.popitem(last=False)
        else:
            self._beginnings.move_to_end(id_)
        return found


def _beginning(event: Event) -> str:
    return event.id.hex()[:REFERENCE_LENGTH]
