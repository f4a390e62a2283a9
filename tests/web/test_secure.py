"""Tests for :mod:`nostrtx.web.secure`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IProtocolFactory, IReactorSSL
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.settings.limits import LimitSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.proxied import listening_site
from nostrtx.web.secure import CLOSE_SECONDS, SecurePorts
from nostrtx.web.site import relay_site
from tests.certificates import write_certificates
from tests.web.fakes import HANDSHAKE, PEER, Edge, client_frame
from tests.web.test_proxy_header import V1_FOUR
from tests.web.test_site import GET


class Client(Protocol):
    """
    Speaks TLS with the relay, and keeps what it hears.

    Attributes:
        received: What has come.
        lost: Why the connection ended.
    """

    received = b""
    lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep why."""
        self.lost = reason


class Through(FakeTransport):
    """
    The relay's end of a connection in memory.

    Attributes:
        aborted: Whether the relay has cut it off.
    """

    aborted = False

    def abortConnection(self) -> None:
        """Cut it off."""
        self.aborted = True

    def getPeer(self) -> Any:
        """Who has connected."""
        return PEER


class Connection:
    """
    A client and the relay, in memory.

    Args:
        factory: The relay's.
        certificate: What the relay must show; None for a client that says nothing.
        before: Sent before TLS.
        clock: Makes things happen.
    """

    def __init__(
        self, factory: Any, certificate: Path | None, before: bytes, clock: Any
    ) -> None:
        self.client = Client()
        self._clock = clock
        mine: Any = self.client
        if certificate is not None:
            trusted = Certificate.loadPEM(certificate.read_bytes())
            options = optionsForClientTLS("127.0.0.1", trusted)
            within = Factory.forProtocol(lambda: self.client)
            mine = TLSMemoryBIOFactory(options, True, within, clock).buildProtocol(PEER)
        theirs = factory.buildProtocol(PEER)
        self.server = Through(theirs, True)
        self.wire = FakeTransport(mine, False)
        self.pump = IOPump(mine, theirs, self.wire, self.server, False, clock)
        self.wire.write(before)
        mine.makeConnection(self.wire)
        theirs.makeConnection(self.server)
        self.flush()

    def send(self, data: bytes) -> bytes:
        """Send something, and what has come by then."""
        transport: Any = self.client.transport
        transport.write(data)
        self.flush()
        return self.client.received

    def flush(self) -> None:
        """Carry all over."""
        for _ in range(20):
            self._clock.advance(0)
            self.pump.flush()

    @property
    def is_over(self) -> bool:
        """Whether the relay has ended it."""
        return bool(self.server.disconnected) or self.server.aborted


class SecureCase(SynchronousTestCase):
    """A relay with TLS, without a network."""

    def setUp(self) -> None:
        """Make a certificate and a relay."""
        self.directory = Path(self.mktemp())
        write_certificates(self.directory)
        self.authority = self.directory / "ca.pem"
        settings = Settings(limits=LimitSettings(max_connections_per_address=5))
        self.edge = Edge(settings)
        self.clock = self.edge.clock
        self.site = relay_site(
            self.edge.websockets, self.edge.settings, dict, self.clock
        )

    def listen(self, prefix: str = "") -> Any:
        """The factory of an endpoint with TLS."""
        key, certificate = (self.directory / f"server.{end}" for end in ("key", "pem"))
        described = f"{prefix}ssl:443:privateKey={key}:certKey={certificate}"
        bare, site = listening_site(described, self.site, self.clock)
        reactor = MemoryReactorClock()
        self.ports = SecurePorts(reactor, bare, self.clock)
        self.successResultOf(serverFromString(self.ports, bare).listen(site))
        [(_, factory, _, _)] = reactor.tcpServers
        factory.doStart()
        self.addCleanup(factory.doStop)
        return factory

    def connect(
        self, factory: Any, before: bytes = b"", silent: bool = False
    ) -> Connection:
        """A client that has shaken hands, unless it is silent."""
        authority = None if silent else self.authority
        return Connection(factory, authority, before, self.clock)


