# -*- test-case-name: tests.relay.identification.test_public_addresses -*-
"""
Connecting to hosts that strangers name, but never into one's own network.

The address is looked at after the name was resolved and is the one connected to, so
a name that points to the inside, or comes to while it is looked at, leads nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Final, TypeAlias

from twisted.internet.address import IPv4Address as TCPAddress4
from twisted.internet.address import IPv6Address as TCPAddress6
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import (
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

_Address: TypeAlias = TCPAddress4 | TCPAddress6

#: How many of a host's addresses are tried.
MAX_ADDRESSES: Final = 2

#: How many times as long as it may take to be made may a connection last.
LIFETIMES: Final = 3

#: IPv6 addresses behind which a translator puts any IPv4 address.
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")


class NoPublicAddress(Exception):
    """A host has no address that may be connected to."""


def is_public(text: str) -> bool:
    """Whether an address belongs to the Internet, and not to any network within."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        within = _embedded(address)
        if within is not None:
            return is_public(str(within))
    return address.is_global and not address.is_multicast


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address to which packets for an IPv6 address may be led."""
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None,))[0]


@implementer(IAgentEndpointFactory)
class PublicEndpoints:
    """
    Makes connections for an HTTP agent.

    Args:
        reactor: Resolves names and connects.
        local_addresses: Whether addresses within are allowed, too.
        seconds: Says how long one connection may take to be made.
    """

    def __init__(
        self, reactor: Any, local_addresses: bool, seconds: Callable[[], float]
    ) -> None:
        self._reactor = reactor
        self._local_addresses = local_addresses
        self._seconds = seconds
        self._tls = BrowserLikePolicyForHTTPS()

    def endpointForURI(self, uri: Any) -> IStreamClientEndpoint:
        """Where to connect for a URL; over TLS, with the host's name checked."""
        endpoint = _PublicEndpoint(
            self._reactor,
            uri.host.decode("ascii"),
            uri.port,
            self._local_addresses,
            self._seconds(),
        )
        options = self._tls.creatorForNetloc(uri.host, uri.port)
        secured: IStreamClientEndpoint = wrapClientTLS(options, endpoint)
        return secured


@implementer(IStreamClientEndpoint)
class _PublicEndpoint:
    """One host and port, at a public address."""

    def __init__(
        self, reactor: Any, host: str, port: int, local_addresses: bool, seconds: float
    ) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._local_addresses = local_addresses
        self._seconds = seconds

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect to the first address that answers."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        receiver = _Addresses()
        self._reactor.nameResolver.resolveHostName(receiver, self._host, self._port)
        failure: Exception = NoPublicAddress(self._host)
        for address in self._allowed(await receiver.complete)[:MAX_ADDRESSES]:
            make = (
                TCP6ClientEndpoint
                if isinstance(address, TCPAddress6)
                else TCP4ClientEndpoint
            )
            endpoint = make(self._reactor, address.host, self._port, self._seconds)
            try:
                protocol: Any = await endpoint.connect(factory)
            except Exception as error:
                failure = error
            else:
                # Whoever is there may not stay, whatever becomes of the request.
                abort = protocol.transport.abortConnection
                self._reactor.callLater(LIFETIMES * self._seconds, abort)
                return protocol  # type: ignore[no-any-return]
        raise failure

    def _allowed(self, addresses: Sequence[_Address]) -> list[_Address]:
        return [
            address
            for address in addresses
            if self._local_addresses or is_public(address.host)
        ]


@implementer(IResolutionReceiver)
class _Addresses:
    """Gathers the addresses of a host."""

    def __init__(self) -> None:
        self._found: list[_Address] = []
        self.complete: Deferred[list[_Address]] = Deferred()

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Nothing is known yet."""

    def addressResolved(self, address: Any) -> None:
        """One more."""
        self._found.append(address)

    def resolutionComplete(self) -> None:
        """That is all."""
        if not self.complete.called:
            self.complete.callback(self._found)
