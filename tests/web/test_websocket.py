"""Tests for :mod:`nostrtx.web.websocket`."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.protocol import Factory
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.web.frames import frame_header
from nostrtx.web.shedding import STEP_SECONDS
from nostrtx.web.websocket import RelayWebSocketFactory
from tests.web.fakes import PEER, Edge, client_frame

CLOSED = b'["CLOSED","s",""]'


class FlushTests(SynchronousTestCase):
    """What happens at the end of a turn."""

    def test_all_dirty_connections(self) -> None:
        """Each connection that was sent something gets one write."""
        edge = Edge()
        opened = [edge.open() for _ in range(3)]
        for connection, _, _ in opened[:2]:
            connection.send(b"[1]")
            connection.send(b"[2]")
        edge.end_turn()
        frames = b"".join((frame_header(3), b"[1]", frame_header(3), b"[2]"))
        writes = [transport.writes for _, transport, _ in opened]
        self.assertEqual(writes, [[frames], [frames], []])

    def test_one_failure(self) -> None:
        """A connection that cannot be written to is logged, and others are served."""
        edge = Edge()
        broken, transport, _ = edge.open()

        def fail(data: bytes) -> None:
            raise ValueError("on purpose")

        transport.write = fail  # type: ignore[method-assign]
        other, other_transport, _ = edge.open()
        broken.send(b"[1]")
        other.send(b"[1]")
        edge.end_turn()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(len(other_transport.writes), 1)

    def test_sent_while_flushing(self) -> None:
        """What is sent because there is room again leaves as well."""
        edge = Edge()
        connection, transport, _ = edge.open()
        other, other_transport, _ = edge.open()
        transport.stop_reading()
        connection.send(b"x" * 300_000)
        waiting = connection.when_ready()
        answered = waiting.addCallback(lambda _: other.send(b"[1]"))
        transport.read_on()
        self.successResultOf(answered)
        edge.end_turn()
        self.assertEqual(len(other_transport.writes), 1)


class ShutDownTests(SynchronousTestCase):
    """Tests for :meth:`RelayWebSocketFactory.shut_down`."""

    def test_nobody_there(self) -> None:
        """Without connections it is over at once."""
        self.successResultOf(Edge().websockets.shut_down(5))

    def test_in_order(self) -> None:
        """All is answered, then 1001; it is over when the last one is gone."""
        edge = Edge()
        opened = [edge.open() for _ in range(2)]
        over = edge.websockets.shut_down(5)
        for connection, transport, _ in opened:
            sent = transport.value()
            self.assertTrue(
                sent.startswith(frame_header(len(CLOSED)) + CLOSED + b"\x88")
            )
            self.assertIn((1001).to_bytes(2, "big"), sent)
            self.assertNoResult(over)
            connection.dataReceived(client_frame((1001).to_bytes(2, "big"), 8))
            connection.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(over)
        edge.end_turn()
        edge.websockets.stopFactory()
        self.assertEqual(edge.clock.getDelayedCalls(), [])

    def test_time_is_up(self) -> None:
        """Who does not go in time is cut off."""
        edge = Edge()
        connection, transport, _ = edge.open()
        over = edge.websockets.shut_down(2)
        edge.clock.advance(2)
        self.assertTrue(transport.aborted)
        connection.connectionLost(Failure(ConnectionAborted()))
        self.successResultOf(over)

    def test_nobody_new(self) -> None:
        """While the relay shuts down, nobody is let in."""
        edge = Edge()
        edge.open()
        self.assertNoResult(edge.websockets.shut_down(5))
        _, transport = edge.connect()
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 503 "))

    def test_session_raises(self) -> None:
        """A session that fails to answer is logged, and closed all the same."""
        edge = Edge()
        _, transport, session = edge.open()

        def fail(why: str = "") -> None:
            raise ValueError("on purpose")

        session.shut_down = fail  # type: ignore[method-assign]
        self.assertNoResult(edge.websockets.shut_down(5))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertIn((1001).to_bytes(2, "big"), transport.value())


class ShedTests(SynchronousTestCase):
    """Tests for :meth:`RelayWebSocketFactory.shed`."""

    def test_in_order(self) -> None:
        """
        A client hears that its subscriptions end, is not read from while its events
        are answered, and is then told to come again.
        """
        edge = Edge()
        connection, transport, session = edge.open()
        over = edge.websockets.shed(0)
        edge.end_turn()
        self.assertEqual(transport.value(), frame_header(len(CLOSED)) + CLOSED)
        self.assertEqual(session.why, "restarting, reconnect")
        self.assertEqual(transport.producerState, "paused")
        connection.send(b"[1]")
        for _ in range(4):
            edge.clock.advance(STEP_SECONDS)
        sent = transport.value()
        self.assertIn(b"[1]\x88", sent)
        good_bye = (1012).to_bytes(2, "big") + b"restarting, reconnect"
        self.assertTrue(sent.endswith(good_bye))
        self.assertEqual(transport.producerState, "producing")
        self.assertNoResult(over)
        connection.dataReceived(client_frame((1012).to_bytes(2, "big"), 8))
        connection.connectionLost(Failure(ConnectionDone()))
        edge.clock.advance(STEP_SECONDS)
        self.successResultOf(over)

    def test_still_let_in(self) -> None:
        """Who had connected before the other process served is not refused."""
        edge = Edge()
        edge.open()
        self.assertNoResult(edge.websockets.shed(10))
        _, transport = edge.connect()
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 101 "))

    def test_session_raises(self) -> None:
        """A session that fails to answer is logged, and closed all the same."""
        edge = Edge()
        _, transport, session = edge.open()

        def fail(why: str = "") -> None:
            raise ValueError("on purpose")

        session.shut_down = fail  # type: ignore[method-assign]
        self.assertNoResult(edge.websockets.shed(0))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        for _ in range(4):
            edge.clock.advance(STEP_SECONDS)
        self.assertIn((1012).to_bytes(2, "big"), transport.value())


class RefusedAddressTests(SynchronousTestCase):
    """Addresses from which the relay wants nobody."""

    def test_at_the_handshake(self) -> None:
        """Whom the relay refuses gets its HTTP status, and why, and no session."""
        edge = Edge()
        edge.relay.refuse(PEER.host, 403, "blocked: this address is banned")
        _, transport = edge.connect()
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 403 Forbidden\r\n"))
        self.assertIn(b"\r\n\r\nblocked: this address is banned", transport.value())
        self.assertEqual(edge.relay.sessions, [])
        _, transport = edge.connect(peer=IPv4Address("TCP", "203.0.113.8", 1))
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 101 "))

    def test_open_connections(self) -> None:
        """Whoever is connected from a refused address is sent away at once."""
        edge = Edge()
        connection, transport, session = edge.open()
        _, others, _ = edge.open(peer=IPv4Address("TCP", "203.0.113.8", 1))
        edge.relay.refuse(PEER.host, 403, "blocked: this address is banned")
        sent = transport.value()
        self.assertEqual(sent[2:4], (1008).to_bytes(2, "big"))
        self.assertEqual(sent[4:], b"blocked: this address is banned")
        self.assertEqual(others.value(), b"")
        connection.dataReceived(client_frame(b'["REQ","s",{}]'))
        self.assertEqual(session.texts, [])


class StartingTests(SynchronousTestCase):
    """Starting and stopping the factory."""

    def test_without_native_extensions(self) -> None:
        """Autobahn without its native extensions is worth a warning."""
        edge = Edge()
        for present, warnings in ((True, 0), (False, 1)):
            edge.websockets.native_extensions = present
            with capturedLogs() as events:
                edge.websockets.startFactory()
            levels = [event["log_level"] for event in events]
            self.assertEqual(levels.count(LogLevel.warn), warnings)

    def test_native_extensions(self) -> None:
        """They are there where these tests run, and in use."""
        self.assertTrue(RelayWebSocketFactory.native_extensions)

    def test_stop(self) -> None:
        """A factory that was stopped leaves nothing in the reactor."""
        edge = Edge()
        edge.websockets.stopFactory()
        self.assertEqual(edge.clock.getDelayedCalls(), [])
        self.assertIsInstance(edge.websockets, Factory)

    def test_count(self) -> None:
        """It is known how many connections are open."""
        edge = Edge()
        connection, _, _ = edge.open()
        edge.open()
        self.assertEqual(edge.websockets.connection_count, 2)
        connection.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(edge.websockets.connection_count, 1)