class SecurePortsTests(SecureCase):
    """Tests for :class:`nostrtx.web.secure.SecurePorts`."""

    def test_interface(self) -> None:
        """What listens is a factory, also with a proxy in front."""
        for prefix in ("", "haproxy:"):
            self.assertTrue(verifyObject(IProtocolFactory, self.listen(prefix)))

    def test_method(self) -> None:
        """What endpoints with TLS ask for is there, with the arguments they give."""
        promised = IReactorSSL["listenSSL"].getSignatureInfo()["positional"]
        code = SecurePorts.listenSSL.__code__
        self.assertEqual(list(code.co_varnames[1 : code.co_argcount]), list(promised))

    def test_other_endpoints(self) -> None:
        """An endpoint without TLS is as it ever was."""
        reactor = MemoryReactorClock()
        ports = SecurePorts(reactor, "tcp:80", self.clock)
        self.successResultOf(serverFromString(ports, "tcp:80").listen(self.site))
        [(port, factory, _, _)] = reactor.tcpServers
        self.assertEqual((port, factory), (80, self.site))
        self.assertIsNone(ports.certificates)

    def test_websocket(self) -> None:
        """A client is served over TLS as without."""
        connection = self.connect(self.listen())
        answer = connection.send(HANDSHAKE + client_frame(b"[1]"))
        self.assertTrue(answer.startswith(b"HTTP/1.1 101 "))
        [session] = self.edge.relay.sessions
        self.assertEqual(session.texts, [b"[1]"])
        self.assertEqual(self.edge.relay.addresses, [PEER.host])
        session.client.send(b"x" * 300_000)
        self.edge.clock.advance(0)
        connection.flush()
        self.assertTrue(connection.client.received.endswith(b"x" * 300_000))
        connection.send(client_frame(b"", opcode=8))
        self.assertEqual(session.lost, 1)
        self.assertTrue(connection.is_over)

    def test_http(self) -> None:
        """Other requests are answered over TLS, too."""
        connection = self.connect(self.listen())
        self.assertTrue(connection.send(GET).startswith(b"HTTP/1.1 200 "))
        self.assertTrue(connection.is_over)

    def test_renewed(self) -> None:
        """Who connects after a renewal sees the new one; who is there stays."""
        factory = self.listen()
        before = self.connect(factory)
        write_certificates(self.directory)
        assert self.ports.certificates is not None
        # Until then the old one is shown, which the new authority has not signed.
        self.assertIsNotNone(self.connect(factory).client.lost)
        self.assertTrue(self.ports.certificates.reload())
        for connection in (before, self.connect(factory)):
            answer = connection.send(HANDSHAKE)
            self.assertTrue(answer.startswith(b"HTTP/1.1 101 "))

    def test_plain(self) -> None:
        """Who speaks without TLS is not served."""
        connection = self.connect(self.listen(), HANDSHAKE, silent=True)
        self.assertNotIn(b"HTTP", connection.client.received)
        self.assertTrue(connection.is_over)

    def test_behind_proxy(self) -> None:
        """A proxy's header comes before TLS, and says whose the connection is."""
        factory = self.listen("haproxy:")
        answer = b""
        connection = self.connect(factory, V1_FOUR)
        answer = connection.send(HANDSHAKE + client_frame(b"[1]"))
        self.assertTrue(answer.startswith(b"HTTP/1.1 101 "))
        self.assertEqual(self.edge.relay.addresses, ["198.51.100.4"])
        self.assertEqual(self.edge.relay.sessions[0].texts, [b"[1]"])

    def test_no_header(self) -> None:
        """Without the header that a proxy has to send there is no TLS either."""
        connection = self.connect(self.listen("haproxy:"))
        self.assertTrue(connection.is_over)
        self.assertEqual(connection.client.received, b"")


class SecureTransportTests(SecureCase):
    """Tests for :class:`nostrtx.web.secure.SecureTransport`."""

    def test_no_handshake(self) -> None:
        """Who never finishes the handshake is not waited for without end."""
        for prefix, before in (("", b""), ("haproxy:", V1_FOUR)):
            connection = self.connect(self.listen(prefix), before, silent=True)
            self.clock.advance(Settings().timing.handshake_seconds)
            self.assertFalse(connection.is_over)
            self.clock.advance(CLOSE_SECONDS)
            self.assertTrue(connection.is_over)

    def test_does_not_close(self) -> None:
        """Who does not agree to the end of a connection is cut off."""
        connection = self.connect(self.listen())
        transport: Any = connection.client.transport
        # From now on the relay is not heard, so nobody answers.
        transport.write(GET)
        self.clock.advance(0)
        connection.server.protocol.dataReceived(connection.wire.getOutBuffer())
        self.clock.advance(0)
        self.assertFalse(connection.is_over)
        self.clock.advance(CLOSE_SECONDS)
        self.assertTrue(connection.is_over)

    def test_agreed(self) -> None:
        """A connection whose end was agreed upon is not cut off afterwards."""
        connection = self.connect(self.listen())
        connection.send(GET)
        self.assertTrue(connection.is_over)
        self.clock.advance(CLOSE_SECONDS)
        self.assertFalse(connection.server.aborted)
