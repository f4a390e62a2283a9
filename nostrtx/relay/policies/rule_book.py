# -*- test-case-name: tests.relay.policies.test_rule_book -*-
"""
The table of rules with what it rests upon: the lists, and whom the roots trust.

All of it can be put in another one's place while the relay runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import attrs
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


@attrs.frozen(eq=False)
class _Table:
    """
    The rules of some settings, with what they rest upon.

    Attributes:
        settings: Which.
        lists: What the rules name.
        trust: Whom the roots trust.
        rules: The rules.
    """

    settings: Settings
    lists: Lists
    trust: Trust
    rules: Rules

    def note(self, event: Event, seq: int, now: float) -> None:
        """Take note of an event along the log; once more does no harm."""
        self.trust.note(event, seq, now)
        self.lists.note(event, seq, now)

    def stop(self, others: Collection[_Table] = ()) -> None:
        """Keep up with nothing any more but what others rest upon as well."""
        self.rules.stop()
        if all(other.lists is not self.lists for other in others):
            self.lists.stop()
        if all(other.trust is not self.trust for other in others):
            self.trust.stop()


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
        self._store = store
        self._bus = broadcaster
        self._clock = clock
        self._random_bytes = random_bytes
        self._record = record
        self._allowed = allowed
        self._tasks = BackgroundTasks()
        self._in_thread: InThread | None = None
        self._now = self._table(settings, None)
        self._coming: _Table | None = None
        broadcaster.listen(TOPIC, self._heard)

    def check_event(self, event: Event, source: Source) -> None:
        """Ask the table, as :meth:`Rules.check_event`."""
        self._now.rules.check_event(event, source)

    def check_request(
        self, verb: Verb, filters: Sequence[Filter], source: Source
    ) -> None:
        """Ask the table, as :meth:`Rules.check_request`."""
        self._now.rules.check_request(verb, filters, source)

    def check_connection(self, address: str) -> None:
        """Ask the table, as :meth:`Rules.check_connection`."""
        self._now.rules.check_connection(address)

    def start(self, in_thread: InThread) -> None:
        """
        Read lists and follow lists, and keep up with them; the store is open.

        Args:
            in_thread: Runs what takes a while.
        """
        self._in_thread = in_thread
        self._now.trust.start()
        self._now.lists.start(in_thread)
        self._tasks.start(self._load(self._now, in_thread), "Reading lists")

    def stop(self) -> None:
        """Keep up with them no more."""
        self._tasks.cancel_all()
        for table in self._tables():
            table.stop()

    def apply(self, settings: Settings) -> None:
        """
        Let other settings hold, as soon as the lists they name are read.

        Until then those before hold. To be called after the start.
        """
        assert self._in_thread is not None
        if self._coming is not None:
            self._tasks.cancel_all()
            self._coming.stop([self._now])
            self._coming = None
        elif _rested_upon(settings) == _rested_upon(self._now.settings):
            return
        self._coming = coming = self._table(settings, self._now)
        if coming.trust is not self._now.trust:
            coming.trust.start()
        if coming.lists is not self._now.lists:
            coming.lists.start(self._in_thread)
        self._tasks.start(self._load(coming, self._in_thread), "Reading lists")

    def allowed_changed(self) -> None:
        """Take note that other keys are allowed by name than before."""
        for lists in {table.lists for table in self._tables()}:
            lists.allowed_changed()

    def is_trusted(self, pubkey: bytes) -> bool:
        """Whether the roots lead to somebody."""
        return self._now.trust.depth(pubkey) is not None

    def nearest(self, most: int) -> list[bytes]:
        """So many of those who are trusted, as :meth:`Trust.nearest`."""
        return self._now.trust.nearest(most)

    async def known(self) -> None:
        """Return when lists are read, and it is known whom to trust."""
        await self.loaded.wait()
        await self._now.trust.known.wait()

    def note(self, event: Event, seq: int, now: float) -> None:
        """Take note of an event along the log."""
        self._now.note(event, seq, now)
        if self._coming is not None:
            self._coming.note(event, seq, now)

    def forget(self, ids: Iterable[bytes]) -> None:
        """Take note that events are gone."""
        ids = list(ids)
        for lists in {table.lists for table in self._tables()}:
            lists.forget(ids)

    def _tables(self) -> list[_Table]:
        """The table in force, and the one to come, if any."""
        return [self._now] if self._coming is None else [self._now, self._coming]

    def _heard(self, sender: str, message: bytes) -> None:
        for trust in {table.trust for table in self._tables()}:
            trust.heard()

    async def _load(self, table: _Table, in_thread: InThread) -> None:
        """Let a table hold once its lists are read."""
        await table.lists.loaded.wait()
        await table.rules.prepare(in_thread)
        if table is self._coming:
            before, self._now, self._coming = self._now, table, None
            before.stop([table])
        self.loaded.comes()

    def _table(self, settings: Settings, before: _Table | None) -> _Table:
        """The table of some settings, with what is as before."""
        if before is not None and before.settings.lists == settings.lists:
            lists = before.lists
        else:
            lists = Lists(settings.lists, self._store, self._clock, self._allowed)
        if before is not None and before.settings.trust == settings.trust:
            trust = before.trust
        else:
            trust = Trust(
                settings.trust, self._store, self._bus, self._clock, self._random_bytes
            )
        rules = Rules(
            settings.rules,
            lists,
            trust.depth,
            settings.limits.require_pow_commitment,
            self._record,
        )
        return _Table(settings, lists, trust, rules)


def _rested_upon(settings: Settings) -> tuple[object, ...]:
    """What of the settings rules rest upon."""
    commitment = settings.limits.require_pow_commitment
    return settings.rules, settings.lists, settings.trust, commitment
