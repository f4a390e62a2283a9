# -*- test-case-name: tests.relay.test_relay -*-
"""The relay: what all sessions of a process share, put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from nostrtx.interfaces.edge import IClient, IClientSession, IRelay, ITurns
from nostrtx.interfaces.policies import PolicyContext
from nostrtx.interfaces.processes import IBroadcaster
from nostrtx.interfaces.register import IRegisterDatabase
from nostrtx.interfaces.store import BanChange, IEventStore
from nostrtx.nostr.bans import BanKind
from nostrtx.nostr.errors import RateLimited, ReasonPrefix, Rejected
from nostrtx.relay.allowed import AllowedKeys
from nostrtx.relay.bans import Bans
from nostrtx.relay.counting import Counting
from nostrtx.relay.event_log import EventLog
from nostrtx.relay.expiry_sweep import ExpirySweep
from nostrtx.relay.fan_out import FanOut
from nostrtx.relay.groups.access import GroupAccess
from nostrtx.relay.groups.groups import Groups
from nostrtx.relay.identification.lookup import domain_lookup
from nostrtx.relay.identification.policy import IdentifierPolicy
from nostrtx.relay.ingest import Ingest
from nostrtx.relay.management.management import Management
from nostrtx.relay.membership.access import Access
from nostrtx.relay.membership.invitations import Invitations
from nostrtx.relay.membership.members import Membership
from nostrtx.relay.membership.register import Register
from nostrtx.relay.own_events import OwnEvents
from nostrtx.relay.own_key import OwnKey
from nostrtx.relay.parts import RelayParts
from nostrtx.relay.policies.added import AddedPolicies
from nostrtx.relay.policies.observed import Observation, Observed
from nostrtx.relay.policies.policies import Policies
from nostrtx.relay.policies.rates import NAME as RATES
from nostrtx.relay.policies.rates import Rates
from nostrtx.relay.policies.rule_book import RuleBook
from nostrtx.relay.policies.rules import NAME as RULES
from nostrtx.relay.reconciliation import Reconciliations
from nostrtx.relay.session import ClientSession
from nostrtx.relay.session_auth import AuthRules
from nostrtx.relay.slow_queries import SlowQueries
from nostrtx.relay.statistics import Statistics
from nostrtx.relay.stored_queries import StoredQueries
from nostrtx.relay.visibility import Visibility
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings


@implementer(IRelay)
class Relay:
    """
    Takes events in, answers queries, delivers live.

    Args:
        store: Where events are kept; whoever opened it closes it.
        broadcaster: Tells the relay's other processes, and hears from them; whoever
            started it stops it.
        turns: The reactor's turns.
        clock: Wall-clock time.
        settings: All but those of the edge are used.
        urls: The URLs by which clients know this relay.
        random_bytes: Makes what nobody can guess.
        register: Where members are kept, opened and closed here; may be None where
            there are none.
        is_first: Whether this process is to do by now what one should do for all.

    Attributes:
        statistics: What this process has counted.
        own_key: The relay's own key, loaded at the start if anything is signed.
        own_events: What the relay says under that key.
        bans: What is banned, for all processes of the relay.
        policies: The rules beyond the protocol.
        rates: Those of them that say how fast things may come.
        rule_book: The table of rules, with lists and trust.
        management: Does what owners and moderators ask for.
    """

    def __init__(
        self,
        store: IEventStore,
        broadcaster: IBroadcaster,
        turns: ITurns,
        clock: IReactorTime,
        settings: LiveSettings,
        urls: Callable[[], Sequence[str]],
        random_bytes: Callable[[int], bytes],
        register: IRegisterDatabase | None = None,
        is_first: Callable[[], bool] = lambda: True,
    ) -> None:
        self.statistics = Statistics()
        self.statistics.measurements.report(partial(_bus_facts, broadcaster))
        self._settings = settings
        self._clock = clock
        started = settings.now
        access = Access(settings) if started.membership.enabled else None
        groups = GroupAccess() if started.groups.enabled else None
        self._group_access = groups
        visibility = Visibility(started.auth.private_kinds, access, groups)
        self.own_key = OwnKey(started.key_file, random_bytes)
        self.bans = Bans(
            store,
            broadcaster,
            clock,
            started.cluster.poll_seconds,
            lambda: self.own_key.public,
        )
        banned = self.bans.banned
        self._fan_out = FanOut(visibility, self.statistics, banned)
        self._events = EventLog(
            store,
            broadcaster,
            turns,
            clock,
            started.cluster.poll_seconds,
            self.statistics,
        )
        self.own_events = OwnEvents(self.own_key, store, clock, self._events)
        self._membership = invitations = None
        if access is not None:
            self._membership = Membership(
                access, self.own_events, clock, random_bytes, settings, urls
            )
            invitations = Invitations(self._membership, access, settings)
        self._identifiers = IdentifierPolicy(store, clock, settings)
        self._events.follow(self._identifiers.note)
        self._groups: Groups | None = None
        if groups is not None:
            self._groups = Groups(
                groups, self.own_events, store, clock, settings, self._events
            )
        allowed = AllowedKeys(settings, self.bans, access)
        self.rule_book = RuleBook(
            started,
            store,
            broadcaster,
            clock,
            random_bytes,
            self.statistics.measurements.policies,
            allowed.now,
        )
        allowed.on_change(self.rule_book.allowed_changed)
        self.management = Management(
            settings,
            store,
            broadcaster,
            clock,
            self.bans,
            self._membership,
            self.rule_book,
            urls,
        )
        self._events.follow(self.rule_book.note)
        self._events.on_removed(self.rule_book.forget)
        # Whoever takes note of an event has done so before it is delivered.
        self._events.follow(self._fan_out.deliver)
        self.rates = Rates(started.rates, clock)
        settings.follow(lambda changed: self.rates.apply(changed.rates))
        self.policies = Policies()
        self._added = AddedPolicies(
            started, self.statistics.measurements, PolicyContext(clock, store)
        )
        settings.check_first(self._added.check)
        settings.follow(self._ask_policies)
        self._register_database = register
        self._register: Register | None = None
        self._ingest = Ingest(
            store,
            turns,
            clock,
            settings,
            self._events,
            self.statistics,
            self.policies,
        )
        # Who may read what is in a group, the log tells.
        followed = None if groups is None else self._events
        self._queries = StoredQueries(
            store,
            turns,
            clock,
            settings,
            visibility,
            self.statistics,
            SlowQueries(settings, clock),
            followed,
        )
        self._counting = Counting(
            store,
            turns,
            clock,
            settings,
            started.search.enabled,
            visibility,
            self.statistics,
            followed,
        )
        self._sweep = ExpirySweep(store, clock, self.statistics, settings, is_first)
        self._reconciliations = Reconciliations(
            store,
            turns,
            clock,
            settings,
            visibility,
            self.statistics,
            followed,
        )
        auth = AuthRules(
            settings,
            urls,
            visibility,
            clock,
            random_bytes,
            access,
            banned,
            self.policies,
        )
        self._parts = RelayParts(
            self._ingest,
            self._fan_out,
            self._queries,
            self._counting,
            auth,
            settings,
            self.statistics,
            invitations,
            started.search.enabled,
            self._reconciliations,
            self.rates,
        )
        self.bans.follow(BanKind.PUBKEY, lambda changes: auth.close_banned())
        self.bans.follow(BanKind.PUBKEY, lambda changes: self._events.recent.clear())
        self.bans.follow(BanKind.EVENT, self._forget_banned)
        turns.at_end(self._events.end_of_turn)

    def start(self, reactor: Any, verifier_processes: int) -> None:
        """
        Start the verifier processes and the sweep; the store is open.

        Raises:
            KeyUnusable: The relay's own key is needed and cannot be had.
            RegisterError: Members are to be served and their register is unusable.
        """
        if self._settings.now.signs and not self.own_key.is_loaded:
            self.own_key.load()
        self.bans.following.start()
        self.management.start()
        self._events.start()
        self.rule_book.start(
            lambda *call: deferToThreadPool(reactor, reactor.getThreadPool(), *call)
        )
        self._settings.follow(self.rule_book.apply)
        self._added.start(reactor)
        self._identifiers.start(domain_lookup(reactor, self._settings).document)
        if self._membership is not None:
            assert self._register_database is not None, "members need a register"
            self._register = Register(self._register_database)
            in_thread = partial(deferToThreadPool, reactor, reactor.getThreadPool())
            self._membership.start(self._register, in_thread)
        if self._groups is not None:
            self._groups.start()
        self._ingest.signatures.start(reactor, verifier_processes)
        self._sweep.start()

    def presented(self) -> Settings:
        """The settings, with what owners have changed about the relay since."""
        settings = self._settings.now
        if not settings.management.enabled:
            return settings
        return attrs.evolve(settings, relay=self.management.profile.relay)

    def session(self, client: IClient) -> IClientSession:
        """Begin a session for a client that has just connected."""
        return ClientSession(client, self._parts)

    def refusal(self, address: str) -> tuple[int, str] | None:
        """HTTP status and reason if ``address`` is banned, or might be."""
        if not self.bans.loaded.is_past:
            return 503, "the relay is starting"
        ban = self.bans.banned.of_address(address)
        return None if ban is None else (403, f"blocked: {ban.because}")

    def arrival(self, address: str) -> tuple[int, str, int] | None:
        """HTTP status, reason and when to try again, if a policy refuses a client."""
        try:
            self.policies.check_connection(address)
        except RateLimited as refusal:
            return 429, refusal.reason, refusal.seconds
        except Rejected as refusal:
            is_early = refusal.prefix is ReasonPrefix.RATE_LIMITED
            return (429 if is_early else 403), refusal.reason, 0
        return None

    def faults(self) -> dict[str, str]:
        """What this process does not know yet, so that it should not serve."""
        faults = {}
        if not self.bans.loaded.is_past:
            faults["bans"] = "the bans are not read yet"
        if not self.management.loaded.is_past:
            faults["management"] = "what owners have changed is not read yet"
        if not self.rule_book.loaded.is_past:
            faults["lists"] = "the lists of rules are not read yet"
        if self._group_access is not None and not self._group_access.is_loaded:
            faults["groups"] = "the groups are not read yet"
        return faults

    def on_refusals(self, call: Callable[[], None]) -> None:
        """Have ``call`` made whenever bans of addresses have changed."""
        self.bans.follow(BanKind.ADDRESS, lambda changes: call())

    def drain(self) -> Deferred[None]:
        """
        Take no more events; fires when all that were taken are answered.

        Clients must still be connected, to get their answers.
        """
        self._sweep.stop()
        return self._ingest.drain()

    def stop(self) -> None:
        """End the verifier processes and what still runs."""
        self._queries.stop()
        self._counting.stop()
        self._reconciliations.stop()
        self._ingest.stop()
        self._identifiers.stop()
        if self._membership is not None:
            self._membership.stop()
        if self._groups is not None:
            self._groups.stop()
        if self._register is not None:
            self._register.close()
        self._ingest.signatures.stop()
        self.rule_book.stop()
        self.bans.following.stop()
        self.management.stop()
        self._events.stop()
        self._added.stop()

    async def ended(self) -> None:
        """Return when all is at rest that was stopped."""
        await self._added.ended()

    def _ask_policies(self, settings: Settings) -> None:
        """Have all policies asked, in their order."""
        own, added = self._own, self._added
        added.apply(settings)
        bans = own("bans", self.bans)
        self.rates.expect(self.statistics.measurements.policies)
        rates = own(RATES, self.rates, not settings.rates.shadow)
        kinds = own("kinds", self.management.kinds)
        rules = own(RULES, self.rule_book)
        admission = None if self._groups is None else self._groups.admission
        self.policies.replace(
            # What is refused by any other than bans has been counted by rates.
            (*bans, *rates, *kinds, *rules, *added.checks),
            (
                *rates,
                *own("members", self._membership),
                *own("nip05", self._identifiers if settings.nip05.required else None),
                *added.events,
                # Last, for what changes a group goes no further.
                *own("groups", admission),
            ),
            (*rates, *rules, *added.requests),
            (*rates, *rules, *added.connections),
        )

    def _own(
        self, name: str, policy: object, enforced: bool = True
    ) -> tuple[Observed, ...]:
        """A policy of the relay itself, as it is asked; nothing if there is none."""
        if policy is None:
            return ()
        observation = Observation(name, enforced, is_own=True)
        measurements = self.statistics.measurements
        return (Observed(policy, observation, measurements, self._clock),)

    def _forget_banned(self, changes: Sequence[BanChange]) -> None:
        """Take note that banned events are gone from the store."""
        self._events.forget(bytes.fromhex(change.ban.subject) for change in changes)


def _bus_facts(broadcaster: IBroadcaster) -> dict[str, int]:
    """That this process is there, and whether it hears the others."""
    return {
        "processes": 1,
        "bus_connected": int(broadcaster.is_connected),
    }
