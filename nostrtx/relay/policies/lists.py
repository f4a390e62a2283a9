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
from nostrtx.settings.policies import ALLOWED, ListSettings


class Lists:
    """
    All lists, as they are now.

    Args:
        settings: Each by its name.
        store: Where Nostr lists are.
        clock: Wall-clock time.
        allowed: The keys that are allowed by name.
    """

    def __init__(
        self,
        settings: Mapping[str, ListSettings],
        store: IEventStore,
        clock: IReactorTime,
        allowed: Callable[[], frozenset[bytes]] = frozenset,
    ) -> None:
        self._allowed = allowed
        self._listeners: list[Callable[[], None]] = []
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

    @property
    def loaded(self) -> Moment:
        """When all lists have been read since the start."""
        return self._nostr.loaded

    def start(self, in_thread: InThread) -> None:
        """Read them and follow them; the store is open."""
        for files in self._files.values():
            files.start(in_thread)
        self._nostr.start()

    def stop(self) -> None:
        """Follow them no more."""
        for files in self._files.values():
            files.stop()
        self._nostr.stop()

    def on_change(self, call: Callable[[], None]) -> None:
        """Have ``call`` made whenever a list holds something else than before."""
        self._listeners.append(call)

    def entries(self, name: str) -> Entries:
        """
        What is on a list now.

        Raises:
            KeyError: There is no such list.
        """
        return Entries.union(
            [
                self._stated[name],
                *self._files[name].entries,
                *[self._nostr.entries(address) for address in self._addresses[name]],
            ]
        )

    def people(self, text: str) -> frozenset[bytes]:
        """Those whom a rule names: a list, those who are allowed, or one person."""
        if text in self:
            return self.entries(text).pubkeys
        if text == ALLOWED:
            return self._allowed()
        return frozenset((parse_pubkey(text),))

    def allowed_changed(self) -> None:
        """Other keys are allowed by name than before."""
        self._changed()

    def note(self, event: Event, seq: int, now: float) -> None:
        """Take note of an event along the log."""
        self._nostr.note(event, seq, now)

    def forget(self, ids: Iterable[bytes]) -> None:
        """Take note that events are gone."""
        self._nostr.forget(ids)

    def _changed(self) -> None:
        for call in self._listeners:
            call()


def _stated(settings: ListSettings) -> Entries:
    """What the settings say themselves."""
    return Entries(
        frozenset(map(bytes.fromhex, settings.pubkeys)),
        frozenset(settings.addresses),
        frozenset(settings.words),
    )
