"""Sending over real sockets: at once, whole, and bounded for who does not read."""

from __future__ import annotations

from pathlib import Path
from secrets import token_bytes
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    clientFromString,
    connectProtocol,
    serverFromString,
    wrapClientTLS,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from nostrtx.settings.limits import LimitSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.turns import turns_of
from nostrtx.web.frames import frame_header
from nostrtx.web.secure import SecurePorts
from nostrtx.web.site import relay_site
from nostrtx.web.transport import FastServer, write_through
from nostrtx.web.websocket import RelayWebSocketFactory
from tests.certificates import write_certificates
from tests.web.fakes import HANDSHAKE, FakeRelay, client_frame, nobody_else

MESSAGE = b"0123456789" * 10_000
FRAME = frame_header(len(MESSAGE)) + MESSAGE


class Client(Protocol):
    """
    A client that reads only while it is told to.

    Attributes:
        received: How many bytes have come, without the handshake's answer.
        ends: The last bytes that have come.
        lost: Fires when the connection is lost.
    """

    def connectionMade(self) -> None:
        """Shake hands."""
        self.received = 0
        self.ends = b""
        self._answer = b""
        self._waiting: tuple[int, Deferred[None]] | None = None
        self.lost: Deferred[None] = Deferred()
        self.write(HANDSHAKE)

    def write(self, data: bytes) -> None:
        """Send something."""
        transport: Any = self.transport
        transport.write(data)

    def stop_reading(self) -> None:
        """Leave what comes in the socket."""
        transport: Any = self.transport
        transport.pauseProducing()

    def read_on(self) -> None:
        """Take what has come."""
        transport: Any = self.transport
        transport.resumeProducing()

    def leave(self) -> None:
        """Be gone."""
        transport: Any = self.transport
        transport.abortConnection()

    def when_received(self, count: int) -> Deferred[None]:
        """Fires when so many bytes have come."""
        received: Deferred[None] = Deferred()
        self._waiting = (count, received)
        self._check()
        return received

    def dataReceived(self, data: bytes) -> None:
        """Count it."""
        if not self._answer.endswith(b"\r\n\r\n"):
            head, separator, data = (self._answer + data).partition(b"\r\n\r\n")
            self._answer = head + separator
        self.received += len(data)
        self.ends = (self.ends + data)[-200:]
        self._check()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Say so."""
        self.lost.callback(None)

    def _check(self) -> None:
        if self._waiting is not None and self.received >= self._waiting[0]:
            (_, received), self._waiting = self._waiting, None
            received.callback(None)


class BackPressureCase(TestCase):
    """A listening edge and one client."""

    timeout = 60
    max_outbound_bytes = 64 * 1024 * 1024
    description = "tcp:0:interface=127.0.0.1"
    fast = True

    async def setUp(self) -> None:  # type: ignore[override]
        """Listen, connect, and open a session."""
        from twisted.internet import reactor

        self.reactor: Any = reactor
        limits = LimitSettings(max_outbound_bytes=self.max_outbound_bytes)
        settings = LiveSettings(Settings(limits=limits))
        self.relay = FakeRelay()
        turns = turns_of(reactor)
        self.websockets = RelayWebSocketFactory(
            self.relay,
            settings,
            turns,
            self.reactor,
            nobody_else(self.reactor),
            token_bytes,
        )
        site = relay_site(self.websockets, settings, dict, self.reactor)
        self.path = self.mktemp()
        description = self.description.format(path=self.path)
        self.port = await serverFromString(self.opener(), description).listen(site)
        self.assertEqual(write_through(self.port), self.fast)
        self.client = await connectProtocol(self.client_endpoint(), Client())
        self.client.write(client_frame(b"[]"))
        while not self.relay.sessions or not self.relay.sessions[0].texts:
            await deferLater(self.reactor, 0.001)
        self.connection: Any = self.relay.sessions[0].client

    def opener(self) -> Any:
        """What listens."""
        return self.reactor

    def client_endpoint(self) -> Any:
        """How the client connects."""
        return clientFromString(self.reactor, self.client_description())

    def client_description(self) -> str:
        """Where the client connects to."""
        address = self.port.getHost()
        return f"tcp:{address.host}:{address.port}"

    async def tearDown(self) -> None:  # type: ignore[override]
        """Close everything."""
        closing = self.port.stopListening()
        if isinstance(closing, Deferred):
            await closing
        if not self.client.lost.called:
            self.client.leave()
            await self.client.lost
        await self.websockets.shut_down(1)


class TCPTests(BackPressureCase):
    """Over TCP, where writes go through."""

    async def test_transport(self) -> None:
        """Accepted connections send at once, and without Nagle's delay."""
        self.assertIsInstance(self.connection.transport, FastServer)
        self.assertTrue(self.connection.transport.getTcpNoDelay())

    async def test_waits_and_goes_on(self) -> None:
        """Who fills a connection can wait until the client has read, and go on."""
        self.client.stop_reading()
        sent = 0
        while not self.connection.is_full():
            self.connection.send(MESSAGE)
            sent += 1
            await deferLater(self.reactor, 0)
        ready = self.connection.when_ready()
        self.assertNoResult(ready)
        self.client.read_on()
        await ready
        self.assertFalse(self.connection.is_full())
        self.connection.send(b"[the last one]")
        await self.client.when_received(sent * len(FRAME) + 16)
        self.assertTrue(
            self.client.ends.endswith(MESSAGE[-50:] + b"\x81\x0e[the last one]")
        )

    async def test_much(self) -> None:
        """Much arrives whole, though the socket takes only parts of it."""
        for _ in range(200):
            self.connection.send(MESSAGE)
        await self.client.when_received(200 * len(FRAME))
        self.assertEqual(self.client.received, 200 * len(FRAME))
        self.assertEqual(self.connection.transport.unsent_bytes(), 0)

    async def test_last_words(self) -> None:
        """A close frame arrives behind all that was sent before it."""
        for _ in range(50):
            self.connection.send(MESSAGE)
        self.connection.close(4000, "so long")
        await self.client.when_received(50 * len(FRAME) + 11)
        self.assertTrue(self.client.ends.endswith(b"\x88\x09\x0f\xa0so long"))
        self.client.write(client_frame(b"\x0f\xa0", 8))
        await self.client.lost
        # Over TLS the client is sure of the end a moment earlier.
        while self.websockets.connection_count:
            await deferLater(self.reactor, 0.001)


