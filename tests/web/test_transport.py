"""Tests for :mod:`nostrtx.web.transport`."""

from __future__ import annotations

import socket

from twisted.internet import tcp, unix
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from nostrtx.web.transport import (
    FastServer,
    IOutlet,
    ProducerOutlet,
    write_through,
)

MEGABYTE = b"0123456789abcdef" * 65536


class FastServerTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.web.transport.FastServer`, on a pair of sockets."""

    def setUp(self) -> None:
        """Connect one side to the other."""
        self.reactor = MemoryReactorClock()
        mine, self.peer = socket.socketpair()
        self.addCleanup(self.peer.close)
        self.peer.setblocking(False)
        self.protocol = Protocol()
        self.server = FastServer(
            mine,
            self.protocol,
            ("192.0.2.1", 4),
            tcp.Port(0, Factory(), reactor=self.reactor),
            1,
            self.reactor,
        )
        self.protocol.makeConnection(self.server)
        self.addCleanup(self.lose)

    def lose(self) -> None:
        """End the connection."""
        self.server.connectionLost(Failure(ConnectionDone()))

    def writing(self) -> bool:
        """Whether the reactor is asked to call back."""
        return self.server in self.reactor.getWriters()

    def taken(self) -> bytes:
        """What the peer can read now."""
        data = b""
        while True:
            try:
                part = self.peer.recv(1 << 20)
            except BlockingIOError:
                return data
            if not part:
                return data
            data += part

    def test_interface(self) -> None:
        """It is an outlet."""
        verifyObject(IOutlet, self.server)

    def test_at_once(self) -> None:
        """A write leaves at once, without the reactor."""
        self.server.write(b"hello")
        self.assertEqual(self.taken(), b"hello")
        self.assertFalse(self.writing())
        self.assertEqual(self.server.unsent_bytes(), 0)

    def test_rest_follows(self) -> None:
        """What the system does not take follows, whole and in order."""
        self.server.write(MEGABYTE)
        self.server.write(b"tail")
        self.assertTrue(self.writing())
        data = self.taken()
        self.assertEqual(len(data) + self.server.unsent_bytes(), len(MEGABYTE) + 4)
        while self.writing():
            self.assertIsNone(self.server.doWrite())
            data += self.taken()
        self.assertEqual(data, MEGABYTE + b"tail")
        self.assertEqual(self.server.unsent_bytes(), 0)

    def test_drained_once(self) -> None:
        """Who waits for the buffer to drain is called once, at the end."""
        calls: list[int] = []
        self.server.write(MEGABYTE)
        self.server.call_when_drained(lambda: calls.append(self.server.unsent_bytes()))
        while self.writing():
            self.assertEqual(calls, [])
            self.taken()
            self.server.doWrite()
        self.server.write(b"more")
        self.server.doWrite()
        self.assertEqual(calls, [0])

    def test_not_drained_when_lost(self) -> None:
        """Who waits for the buffer to drain is not called when the peer is gone."""
        calls: list[int] = []
        self.server.write(MEGABYTE)
        self.server.call_when_drained(lambda: calls.append(1))
        self.lose()
        self.server.write(b"more")
        self.assertEqual(calls, [])

    def test_after_losing(self) -> None:
        """What is written before the connection ends arrives before its end."""
        self.server.write(MEGABYTE)
        self.server.loseConnection()
        data = b""
        why = None
        while why is None:
            data += self.taken()
            why = self.server.doWrite()
        self.assertIsInstance(why, ConnectionDone)
        self.assertEqual(data + self.taken(), MEGABYTE)

    def test_peer_gone(self) -> None:
        """A peer that is gone is found as by Twisted: when the reactor writes."""
        self.peer.close()
        self.server.write(b"hello")
        self.assertTrue(self.writing())
        self.assertIsInstance(self.server.doWrite(), Exception)

    def test_producer(self) -> None:
        """A registered producer is paused and resumed as Twisted does."""
        states: list[str] = []

        class Producer:
            def pauseProducing(self) -> None:
                states.append("pause")

            def resumeProducing(self) -> None:
                states.append("resume")

            def stopProducing(self) -> None:
                states.append("stop")

        self.server.registerProducer(Producer(), True)
        self.server.write(MEGABYTE)
        self.assertEqual(states, ["pause"])
        while self.writing():
            self.taken()
            self.server.doWrite()
        self.assertEqual(states, ["pause", "resume"])
        self.server.unregisterProducer()


class ProducerOutletTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.web.transport.ProducerOutlet`."""

    def setUp(self) -> None:
        """Put one in front of a transport."""
        self.transport = StringTransport()
        self.outlet = ProducerOutlet(self.transport)

    def test_interfaces(self) -> None:
        """It is an outlet, and a producer to its transport."""
        verifyObject(IOutlet, self.outlet)
        verifyClass(IPushProducer, ProducerOutlet)
        self.assertIs(self.transport.producer, self.outlet)

    def test_counts_while_paused(self) -> None:
        """What is written to a full transport counts as unsent until it has room."""
        drained: list[int] = []
        self.outlet.write(b"12345")
        self.assertEqual(self.outlet.unsent_bytes(), 0)
        self.outlet.pauseProducing()
        self.outlet.pauseProducing()
        self.outlet.write(b"123")
        self.outlet.call_when_drained(lambda: drained.append(1))
        self.assertEqual(self.outlet.unsent_bytes(), 3)
        self.outlet.resumeProducing()
        self.outlet.resumeProducing()
        self.assertEqual(self.outlet.unsent_bytes(), 0)
        self.assertEqual(drained, [1])
        self.assertEqual(self.transport.value(), b"12345123")

    def test_detach(self) -> None:
        """A transport that is to end is left alone, which may be said twice."""
        self.outlet.detach()
        self.outlet.detach()
        self.assertIsNone(self.transport.producer)

    def test_stopped(self) -> None:
        """Nobody is called after the connection was lost."""
        drained: list[int] = []
        self.outlet.call_when_drained(lambda: drained.append(1))
        self.outlet.stopProducing()
        self.outlet.resumeProducing()
        self.assertEqual(drained, [])


class PlainTransport:
    """A transport that is no consumer."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.written.append(data)


class PlainTransportTests(SynchronousTestCase):
    """:class:`ProducerOutlet` before a transport without back-pressure."""

    def test_writes(self) -> None:
        """All is written, nothing ever counts as unsent."""
        transport = PlainTransport()
        outlet = ProducerOutlet(transport)
        outlet.write(b"hello")
        outlet.detach()
        self.assertEqual(transport.written, [b"hello"])
        self.assertEqual(outlet.unsent_bytes(), 0)


class WriteThroughTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.web.transport.write_through`."""

    def test_tls(self) -> None:
        """A TLS port is left as it is."""
        port = tcp.Port(0, Factory(), reactor=MemoryReactorClock())
        port._type = "TLS"
        self.assertFalse(write_through(port))
        self.assertIs(port.transport, tcp.Server)

    def test_unix(self) -> None:
        """A UNIX port is left as it is."""
        port = unix.Port(b"unused", Factory(), reactor=MemoryReactorClock())
        self.assertFalse(write_through(port))
        self.assertIs(port.transport, unix.Server)
