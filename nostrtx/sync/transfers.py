# -*- test-case-name: tests.sync.test_synchronization -*-
"""
Events on their way between a store and another relay: EVENT up, REQ down (NIP-01).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice
from typing import Final, Protocol, TypeVar

import attrs
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IReactorTime

from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.relay.finding import find_events
from nostrtx.sync.conversation import Conversation, Members
from nostrtx.sync.peer import Peer

_Item = TypeVar("_Item")

#: How many published events may wait for their OK.
_WINDOW: Final = 100

#: How many events to send are read from the store at a time.
_READ: Final = 500

#: How many REQs are open at a time, if the relay allows so many.
_REQUESTS: Final = 4

#: How many received events may be on their way into the store.
ON_THE_WAY: Final = 2048


class EventSink(Protocol):
    """Takes events that have not been checked yet, checks and stores them."""

    def take_members(self, members: object) -> None:
        """Take one event, a decoded JSON value."""

    async def wait_until_at_most(self, lines: int) -> None:
        """Wait until no more than so many are on their way."""


@attrs.define
class Tally:
    """
    What was transferred.

    Attributes:
        sent: Events that were published.
        accepted: Those that the relay has now.
        refused: Those that it refused, by its reason.
        received: Events that came and had been asked for.
        kept: Events that were not published, for they are nobody else's business.
    """

    sent: int = 0
    accepted: int = 0
    refused: Counter[str] = attrs.field(factory=Counter)
    received: int = 0
    kept: int = 0


async def upload(
    conversation: Conversation,
    store: IEventStore,
    ids: Iterable[bytes],
    clock: IReactorTime,
    tally: Tally,
    may_send: Callable[[Event], bool],
) -> None:
    """
    Publish the events with these ids, as far as the store still has them.

    Args:
        conversation: With the relay.
        store: Where they are.
        ids: Of the events.
        clock: Wall-clock time.
        tally: Counts them.
        may_send: Says whether the relay may have an event.

    Raises:
        RelayTrouble: The relay does not answer.
    """
    for batch in _batches(ids, _READ):
        stored = await find_events(store, [Filter(ids=tuple(batch))], clock.seconds())
        fit = list(filter(may_send, stored))
        tally.kept += len(stored) - len(fit)
        await _in_parallel(
            iter(fit), lambda event: _publish(conversation, event, tally), _WINDOW
        )


async def _publish(conversation: Conversation, event: Event, tally: Tally) -> None:
    tally.sent += 1
    accepted, reason = await conversation.publish(event.raw, event.id.hex())
    if accepted:
        tally.accepted += 1
    else:
        tally.refused[reason or "no reason given"] += 1


async def download(
    conversation: Conversation,
    sink: EventSink,
    ids: Iterable[bytes],
    peer: Peer,
    tally: Tally,
) -> None:
    """
    Fetch the events with these ids, as far as the relay gives them.

    Raises:
        RelayTrouble: The relay refuses, or does not answer.
    """

    async def fetch(batch: list[bytes]) -> None:
        wanted = {id_.hex() for id_ in batch}

        def take(members: Members) -> bool:
            id_ = members.get("id")
            if type(id_) is not str or id_ not in wanted:
                return False
            wanted.discard(id_)
            tally.received += 1
            sink.take_members(members)
            return True

        asked = {"ids": sorted(wanted), "limit": len(wanted)}
        await conversation.query([asked], take)
        await sink.wait_until_at_most(ON_THE_WAY)

    await _in_parallel(
        _batches(ids, peer.ids_at_once), fetch, min(_REQUESTS, peer.max_subscriptions)
    )
    await sink.wait_until_at_most(0)


def _batches(ids: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    rest = iter(ids)
    while batch := list(islice(rest, size)):
        yield batch


async def _in_parallel(
    items: Iterator[_Item], work: Callable[[_Item], Awaitable[None]], most: int
) -> None:
    """Do ``work`` on each item, on at most so many at a time; stop at a failure."""

    async def worker() -> None:
        for item in items:
            await work(item)

    running = [Deferred.fromCoroutine(worker()) for _ in range(most)]
    try:
        await gatherResults(running, consumeErrors=True)
    except FirstError as first:
        first.subFailure.raiseException()
    finally:
        for one in running:
            one.cancel()
