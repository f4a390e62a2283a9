# -*- test-case-name: tests.test_service -*-
"""
The relay as a Twisted service: everything is put together here, and only here.

Children start in order, store first and listener last, and stop in reverse, each
after the one behind it has come to rest: no event that was acknowledged is lost,
and no request stays without an answer.
"""

from __future__ import annotations

import gc
from secrets import token_bytes
from typing import Any

import attrs
from twisted.application.service import IService, MultiService, Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from nostrtx.broadcast.local import LocalBroadcaster
from nostrtx.config import RelaySettings, SearchSettings, Settings
from nostrtx.config_file import ConfigError
from nostrtx.interfaces import (
    BroadcasterUnusable,
    IBroadcaster,
    IEventStore,
    StoreUnusable,
)
from nostrtx.nostr.relay_url import RelayURLError, parse_relay_url
from nostrtx.nostr.vanish import names_relay
from nostrtx.relay.announcement import Announcement
from nostrtx.relay.membership.register import RegisterError
from nostrtx.relay.own_key import KeyUnusable
from nostrtx.relay.relay import Relay
from nostrtx.relay.signature_checks import verifier_count
from nostrtx.storage.opening import open_store
from nostrtx.storage.search.opening import can_search, with_search
from nostrtx.turns import turns_of
from nostrtx.web.information import information_of
from nostrtx.web.proxied import listening_site
from nostrtx.web.site import relay_site
from nostrtx.web.transport import write_through
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
    """

    _log = Logger()

    def __init__(self, store: IEventStore, url: str) -> None:
        self._store = store
        self._url = url

    def startService(self) -> None:
        """
        Open the store.

        Raises:
            SystemExit: It cannot be opened; the text is one line that says why.
        """
        try:
            self._store.open()
        except StoreUnusable as error:
            raise SystemExit(f"nostr-relay: {error}") from None
        self._log.info("Events are kept in {url}.", url=self._url)
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Close the store; fires when all is on disk."""
        super().stopService()
        return self._store.close()


