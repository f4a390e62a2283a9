"""Tests for :mod:`nostrtx.relay.identification.public_addresses`."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import (
    MemoryReactorClock,
    StringTransportWithDisconnection,
)
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface.verify import verifyObject

from nostrtx.relay.identification.public_addresses import (
    NoPublicAddress,
    PublicEndpoints,
    is_public,
)


class FakeResolver:
    """Resolves every name to the addresses it was given."""

    def __init__(self, *hosts: str) -> None:
        self._hosts = hosts

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int) -> None:
        """Tell all addresses at once."""
        receiver.resolutionBegan(None)
        for host in self._hosts:
            kind = IPv6Address if ":" in host else IPv4Address
            receiver.addressResolved(kind("TCP", host, portNumber))
        receiver.resolutionComplete()


def resolving(*hosts: str) -> Any:
    """A reactor that knows one address book."""
    reactor: Any = MemoryReactorClock()
    reactor.nameResolver = FakeResolver(*hosts)
    return reactor


class IsPublicTests(SynchronousTestCase):
    """Which addresses belong to the Internet."""

    def test_public(self) -> None:
        """Ordinary addresses do, translated ones too."""
        for address in (
            "1.1.1.1",
            "93.184.216.34",
            "2606:4700::1111",
            "64:ff9b::101:101",
        ):
            self.assertTrue(is_public(address), address)

    def test_not_public(self) -> None:
        """No address of a network within does, however it is written."""
        for address in (
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "example.com",
            "",
        ):
            self.assertFalse(is_public(address), address)


class PublicEndpointsTests(SynchronousTestCase):
    """Where connections lead."""

    def attempts(self, *hosts: str, local: bool = False) -> tuple[list[str], Any]:
        """To which addresses a host with these is connected, and the failure."""
        reactor = resolving(*hosts)
        endpoints = PublicEndpoints(reactor, local, lambda: 5.0)
        self.assertTrue(verifyObject(IAgentEndpointFactory, endpoints))
        endpoint = endpoints.endpointForURI(URI.fromBytes(b"https://example.com/x"))
        self.assertTrue(verifyObject(IStreamClientEndpoint, endpoint))
        connecting: Any = endpoint.connect(Factory.forProtocol(Protocol))
        failures: list[Any] = []
        connecting.addErrback(failures.append)
        reached = [(host, port) for host, port, *_ in reactor.tcpClients]
        for _, port in reached:
            self.assertEqual(port, 443)
        return [host for host, _ in reached], failures

    def test_public(self) -> None:
        """A public host is connected to at the address that was looked at."""
        self.assertEqual(self.attempts("1.1.1.1"), (["1.1.1.1"], []))
        self.assertEqual(self.attempts("2606:4700::1111"), (["2606:4700::1111"], []))

    def test_within(self) -> None:
        """A host that points to the inside is not connected to."""
        for host in ("127.0.0.1", "10.0.0.1", "::1", "169.254.169.254"):
            reached, (failure,) = self.attempts(host)
            self.assertEqual(reached, [])
            failure.trap(NoPublicAddress)

    def test_both(self) -> None:
        """Of a host with both, only the public address is connected to."""
        self.assertEqual(self.attempts("127.0.0.1", "1.1.1.1"), (["1.1.1.1"], []))

    def test_no_address(self) -> None:
        """A host without an address is not connected to."""
        reached, (failure,) = self.attempts()
        self.assertEqual(reached, [])
        failure.trap(NoPublicAddress)

    def test_lifetime(self) -> None:
        """A connection is cut off after a while, whatever it is used for."""
        reactor = resolving("1.1.1.1")
        endpoints = PublicEndpoints(reactor, False, lambda: 5.0)
        endpoint = endpoints.endpointForURI(URI.fromBytes(b"https://example.com/x"))
        connecting = endpoint.connect(Factory.forProtocol(Protocol))
        ((_, _, factory, *_),) = reactor.tcpClients
        transport = StringTransportWithDisconnection()
        protocol = factory.buildProtocol(IPv4Address("TCP", "1.1.1.1", 443))
        transport.protocol = protocol
        protocol.makeConnection(transport)
        self.successResultOf(connecting)
        reactor.advance(14.9)
        self.assertTrue(transport.connected)
        reactor.advance(0.2)
        self.assertFalse(transport.connected)

    def test_switch(self) -> None:
        """Where that is allowed, addresses within are connected to."""
        self.assertEqual(self.attempts("127.0.0.1", local=True), (["127.0.0.1"], []))
