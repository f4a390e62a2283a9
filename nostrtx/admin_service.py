# -*- test-case-name: tests.test_admin_service -*-
"""The operator's pages as a service, on ports of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from nostrtx.interfaces.store import IEventStore
from nostrtx.listening import OpenPorts
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.admin import AdminResource
from nostrtx.web.site import QuietSite

_log = Logger()


def say_where(url: str) -> None:
    """Say in the log where the operator's pages are; ``url`` is a WebSocket's."""
    if url.startswith("ws"):
        url = url.replace("ws", "http", 1)
    _log.info("Metrics and health are at {url}", url=url)


class AdminService(Service):
    """
    The operator's pages, from before this process serves clients until after that.

    Args:
        settings: Where to listen; if nowhere, nothing is done.
        reactor: Listens.
        store: Where events are kept.
        facts: What the processes of this machine have counted.
        faults: Why this process is not ready, by what is not, apart from the store.
        certificate_ends: When those of the clients' ports end, by their endpoint.
        opener: Provides what endpoints ask of a reactor; None for the reactor itself.
        says_where: Whether the log is told where the pages are.
    """

    def __init__(
        self,
        settings: LiveSettings,
        reactor: Any,
        store: IEventStore,
        facts: Callable[[], Mapping[str, int]],
        faults: Callable[[], Mapping[str, str]],
        certificate_ends: Callable[[], Mapping[str, float]],
        opener: Any = None,
        says_where: bool = True,
    ) -> None:
        self._endpoints = settings.now.admin.endpoints
        self._seconds = settings.now.timing.certificate_seconds
        self._ports = OpenPorts(
            reactor if opener is None else opener,
            reactor,
            say_where if says_where else lambda url: None,
        )
        self._others_end = certificate_ends
        self._pages = AdminResource(
            store,
            facts,
            faults,
            self.certificate_ends,
            reactor,
        )
        self._site = QuietSite(self._pages, reactor=reactor)
        settings.follow(self._apply)

    def _apply(self, settings: Settings) -> None:
        self._site.timeOut = settings.timing.handshake_seconds
        self.renew_certificates()

    def privilegedStartService(self) -> None:
        """
        Open the ports, before twistd gives up its privileges.

        Raises:
            CannotServe: One cannot be opened; the text is one line that says why.
        """
        super().privilegedStartService()
        self._ports.open(self._endpoints, lambda endpoint: (endpoint, self._site))

    def startService(self) -> None:
        """Serve, on the ports that are open."""
        super().startService()
        self._ports.watch_certificates(self._seconds)

    def renew_certificates(self) -> None:
        """Show those who connect from now on what the files of certificates hold."""
        self._ports.renew_certificates()

    def certificate_ends(self) -> dict[str, float]:
        """When all certificates end, in seconds since 1970, by their endpoint."""
        return {**self._others_end(), **self._ports.certificate_ends()}

    def pause(self) -> None:
        """Answer nobody for now; whoever asks waits."""
        self._ports.pause()

    def resume(self) -> None:
        """Answer, and those that wait first."""
        self._ports.resume()

    def stopService(self) -> Deferred[None]:
        """Close the ports."""
        super().stopService()
        self._pages.stop()
        return Deferred.fromCoroutine(self._ports.close())
