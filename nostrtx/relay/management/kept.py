# -*- test-case-name: tests.relay.management.test_profile -*-
"""What owners change while the relay runs: small, in its store, for all processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from nostrtx.interfaces.processes import IBroadcaster
from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.json import dumps, loads
from nostrtx.relay.following import Following
from nostrtx.relay.moment import Moment

#: The members of a JSON object.
Members = dict[str, Any]


class Kept:
    """
    Members of a JSON object that is kept in the store; made by :meth:`Keeping.keep`.

    Args:
        keeping: Where, and who tells whom.
        name: What it is called in the store.
        topic: Of the bus.
        what: What it is, for the log.
        heed: Called with the members whenever they are others than before; at first
            there are none.

    Attributes:
        following: Reads it; is started and stopped.
        is_loaded: Whether it has been read since the start.
    """

    def __init__(
        self,
        keeping: Keeping,
        name: str,
        topic: str,
        what: str,
        heed: Callable[[Members], None],
    ) -> None:
        self.is_loaded = False
        self._keeping = keeping
        self._store = keeping.store
        self._name = name
        self._heed = heed
        self._known: bytes | None = None
        self.following = Following(
            self._look,
            keeping.broadcaster,
            topic,
            keeping.clock,
            keeping.poll_seconds,
            what,
        )

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
        await self.following.changed()

    async def _look(self) -> None:
        record = self._store.record(self._name)
        if isinstance(record, Deferred):
            record = await record
        if record != self._known:
            self._known = record
            self._heed(_members(record))
        if not self.is_loaded:
            self.is_loaded = True
            self._keeping.one_is_loaded()


@attrs.frozen(eq=False)
class Keeping:
    """
    Keeps such objects.

    Attributes:
        store: Where they are kept.
        broadcaster: Hears from other processes, and tells them.
        clock: Wall-clock time.
        poll_seconds: How often the store is asked for what nobody told.
        loaded: When all of them have been read since the start.
    """

    store: IEventStore
    broadcaster: IBroadcaster
    clock: IReactorTime
    poll_seconds: float
    loaded: Moment = attrs.field(init=False, factory=Moment)
    _kept: list[Kept] = attrs.field(init=False, factory=list)

    def keep(
        self, name: str, topic: str, what: str, heed: Callable[[Members], None]
    ) -> Kept:
        """
        Keep an object, and follow it.

        Args:
            name: What it is called in the store.
            topic: Of the bus: that it has changed. What has, is in the store.
            what: What it is, for the log.
            heed: Called with the members whenever they are others than before; at
                first there are none.
        """
        kept = Kept(self, name, topic, what, heed)
        self._kept.append(kept)
        return kept

    def start(self) -> None:
        """Follow all of them; the store is open."""
        for kept in self._kept:
            kept.following.start()

    def one_is_loaded(self) -> None:
        """Take note that one of them has been read."""
        if all(kept.is_loaded for kept in self._kept):
            self.loaded.comes()

    def stop(self) -> None:
        """Follow them no more."""
        for kept in self._kept:
            kept.following.stop()


def _members(record: bytes | None) -> Members:
    members: Any = {} if record is None else loads(record)
    return dict(members)
