# -*- test-case-name: tests.relay.policies.test_lists -*-
"""
The lists that rules name, whatever they are made of: settings, files, Nostr lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from twisted.internet.interfaces import IReactorTime

from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.bech32 import parse_pubkey
from nostrtx.nostr.event import Event
from nostrtx.nostr.lists import parse_list_address
from nostrtx.relay.moment import Moment
from nostrtx.relay.policies.entries import Entries
from nostrtx.relay.policies.list_files import InThread, ListFiles
from nostrtx.relay.policies.nostr_lists import NostrLists
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.settings.policies import ALLOWED, ListSettings


class Lists:
    """
    All lists, as they are now.

    Args:
        settings: Each by its name.
        store: Where Nostr lists are.
        clock: Wall-clock time.
        allowed: The keys that are allowed by name.

    Attributes:
        loaded: When all have been read since the start.
        version: Another one whenever a list holds something else than before.
    """

    def __init__(
        self,
        settings: Mapping[str, ListSettings],
        store: IEventStore,
        clock: IReactorTime,
        allowed: Callable[[], frozenset[bytes]] = frozenset,
    ) -> None:
        self._allowed = allowed
        self.loaded = Moment()
        self.version = 0
        self._tasks = BackgroundTasks()
        self._stated = {name: _stated(one) for name, one in settings.items()}
        self._addresses = {
            name: [parse_list_address(text) for text in one.nostr]
            for name, one in settings.items()
        }
        self._nostr = NostrLists(
            {address for some in self._addresses.values() for address in some},
            store,
            clock,
            self._changed,
        )
        self._files = {
            name: ListFiles(name, one, clock, self._changed)
            for name, one in settings.items()
        }

    def __contains__(self, name: str) -> bool:
        return name in self._stated

    def start(self, in_thread: InThread) -> None:
        """
        Read them and follow them; the store is open.

        Args:
            in_thread: Runs what takes a while.
        """
        for files in self._files.values():
            files.start(in_thread)
        self._nostr.start()
        self._tasks.start(self._load(), "Reading lists")

    def stop(self) -> None:
        """Follow them no more."""
        self._tasks.cancel_all()
        for files in self._files.values():
            files.stop()
        self._nostr.stop()

    def parts(self, name: str) -> list[Entries]:
        """
        What is on a list now, by its sources: each is the same as long as it holds.

        Raises:
            KeyError: There is no such list.
        """
        return [
            self._stated[name],
            *self._files[name].entries,
            *[self._nostr.entries(address) for address in self._addresses[name]],
        ]

    def people(self, text: str) -> list[frozenset[bytes]]:
        """Those whom a rule names: a list, those who are allowed, or one person."""
        if text in self:
            return [part.pubkeys for part in self.parts(text)]
        if text == ALLOWED:
            return [self._allowed()]
        return [frozenset((parse_pubkey(text),))]

    def allowed_changed(self) -> None:
        """Other keys are allowed by name than before."""
        self._changed()

    def note(self, event: Event, seq: int, now: float) -> None:
        """Take note of an event along the log."""
        self._nostr.note(event, seq, now)

    def forget(self, ids: Iterable[bytes]) -> None:
        """Take note that events are gone."""
        self._nostr.forget(ids)

    async def _load(self) -> None:
        for files in self._files.values():
            await files.loaded.wait()
        await self._nostr.loaded.wait()
        self.loaded.comes()

    def _changed(self) -> None:
        self.version += 1


def _stated(settings: ListSettings) -> Entries:
    """What the settings say themselves."""
    return Entries(
        frozenset(map(bytes.fromhex, settings.pubkeys)),
        frozenset(settings.addresses),
        frozenset(settings.words),
    )
