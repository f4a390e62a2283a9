# -*- test-case-name: tests.test_service -*-
"""The open ports of a relay: endpoint descriptions in, connections out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from nostrtx.cannot_serve import CannotServe
from nostrtx.takeover.ports import parts_of
from nostrtx.web.certificate_files import server_endpoint, why_not
from nostrtx.web.certificates import Certificates
from nostrtx.web.secure import SecurePorts
from nostrtx.web.transport import write_through


class OpenPorts:
    """
    The ports of one relay, from the first to the last moment.

    Args:
        opener: Provides what endpoints ask of a reactor: ``listenTCP`` and so on.
        reactor: Is stopped if a port turns out to be unusable later.
        opened: Called with the URL of each port that is open.
    """

    _log = Logger()

    def __init__(
        self, opener: Any, reactor: Any, opened: Callable[[str], None]
    ) -> None:
        self._opener = opener
        self._reactor = reactor
        self._opened = opened
        self._ports: dict[IListeningPort, str] = {}
        self._certificates: list[Certificates] = []
        self._renewing = LoopingCall(self.renew_certificates)
        self._renewing.clock = reactor
        self._trouble: str | None = None
        self._has_url: bool | None = None

    def open(
        self,
        descriptions: Sequence[str],
        site_for: Callable[[str], tuple[str, IProtocolFactory]],
    ) -> None:
        """
        Open a port for each endpoint description.

        Args:
            descriptions: Of the settings.
            site_for: The description that Twisted knows, and what to listen with.

        Raises:
            CannotServe: One cannot be opened; the text is one line that says why.
        """
        for description in descriptions:
            bare, site = site_for(description)
            opener = SecurePorts(self._opener, bare, self._reactor)
            try:
                endpoint = server_endpoint(opener, bare)
            except Exception as error:
                # Whatever a parser makes of it: ValueError, IndexError, OSError.
                raise CannotServe(
                    f"nostr-relay: {description!r} is no endpoint: {why_not(error)}"
                ) from None
            listening = endpoint.listen(site)
            listening.addCallbacks(
                self._listening, self._not_listening, (opener,), None, (description,)
            )
            if self._trouble is not None:
                raise CannotServe(self._trouble)

    def tell(self, has_url: bool) -> None:
        """
        Say in the log where clients connect.

        Args:
            has_url: Whether the settings say it to clients on other machines.
        """
        self._has_url = has_url
        for port in self._ports:
            self._say_where(port)

    def watch_certificates(self, seconds: float) -> None:
        """
        Look after renewed certificates from now on.

        Args:
            seconds: How often.
        """
        if self._certificates and not self._renewing.running:
            _ = self._renewing.start(seconds, now=False)

    def renew_certificates(self) -> None:
        """Show new connections what the files of certificates hold now."""
        for each in self._certificates:
            each.reload()

    def certificate_ends(self) -> dict[str, float]:
        """When certificates end, in seconds since 1970, by their endpoint."""
        ends: dict[str, float] = {}
        for each in self._certificates:
            ends[each.name] = min(each.ends_at, ends.get(each.name, each.ends_at))
        return ends

    def pause(self) -> None:
        """Take no connections for now; whoever connects waits."""
        for part in self._parts():
            if isinstance(part, FileDescriptor):
                part.stopReading()

    def resume(self) -> None:
        """Take connections, and those that wait first."""
        for part in self._parts():
            if isinstance(part, FileDescriptor):
                part.startReading()

    async def close(self) -> None:
        """Let nobody connect any more."""
        if self._renewing.running:
            self._renewing.stop()
        for port in self._ports:
            closing = port.stopListening()
            if closing is not None:
                await closing
        self._ports.clear()

    def _listening(self, port: IListeningPort, opener: SecurePorts) -> None:
        is_secure = opener.certificates is not None
        if opener.certificates is not None:
            self._certificates.append(opener.certificates)
        self._ports[port] = url_of(port, is_secure)
        for part in parts_of(port):
            write_through(part)
        if self._has_url is not None:
            self._say_where(port)
        self._opened(self._ports[port])

    def _parts(self) -> list[IListeningPort]:
        return [part for port in self._ports for part in parts_of(port)]

    def _say_where(self, port: IListeningPort) -> None:
        self._log.info("Listening on {url}", url=self._ports[port])
        host = getattr(port.getHost(), "host", "")
        if host in ("", "0.0.0.0", "::") and not self._has_url:
            self._log.warn(
                "Clients on other machines can authenticate only if relay.url is set."
            )

    def _not_listening(self, failure: Failure, description: str) -> None:
        self._trouble = (
            f"nostr-relay: cannot listen on {description!r}: {why_not(failure.value)}"
        )
        if self._reactor.running:
            self._log.critical("{trouble}", trouble=self._trouble)
            self._reactor.stop()


def url_of(port: IListeningPort, is_secure: bool = False) -> str:
    """Where clients of this machine find a port; a Unix socket has no URL."""
    address = port.getHost()
    scheme = "wss" if is_secure else "ws"
    if isinstance(address, IPv4Address):
        host = "127.0.0.1" if address.host == "0.0.0.0" else address.host
        return f"{scheme}://{host}:{address.port}/"
    if isinstance(address, IPv6Address):
        host = "::1" if address.host == "::" else address.host
        return f"{scheme}://[{host}]:{address.port}/"
    return str(address)
