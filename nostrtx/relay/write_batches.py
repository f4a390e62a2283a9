# -*- test-case-name: tests.relay.test_write_batches -*-
"""
Group commit: what gathers while one transaction runs is the next one.

The price of durability is per transaction, so a busy relay pays it for a hundred
events at once, and an idle one at once for a single event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from nostrtx.interfaces.edge import ITurns
from nostrtx.interfaces.store import IEventStore, SaveResult, StoreError
from nostrtx.relay.complaint import Complaint
from nostrtx.relay.measurements import Measurements
from nostrtx.relay.signature_checks import HasEvent
from nostrtx.relay.tasks import BackgroundTasks

_T = TypeVar("_T", bound=HasEvent)


class WriteBatches(Generic[_T]):
    """
    Saves what is added, in transactions as large as the load makes them.

    Args:
        store: Where events go.
        turns: The reactor's turns, at whose end a batch is handed over.
        most: Says how many events are in one transaction at most.
        saved: Called with a batch and its results, once they are durable.
        failed: Called with a batch of which nothing was stored, and why.
        clock: Tells how long the store takes.
        measurements: Learn that.
    """

    _log = Logger()

    def __init__(
        self,
        store: IEventStore,
        turns: ITurns,
        most: Callable[[], int],
        saved: Callable[[Sequence[_T], Sequence[SaveResult]], None],
        failed: Callable[[Sequence[_T], str], None],
        clock: IReactorTime,
        measurements: Measurements,
    ) -> None:
        self._clock = clock
        self._measurements = measurements
        self._store = store
        self._turns = turns
        self._most = most
        self._saved = saved
        self._failed = failed
        self._unsaved: list[_T] = []
        self._saving = False
        self._complaint = Complaint(self._log, "Saving events")
        self._tasks = BackgroundTasks()
        turns.at_end(self._end_of_turn)

    def add(self, item: _T) -> None:
        """Save ``item.event`` with the next batch."""
        if not self._unsaved:
            self._turns.needed()
        self._unsaved.append(item)

    @property
    def unsaved(self) -> int:
        """How many wait for a transaction to begin."""
        return len(self._unsaved)

    def _end_of_turn(self) -> bool:
        if self._saving or not self._unsaved:
            return False
        most = self._most()
        batch = self._unsaved[:most]
        del self._unsaved[:most]
        self._saving = True
        self._tasks.start(self._save(batch), "Saving events")
        return bool(self._unsaved) and not self._saving

    async def _save(self, batch: list[_T]) -> None:
        began = self._clock.seconds()
        try:
            results = await self._store.save_events([item.event for item in batch])
        except StoreError as error:
            self._complaint.fails(error)
            self._next()
            self._failed(batch, str(error))
        except Exception:
            self._log.failure("Saving failed.")
            self._next()
            self._failed(batch, "internal error")
        else:
            self._complaint.works()
            self._measurements.commit_seconds.observe(self._clock.seconds() - began)
            self._measurements.commit_events.observe(len(batch))
            self._next()
            self._saved(batch, results)

    def _next(self) -> None:
        self._saving = False
        self._turns.needed()
