"""Tests for :mod:`nostrtx.web.site`."""

from __future__ import annotations

import gc
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.logger import capturedLogs
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.settings.edge import ListenSettings
from nostrtx.settings.limits import LimitSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.connection import RelayWebSocketProtocol
from nostrtx.web.site import (
    ANSWER_SECONDS,
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    FirstRequest,
    relay_site,
)
from tests.web.fakes import HANDSHAKE, PEER, Edge, FakeTransport, client_frame

_HEADER = b"X-Forwarded-For: 192.0.2.66, 192.0.2.44\r\n"
_FORWARDED = HANDSHAKE.replace(b"Host:", _HEADER + b"Host:")

GET = b"GET / HTTP/1.1\r\nHost: relay.example\r\n\r\n"


class SiteCase(SynchronousTestCase):
    """A site without a network."""

    def setUp(self) -> None:
        """Start it."""
        self.edge = Edge()
        self.site = relay_site(
            self.edge.websockets, self.edge.settings, dict, self.edge.clock
        )
        self.site.doStart()

    def connect(self, factory: Any = None) -> FakeTransport:
        """A connection that has sent nothing yet."""
        transport: Any = FakeTransport()
        protocol = (factory or self.site).buildProtocol(PEER)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        fake: FakeTransport = transport
        return fake

    def ask(self, request: bytes) -> bytes:
        """The whole answer to a request."""
        transport: Any = self.connect()
        transport.protocol.dataReceived(request)
        self.assertTrue(transport.disconnecting)
        answer: bytes = transport.value()
        return answer


