# -*- test-case-name: tests.cli.test_asked_policies -*-
"""
The policies of the settings, for commands that ask them about many events.

Nothing is known of the client that has sent the events, so rates are not asked, and
rules about addresses and authentication do not hold.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from secrets import token_bytes
from typing import Any, Final

import attrs
import click
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from nostrtx.broadcast.local import LocalBroadcaster
from nostrtx.cli.allowed import allowed_keys
from nostrtx.consistency import check_consistency
from nostrtx.interfaces.policies import PolicyContext, Source, Taken
from nostrtx.interfaces.register import RegisterError
from nostrtx.interfaces.store import IEventStore, StoreError
from nostrtx.nostr.errors import Rejected
from nostrtx.nostr.event import Event
from nostrtx.relay.allowed import with_managers
from nostrtx.relay.management.kept import Keeping
from nostrtx.relay.management.kinds import AllowedKinds
from nostrtx.relay.measurements import Measurements
from nostrtx.relay.policies.added import AddedPolicies
from nostrtx.relay.policies.observed import Observation, Observed
from nostrtx.relay.policies.policies import Policies
from nostrtx.relay.policies.rule_book import RuleBook
from nostrtx.relay.policies.rules import NAME as RULES
from nostrtx.relay.policies.verdicts import FAILED, verdict_of
from nostrtx.settings.file import ConfigError
from nostrtx.settings.policies import name_allowed
from nostrtx.settings.tree import Settings
from nostrtx.storage.untouched import UntouchedStore

#: Events that are asked about at a time, if no program says otherwise.
_AT_ONCE: Final = 64

#: What policies say of an event: None lets it through.
Verdict = Rejected | Taken | None


def reason_of(verdict: Rejected | Taken) -> str:
    """Why an event goes no further."""
    return verdict.reason or "taken without a word"


def verdicts_by_policy(measurements: Measurements) -> dict[str, Counter[str]]:
    """How often each policy said what, by its name."""
    found: dict[str, Counter[str]] = {}
    for fact, number in measurements.policies.facts().items():
        counted = verdict_of(fact)
        if counted is not None:
            found.setdefault(counted.policy, Counter())[counted.verdict] += number
    return found


def enforced(settings: Settings) -> Settings:
    """The settings without the policies that are in shadow."""
    return attrs.evolve(
        settings,
        rules=tuple([one for one in settings.rules if not one.shadow]),
        programs=tuple([one for one in settings.programs if not one.shadow]),
        plugins=tuple([one for one in settings.plugins if not one.shadow]),
    )


def names_policies(settings: Settings) -> bool:
    """Whether there may be a policy that refuses events."""
    kept = enforced(settings)
    return bool(
        kept.rules or kept.programs or kept.plugins or settings.management.enabled
    )


class AskedPolicies:
    """
    Rules, plugins and programs, as a relay with these settings would ask them.

    Args:
        settings: Say which there are.
        store: Where lists and follow lists are; it is read, and not changed.
        reactor: Runs programs, and tells the time.
        measurements: Count what they say.

    Attributes:
        checks: Those that check events before the signature.
        events: Those that decide about events that are known to be good.
        policies: All of these.
        at_once: So many events can be asked about at a time that none of them waits
            for its turn at a program.

    Raises:
        click.ClickException: They cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        store: IEventStore,
        reactor: Any,
        measurements: Measurements,
    ) -> None:
        self._reactor = reactor
        try:
            check_consistency(settings)
            self._added = AddedPolicies(
                settings, measurements, PolicyContext(reactor, store)
            )
        except ConfigError as error:
            raise click.ClickException(str(error)) from None
        self._settings = settings
        self._store = store
        self._allowed: frozenset[bytes] = frozenset()
        self._book = RuleBook(
            settings,
            UntouchedStore(store),
            LocalBroadcaster(),
            reactor,
            token_bytes,
            measurements.policies,
            lambda: self._allowed,
        )
        observation = Observation(RULES, is_own=True)
        rules = Observed(self._book, observation, measurements, reactor)
        asked = [rules] if settings.rules else []
        self.checks = (*asked, *self._added.checks)
        self.events = self._added.events
        self.policies = Policies(self.checks, self.events)
        self.at_once = min(
            [one.in_flight * one.workers for one in settings.programs],
            default=_AT_ONCE,
        )

    @property
    def are_none(self) -> bool:
        """Whether there is nobody to ask."""
        return not (self.checks or self.events)

    async def start(self) -> None:
        """
        Start them; returns when all lists are read that they rest upon.

        Raises:
            click.ClickException: The keys that moderators have allowed cannot be read.
        """
        if name_allowed(self._settings.rules):
            try:
                self._allowed = await allowed_keys(self._store, self._settings)
            except (RegisterError, StoreError) as error:
                raise click.ClickException(str(error)) from None
        self._added.start(self._reactor)
        pool = self._reactor.getThreadPool()
        self._book.start(partial(deferToThreadPool, self._reactor, pool))
        await self._book.known()

    async def stop(self) -> None:
        """Ask nothing any more; returns when all is at rest."""
        self._book.stop()
        self._added.stop()
        await self._added.ended()


