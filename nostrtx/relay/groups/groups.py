# -*- test-case-name: tests.relay.groups.test_history -*-
"""All that a relay with groups has for them, put together (NIP-29)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from nostrtx.interfaces.policies import IEventPolicy
from nostrtx.interfaces.store import IEventStore, StoreError
from nostrtx.nostr.event import Event
from nostrtx.relay.complaint import Complaint
from nostrtx.relay.event_log import EventLog
from nostrtx.relay.groups.access import GroupAccess, is_in_group
from nostrtx.relay.groups.admission import GroupAdmission
from nostrtx.relay.groups.archive import Archive
from nostrtx.relay.groups.ledger import GroupLedger
from nostrtx.relay.groups.office import GroupOffice
from nostrtx.relay.own_events import OwnEvents
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.settings.live import LiveSettings

#: How long to wait before the store is asked again, in seconds.
_RETRY_SECONDS: Final = 1.0


class Groups:
    """
    The groups of a relay.

    Args:
        access: Says who reads; learns of all changes.
        own: Signs for the relay.
        store: Where events are kept.
        clock: Wall-clock time.
        settings: The operator's rules.
        events: Where changes are made known, and heard of.

    Attributes:
        admission: The rule for what comes in.
    """

    _log = Logger()

    def __init__(
        self,
        access: GroupAccess,
        own: OwnEvents,
        store: IEventStore,
        clock: IReactorTime,
        settings: LiveSettings,
        events: EventLog,
    ) -> None:
        self._clock = clock
        self._archive = Archive(store, clock)
        self._tasks = BackgroundTasks()
        self._ledger = GroupLedger(access, own, store, self._archive, clock, events)
        self._office = GroupOffice(
            access,
            self._ledger,
            self._archive,
            own,
            clock,
            settings,
        )
        events.follow(self.note)
        events.on_removed(self.forget)
        self.admission: IEventPolicy = GroupAdmission(
            access, self._office, self._archive, clock, settings
        )

    def start(self) -> None:
        """Find the groups in the store, which is open; the relay's key is loaded."""
        self._tasks.start(self._load(), "Reading the groups")

    def stop(self) -> None:
        """Do no more in the background."""
        self._tasks.cancel_all()
        self._ledger.stop()

    async def _load(self) -> None:
        complaint = Complaint(self._log, "Reading the groups")
        while True:
            try:
                await self._office.load()
            except StoreError as error:
                complaint.fails(error)
                await deferLater(self._clock, _RETRY_SECONDS)
            else:
                complaint.works()
                return

    def note(self, event: Event, seq: int, now: float) -> None:
        """Take note of a new event, before it is delivered."""
        if seq:
            if is_in_group(event):
                self._archive.note(event)
            self._office.note(event)

    def forget(self, ids: Iterable[bytes]) -> None:
        """Take note of events that are removed."""
        self._archive.forget(ids)
        self._office.forget(ids)
