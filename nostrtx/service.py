# -*- test-case-name: tests.test_service -*-
"""
The relay as a Twisted service: everything is put together here, and only here.

Children start in order, store first and listener last, and stop in reverse, each
after the one behind it has come to rest: no event that was acknowledged is lost,
and no request stays without an answer.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from secrets import token_bytes
from socket import gethostname
from typing import Any

import attrs
from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, TimeoutError
from twisted.logger import Logger

from nostrtx.admin_service import AdminService
from nostrtx.broadcast.opening import open_broadcaster
from nostrtx.cannot_serve import CannotServe
from nostrtx.consistency import check_consistency
from nostrtx.interfaces.processes import IBroadcaster
from nostrtx.interfaces.register import RegisterError
from nostrtx.interfaces.store import IEventStore, StoreUnusable
from nostrtx.joining import BroadcasterService, fail
from nostrtx.key_service import KeyService
from nostrtx.listening import OpenPorts
from nostrtx.nostr.vanish import names_relay
from nostrtx.relay.announcement import Announcement
from nostrtx.relay.moment import Moment
from nostrtx.relay.policies.spending import Spending
from nostrtx.relay.relay import Relay
from nostrtx.relay.roll_call import RollCall
from nostrtx.relay.signature_checks import verifier_count
from nostrtx.relay.tally import Tally
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.settings.file import ConfigError
from nostrtx.settings.identity import RelaySettings
from nostrtx.settings.storing import SearchSettings
from nostrtx.settings.tree import Settings
from nostrtx.storage.opening import open_store, shown_url
from nostrtx.storage.register_opening import register_database
from nostrtx.storage.search.opening import can_search, with_search
from nostrtx.turns import turns_of
from nostrtx.web.information import information_of
from nostrtx.web.proxied import listening_site
from nostrtx.web.site import relay_site
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

    def __init__(self, relay: Relay, reactor: Any, settings: Settings) -> None:
        self._relay = relay
        self._reactor = reactor
        self._processes = settings.ingest.verifier_processes

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


class RelayURLs:
    """
    The URLs by which clients know this relay (NIP-42).

    Those of the settings; without ``relay.url`` also those it listens on, which is
    what clients on the same machine use.

    Args:
        settings: ``[relay]``.
    """

    def __init__(self, settings: RelaySettings) -> None:
        self._urls = settings.urls
        self._is_set = bool(settings.url)

    def listening_on(self, url: str) -> None:
        """Take note of a port that is open; a Unix socket has no URL."""
        if self._is_set or not url.startswith(("ws://", "wss://")):
            return
        self._urls.append(url)
        for loopback in ("127.0.0.1", "[::1]"):
            if loopback in url:
                self._urls.append(url.replace(loopback, "localhost"))

    def all(self) -> list[str]:
        """The URLs."""
        return self._urls


class ListenerService(Service):
    """
    The open ports and the clients behind them.

    Args:
        relay: Is drained before clients are sent away.
        websockets: Their connections.
        reactor: Listens.
        settings: Where to listen, and how long stopping may take.
        urls: Learns where clients connect.
        facts: What the relay has counted, for its page.
        moments: When all of them are past, clients are served; until then, whoever
            connects waits.
        opener: Listens in place of the reactor, for a worker whose ports are open
            already; whoever opened them says so in the log.
    """

    _log = Logger()

    def __init__(
        self,
        relay: Relay,
        websockets: RelayWebSocketFactory,
        reactor: Any,
        settings: Settings,
        urls: RelayURLs,
        facts: Callable[[], Mapping[str, int]],
        moments: Sequence[Moment],
        opener: Any = None,
    ) -> None:
        self._relay = relay
        self._moments = moments
        self._waiting = BackgroundTasks()
        self._websockets = websockets
        self._reactor = reactor
        self._settings = settings
        self._site = relay_site(
            websockets,
            settings,
            facts,
            reactor,
            lambda: relay.own_key.public,
            relay.presented,
            relay.management,
        )
        self._tells = opener is None
        self._ports = OpenPorts(
            reactor if opener is None else opener,
            reactor,
            urls.listening_on,
        )

    def privilegedStartService(self) -> None:
        """
        Open the ports, before twistd gives up its privileges.

        Raises:
            CannotServe: One cannot be opened; the text is one line that says why.
        """
        super().privilegedStartService()
        self._ports.open(
            self._settings.listen.endpoints,
            lambda endpoint: listening_site(endpoint, self._site, self._reactor),
        )

    def startService(self) -> None:
        """Serve clients, on the ports that are open, as soon as that may be."""
        super().startService()
        self._ports.pause()
        self._ports.watch_certificates(self._settings.timing.certificate_seconds)
        self._waiting.start(self._serve(), "Waiting until clients can be served")
        # What exists by now stays: the collector need not look at it again, nor
        # look often, for what a relay handles is seldom cyclic.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 50, 100)

    def renew_certificates(self) -> None:
        """Show those who connect from now on what the files of certificates hold."""
        self._ports.renew_certificates()

    async def _serve(self) -> None:
        for moment in self._moments:
            await moment.wait()
        self._ports.resume()
        if self._tells:
            self._ports.tell(bool(self._settings.relay.url))

    def stopService(self) -> Deferred[None]:
        """Close the ports, answer what was taken, then send the clients away."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._waiting.cancel_all()
        await self._ports.close()
        seconds = self._settings.timing.shutdown_seconds
        try:
            await self._relay.drain().addTimeout(seconds, self._reactor)
        except TimeoutError:
            self._log.warn("Events under way were not saved in {s} s.", s=seconds)
        await self._websockets.shut_down(seconds)


