# -*- test-case-name: tests.web.test_proxied -*-
"""
Connections through a proxy that says whose they are (PROXY protocol).

Twisted's own wrapper would stay between transport and protocol for as long as the
connection lasts, which costs the fast way out, and it takes a header that arrives in
small pieces for none. Here nothing remains once the header is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger

from nostrtx.web.proxy_header import BadProxyHeader, parse_proxy_header
from nostrtx.web.site import FirstRequest, RelaySite

#: Begins the description of an endpoint to which only proxies connect.
PROXIED_PREFIX = "haproxy:"

#: How often the log tells that headers are missing.
_COMPLAINT_SECONDS = 60.0


class ProxiedRequest(FirstRequest):
    """
    A new connection from a proxy: its header, and then the first request.

    Args:
        site: Where to ask whom it is handed to.
        peer: The proxy, whose connection it is unless it says otherwise.
        complain: Called if there is no header.
        within: Makes what speaks with the client of that address; None if that is
            the first request itself.
    """

    __slots__ = ("_complain", "_header_read", "_within")

    def __init__(
        self,
        site: RelaySite,
        peer: IAddress,
        complain: Callable[[str], None],
        within: Callable[[IAddress], IProtocol] | None = None,
    ) -> None:
        super().__init__(site, peer)
        self._complain = complain
        self._within = within
        self._header_read = False

    def dataReceived(self, data: bytes) -> None:
        """Read on in the header, then as in any other connection."""
        if self._header_read:
            super().dataReceived(data)
            return
        data = self._head + data
        try:
            header = parse_proxy_header(data)
        except BadProxyHeader as error:
            self._complain(str(error))
            self._leave()
            return
        if header is None:
            self._head = data
            return
        self._header_read = True
        self._head = b""
        if header.client is not None:
            self._client = header.client
        rest = data[header.length :]
        if self._within is not None:
            self._site.settled(self)
            self._hand_over(self._within(self._client))
            if rest:
                self.transport.protocol.dataReceived(rest)
        elif rest:
            super().dataReceived(rest)

    def refuse(self, code: int, why: str) -> None:
        """Give up: without a word if there is no proxy that would pass it on."""
        if self._header_read:
            super().refuse(code, why)
        else:
            self._leave()

    def _leave(self) -> None:
        self._site.settled(self)
        self._head = b""
        self.transport.abortConnection()


class ProxiedSite(ServerFactory):
    """
    The relay's site behind proxies.

    Whoever can connect to it can say where a client comes from: let only the proxies.

    Args:
        site: What they lead to; is started and stopped with this.
        clock: The reactor, or a fake clock.
    """

    _log = Logger()
    noisy = False

    def __init__(self, site: RelaySite, clock: IReactorTime) -> None:
        self._site = site
        self._clock = clock
        self._silent_until = 0.0
        self._within: Any = None

    def through(self, wrap: Callable[[RelaySite], Any]) -> None:
        """
        Reach the site through something that lies between: TLS.

        Args:
            wrap: Makes a factory that leads to the site.
        """
        self._within = wrap(self._site).buildProtocol

    def doStart(self) -> None:
        """One more port is open."""
        self._site.doStart()

    def doStop(self) -> None:
        """One port less is open."""
        self._site.doStop()

    def buildProtocol(self, addr: Any) -> Any:
        """What reads a proxy's header, and the request behind it."""
        return ProxiedRequest(self._site, addr, self._complain, self._within)

    def _complain(self, why: str) -> None:
        now = self._clock.seconds()
        if now < self._silent_until:
            return
        self._silent_until = now + _COMPLAINT_SECONDS
        self._log.warn(
            "A connection was ended, for it did not begin with a header of the PROXY"
            " protocol ({why}). Does the proxy send one?",
            why=why,
        )


def listening_site(
    description: str, site: RelaySite, clock: IReactorTime
) -> tuple[str, ServerFactory]:
    """
    What to listen on, and what with.

    Args:
        description: Of an endpoint; ``haproxy:`` before it says that only proxies
            connect there, which speak the PROXY protocol.
        site: What clients want.
        clock: The reactor, or a fake clock.

    Returns:
        A description that Twisted knows, and the factory to listen with.
    """
    bare = description.removeprefix(PROXIED_PREFIX)
    if bare == description:
        return bare, site
    return bare, ProxiedSite(site, clock)