class BroadcasterService(Service):
    """
    News between the processes of the relay, while this runs.

    The relay serves before it has joined the others, and when they are out of reach:
    what news does not tell, the store's log does.

    Args:
        broadcaster: Brings and takes the news.
        reactor: Is stopped if this process may not join the others.
    """

    _log = Logger()

    def __init__(self, broadcaster: IBroadcaster, reactor: Any) -> None:
        self._broadcaster = broadcaster
        self._reactor = reactor
        self._joining: Deferred[None] | None = None

    def startService(self) -> None:
        """Join the others."""
        super().startService()
        self._joining = Deferred.fromCoroutine(self._join())

    def stopService(self) -> Deferred[None]:
        """Tell what is to be told, then leave."""
        super().stopService()
        if self._joining is not None:
            self._joining.cancel()
        return self._broadcaster.stop()

    async def _join(self) -> None:
        try:
            await self._broadcaster.start()
        except CancelledError:
            pass
        except BroadcasterUnusable as error:
            self.refused(error)
        except Exception:
            self._log.failure("Joining the other processes failed.")

    def refused(self, error: BroadcasterUnusable) -> None:
        """Stop the process: it may not join the others, or no longer."""
        self._log.critical("nostr-relay: {reason}", reason=error)
        self._reactor.stop()


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
            SystemExit: The relay's key or its register of members cannot be used;
                the text is one line that says why.
        """
        try:
            self._relay.start(self._reactor, verifier_count(self._processes))
        except (KeyUnusable, RegisterError) as error:
            raise SystemExit(f"nostr-relay: {error}") from None
        super().startService()

    def stopService(self) -> None:
        """End the processes; the relay was drained before."""
        super().stopService()
        self._relay.stop()


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
        if self._is_set or not url.startswith("ws://"):
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
    """

    _log = Logger()

    def __init__(
        self,
        relay: Relay,
        websockets: RelayWebSocketFactory,
        reactor: Any,
        settings: Settings,
        urls: RelayURLs,
    ) -> None:
        self._urls = urls
        self._relay = relay
        self._websockets = websockets
        self._reactor = reactor
        self._settings = settings
        self._site = relay_site(
            websockets,
            settings,
            relay.statistics.facts,
            reactor,
            lambda: relay.own_key.public,
        )
        self._ports: list[IListeningPort] = []
        self._trouble: str | None = None

    def privilegedStartService(self) -> None:
        """
        Open the ports, before twistd gives up its privileges.

        Raises:
            SystemExit: One cannot be opened; the text is one line that says why.
        """
        super().privilegedStartService()
        for description in self._settings.listen.endpoints:
            bare, site = listening_site(description, self._site, self._reactor)
            try:
                endpoint = serverFromString(self._reactor, bare)
            except Exception as error:
                # Whatever a parser makes of it: ValueError, IndexError, OSError.
                raise SystemExit(
                    f"nostr-relay: {description!r} is no endpoint: {error}"
                ) from None
            listening = endpoint.listen(site)
            listening.addCallbacks(
                self._listening, self._not_listening, errbackArgs=(description,)
            )
            if self._trouble is not None:
                raise SystemExit(self._trouble)

    def startService(self) -> None:
        """Serve clients; nothing more to do, the ports are open."""
        super().startService()
        for port in self._ports:
            self._say_where(port)
        # What exists by now stays: the collector need not look at it again, nor
        # look often, for what a relay handles is seldom cyclic.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 50, 100)

    def stopService(self) -> Deferred[None]:
        """Close the ports, answer what was taken, then send the clients away."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for port in self._ports:
            closing = port.stopListening()
            if closing is not None:
                await closing
        seconds = self._settings.timing.shutdown_seconds
        try:
            await self._relay.drain().addTimeout(seconds, self._reactor)
        except TimeoutError:
            self._log.warn("Events under way were not saved in {s} s.", s=seconds)
        await self._websockets.shut_down(seconds)

    def _listening(self, port: IListeningPort) -> None:
        self._ports.append(port)
        write_through(port)
        if self.running:
            self._say_where(port)
        self._urls.listening_on(_url_of(port))

    def _say_where(self, port: IListeningPort) -> None:
        self._log.info("Listening on {url}", url=_url_of(port))
        host = getattr(port.getHost(), "host", "")
        if host in ("", "0.0.0.0", "::") and not self._settings.relay.url:
            self._log.warn(
                "Clients on other machines can authenticate only if relay.url is set."
            )

    def _not_listening(self, failure: Failure, description: str) -> None:
        self._trouble = (
            f"nostr-relay: cannot listen on {description!r}: "
            f"{failure.getErrorMessage()}"
        )
        if self._reactor.running:
            self._log.critical("{trouble}", trouble=self._trouble)
            self._reactor.stop()


def _url_of(port: IListeningPort) -> str:
    address = port.getHost()
    if isinstance(address, IPv4Address):
        host = "127.0.0.1" if address.host == "0.0.0.0" else address.host
        return f"ws://{host}:{address.port}/"
    if isinstance(address, IPv6Address):
        host = "::1" if address.host == "::" else address.host
        return f"ws://[{host}]:{address.port}/"
    return str(address)


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
            lambda: information_of(settings, relay.own_key.public),
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


def make_service(settings: Settings, reactor: Any) -> IService:
    """
    The whole relay, not yet started.

    Args:
        settings: All of them.
        reactor: Twisted's reactor; epoll is the fastest.

    Raises:
        ConfigError: The store's URL names no kind of store, or there is no URL under
            which the relay could be announced.
    """
    if settings.discovery.announce:
        try:
            parse_relay_url(settings.relay.url)
        except RelayURLError as error:
            raise ConfigError(
                f"relay.url: needed for discovery.announce: {error}"
            ) from None
    urls = RelayURLs(settings.relay)
    try:
        store = open_store(
            settings.store.url,
            settings.store,
            reactor,
            lambda request: names_relay(request, urls.all()),
        )
    except StoreUnusable as error:
        raise ConfigError(f"store.url: {error}") from None
    if settings.search.enabled:
        if can_search(settings.store.url):
            store = with_search(store, settings.store.url, reactor)
        else:
            settings = attrs.evolve(settings, search=SearchSettings(enabled=False))
            _log.info("There is no search: nostrtx[search] is not installed.")
    turns = turns_of(reactor)
    # The order in which these meet the turns is the order of work in one: check
    # signatures, save, answer queries, send.
    broadcaster = LocalBroadcaster()
    relay = Relay(store, broadcaster, turns, reactor, settings, urls.all, token_bytes)
    websockets = RelayWebSocketFactory(relay, settings, turns, reactor)
    service = SequentialService()
    for child in (
        StoreService(store, settings.store.url),
        BroadcasterService(broadcaster, reactor),
        RelayService(relay, reactor, settings),
        ListenerService(relay, websockets, reactor, settings, urls),
    ):
        child.setServiceParent(service)
    if settings.discovery.announce:
        AnnouncementService(relay, reactor, settings).setServiceParent(service)
    return service
