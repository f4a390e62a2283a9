# -*- test-case-name: tests.relay.policies.test_nostr_lists -*-
"""
Lists that people keep as events on this relay (NIP-02, NIP-51).

They are read from the store at the start, and followed along the log from there on.
What is encrypted in them remains theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.event import Address, Event, supersedes
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import DELETION_REQUEST, REQUEST_TO_VANISH, is_addressable
from nostrtx.nostr.lists import listed_pubkeys, listed_words
from nostrtx.relay.complaint import Complaint
from nostrtx.relay.finding import find_events
from nostrtx.relay.moment import Moment
from nostrtx.relay.policies.entries import Entries
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.settings.policies import check_word

#: How long to wait before a store that failed is asked again, in seconds.
_RETRY_SECONDS: Final = 1.0


class NostrLists:
    """
    The newest versions of lists at some addresses.

    Args:
        addresses: Which lists.
        store: Where they are.
        clock: Wall-clock time.
        changed: Called when one of them holds something else than before.

    Attributes:
        loaded: When all of them have been read since the start.
    """

    _log = Logger()

    def __init__(
        self,
        addresses: Iterable[Address],
        store: IEventStore,
        clock: IReactorTime,
        changed: Callable[[], None],
    ) -> None:
        self.loaded = Moment()
        self._addresses = set(addresses)
        self._authors = {address.pubkey for address in self._addresses}
        self._kinds = {address.kind for address in self._addresses}
        self._store = store
        self._clock = clock
        self._changed = changed
        self._versions: dict[Address, Event] = {}
        self._entries: dict[Address, Entries] = {}
        self._complaint = Complaint(self._log, "Reading lists")
        self._runs = False
        self._is_reading = False
        self._is_due = False
        self._tasks = BackgroundTasks()

    def start(self) -> None:
        """Read them, from an embedded store at once; it is open."""
        self._runs = True
        self._read_soon()

    def stop(self) -> None:
        """Read no more."""
        self._runs = False
        self._tasks.cancel_all()

    def entries(self, address: Address) -> Entries:
        """What is on the list at ``address`` as far as it is known."""
        return self._entries.get(address, Entries())

    def note(self, event: Event, seq: int, now: float) -> None:
        """Take note of an event that may be a list, or take some away."""
        if event.pubkey not in self._authors:
            return
        if event.kind in self._kinds:
            address = event.address
            if address in self._addresses:
                self._take(address, event)
        elif event.kind in (DELETION_REQUEST, REQUEST_TO_VANISH):
            self._read_soon()

    def forget(self, ids: Iterable[bytes]) -> None:
        """Take note that events are gone."""
        if {event.id for event in self._versions.values()}.intersection(ids):
            self._read_soon()

    def _take(self, address: Address, event: Event) -> None:
        known = self._versions.get(address)
        if known is not None and not supersedes(event, known.created_at, known.id):
            return
        self._versions[address] = event
        self._keep(
            address,
            Entries(
                pubkeys=frozenset(listed_pubkeys(event.raw)),
                words=frozenset(filter(_can_be_found, listed_words(event))),
            ),
        )

    def _keep(self, address: Address, entries: Entries) -> None:
        if entries != self._entries.get(address, Entries()):
            self._entries[address] = entries
            self._changed()

    def _read_soon(self) -> None:
        self._is_due = True
        if self._runs and not self._is_reading:
            self._is_reading = True
            self._tasks.start(self._read(), "Reading lists")

    async def _read(self) -> None:
        try:
            while self._is_due:
                self._is_due = False
                try:
                    await self._read_all()
                except CancelledError:
                    raise
                except Exception as error:
                    self._is_due = True
                    self._complaint.fails(error)
                    await deferLater(self._clock, _RETRY_SECONDS)
                else:
                    self._complaint.works()
                    self.loaded.comes()
        finally:
            self._is_reading = False

    async def _read_all(self) -> None:
        """
        See what the store has.

        Raises:
            StoreError: The store failed.
        """
        for address in self._addresses:
            before = self._versions.get(address)
            found = await stored_at(self._store, address, self._clock.seconds())
            if self._versions.get(address) is before:
                # Nothing has come meanwhile; what is in the store is what holds.
                if found is None:
                    self._versions.pop(address, None)
                    self._keep(address, Entries())
                elif before is not None and found.id != before.id:
                    del self._versions[address]
            if found is not None:
                self._take(address, found)


async def stored_at(store: IEventStore, address: Address, now: float) -> Event | None:
    """
    The event that the store has at an address.

    Raises:
        StoreError: The store failed.
    """
    tags = (("d", (address.d,)),) if is_addressable(address.kind) else ()
    wanted = Filter(
        authors=(address.pubkey,), kinds=(address.kind,), tags=tags, limit=1
    )
    found = await find_events(store, [wanted], now)
    return found[0] if found else None


def _can_be_found(word: str) -> bool:
    """Whether a word on a list is one that settings might hold as well."""
    try:
        check_word(word)
    except ValueError:
        return False
    return True
