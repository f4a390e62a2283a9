# -*- test-case-name: tests.test_service -*-
"""
The relay as a Twisted service: everything is put together here, and only here.

Children start in order, store first and listener last, and stop in reverse, each
after the one behind it has come to rest: no event that was acknowledged is lost,
and no request stays without an answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from secrets import token_bytes
from typing import Any

import attrs
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from nostrtx.admin_service import AdminService
from nostrtx.broadcast.opening import open_broadcaster
from nostrtx.broadcast.overlap import OverlapBroadcaster
from nostrtx.cannot_serve import CannotServe
from nostrtx.consistency import check_consistency
from nostrtx.interfaces.processes import IBroadcaster
from nostrtx.interfaces.register import RegisterError
from nostrtx.interfaces.store import IEventStore, StoreUnusable
from nostrtx.joining import BroadcasterService, fail, name_of_node
from nostrtx.key_service import KeyService
from nostrtx.listener_service import ListenerService, RelayURLs
from nostrtx.nostr.vanish import names_relay
from nostrtx.relay.announcement import Announcement
from nostrtx.relay.policies.spending import Spending
from nostrtx.relay.relay import Relay
from nostrtx.relay.roll_call import FAREWELL, RollCall
from nostrtx.relay.signature_checks import verifier_count
from nostrtx.relay.tally import Tally
from nostrtx.settings.file import ConfigError
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.storing import SearchSettings
from nostrtx.settings.tree import Settings
from nostrtx.storage.opening import open_store, shown_url
from nostrtx.storage.register_opening import register_database
from nostrtx.storage.search.opening import can_search, with_search
from nostrtx.takeover.kept_ports import KeptPorts
from nostrtx.takeover.taken import TakenSockets
from nostrtx.takeover.takeover import Takeover, no_takeover
from nostrtx.turns import turns_of
from nostrtx.web.information import information_of
from nostrtx.web.websocket import RelayWebSocketFactory

_log = Logger()


class SequentialService(MultiService):
    """Starts its children in order, and stops them in reverse, one by one."""

    _log = Logger()

    def stopService(self) -> Deferred[None]:
        """Stop each child after the one behind it has stopped."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop_children())

    async def _stop_children(self) -> None:
        for child in reversed(list(self)):
            try:
                stopping = child.stopService()
                if isinstance(stopping, Deferred):
                    await stopping
            except Exception:
                # The others must still come to rest, above all the store.
                self._log.failure("Stopping {service} failed.", service=child)


class TakeoverService(Service):
    """
    Comes first, and takes over the ports of the relay that runs, if there is one.

    Args:
        takeover: How that is done.
    """

    def __init__(self, takeover: Takeover) -> None:
        self._takeover = takeover

    def privilegedStartService(self) -> None:
        """
        Take them over, before twistd gives up its privileges.

        Raises:
            CannotServe: That is impossible; the text is one line that says why.
        """
        super().privilegedStartService()
        self._takeover.begin()


