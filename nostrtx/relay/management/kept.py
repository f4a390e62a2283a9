# -*- test-case-name: tests.relay.management.test_profile -*-
"""Something small that owners change while the relay runs, for all its processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from nostrtx.interfaces.processes import IBroadcaster
from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.json import dumps, loads
from nostrtx.relay.following import Following

#: The members of a JSON object.
Members = dict[str, Any]


class Kept(Following):
    """
    Members of a JSON object that is kept in the store.

    Args:
        store: Where it is kept.
        name: What it is called there.
        heed: Called with the members whenever they are others than before; at first
            there are none.
        broadcaster: Hears from other processes, and tells them.
        topic: Of the bus.
        clock: Wall-clock time.
        poll_seconds: How often the store is asked for what nobody told.
        what: What it is, for the log.
    """

    def __init__(
        self,
        store: IEventStore,
        name: str,
        heed: Callable[[Members], None],
        broadcaster: IBroadcaster,
        topic: str,
        clock: IReactorTime,
        poll_seconds: float,
        what: str,
    ) -> None:
        self._store = store
        self._name = name
        self._heed = heed
        self._known: bytes | None = None
        super().__init__(self._look, broadcaster, topic, clock, poll_seconds, what)

    async def change(self, change: Callable[[Members], Members]) -> None:
        """
        Change members, here and everywhere.

        Args:
            change: Called with all members, from any thread and perhaps again; those
                that only a later version understands are among them.

        Returns:
            Once that is durable and holds here.

        Raises:
            StoreError: The store failed.
        """
        await self._store.change_record(
            self._name, lambda there: dumps(change(_members(there)))
        )
        await self.changed()

    async def _look(self) -> None:
        record = self._store.record(self._name)
        if isinstance(record, Deferred):
            record = await record
        if record != self._known:
            self._known = record
            self._heed(_members(record))


def _members(record: bytes | None) -> Members:
    members: Any = {} if record is None else loads(record)
    return dict(members)
