# -*- test-case-name: tests.relay.test_expiry_sweep -*-
"""Removes expired events from the store, now and then (NIP-40)."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from nostrtx.interfaces.store import IEventStore, StoreError
from nostrtx.relay.complaint import Complaint
from nostrtx.relay.statistics import Statistics
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.settings.live import LiveSettings


class ExpirySweep:
    """
    Asks the store to delete what has expired, every so often.

    Nobody is sent an expired event in the meantime: this only gives space back. Of
    the processes that share a store, one does it.

    Args:
        store: The store to sweep.
        clock: Wall-clock time.
        statistics: Counts what was removed.
        settings: How often.
        is_mine: Whether it is for this process to do, by now.
    """

    _log = Logger()

    def __init__(
        self,
        store: IEventStore,
        clock: IReactorTime,
        statistics: Statistics,
        settings: LiveSettings,
        is_mine: Callable[[], bool] = lambda: True,
    ) -> None:
        self._store = store
        self._clock = clock
        self._statistics = statistics
        self._settings = settings
        self._is_mine = is_mine
        self._complaint = Complaint(self._log, "Removing expired events")
        self._tasks = BackgroundTasks()

    def start(self) -> None:
        """Sweep now and every so often from now on, whenever it is for this process."""
        self._tasks.start(self._run(), "Sweeping")

    def stop(self) -> None:
        """Sweep no more."""
        self._tasks.cancel_all()

    async def _run(self) -> None:
        while True:
            try:
                await self._sweep()
                self._complaint.works()
            except CancelledError:
                raise
            except StoreError as error:
                self._complaint.fails(error)
            except Exception:
                self._log.failure("Removing expired events failed.")
            seconds = self._settings.now.timing.expiry_sweep_seconds
            await deferLater(self._clock, seconds)

    async def _sweep(self) -> None:
        while self._is_mine():
            removed = await self._store.delete_expired(self._clock.seconds())
            if not removed:
                return
            self._statistics.events_expired += removed