class StoreService(Service):
    """
    The event store, open while this runs.

    Args:
        store: Where events are kept.
        url: Names it in the log and in errors.
        facts: Learns in what others with the same store must agree.
    """

    _log = Logger()

    def __init__(self, store: IEventStore, url: str, facts: dict[str, str]) -> None:
        self._store = store
        self._url = url
        self._facts = facts

    def startService(self) -> None:
        """
        Open the store.

        Raises:
            CannotServe: It cannot be opened; the text is one line that says why.
        """
        try:
            self._store.open()
        except StoreUnusable as error:
            raise CannotServe(f"nostr-relay: {error}") from None
        self._facts.update(self._store.facts())
        self._log.info("Events are kept in {url}.", url=self._url)
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Close the store; fires when all is on disk."""
        super().stopService()
        return self._store.close()


class RelayService(Service):
    """
    The relay's own work: the log, verifier processes and the expiry sweep.

    Args:
        relay: What the sessions share.
        reactor: Runs the processes.
        settings: Says how many.
    """

    def __init__(self, relay: Relay, reactor: Any, settings: LiveSettings) -> None:
        self._relay = relay
        self._reactor = reactor
        self._processes = settings.now.ingest.verifier_processes

    def startService(self) -> None:
        """
        Start the processes and the sweep.

        Raises:
            CannotServe: The register of members cannot be used; the text is one line
                that says why.
        """
        try:
            self._relay.start(self._reactor, verifier_count(self._processes))
        except RegisterError as error:
            raise CannotServe(f"nostr-relay: {error}") from None
        super().startService()

    def stopService(self) -> Deferred[None]:
        """End the processes; the relay was drained before. Fires when they have."""
        super().stopService()
        self._relay.stop()
        return Deferred.fromCoroutine(self._relay.ended())


class AnnouncementService(Service):
    """
    The relay's announcement of itself, for as long as it listens, if it is wanted.

    Args:
        relay: Whose announcement it is.
        reactor: Counts the time.
        settings: What is told.
    """

    def __init__(self, relay: Relay, reactor: Any, settings: LiveSettings) -> None:
        self._announcement = Announcement(
            relay.own_events,
            reactor,
            lambda: information_of(relay.presented(), relay.own_key.public),
            settings,
        )

    def startService(self) -> None:
        """Announce the relay."""
        super().startService()
        self._announcement.start()

    def stopService(self) -> None:
        """Announce it no more."""
        super().stopService()
        self._announcement.stop()


def make_service(
    settings: LiveSettings,
    reactor: Any,
    *,
    opener: Any = None,
    broadcaster: IBroadcaster | None = None,
    give_up: Callable[[str], None] | None = None,
    name: str = "",
) -> SequentialService:
    """
    The whole relay, not yet started; its child ``listener`` is what clients meet.

    Args:
        settings: All of them.
        reactor: Twisted's reactor; epoll is the fastest.
        opener: Listens in place of the reactor, for a worker whose ports are open
            already; whoever opened them says so in the log, and hands them over.
        broadcaster: Reaches the other workers of this machine; None if that is not
            to be done, or by way of Redis.
        give_up: Ends the process, which is told by then that it must not go on, and
            why; None for how a process of twistd ends.
        name: What this process is called among the others; empty for what the
            settings call the machine.

    Raises:
        ConfigError: The store's URL names no kind of store, or another setting is
            missing that is needed with these.
    """
    stated = settings.now
    check_consistency(stated)
    urls = RelayURLs(settings)
    try:
        store = open_store(
            stated.store.url,
            stated.store,
            reactor,
            lambda request: names_relay(request, urls.all()),
            stated.timing.query_budget_seconds,
        )
    except StoreUnusable as error:
        raise ConfigError(f"store.url: {error}") from None
    if stated.search.enabled:
        if can_search(stated.store.url):
            store = with_search(store, stated.store.url, reactor)
        else:
            settings.amend(_without_search)
            _log.info("There is no search: it needs LMDB and nostrtx[search].")
    turns = turns_of(reactor)
    # The order in which these meet the turns is the order of work in one: check
    # signatures, save, answer queries, send.
    facts_of_store: dict[str, str] = {}
    cluster = stated.cluster
    if give_up is None:
        give_up = partial(fail, reactor)
    is_handed_over = opener is None and bool(stated.listen.takeover)
    name = name or name_of_node(stated, token_bytes)
    meeting = None
    if broadcaster is None and is_handed_over and not cluster.redis:
        broadcaster = meeting = OverlapBroadcaster(name, reactor, FAREWELL)
    if broadcaster is None:
        broadcaster = open_broadcaster(
            cluster,
            name,
            stated.store.directory is not None,
            facts_of_store,
            reactor,
            token_bytes,
            os.environ,
            lambda error: give_up(f"nostr-relay: {error}"),
        )
    roll_call = RollCall(broadcaster, reactor, token_bytes)
    relay = Relay(
        store,
        broadcaster,
        turns,
        reactor,
        settings,
        urls.all,
        token_bytes,
        register_database(stated),
        lambda: roll_call.is_first,
    )
    websockets = RelayWebSocketFactory(
        relay, settings, turns, reactor, roll_call, token_bytes
    )
    tally = Tally(roll_call, relay.statistics, broadcaster)
    Spending(roll_call, relay.rates)
    service = SequentialService()
    joining = BroadcasterService(broadcaster, roll_call, give_up)
    moments = (
        joining.joined,
        relay.bans.loaded,
        relay.management.loaded,
        relay.rule_book.loaded,
    )
    says_where = opener is None
    takeover = no_takeover()
    if is_handed_over:
        taken = TakenSockets()
        opener = KeptPorts(reactor, taken)
        takeover = Takeover(
            stated.listen.takeover,
            reactor,
            opener,
            taken,
            lambda: listener.give_way(),
            meeting,
        )

    def faults() -> dict[str, str]:
        found = relay.faults()
        if not joining.joined.is_past:
            found["cluster"] = "this process has not joined the others yet"
        elif not listener.running:
            found["listener"] = "this process is shutting down"
        return found

    admin = AdminService(
        settings,
        reactor,
        store,
        tally.facts,
        faults,
        lambda: listener.certificate_ends(),
        opener,
        says_where,
    )
    listener = ListenerService(
        relay,
        websockets,
        reactor,
        settings,
        urls,
        tally.facts,
        moments,
        admin,
        takeover,
        opener,
        says_where,
    )
    listener.setName("listener")
    for child in (
        TakeoverService(takeover),
        StoreService(store, shown_url(stated.store.url), facts_of_store),
        KeyService(relay.own_key, facts_of_store, settings),
        joining,
        admin,
        RelayService(relay, reactor, settings),
        listener,
        AnnouncementService(relay, reactor, settings),
    ):
        child.setServiceParent(service)
    return service


def _without_search(settings: Settings) -> Settings:
    return attrs.evolve(settings, search=SearchSettings(enabled=False))