class UNIXTests(TCPTests):
    """Over a UNIX socket, where Twisted's own transport does it."""

    description = "unix:{path}"
    fast = False

    def client_description(self) -> str:
        """Where the client connects to."""
        return f"unix:{self.path}"

    async def test_transport(self) -> None:
        """The connection works without a fast transport, and has no address."""
        self.assertNotIsInstance(self.connection.transport, FastServer)
        self.assertEqual(self.connection.address, "")

    async def test_much(self) -> None:
        """Much arrives whole, though the socket takes only parts of it."""
        for _ in range(200):
            self.connection.send(MESSAGE)
        await self.client.when_received(200 * len(FRAME))
        self.assertEqual(self.client.received, 200 * len(FRAME))


class TLSTests(UNIXTests):
    """Over TLS, which lies between."""

    description = (
        "ssl:0:interface=127.0.0.1:privateKey={path}/server.key"
        ":certKey={path}/server.pem"
    )
    fast = True

    def opener(self) -> Any:
        """What listens."""
        write_certificates(Path(self.path))
        description = self.description.format(path=self.path)
        return SecurePorts(self.reactor, description, self.reactor)

    def client_endpoint(self) -> Any:
        """Where the client connects to, and what it trusts."""
        trusted = Certificate.loadPEM((Path(self.path) / "ca.pem").read_bytes())
        plain = clientFromString(
            self.reactor, BackPressureCase.client_description(self)
        )
        return wrapClientTLS(optionsForClientTLS("127.0.0.1", trusted), plain)

    async def test_transport(self) -> None:
        """The address is known through TLS, and there is no Nagle's delay."""
        self.assertEqual(self.connection.address, "127.0.0.1")
        self.assertTrue(self.connection.transport.getTcpNoDelay())


class SlowReaderTests(BackPressureCase):
    """A client that does not read at all."""

    max_outbound_bytes = 1024 * 1024

    async def test_cut_off(self) -> None:
        """It is cut off when more than the limit is unsent, and the session told."""
        self.client.stop_reading()
        sent = 0
        while not self.relay.sessions[0].lost:
            self.connection.send(MESSAGE)
            sent += len(FRAME)
            await deferLater(self.reactor, 0)
        self.assertGreater(sent, self.max_outbound_bytes)
        self.assertEqual(self.websockets.slow_readers, 1)
        self.assertEqual(self.websockets.connection_count, 0)
        self.client.read_on()
        await self.client.lost
        self.assertLess(self.client.received, sent)
