# -*- test-case-name: tests.sync.test_synchronization -*-
"""
Two relays' stores become equal: find what either lacks, then bring it (NIP-77).

Nothing is remembered between runs: what is interrupted is done by doing it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import attrs

from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.negentropy.snapshot import Snapshot
from nostrtx.sync.conversation import Conversation, DoesNotReconcile, Members
from nostrtx.sync.differences import Differences, reconcile
from nostrtx.sync.paging import read_all
from nostrtx.sync.peer import Peer
from nostrtx.sync.transfers import ON_THE_WAY, EventSink, Tally, download, upload


class Direction(Enum):
    """
    Which way events go.

    Attributes:
        UP: From the store to the relay.
        DOWN: From the relay to the store.
        BOTH: Both ways.
    """

    UP = "up"
    DOWN = "down"
    BOTH = "both"

    @property
    def is_up(self) -> bool:
        """Whether the relay gets events."""
        return self is not Direction.DOWN

    @property
    def is_down(self) -> bool:
        """Whether the store gets events."""
        return self is not Direction.UP


class Phase(Enum):
    """
    What is being done.

    Attributes:
        SEALING: Our own events are gathered.
        COMPARING: Both sides find out what they lack.
        READING: All that the relay has is read, as it does not reconcile.
        FETCHING: Events come from the relay.
        SENDING: Events go to the relay.
    """

    SEALING = "Gathering own events"
    COMPARING = "Comparing"
    READING = "Reading"
    FETCHING = "Fetching"
    SENDING = "Sending"


@attrs.define
class Progress:
    """
    How far it has come, all filters together.

    Attributes:
        phase: What is being done.
        held: How many events our side holds of what is compared now.
        have: How many events the other side lacks.
        need: How many events our side lacks.
        to_fetch: How many are fetched in all, as far as that is known.
        to_send: How many are sent in all, as far as that is known.
        tally: What was transferred.
        does_not_reconcile: Why all had to be read, if so.
        crowded: Seconds of which the relay may not have given all.
    """

    phase: Phase = Phase.SEALING
    held: int = 0
    have: int = 0
    need: int = 0
    to_fetch: int = 0
    to_send: int = 0
    tally: Tally = attrs.field(factory=Tally)
    does_not_reconcile: str = ""
    crowded: int = 0

    @property
    def missing(self) -> int:
        """How many events the relay named and did not give."""
        return self.to_fetch - self.tally.received


class Synchronization:
    """
    Brings a store and a relay to hold the same events.

    Args:
        conversation: With the relay.
        peer: The relay's limits.
        store: Our side.
        sink: Checks and stores what comes.
        clock: The reactor.
        direction: Which way events go.
        may_send: Says whether the relay may have an event.

    Attributes:
        progress: How far it has come.
    """

    def __init__(
        self,
        conversation: Conversation,
        peer: Peer,
        store: IEventStore,
        sink: EventSink,
        clock: Any,
        direction: Direction,
        may_send: Callable[[Event], bool] = lambda event: True,
    ) -> None:
        self.progress = Progress()
        self._conversation = conversation
        self._peer = peer
        self._store = store
        self._sink = sink
        self._clock = clock
        self._direction = direction
        self._may_send = may_send

    async def run(self, filters: Sequence[Filter]) -> None:
        """
        Synchronize what matches each of the filters, one after the other.

        Raises:
            RelayTrouble: The relay does not do its part.
            StoreError: The store does not do its part.
        """
        for filter_ in filters:
            self.progress.phase = Phase.SEALING
            held = await self._store.sealed_set(
                filter_, self._clock.seconds(), None, None
            )
            self.progress.held = len(held)
            if self.progress.does_not_reconcile:
                await self._without_reconciling(filter_, held)
                continue
            try:
                await self._by_reconciling(filter_, held)
            except DoesNotReconcile as trouble:
                self.progress.does_not_reconcile = str(trouble)
                await self._without_reconciling(filter_, held)

    async def _by_reconciling(self, filter_: Filter, held: Snapshot) -> None:
        progress = self.progress
        progress.phase = Phase.COMPARING
        have, need = progress.have, progress.need

        def learned(found: Differences) -> None:
            progress.have = have + len(found.have)
            progress.need = need + len(found.need)

        found = await reconcile(
            self._conversation,
            filter_,
            held,
            self._peer.frame_bytes,
            self._clock,
            learned,
        )
        if self._direction.is_down:
            progress.phase = Phase.FETCHING
            progress.to_fetch += len(found.need)
            await download(
                self._conversation, self._sink, found.need, self._peer, progress.tally
            )
        await self._send(found.have)

    async def _without_reconciling(self, filter_: Filter, held: Snapshot) -> None:
        progress = self.progress
        progress.phase = Phase.READING
        ours = {held.id(index) for index in range(len(held))}

        def take(id_: bytes, members: Members) -> None:
            if id_ in ours:
                return
            progress.need += 1
            if self._direction.is_down:
                progress.to_fetch += 1
                progress.tally.received += 1
                self._sink.take_members(members)

        async def turn() -> None:
            await self._sink.wait_until_at_most(ON_THE_WAY)

        reading = await read_all(self._conversation, filter_, self._peer, take, turn)
        await self._sink.wait_until_at_most(0)
        progress.crowded += len(reading.crowded)
        lacking = ours - reading.ids
        progress.have += len(lacking)
        await self._send(lacking)

    async def _send(self, ids: set[bytes]) -> None:
        if not self._direction.is_up:
            return
        progress = self.progress
        progress.phase = Phase.SENDING
        progress.to_send += len(ids)
        await upload(
            self._conversation,
            self._store,
            ids,
            self._clock,
            progress.tally,
            self._may_send,
        )
