# -*- test-case-name: tests.relay.test_following -*-
"""
Keeping up with what is kept in the store and may be changed by any process.

The store is the truth. It is read at the start, upon news of another process, when
news arrives again after it did not, and every so often: so what changes without a word
takes effect soon, and lost news delays a change and loses none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import CancelledError, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from nostrtx.interfaces.processes import IBroadcaster
from nostrtx.relay.complaint import Complaint
from nostrtx.relay.tasks import BackgroundTasks


class Following:
    """
    Reads again and again what may have changed.

    Args:
        read: Takes up all that is in the store by now; never called again before it
            is done.
        broadcaster: Hears from other processes, and tells them.
        topic: Of the bus; a message says that something has changed, and not what.
        clock: Wall-clock time.
        poll_seconds: How often the store is asked for what nobody told.
        what: What is read, for the log: "the bans".
    """

    _log = Logger()

    def __init__(
        self,
        read: Callable[[], Awaitable[None]],
        broadcaster: IBroadcaster,
        topic: str,
        clock: IReactorTime,
        poll_seconds: float,
        what: str,
    ) -> None:
        self._catch_up = read
        self._bus = broadcaster
        self._topic = topic
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._what = what
        self._reading = DeferredLock()
        self._complaint = Complaint(self._log, f"Reading {what}")
        self._runs = False
        self._tasks = BackgroundTasks()
        broadcaster.listen(topic, lambda sender, message: self.read())
        broadcaster.on_connected(self.read)

    def start(self) -> None:
        """Read everything, from an embedded store at once; the store is open."""
        self._runs = True
        self._tasks.start(self._poll(), f"Following {self._what}")

    def stop(self) -> None:
        """Read no more."""
        self._runs = False
        self._tasks.cancel_all()

    def read(self) -> None:
        """Look into the store for changes, at once if it is an embedded one."""
        # Whoever waits for its turn to read will read it all.
        if self._runs and not self._reading.waiting:
            self._tasks.start(self._read(), f"Reading {self._what}")

    async def changed(self) -> None:
        """
        Tell all processes that something has changed.

        Returns:
            Once it is known here.

        Raises:
            StoreError: The store failed; what was read before holds.
        """
        self._bus.publish(self._topic, b"")
        await self._in_turn()

    async def _poll(self) -> None:
        while True:
            await self._read()
            await deferLater(self._clock, self._poll_seconds)

    async def _read(self) -> None:
        """Catch up, if the store lets us."""
        try:
            await self._in_turn()
        except CancelledError:
            raise
        except Exception as error:
            self._complaint.fails(error)
        else:
            self._complaint.works()

    async def _in_turn(self) -> None:
        await self._reading.acquire()
        try:
            await self._catch_up()
        finally:
            self._reading.release()
