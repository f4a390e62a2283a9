# -*- test-case-name: tests.test_service -*-
"""The open ports and the clients behind them, from the first to the last moment."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from nostrtx.admin_service import AdminService
from nostrtx.listening import OpenPorts
from nostrtx.relay.moment import Moment
from nostrtx.relay.relay import Relay
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.takeover.takeover import Takeover
from nostrtx.web.proxied import listening_site
from nostrtx.web.site import relay_site
from nostrtx.web.websocket import RelayWebSocketFactory

#: How often it is looked whether those who have just connected have said what for.
_LOOK_SECONDS: Final = 0.1


class RelayURLs:
    """
    The URLs by which clients know this relay (NIP-42).

    Those of the settings; without ``relay.url`` also those it listens on, which is
    what clients on the same machine use.

    Args:
        settings: ``relay``.
    """

    def __init__(self, settings: LiveSettings) -> None:
        self._listened_on: list[str] = []
        settings.follow(self._apply)

    def _apply(self, settings: Settings) -> None:
        relay = settings.relay
        self._urls = relay.urls if relay.url else [*relay.urls, *self._listened_on]
        self._is_set = bool(relay.url)

    def listening_on(self, url: str) -> None:
        """Take note of a port that is open; a Unix socket has no URL."""
        if not url.startswith(("ws://", "wss://")):
            return
        urls = [url]
        for loopback in ("127.0.0.1", "[::1]"):
            if loopback in url:
                urls.append(url.replace(loopback, "localhost"))
        self._listened_on += urls
        if not self._is_set:
            self._urls += urls

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
        admin: The operator's pages, which are served by the process that serves
            clients.
        takeover: Told when clients are served, and when they are not any more.
        opener: Provides what endpoints ask of a reactor; None for the reactor itself.
        says_where: Whether the log is told where clients connect.
    """

    _log = Logger()

    def __init__(
        self,
        relay: Relay,
        websockets: RelayWebSocketFactory,
        reactor: Any,
        settings: LiveSettings,
        urls: RelayURLs,
        facts: Callable[[], Mapping[str, int]],
        moments: Sequence[Moment],
        admin: AdminService,
        takeover: Takeover,
        opener: Any = None,
        says_where: bool = True,
    ) -> None:
        self._relay = relay
        self._admin = admin
        self._takeover = takeover
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
        self._giving_way: Deferred[None] | None = None
        self._tells = says_where
        self._ports = OpenPorts(
            reactor if opener is None else opener,
            reactor,
            urls.listening_on,
        )
        settings.follow(lambda changed: self.renew_certificates())

    def privilegedStartService(self) -> None:
        """
        Open the ports, before twistd gives up its privileges.

        Raises:
            CannotServe: One cannot be opened; the text is one line that says why.
        """
        super().privilegedStartService()
        self._ports.open(
            self._settings.now.listen.endpoints,
            lambda endpoint: listening_site(endpoint, self._site, self._reactor),
        )

    def startService(self) -> None:
        """Serve clients, on the ports that are open, as soon as that may be."""
        super().startService()
        self._ports.pause()
        self._ports.watch_certificates(self._settings.now.timing.certificate_seconds)
        if self._takeover.has_predecessor:
            # Which answers for both until clients are served here.
            self._admin.pause()
        self._waiting.start(self._serve(), "Waiting until clients can be served")
        # What exists by now stays: the collector need not look at it again, nor
        # look often, for what a relay handles is seldom cyclic.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 50, 100)

    def renew_certificates(self) -> None:
        """Show those who connect from now on what the files of certificates hold."""
        self._ports.renew_certificates()

    def certificate_ends(self) -> dict[str, float]:
        """When certificates end, in seconds since 1970, by their endpoint."""
        return self._ports.certificate_ends()

    async def _serve(self) -> None:
        for moment in self._moments:
            await moment.wait()
        self._ports.resume()
        self._admin.resume()
        if self._tells:
            self._ports.tell(bool(self._settings.now.relay.url))
        # Before that, connections wait, and a signal would kill.
        self._reactor.callWhenRunning(self._takeover.serves)

    def give_way(self) -> Deferred[None]:
        """
        Let another process serve whoever connects from now on.

        Returns:
            Fires when all clients are gone; fails with CancelledError if this is
            stopped before.
        """
        self._ports.pause()
        self._admin.pause()
        self._giving_way = Deferred.fromCoroutine(self._give_way())
        return self._giving_way

    async def _give_way(self) -> None:
        timing = self._settings.now.timing
        await self._websockets.shed(timing.drain_seconds)
        until = self._reactor.seconds() + timing.handshake_seconds
        while self._site.has_undecided and self._reactor.seconds() < until:
            await deferLater(self._reactor, _LOOK_SECONDS)
            await self._websockets.shed(0)

    def stopService(self) -> Deferred[None]:
        """Close the ports, answer what was taken, then send the clients away."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._waiting.cancel_all()
        if self._giving_way is not None:
            self._giving_way.cancel()
        self._takeover.stop()
        await self._ports.close()
        seconds = self._settings.now.timing.shutdown_seconds
        try:
            await self._relay.drain().addTimeout(seconds, self._reactor)
        except TimeoutError:
            self._log.warn("Events under way were not saved in {s} s.", s=seconds)
        await self._websockets.shut_down(seconds)
