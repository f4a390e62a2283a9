"""Tests for :mod:`nostrtx.web.proxied`."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.settings.edge import ListenSettings
from nostrtx.settings.limits import LimitSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.connection import RelayWebSocketProtocol
from nostrtx.web.proxied import ProxiedSite, listening_site
from nostrtx.web.site import relay_site
from tests.web.fakes import HANDSHAKE, PEER, Edge, FakeTransport, client_frame
from tests.web.test_proxy_header import BAD, V1_FOUR, V1_SIX, V2_FOUR, V2_SIX
from tests.web.test_site import GET, first_requests

_UNKNOWN = b"PROXY UNKNOWN\r\n"


class ProxiedCase(SynchronousTestCase):
    """A site behind a proxy, without a network."""

    def setUp(self) -> None:
        """Start it; an address may have one connection."""
        settings = Settings(limits=LimitSettings(max_connections_per_address=1))
        self.edge = Edge(settings)
        self.site = relay_site(
            self.edge.websockets, LiveSettings(settings), dict, self.edge.clock
        )
        self.proxied = ProxiedSite(self.site, self.edge.clock)
        self.proxied.doStart()

    def connect(self, data: bytes = b"") -> Any:
        """A connection from the proxy that has sent ``data``."""
        transport: Any = FakeTransport()
        transport.protocol = self.proxied.buildProtocol(PEER)
        transport.protocol.makeConnection(transport)
        if data:
            transport.protocol.dataReceived(data)
        return transport


class ProxiedRequestTests(ProxiedCase):
    """Tests for :class:`nostrtx.web.proxied.ProxiedRequest`."""

    def test_interfaces(self) -> None:
        """The site makes protocols."""
        self.assertTrue(verifyObject(IProtocolFactory, self.proxied))
        self.assertTrue(verifyObject(IProtocol, self.proxied.buildProtocol(PEER)))

    def test_address(self) -> None:
        """A connection is the client's, whom the proxy names, not the proxy's."""
        for header in (V1_FOUR, V2_SIX):
            transport = self.connect(header + HANDSHAKE + client_frame(b"[1]"))
            self.assertTrue(transport.value().startswith(b"HTTP/1.1 101 "))
            self.assertEqual(self.edge.relay.sessions[-1].texts, [b"[1]"])
        self.assertEqual(self.edge.relay.addresses, ["198.51.100.4", "2001:db8::4"])

    def test_proxy_before_the_proxy(self) -> None:
        """A header of HTTP counts if the PROXY protocol names a trusted proxy."""
        trusted = ListenSettings(trusted_proxies=("198.51.100.4",))
        settings = Settings(listen=trusted)
        site = relay_site(
            self.edge.websockets, LiveSettings(settings), dict, self.edge.clock
        )
        self.proxied = ProxiedSite(site, self.edge.clock)
        said = b"X-Forwarded-For: 192.0.2.44\r\nHost:"
        for header in (V1_FOUR, V2_SIX):
            self.connect(header + HANDSHAKE.replace(b"Host:", said))
        self.assertEqual(self.edge.relay.addresses, ["192.0.2.44", "2001:db8::4"])

    def test_limit(self) -> None:
        """Connections are counted for each client behind the proxy."""
        answers = [
            self.connect(header + HANDSHAKE).value()[:13]
            for header in (V1_FOUR, V2_FOUR, V1_SIX, V2_SIX, _UNKNOWN, _UNKNOWN)
        ]
        opened, refused = b"HTTP/1.1 101 ", b"HTTP/1.1 429 "
        self.assertEqual(answers, [opened, refused] * 3)

    def test_byte_by_byte(self) -> None:
        """However header and request are cut, it is the same."""
        for header in (V2_FOUR, V1_SIX):
            transport = self.connect()
            for at in range(len(header + HANDSHAKE)):
                transport.protocol.dataReceived((header + HANDSHAKE)[at : at + 1])
            self.assertTrue(transport.value().startswith(b"HTTP/1.1 101 "))

    def test_page(self) -> None:
        """Plain HTTP is answered as without a proxy; so are health checks."""
        for header in (V1_FOUR, V2_SIX, _UNKNOWN):
            transport = self.connect(header + GET)
            self.assertTrue(transport.value().startswith(b"HTTP/1.1 200 "))

    def test_nothing_remains(self) -> None:
        """Once the connection is handed over, nothing of the header remains."""
        before = first_requests()
        transport = self.connect(V2_FOUR + HANDSHAKE)
        self.assertIs(type(transport.protocol).__base__, RelayWebSocketProtocol)
        self.assertIs(transport.protocol.transport, transport)
        self.assertEqual(first_requests(), before)

    def test_bad(self) -> None:
        """What does not begin with a header is ended without a word."""
        for data in BAD:
            transport = self.connect(data)
            self.assertTrue(transport.aborted, data)
            self.assertEqual(transport.value(), b"")
            transport.protocol.connectionLost(Failure(ConnectionDone()))

    def test_bad_is_told(self) -> None:
        """The log says that a header is missing, at most once a minute."""

        def warnings() -> int:
            with capturedLogs() as events:
                for _ in range(3):
                    self.connect(GET)
            return [each["log_level"] for each in events].count(LogLevel.warn)

        self.assertEqual(warnings(), 1)
        self.edge.clock.advance(59)
        self.assertEqual(warnings(), 0)
        self.edge.clock.advance(1)
        self.assertEqual(warnings(), 1)

    def test_slow(self) -> None:
        """A header that does not arrive in time ends the connection."""
        for data in (b"", V2_FOUR[:15], V1_FOUR[:-1]):
            transport = self.connect(data)
            self.edge.clock.advance(9)
            self.assertFalse(transport.aborted)
            self.edge.clock.advance(1)
            self.assertTrue(transport.aborted, data)
            self.assertEqual(transport.value(), b"")

    def test_slow_request(self) -> None:
        """The time for the request runs from connecting, not from the header."""
        transport = self.connect()
        self.edge.clock.advance(6)
        transport.protocol.dataReceived(V2_FOUR + GET[:10])
        self.edge.clock.advance(4)
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 408 "))

    def test_gone(self) -> None:
        """A proxy that leaves before it has said anything is forgotten."""
        transport = self.connect(V1_FOUR[:9])
        transport.protocol.connectionLost(Failure(ConnectionDone()))
        self.edge.clock.advance(60)
        self.assertFalse(transport.aborted)

    def test_stop(self) -> None:
        """Stopping ends who has not asked yet, and leaves nothing behind."""
        silent, asking = self.connect(), self.connect(V2_FOUR + GET[:10])
        self.proxied.doStop()
        self.assertTrue(silent.aborted)
        self.assertTrue(asking.value().startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.edge.clock.getDelayedCalls(), [])


class ListeningSiteTests(ProxiedCase):
    """Tests for :func:`nostrtx.web.proxied.listening_site`."""

    def test_with_prefix(self) -> None:
        """The prefix ``haproxy:`` asks for headers; the rest is Twisted's."""
        for description in ("tcp:7447", r"tcp6:7447:interface=\:\:1", "unix:/run/x"):
            bare, site = listening_site(
                f"haproxy:{description}", self.site, self.edge.clock
            )
            self.assertEqual(bare, description)
            self.assertIsInstance(site, ProxiedSite)

    def test_without(self) -> None:
        """Without it, nothing is different."""
        self.assertEqual(
            listening_site("tcp:7447", self.site, self.edge.clock),
            ("tcp:7447", self.site),
        )
