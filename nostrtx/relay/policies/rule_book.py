# -*- test-case-name: tests.relay.policies.test_rule_book -*-
"""
The table of rules with what it rests upon: the lists, and whom the roots trust.

All of it can be put in another one's place while the relay runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from nostrtx.interfaces.policies import (
    IConnectionPolicy,
    IEventCheck,
    IRequestPolicy,
    Source,
    Verb,
)
from nostrtx.interfaces.processes import IBroadcaster
from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.relay.moment import Moment
from nostrtx.relay.policies.list_files import InThread
from nostrtx.relay.policies.lists import Lists
from nostrtx.relay.policies.rules import Rules
from nostrtx.relay.policies.trust import TOPIC, Trust
from nostrtx.relay.policies.verdicts import VerdictRecord
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.settings.tree import Settings


@implementer(IEventCheck, IRequestPolicy, IConnectionPolicy)
class RuleBook:
    """
    The rules in force, and those that are to follow them.

    Args:
        settings: The rules, lists and roots; and whether work must be aimed at.
        store: Where Nostr lists and follow lists are.
        broadcaster: Hears from other processes, and tells them.
        clock: Wall-clock time.
        random_bytes: Makes what nobody can guess.
        record: Where verdicts are counted.
        allowed: The keys that are allowed by name.

    Attributes:
        loaded: When all lists have been read since the start.
    """

    def __init__(
        self,
        settings: Settings,
        store: IEventStore,
        broadcaster: IBroadcaster,
        clock: IReactorTime,
        random_bytes: Callable[[int], bytes],
        record: VerdictRecord,
        allowed: Callable[[], frozenset[bytes]] = frozenset,
    ) -> None:
        self.loaded = Moment()
        self._settings = settings
        self._store = store
        self._bus = broadcaster
        self._clock = clock
        self._random_bytes = random_bytes
        self._record = record
        self._allowed = allowed
        self._tasks = BackgroundTasks()
        self._in_thread: InThread | None = None
        self._trust = self._new_trust(settings)
        self._lists = self._new_lists(settings)
        self._coming: Lists | None = None
        self._rules = self._new_rules()
        broadcaster.listen(TOPIC, lambda sender, message: self._trust.heard())

    def check_event(self, event: Event, source: Source) -> None:
        """Ask the table, as :meth:`Rules.check_event`."""
        self._rules.check_event(event, source)

    def check_request(
        self, verb: Verb, filters: Sequence[Filter], source: Source
    ) -> None:
        """Ask the table, as :meth:`Rules.check_request`."""
        self._rules.check_request(verb, filters, source)

    def check_connection(self, address: str) -> None:
        """Ask the table, as :meth:`Rules.check_connection`."""
        self._rules.check_connection(address)

    def start(self, in_thread: InThread) -> None:
        """
        Read lists and follow lists, and keep up with them; the store is open.

        Args:
            in_thread: Runs what takes a while.
        """
        self._in_thread = in_thread
        self._trust.start()
        self._lists.start(in_thread)
        self._tasks.start(self._load(), "Reading lists")

    def stop(self) -> None:
        """Keep up with them no more."""
        self._tasks.cancel_all()
        self._trust.stop()
        for lists in (self._lists, self._coming):
            if lists is not None:
                lists.stop()

    def apply(self, settings: Settings) -> None:
        """
        Let other settings hold, as soon as the lists they name are read.

        Until then those before hold. To be called after the start.
        """
        assert self._in_thread is not None
        if self._coming is not None:
            self._coming.stop()
            self._coming = None
            self._tasks.cancel_all()
        elif _rested_upon(settings) == _rested_upon(self._settings):
            return
        if settings.trust != self._settings.trust:
            self._trust.stop()
            self._trust = self._new_trust(settings)
            self._trust.start()
        if settings.lists == self._settings.lists and self._lists.loaded.is_past:
            self._settings = settings
            self._rules = self._new_rules()
            return
        self._coming = self._new_lists(settings)
        self._coming.start(self._in_thread)
        self._tasks.start(self._replace(settings, self._coming), "Reading lists")

    def allowed_changed(self) -> None:
        """Take note that other keys are allowed by name than before."""
        self._lists.allowed_changed()

    def is_trusted(self, pubkey: bytes) -> bool:
        """Whether the roots lead to somebody."""
        return self._trust.depth(pubkey) is not None

    def nearest(self, most: int) -> list[bytes]:
        """So many of those who are trusted, as :meth:`Trust.nearest`."""
        return self._trust.nearest(most)

    async def known(self) -> None:
        """Return when lists are read, and it is known whom to trust."""
        await self.loaded.wait()
        await self._trust.known.wait()

    def note(self, event: Event, seq: int, now: float) -> None:
        """Take note of an event along the log."""
        self._trust.note(event, seq, now)
        self._lists.note(event, seq, now)
        if self._coming is not None:
            self._coming.note(event, seq, now)

    def forget(self, ids: Iterable[bytes]) -> None:
        """Take note that events are gone."""
        ids = list(ids)
        self._lists.forget(ids)
        if self._coming is not None:
            self._coming.forget(ids)

    async def _load(self) -> None:
        await self._lists.loaded.wait()
        self.loaded.comes()

    async def _replace(self, settings: Settings, lists: Lists) -> None:
        await lists.loaded.wait()
        self._lists.stop()
        self._settings, self._lists, self._coming = settings, lists, None
        self._rules = self._new_rules()
        self.loaded.comes()

    def _new_rules(self) -> Rules:
        """The rules of the settings, with the lists there are by now."""
        return Rules(
            self._settings.rules,
            self._lists,
            lambda pubkey: self._trust.depth(pubkey),
            self._settings.limits.require_pow_commitment,
            self._record,
        )

    def _new_lists(self, settings: Settings) -> Lists:
        return Lists(settings.lists, self._store, self._clock, self._allowed)

    def _new_trust(self, settings: Settings) -> Trust:
        return Trust(
            settings.trust, self._store, self._bus, self._clock, self._random_bytes
        )


def _rested_upon(settings: Settings) -> tuple[object, ...]:
    """What of the settings rules rest upon."""
    commitment = settings.limits.require_pow_commitment
    return settings.rules, settings.lists, settings.trust, commitment
