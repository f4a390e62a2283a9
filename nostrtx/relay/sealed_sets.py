# -*- test-case-name: tests.relay.test_sealed_sets -*-
"""
The sets that clients reconcile with (NIP-77), shared where they are the same.

A set of a million events takes half a second to find and 45 MB to hold. So whoever
asks the same question before anything new was stored gets the same set, and a
question that nobody asks any more keeps its set for a little while.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from nostrtx.interfaces.queries import IScreen
from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.negentropy.snapshot import Snapshot
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.settings.live import LiveSettings

#: How long a set is kept that nobody uses, in seconds. So long it may go on naming
#: an event that has expired meanwhile.
KEEP_SECONDS: Final = 20.0

#: So many sets of the largest size, or smaller ones that add up to that, are held.
_LARGEST_SETS: Final = 4

#: How many sets are searched at a time, or wait for that.
_MAX_SEARCHES: Final = 64


@attrs.define(eq=False)
class SharedSet:
    """
    A set and its users.

    Attributes:
        key: What it was asked by; None if it is for one user only.
        users: How many use it or wait for it.
        snapshot: The set, once it is found.
        error: Why it will not be found.
        waiting: Who waits for it.
        cancel: Ends the search for it.
        keeping: Forgets it, while nobody uses it.
    """

    key: Hashable
    users: int = 1
    snapshot: Snapshot | None = None
    error: Exception | None = None
    waiting: list[Deferred[None]] = attrs.field(factory=list)
    cancel: Callable[[], None] | None = None
    keeping: IDelayedCall | None = None


class SealedSets:
    """
    Finds and keeps sets for all clients of a process.

    Args:
        store: Where the events are.
        clock: Wall-clock time.
        settings: How many events a set has at most.
    """

    def __init__(
        self, store: IEventStore, clock: IReactorTime, settings: LiveSettings
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._tasks = BackgroundTasks()
        self._shared: dict[Hashable, SharedSet] = {}
        self._records = 0
        self._searches = 0

    def use(self, filter_: Filter, screen: IScreen | None) -> SharedSet:
        """
        The set of what matches ``filter_``, found or yet to be; :meth:`found` waits.

        Call :meth:`leave` once for every call of this.

        Raises:
            Rejected: ``rate-limited:``, too much is in use.
            StoreError: The store cannot be asked.
        """
        key = self._key(filter_, screen)
        shared = self._shared.get(key)
        if shared is not None:
            shared.users += 1
            if shared.keeping is not None:
                shared.keeping.cancel()
                shared.keeping = None
            return shared
        if self._searches >= _MAX_SEARCHES:
            raise _busy()
        finding = self._store.sealed_set(
            filter_,
            self._clock.seconds(),
            screen,
            self._settings.now.negentropy.max_events,
        )
        shared = SharedSet(key)
        if key is not None:
            self._shared[key] = shared
        shared.cancel = self._tasks.start(
            self._find(shared, finding), "Finding a set to reconcile"
        )
        return shared

    async def found(self, shared: SharedSet) -> Snapshot:
        """
        The set, after waiting for it; may be cancelled.

        Raises:
            Rejected: ``rate-limited:``, too much is in use.
            TooManyEvents: It would be too large.
            StoreError: The store failed.
        """
        if shared.snapshot is None and shared.error is None:
            waiting: Deferred[None] = Deferred(shared.waiting.remove)
            shared.waiting.append(waiting)
            await waiting
        if shared.error is not None:
            raise shared.error
        assert shared.snapshot is not None
        return shared.snapshot

    def leave(self, shared: SharedSet) -> None:
        """Use the set no more."""
        shared.users -= 1
        if shared.users:
            return
        if shared.snapshot is None and shared.cancel is not None:
            shared.cancel()
        if shared.snapshot is None or shared.key is None:
            self._forget(shared)
        else:
            shared.keeping = self._clock.callLater(KEEP_SECONDS, self._forget, shared)

    def stop(self) -> None:
        """Look for nothing more, keep nothing that nobody uses."""
        self._tasks.cancel_all()
        self._forget_unused()

    def _key(self, filter_: Filter, screen: IScreen | None) -> Hashable:
        if screen is not None and not screen.hides_all:
            return None
        hidden = None if screen is None else (screen.kinds,)
        return filter_, hidden, self._store.last_seq()

    async def _find(self, shared: SharedSet, finding: Deferred[Snapshot]) -> None:
        self._searches += 1
        try:
            snapshot = await finding
            self._make_room(len(snapshot))
        except CancelledError:
            raise
        except Exception as error:
            shared.error = error
            self._forget(shared)
        else:
            shared.snapshot = snapshot
            self._records += len(snapshot)
        finally:
            self._searches -= 1
        waiting, shared.waiting = shared.waiting, []
        for one in waiting:
            one.callback(None)

    def _make_room(self, records: int) -> None:
        room = _LARGEST_SETS * self._settings.now.negentropy.max_events - records
        if self._records > room:
            self._forget_unused()
        if self._records > room:
            raise _busy()

    def _forget_unused(self) -> None:
        for shared in list(self._shared.values()):
            if not shared.users:
                self._forget(shared)

    def _forget(self, shared: SharedSet) -> None:
        if shared.keeping is not None and shared.keeping.active():
            shared.keeping.cancel()
        if self._shared.get(shared.key) is shared:
            del self._shared[shared.key]
        if shared.snapshot is not None:
            self._records -= len(shared.snapshot)
            shared.snapshot = None


def _busy() -> Rejected:
    return Rejected(
        ReasonPrefix.RATE_LIMITED, "too many reconciliations, try again later"
    )
