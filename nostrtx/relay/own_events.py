# -*- test-case-name: tests.relay.test_own_events -*-
"""
Events that the relay signs itself: saved, delivered, and found again.

They go past the checks that strangers' events meet, and by the same rules into the
store and out to subscriptions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import attrs
from twisted.internet.defer import Deferred, DeferredLock, TimeoutError
from twisted.internet.interfaces import IReactorTime

from nostrtx.interfaces.store import IEventStore, SaveOutcome, StoreError
from nostrtx.nostr.event import Event, d_value
from nostrtx.nostr.event_signing import sign_event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import has_address, is_addressable
from nostrtx.relay.event_log import EventLog
from nostrtx.relay.finding import find_events
from nostrtx.relay.own_key import OwnKey

#: How long to wait for another process, which may hang, in seconds.
ALONE_SECONDS: Final = 10.0

#: How often an event is dated a second later because one in the store stands above.
_MAX_ATTEMPTS: Final = 20


@attrs.frozen(slots=True)
class Draft:
    """
    An event that the relay is to sign.

    Attributes:
        kind: Not an ephemeral one.
        tags: The tags.
        content: The content.
        not_before: Its ``created_at`` at the earliest, seconds since 1970.
    """

    kind: int
    tags: Sequence[Sequence[str]]
    content: str = ""
    not_before: int = 0


class OwnEvents:
    """
    What the relay says, under its own key.

    Args:
        key: Loaded before anything is asked for.
        store: Where events are kept.
        clock: Wall-clock time.
        events: Delivers what is new.
    """

    def __init__(
        self,
        key: OwnKey,
        store: IEventStore,
        clock: IReactorTime,
        events: EventLog,
    ) -> None:
        self._key = key
        self._store = store
        self._clock = clock
        self._events = events
        self._lock = DeferredLock()
        self._gave_up_at = -math.inf

    @property
    def pubkey(self) -> bytes:
        """The relay's public key, 32 bytes."""
        return self._key.secret.pubkey

    async def alone(self, asked_at: float) -> Callable[[], None]:
        """
        Wait until no process of the relay is alone, as in the log of events.

        Args:
            asked_at: Since when the caller waits, also for others before it. When one
                gives up, so do all who have waited with it.

        Raises:
            StoreError: The store failed, or another process does not come to its end.
        """
        if asked_at >= self._gave_up_at:
            waiting = Deferred.fromCoroutine(self._events.alone())
            try:
                return await waiting.addTimeout(ALONE_SECONDS, self._clock)
            except TimeoutError:
                self._gave_up_at = self._clock.seconds()
        raise StoreError("another process of the relay is busy; try again later")

    def sign(self, draft: Draft, created_at: int | None = None) -> Event:
        """The event that a draft describes, dated now unless said otherwise."""
        if created_at is None:
            created_at = int(self._clock.seconds())
        return sign_event(
            self._key.secret,
            kind=draft.kind,
            created_at=created_at,
            tags=draft.tags,
            content=draft.content,
        )

    async def stored(self, kind: int) -> list[Event]:
        """
        The relay's own events of a kind that are in the store, newest first.

        Raises:
            StoreError: The store failed.
        """
        wanted = Filter(authors=(self.pubkey,), kinds=(kind,))
        return await find_events(self._store, [wanted], self._clock.seconds())

    async def publish(self, drafts: Sequence[Draft]) -> None:
        """
        Sign and save drafts, and deliver them; all in one transaction.

        Where a draft takes the place of an earlier event, it is dated at least a
        second later.

        Raises:
            StoreError: Nothing was stored.
        """
        await self._lock.acquire()
        try:
            await self._publish(drafts)
        finally:
            self._lock.release()

    async def _publish(self, drafts: Sequence[Draft]) -> None:
        now = int(self._clock.seconds())
        taken = await self._times({draft.kind for draft in drafts})
        unsaved = [
            (draft, max(now, draft.not_before, taken.get(_d_of(draft), 0)))
            for draft in drafts
        ]
        for _ in range(_MAX_ATTEMPTS):
            events = [self.sign(draft, at) for draft, at in unsaved]
            results = await self._store.save_events(events)
            self._events.committed(
                [
                    (result.seq, event)
                    for event, result in zip(events, results, strict=True)
                    if result.outcome is SaveOutcome.STORED
                ]
            )
            # A deletion stands above, or another process was as quick.
            later = [
                (draft, at + 1)
                for (draft, at), result in zip(unsaved, results, strict=True)
                if result.outcome not in (SaveOutcome.STORED, SaveOutcome.DUPLICATE)
            ]
            if not later:
                return
            unsaved = later
        raise StoreError("an event of the relay cannot take its place")

    async def _times(self, kinds: set[int]) -> dict[tuple[int, str], int]:
        """The first moment after each version that is in the store."""
        times: dict[tuple[int, str], int] = {}
        for kind in kinds:
            if has_address(kind):
                for event in await self.stored(kind):
                    d = d_value(event.tags) if is_addressable(kind) else ""
                    times[kind, d] = event.created_at + 1
        return times


def _d_of(draft: Draft) -> tuple[int, str]:
    d = d_value(draft.tags) if is_addressable(draft.kind) else ""
    return draft.kind, d
