# -*- test-case-name: tests.relay.management.test_profile -*-
"""
What the relay says of itself, as its owners have changed it while it runs.

The store is the truth. It is read at the start, upon news of another process, and
every so often, for news may be lost.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from nostrtx.interfaces.processes import IBroadcaster
from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.json import dumps, loads
from nostrtx.relay.complaint import Complaint
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.settings.identity import RelaySettings

#: The topic of the bus: that this has changed. What has, is in the store.
TOPIC: Final = "profile"

#: Where it is kept in the store.
RECORD: Final = "relay profile"

#: What may be changed.
FIELDS: Final = frozenset({"name", "description", "icon"})


class Profile:
    """
    Keeps up with what owners have changed, and changes it.

    Args:
        store: Where that is kept.
        broadcaster: Hears from other processes, and tells them.
        clock: Wall-clock time.
        poll_seconds: How often the store is asked for what nobody told.
        stated: What the settings say; holds for what was not changed.

    Attributes:
        relay: What the relay says of itself now.
    """

    _log = Logger()

    def __init__(
        self,
        store: IEventStore,
        broadcaster: IBroadcaster,
        clock: IReactorTime,
        poll_seconds: float,
        stated: RelaySettings,
    ) -> None:
        self.relay = stated
        self._store = store
        self._bus = broadcaster
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._stated = stated
        self._known: bytes | None = None
        self._reading = DeferredLock()
        self._complaint = Complaint(self._log, "Reading what the relay is called")
        self._runs = False
        self._tasks = BackgroundTasks()
        broadcaster.listen(TOPIC, lambda sender, message: self.read())
        broadcaster.on_connected(self.read)

    def start(self) -> None:
        """Read what was changed, from an embedded store at once; it is open."""
        self._runs = True
        self._tasks.start(self._poll(), "Following what the relay is called")

    def stop(self) -> None:
        """Read no more."""
        self._runs = False
        self._tasks.cancel_all()

    def read(self) -> None:
        """Look into the store for changes."""
        # Whoever waits for its turn to read will read it all.
        if self._runs and not self._reading.waiting:
            self._tasks.start(self._read(), "Reading what the relay is called")

    async def change(self, field: str, text: str) -> None:
        """
        Say something else, here and everywhere.

        Args:
            field: One of :data:`FIELDS`.
            text: What is said; empty for what the settings say.

        Returns:
            Once that is durable and holds here.

        Raises:
            StoreError: The store failed.
        """

        def change(there: bytes | None) -> bytes:
            members = _members(there)
            members.pop(field, None)
            return dumps(members | ({field: text} if text else {}))

        await self._store.change_record(RECORD, change)
        self._bus.publish(TOPIC, b"")
        await self._catch_up()

    async def _poll(self) -> None:
        while True:
            await self._read()
            await deferLater(self._clock, self._poll_seconds)

    async def _read(self) -> None:
        """Catch up, if the store lets us."""
        try:
            await self._catch_up()
        except CancelledError:
            raise
        except Exception as error:
            self._complaint.fails(error)
        else:
            self._complaint.works()

    async def _catch_up(self) -> None:
        await self._reading.acquire()
        try:
            record = self._store.record(RECORD)
            if isinstance(record, Deferred):
                record = await record
            if record != self._known:
                self._known = record
                members = _members(record)
                said = {name: members[name] for name in FIELDS & members.keys()}
                self.relay = attrs.evolve(self._stated, **said)
                self._log.info("The relay is called {name} now.", name=self.relay.name)
        finally:
            self._reading.release()


def _members(record: bytes | None) -> dict[str, Any]:
    """All that was changed, also what only a later version understands."""
    members: Any = {} if record is None else loads(record)
    return dict(members)