class FirstRequestTests(SiteCase):
    """Tests for :class:`nostrtx.web.site.FirstRequest` and :class:`RelaySite`."""

    def test_interfaces(self) -> None:
        """The site makes protocols."""
        self.assertTrue(verifyObject(IProtocolFactory, self.site))
        self.assertTrue(verifyObject(IProtocol, self.site.buildProtocol(PEER)))

    def test_upgrade(self) -> None:
        """An upgrade opens a WebSocket connection."""
        transport: Any = self.connect()
        transport.protocol.dataReceived(HANDSHAKE + client_frame(b"[1]"))
        self.assertIsInstance(transport.protocol, RelayWebSocketProtocol)
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 101 "))
        self.assertEqual(self.edge.relay.sessions[0].texts, [b"[1]"])

    def test_upgrade_byte_by_byte(self) -> None:
        """However the request is cut, it is the same."""
        transport: Any = self.connect()
        for at in range(len(HANDSHAKE)):
            transport.protocol.dataReceived(HANDSHAKE[at : at + 1])
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 101 "))

    def test_spellings(self) -> None:
        """The header may be spelled as HTTP allows."""
        for header in (
            b"UPGRADE: WebSocket",
            b"upgrade:websocket",
            b"Upgrade: a, websocket",
        ):
            transport: Any = self.connect()
            transport.protocol.dataReceived(
                HANDSHAKE.replace(b"Upgrade: websocket", header, 1)
            )
            self.assertTrue(transport.value().startswith(b"HTTP/1.1 101 "), header)

    def test_nothing_remains(self) -> None:
        """What read the first request is gone when the connection is handed over."""
        # What earlier tests have left goes now, and nothing goes in between.
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        before = first_requests()
        transport: Any = self.connect()
        self.assertEqual(first_requests(), before + 1)
        transport.protocol.dataReceived(HANDSHAKE)
        self.assertEqual(first_requests(), before)

    def test_head_too_long(self) -> None:
        """A head without end is refused when it has reached the limit."""
        transport: Any = self.connect()
        for _ in range(MAX_HEAD_BYTES // 1000 + 1):
            self.assertEqual(transport.value(), b"")
            transport.protocol.dataReceived(b"x" * 1000)
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 431 "))
        self.assertTrue(transport.disconnecting)
        transport.protocol.dataReceived(b"more")

    def test_head_too_slow(self) -> None:
        """A head that does not arrive in time is refused, each after its own time."""
        first: Any = self.connect()
        first.protocol.dataReceived(GET[:10])
        self.edge.clock.advance(6)
        second: Any = self.connect()
        done: Any = self.connect()
        done.protocol.dataReceived(HANDSHAKE)
        self.edge.clock.advance(4)
        self.assertTrue(first.value().startswith(b"HTTP/1.1 408 "))
        self.assertTrue(first.disconnecting)
        self.assertFalse(second.disconnecting)
        self.edge.clock.advance(6)
        self.assertTrue(second.disconnecting)
        self.assertFalse(done.disconnecting)

    def test_gone(self) -> None:
        """A client that leaves before it has asked is forgotten."""
        transport: Any = self.connect()
        transport.protocol.connectionLost(Failure(ConnectionDone()))
        self.edge.clock.advance(60)
        self.assertEqual(transport.value(), b"")

    def test_stop(self) -> None:
        """Stopping refuses who has not asked yet, and leaves nothing behind."""
        transport: Any = self.connect()
        self.site.doStop()
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 503 "))
        self.assertEqual(self.edge.clock.getDelayedCalls(), [])

    def test_wrapped_transport(self) -> None:
        """Behind a wrapper, as for TLS or the PROXY protocol, it is the same."""
        wrapped = WrappingFactory(self.site)
        for request, answer in ((HANDSHAKE, b"HTTP/1.1 101 "), (GET, b"HTTP/1.1 200 ")):
            transport: Any = self.connect(wrapped)
            transport.protocol.dataReceived(request[:20])
            transport.protocol.dataReceived(request[20:])
            self.assertTrue(transport.value().startswith(answer))
        self.assertIsInstance(wrapped, Factory)


class TrustedProxyTests(SynchronousTestCase):
    """Connections that come through an HTTP proxy."""

    def connect(self, request: bytes, *trusted: str) -> Edge:
        """An edge that has had ``request`` from :data:`PEER`."""
        settings = Settings(
            listen=ListenSettings(trusted_proxies=trusted),
            limits=LimitSettings(max_connections_per_address=1),
        )
        edge = Edge(settings)
        site = relay_site(edge.websockets, LiveSettings(settings), dict, edge.clock)
        site.doStart()
        for at in (20, len(request)):
            transport: Any = FakeTransport()
            transport.protocol = site.buildProtocol(PEER)
            transport.protocol.makeConnection(transport)
            transport.protocol.dataReceived(request[:at])
            transport.protocol.dataReceived(request[at:])
        return edge

    def test_client(self) -> None:
        """The session's client is whom a trusted proxy names, not the proxy."""
        edge = self.connect(_FORWARDED, f"{PEER.host}/32")
        self.assertEqual(edge.relay.addresses, ["192.0.2.44"])

    def test_stranger(self) -> None:
        """Anybody else is who it is, whatever the request says."""
        for trusted in ((), ("10.0.0.0/8",)):
            edge = self.connect(_FORWARDED, *trusted)
            self.assertEqual(edge.relay.addresses, [PEER.host])

    def test_in_the_body(self) -> None:
        """What follows the request's head is not part of it."""
        edge = self.connect(HANDSHAKE + client_frame(_HEADER), PEER.host)
        self.assertEqual(edge.relay.addresses, [PEER.host])


def first_requests() -> int:
    """How many there are, without those that are only held by one another."""
    return sum(isinstance(each, FirstRequest) for each in gc.get_objects())


class HTTPTests(SiteCase):
    """Requests that do not upgrade."""

    def test_page(self) -> None:
        """A GET is answered, and the connection closed: the next might upgrade."""
        answer = self.ask(GET)
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertIn(b"\r\nConnection: close\r\n", answer)

    def test_in_pieces(self) -> None:
        """A request may arrive in pieces."""
        transport: Any = self.connect()
        for at in range(len(GET)):
            transport.protocol.dataReceived(GET[at : at + 1])
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 200 OK\r\n"))

    def test_post_that_upgrades(self) -> None:
        """Only a GET can upgrade."""
        answer = self.ask(HANDSHAKE.replace(b"GET", b"POST"))
        self.assertTrue(answer.startswith(b"HTTP/1.1 405 "))

    def test_not_http(self) -> None:
        """What is not HTTP is refused, with the headers that every answer has."""
        for junk in (b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\nno header\r\n\r\n"):
            answer = self.ask(junk)
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), junk)
            self.assertIn(b"\r\nAccess-Control-Allow-Origin: *\r\n", answer)

    def test_long_body(self) -> None:
        """A body without use is not taken beyond a limit."""
        transport: Any = self.connect()
        head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n"
        transport.protocol.dataReceived(head)
        for _ in range(MAX_BODY_BYTES // 10_000 + 2):
            transport.protocol.dataReceived(b"x" * 10_000)
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 413 "))
        self.assertTrue(transport.disconnecting)

    def test_announced_body(self) -> None:
        """A body that is announced as too long is refused before it comes."""
        head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n"
        answer = self.ask(head)
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "))
        self.assertEqual(answer.count(b"HTTP/1.1"), 1)

    def test_chunked_body(self) -> None:
        """A body whose length is not announced is not taken beyond it either."""
        transport: Any = self.connect()
        head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        transport.protocol.dataReceived(head)
        for _ in range(MAX_BODY_BYTES // 10_000 + 2):
            transport.protocol.dataReceived(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        answer = transport.value()
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "))
        self.assertEqual(answer.count(b"HTTP/1.1"), 1)
        self.assertTrue(transport.disconnecting)

    def test_slow_body(self) -> None:
        """A body that comes drop by drop is not waited for without end."""
        transport: Any = self.connect()
        head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n"
        transport.protocol.dataReceived(head)
        with capturedLogs() as events:
            for _ in range(9):
                self.edge.clock.advance(1)
                transport.protocol.dataReceived(b"x")
            self.assertEqual(transport.value(), b"")
            self.edge.clock.advance(1)
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 408 "))
        self.assertTrue(transport.disconnecting)
        self.assertEqual([each for each in events if PEER.host in str(each)], [])

    def test_answer_not_taken(self) -> None:
        """A client that does not take its answer is not waited for without end."""
        transport: Any = self.connect()
        transport.protocol.dataReceived(GET)
        self.assertTrue(transport.disconnecting)
        self.edge.clock.advance(ANSWER_SECONDS - 1)
        self.assertFalse(transport.aborted)
        self.edge.clock.advance(1)
        self.assertTrue(transport.aborted)

    def test_answer_taken(self) -> None:
        """Nothing is left of a client that has taken it."""
        transport: Any = self.connect()
        before = self.edge.clock.getDelayedCalls()
        transport.protocol.dataReceived(GET)
        transport.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.edge.clock.getDelayedCalls(), before)

    def test_no_access_log(self) -> None:
        """Requests leave no line with an address in the log."""
        with capturedLogs() as events:
            self.ask(GET)
        self.assertEqual([each for each in events if PEER.host in str(each)], [])