class AnnouncementService(Service):
    """
    The relay's announcement of itself, for as long as it listens.

    Args:
        relay: Whose announcement it is.
        reactor: Counts the time.
        settings: What is told.
    """

    def __init__(self, relay: Relay, reactor: Any, settings: Settings) -> None:
        self._announcement = Announcement(
            relay.own_events,
            reactor,
            settings.relay.url,
            lambda: information_of(relay.presented(), relay.own_key.public),
            settings.discovery,
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
    settings: Settings,
    reactor: Any,
    *,
    opener: Any = None,
    broadcaster: IBroadcaster | None = None,
    give_up: Callable[[str], None] | None = None,
    name: str = "",
) -> IService:
    """
    The whole relay, not yet started.

    Args:
        settings: All of them.
        reactor: Twisted's reactor; epoll is the fastest.
        opener: Listens in place of the reactor, as for :class:`ListenerService`.
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
    check_consistency(settings)
    urls = RelayURLs(settings.relay)
    try:
        store = open_store(
            settings.store.url,
            settings.store,
            reactor,
            lambda request: names_relay(request, urls.all()),
            settings.timing.query_budget_seconds,
        )
    except StoreUnusable as error:
        raise ConfigError(f"store.url: {error}") from None
    if settings.search.enabled:
        if can_search(settings.store.url):
            store = with_search(store, settings.store.url, reactor)
        else:
            settings = attrs.evolve(settings, search=SearchSettings(enabled=False))
            _log.info("There is no search: it needs LMDB and nostrtx[search].")
    turns = turns_of(reactor)
    # The order in which these meet the turns is the order of work in one: check
    # signatures, save, answer queries, send.
    facts_of_store: dict[str, str] = {}
    cluster = settings.cluster
    if give_up is None:
        give_up = partial(fail, reactor)
    if broadcaster is None:
        broadcaster = open_broadcaster(
            cluster,
            name or cluster.node or gethostname(),
            settings.store.directory is not None,
            facts_of_store,
            reactor,
            token_bytes,
            os.environ,
            lambda error: give_up(f"nostr-relay: {error}"),
        )
    relay = Relay(
        store,
        broadcaster,
        turns,
        reactor,
        settings,
        urls.all,
        token_bytes,
        register_database(settings),
    )
    roll_call = RollCall(broadcaster, reactor, token_bytes)
    websockets = RelayWebSocketFactory(
        relay, settings, turns, reactor, roll_call, token_bytes
    )
    tally = Tally(roll_call, relay.statistics, broadcaster)
    Spending(roll_call, relay.rates)
    service = SequentialService()
    keys = [KeyService(relay.own_key, facts_of_store)] if settings.signs else []
    joining = BroadcasterService(broadcaster, roll_call, give_up)
    moments = (joining.joined, relay.bans.loaded, relay.rule_book.loaded)
    listener = ListenerService(
        relay, websockets, reactor, settings, urls, tally.facts, moments, opener
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
        opener,
    )
    for child in (
        StoreService(store, shown_url(settings.store.url), facts_of_store),
        *keys,
        joining,
        admin,
        RelayService(relay, reactor, settings),
        listener,
    ):
        child.setServiceParent(service)
    if settings.discovery.announce:
        AnnouncementService(relay, reactor, settings).setServiceParent(service)
    return service