class Questions:
    """
    Asks policies about events, not more at a time than they can take.

    Args:
        policies: Are asked.
        source: Where the events come from.
        at_once: Events that may wait for their verdict; those behind them wait here.
    """

    def __init__(self, policies: Policies, source: Source, at_once: int) -> None:
        self._policies = policies
        self._source = source
        self._at_once = at_once
        self._waiting: deque[tuple[Event, Callable[[Verdict], None]]] = deque()
        self._asked = 0
        self._is_asking = False
        self._room: list[Deferred[None]] = []

    def check(self, event: Event) -> None:
        """
        Ask what may be asked before the signature is known to be good.

        Raises:
            Rejected: The event is refused.
        """
        self._policies.check_event(event, self._source)

    def ask(self, event: Event, told: Callable[[Verdict], None]) -> None:
        """Have ``told`` called with what they say of an event, now or later."""
        self._waiting.append((event, told))
        self._go_on()

    async def until_fewer(self, number: int) -> None:
        """Return when fewer events than ``number`` have no verdict yet."""
        while self._asked + len(self._waiting) >= number:
            room: Deferred[None] = Deferred(self._room.remove)
            self._room.append(room)
            await room

    def _go_on(self) -> None:
        if self._is_asking:
            # Verdicts may come at once, any number of them one after the other.
            return
        self._is_asking = True
        while self._waiting and self._asked < self._at_once:
            self._ask(*self._waiting.popleft())
        self._is_asking = False

    def _ask(self, event: Event, told: Callable[[Verdict], None]) -> None:
        try:
            verdict = self._policies.admit(event, self._source)
        except Rejected as refusal:
            told(refusal)
            return
        if not isinstance(verdict, Deferred):
            told(verdict)
            return
        self._asked += 1

        def answered(result: Taken | Failure | None) -> None:
            self._asked -= 1
            if not isinstance(result, Failure):
                told(result)
            elif isinstance(refusal := result.value, Rejected):
                told(refusal)
            else:
                # It is over: who was asked has been stopped.
                result.trap(CancelledError)
                return
            self._go_on()
            room, self._room = self._room, []
            for one in room:
                one.callback(None)

        verdict.addBoth(answered)  # type: ignore[unused-awaitable]


@asynccontextmanager
async def questions_to(
    settings: Settings, source: Source, store: IEventStore, reactor: Any
) -> AsyncGenerator[Questions]:
    """
    Have the policies of the settings running, but for those in shadow.

    Kinds that owners have disallowed (NIP-86) are refused as well.

    At the end those that gave no verdict are named on standard error.

    Args:
        settings: Say which there are.
        source: Where the events come from.
        store: As in :class:`AskedPolicies`.
        reactor: As there.

    Raises:
        click.ClickException: They cannot be used.
    """
    measurements = Measurements()
    asked = AskedPolicies(enforced(settings), store, reactor, measurements)
    poll_seconds = settings.cluster.poll_seconds
    keeping = Keeping(store, LocalBroadcaster(), reactor, poll_seconds)
    kinds = AllowedKinds(keeping)
    kinds.managed_by(with_managers((), settings.management))
    keeping.start()
    try:
        await keeping.loaded.wait()
        await asked.start()
        observation = Observation("kinds", is_own=True)
        observed = Observed(kinds, observation, measurements, reactor)
        policies = Policies((observed, *asked.checks), asked.events)
        yield Questions(policies, source, asked.at_once)
    finally:
        keeping.stop()
        await asked.stop()
        for name, verdicts in verdicts_by_policy(measurements).items():
            if failed := verdicts[FAILED]:
                click.echo(
                    f"The policy {name} could say nothing about {failed:,} events.",
                    err=True,
                )
