"""Tests for :mod:`nostrtx.web.connection`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from nostrtx.interfaces.edge import IClient, IClientSession, IRelay
from nostrtx.settings.edge import LogSettings, WebSocketSettings
from nostrtx.settings.limits import LimitSettings, TimingSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.connection import (
    FULL_BYTES,
    NO_SESSION,
    RelayWebSocketProtocol,
    path_of,
)
from nostrtx.web.frames import frame_header
from nostrtx.web.sweep import ISwept
from tests.web.fakes import (
    HANDSHAKE,
    PEER,
    Edge,
    FakeRelay,
    FakeSession,
    client_frame,
)


def from_page(origin: bytes) -> bytes:
    """A handshake of a browser for a page from ``origin``."""
    return HANDSHAKE.replace(b"Host:", b"Origin: %s\r\nHost:" % origin)


def server_frames(*texts: bytes) -> bytes:
    """Texts as the relay sends them."""
    return b"".join(frame_header(len(text)) + text for text in texts)


def close_frame(code: int, reason: str) -> bytes:
    """A close frame as the relay sends it."""
    body = code.to_bytes(2, "big") + reason.encode()
    return bytes((0x88, len(body))) + body


def lose(connection: RelayWebSocketProtocol) -> None:
    """End the connection's transport."""
    connection.connectionLost(Failure(ConnectionDone()))


class InterfaceTests(SynchronousTestCase):
    """What the edge and its fakes provide."""

    def test_fakes(self) -> None:
        """The fakes are what the edge expects."""
        edge = Edge()
        _, _, session = edge.open()
        self.assertTrue(verifyObject(IRelay, FakeRelay()))
        self.assertTrue(verifyObject(IClientSession, session))
        self.assertTrue(verifyObject(IClientSession, NO_SESSION))

    def test_connection(self) -> None:
        """A connection is a session's client, and is swept."""
        connection, _, _ = Edge().open()
        self.assertTrue(verifyObject(IClient, connection))
        self.assertTrue(verifyClass(ISwept, RelayWebSocketProtocol))
        self.assertEqual(connection.address, PEER.host)


class ReceivingTests(SynchronousTestCase):
    """What a session hears of its client."""

    def setUp(self) -> None:
        """Open a connection."""
        self.edge = Edge()
        self.connection, self.transport, self.session = self.edge.open()

    def test_texts(self) -> None:
        """Texts arrive as bytes and in order, whole or in fragments."""
        self.connection.dataReceived(
            client_frame(b"[1]")
            + client_frame(b"[", 1, fin=False)
            + client_frame(b"2]", 0)
            + client_frame(b"[3]")
        )
        self.assertEqual(self.session.texts, [b"[1]", b"[2]", b"[3]"])
        self.assertEqual(self.connection.messages_received, 3)

    def test_text_with_the_handshake(self) -> None:
        """A text that comes with the handshake is not lost."""
        self.edge.connect(HANDSHAKE + client_frame(b"[early]"))
        self.assertEqual(self.edge.relay.sessions[-1].texts, [b"[early]"])

    def test_split_after_the_handshake(self) -> None:
        """A fragmented text that begins with the handshake goes on after it."""
        connection, _ = self.edge.connect(
            HANDSHAKE + client_frame(b"[ear", 1, fin=False)
        )
        connection.dataReceived(client_frame(b"ly]", 0))
        self.assertEqual(self.edge.relay.sessions[-1].texts, [b"[early]"])

    def test_binary(self) -> None:
        """Of a binary message the session only learns that there was one."""
        self.connection.dataReceived(client_frame(b"\xff", 2) + client_frame(b"[]"))
        self.assertEqual(self.session.binaries, 1)
        self.assertEqual(self.session.texts, [b"[]"])

    def test_ping(self) -> None:
        """A ping is answered with its payload, at once."""
        self.connection.dataReceived(client_frame(b"abc", 9))
        self.assertEqual(self.transport.value(), b"\x8a\x03abc")

    def test_too_long(self) -> None:
        """A message beyond the limit closes with 1009, and is not seen."""
        edge = Edge(Settings(limits=LimitSettings(max_message_bytes=1024)))
        for text in (b"x" * 1025, b"x" * 100_000):
            connection, transport, session = edge.open()
            connection.dataReceived(client_frame(text))
            self.assertEqual(session.texts, [])
            self.assertEqual(transport.value()[2:4], (1009).to_bytes(2, "big"))
            self.assertFalse(transport.disconnecting)

    def test_too_long_in_fragments(self) -> None:
        """The limit holds for all fragments together."""
        edge = Edge(Settings(limits=LimitSettings(max_message_bytes=1024)))
        connection, transport, session = edge.open()
        connection.dataReceived(client_frame(b"x" * 1000, 1, fin=False))
        connection.dataReceived(client_frame(b"x" * 25, 0))
        self.assertEqual(session.texts, [])
        self.assertEqual(transport.value()[2:4], (1009).to_bytes(2, "big"))

    def test_bad_utf8(self) -> None:
        """A text that is not UTF-8 closes with 1007."""
        self.connection.dataReceived(client_frame(b"\xff"))
        self.assertEqual(self.transport.value()[2:4], (1007).to_bytes(2, "big"))

    def test_session_raises(self) -> None:
        """A session that fails is logged once, and closes with 1011."""

        def fail(text: bytes) -> None:
            raise ValueError("on purpose")

        self.session.on_message = fail
        self.connection.dataReceived(client_frame(b"[1]") + client_frame(b"[2]"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.session.texts, [b"[1]"])
        self.assertEqual(self.transport.value(), close_frame(1011, "internal error"))

    def test_session_cannot_begin(self) -> None:
        """A session that cannot begin is logged, and closes with 1011."""

        class FailingRelay(FakeRelay):
            def session(self, client: IClient) -> FakeSession:
                raise ValueError("on purpose")

        self.edge.websockets.relay = FailingRelay()
        connection, transport = self.edge.connect()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertIn(close_frame(1011, "internal error"), transport.value())
        lose(connection)
        self.assertEqual(self.edge.websockets.connection_count, 1)


class SendingTests(SynchronousTestCase):
    """What a session sends."""

    def setUp(self) -> None:
        """Open a connection."""
        limits = LimitSettings(max_outbound_bytes=1024 * 1024)
        self.edge = Edge(Settings(limits=limits))
        self.connection, self.transport, self.session = self.edge.open()

    def test_events(self) -> None:
        """Stored events are a message each, in order, behind what was sent before."""
        self.connection.send(b"[1]")
        self.connection.send_events(b'["EVENT","s",', [b"{}", b"{" + b" " * 200 + b"}"])
        self.connection.send_events(b'["EVENT","s",', [])
        self.edge.end_turn()
        long = b'["EVENT","s",{' + b" " * 200 + b"}]"
        self.assertEqual(
            self.transport.value(), server_frames(b"[1]", b'["EVENT","s",{}]', long)
        )
        self.assertEqual(self.connection.messages_sent, 3)

    def test_one_write_per_turn(self) -> None:
        """What is sent in a turn leaves at its end, as one write, in order."""
        writes = self.transport.writes
        self.connection.send(b"[1]")
        self.connection.send(b"[2]" * 100)
        self.assertEqual(writes, [])
        self.edge.end_turn()
        self.assertEqual(writes, [server_frames(b"[1]", b"[2]" * 100)])
        self.connection.send(b"[3]")
        self.edge.end_turn()
        self.edge.end_turn()
        self.assertEqual(writes[1:], [server_frames(b"[3]")])
        self.assertEqual(self.connection.messages_sent, 3)
        self.assertEqual(self.connection.bytes_sent, sum(map(len, writes)))

    def test_close(self) -> None:
        """What was queued goes before the good-bye; nothing goes after it."""
        self.connection.send(b"[1]")
        self.connection.close(4000, "so long")
        self.connection.send(b"[2]")
        self.connection.close(4001, "again")
        self.edge.end_turn()
        self.assertEqual(
            self.transport.value(), server_frames(b"[1]") + close_frame(4000, "so long")
        )
        self.assertFalse(self.transport.disconnecting)

    def test_close_is_answered(self) -> None:
        """When the client answers the good-bye, the connection ends in order."""
        self.connection.close(1000, "")
        self.connection.dataReceived(client_frame(b"\x03\xe8", 8))
        self.assertTrue(self.transport.disconnecting)
        self.assertFalse(self.transport.aborted)

    def test_close_is_not_answered(self) -> None:
        """A client that does not answer the good-bye is cut off after some time."""
        self.connection.close(1000, "")
        self.edge.clock.pump([1] * 4)
        self.assertFalse(self.transport.aborted)
        self.edge.clock.pump([1] * 4)
        self.assertTrue(self.transport.aborted)

    def test_client_closes(self) -> None:
        """The client's close code is echoed, behind what was queued for it."""
        self.session.on_message = lambda text: self.connection.send(b"[OK]")
        self.connection.dataReceived(
            client_frame(b"[1]") + client_frame(b"\x0f\xa0", 8) + client_frame(b"[2]")
        )
        self.assertEqual(
            self.transport.value(), server_frames(b"[OK]") + close_frame(4000, "")
        )
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.session.texts, [b"[1]"])

    def test_closing_ignores_messages(self) -> None:
        """What arrives after the relay said good-bye is not heard."""
        self.session.on_message = lambda text: self.connection.close(1000, "")
        self.connection.dataReceived(client_frame(b"[1]") + client_frame(b"[2]"))
        self.connection.dataReceived(client_frame(b"[3]") + client_frame(b"\0", 2))
        self.assertEqual(self.session.texts, [b"[1]"])
        self.assertEqual(self.session.binaries, 0)

    def test_slow_reader(self) -> None:
        """Who leaves more than the limit unread is cut off, counted and logged."""
        self.transport.stop_reading()
        with capturedLogs() as events:
            for _ in range(5):
                self.connection.send(b"x" * 250_000)
                self.edge.end_turn()
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.edge.websockets.slow_readers, 1)
        levels = [event["log_level"] for event in events]
        self.assertEqual(levels.count(LogLevel.warn), 1)

    def test_flood_in_one_turn(self) -> None:
        """A turn that sends without end to who does not read is bounded, too."""
        self.transport.stop_reading()
        for _ in range(100):
            self.connection.send(b"x" * 100_000)
        self.assertTrue(self.transport.aborted)
        self.assertLess(len(self.transport.value()), 1_500_000)
        self.edge.end_turn()

    def test_much_to_a_fast_reader(self) -> None:
        """Who reads may be sent any amount in one turn."""
        for _ in range(100):
            self.connection.send(b"x" * 100_000)
        self.edge.end_turn()
        self.assertFalse(self.transport.aborted)
        self.assertEqual(len(self.transport.value()), 100 * 100_010)

    def test_pings_without_reading(self) -> None:
        """Who pings and never reads the answers is cut off."""
        self.transport.stop_reading()
        pings = client_frame(b"x" * 125, 9) * 100
        for _ in range(100):
            self.connection.dataReceived(pings)
        self.assertTrue(self.transport.aborted)


class BackPressureTests(SynchronousTestCase):
    """When a stored query should wait, and when it may go on."""

    def setUp(self) -> None:
        """Open a connection to a client that does not read."""
        self.edge = Edge()
        self.connection, self.transport, self.session = self.edge.open()
        self.transport.stop_reading()

    def fill(self) -> Deferred[None]:
        """Send more than fits, and wait."""
        self.connection.send(b"x" * (FULL_BYTES + 1))
        self.edge.end_turn()
        self.assertTrue(self.connection.is_full())
        return self.connection.when_ready()

    def test_not_full(self) -> None:
        """While little is unsent, nobody waits."""
        self.connection.send(b"x" * 1000)
        self.assertFalse(self.connection.is_full())
        self.successResultOf(self.connection.when_ready())

    def test_queued_counts(self) -> None:
        """What is queued in this turn counts as unsent, until it has left."""
        self.transport.read_on()
        self.connection.send(b"x" * (FULL_BYTES - 10))
        self.assertFalse(self.connection.is_full())
        self.transport.stop_reading()
        self.connection.send(b"x")
        self.assertTrue(self.connection.is_full())

    def test_ready(self) -> None:
        """Who waits goes on when the client has read."""
        ready, other = self.fill(), self.connection.when_ready()
        self.assertNoResult(ready)
        self.transport.read_on()
        self.successResultOf(ready)
        self.successResultOf(other)
        self.assertFalse(self.connection.is_full())

    def test_ready_and_full_again(self) -> None:
        """Who goes on may fill the connection, and wait, again."""
        ready = self.fill()
        self.transport.read_on()
        self.successResultOf(ready)
        self.transport.stop_reading()
        again = self.fill()
        self.assertNoResult(again)
        self.transport.read_on()
        self.successResultOf(again)

    def test_lost(self) -> None:
        """Who waits is told that the connection is lost; sending is harmless then."""
        ready = self.fill()
        lose(self.connection)
        self.failureResultOf(ready, CancelledError)
        self.failureResultOf(self.connection.when_ready(), CancelledError)
        self.connection.send(b"[]")
        self.connection.close(1000, "")
        self.edge.end_turn()
        self.assertEqual(self.transport.writes[1:], [])

    def test_cancel(self) -> None:
        """Who waits may cease to."""
        ready, other = self.fill(), self.connection.when_ready()
        ready.cancel()
        self.failureResultOf(ready, CancelledError)
        self.transport.read_on()
        self.successResultOf(other)


class EndingTests(SynchronousTestCase):
    """How connections end."""

    def setUp(self) -> None:
        """Open a connection."""
        self.edge = Edge(Settings(timing=TimingSettings(ping_seconds=10)))
        self.connection, self.transport, self.session = self.edge.open()

    def test_once(self) -> None:
        """The session is told once, and the connection is forgotten."""
        lose(self.connection)
        self.assertEqual(self.session.lost, 1)
        self.assertEqual(self.edge.websockets.connection_count, 0)
        self.connection.abort("too late")
        self.edge.clock.pump([1] * 60)
        self.assertEqual(self.session.lost, 1)

    def test_session_raises(self) -> None:
        """A session that fails to end is logged, and the rest is done all the same."""

        def fail() -> None:
            raise ValueError("on purpose")

        self.session.connection_lost = fail  # type: ignore[method-assign]
        lose(self.connection)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.edge.websockets.connection_count, 0)

    def test_logged(self) -> None:
        """A line tells of a connection's life if that is set, without its address."""
        self.assertFalse(self.edge.websockets.logs_connections)
        self.edge.websockets.logs_connections = True
        self.connection.dataReceived(client_frame(b"[1]"))
        self.connection.send(b"[2]")
        self.edge.clock.advance(3)
        self.connection.dataReceived(client_frame(b"\x03\xe9", 8))
        with capturedLogs() as events:
            lose(self.connection)
        [event] = [each for each in events if each.get("messages_in") is not None]
        self.assertEqual(event["code"], 1001)
        self.assertEqual(event["seconds"], 3)
        self.assertEqual((event["messages_in"], event["messages_out"]), (1, 1))
        self.assertEqual(event["bytes_out"], 5)
        self.assertNotIn(PEER.host, str(event))

    def test_logged_address(self) -> None:
        """The line names the address, or the same hash each time, if that is set."""

        def line(how: str) -> str:
            edge = Edge(Settings(log=LogSettings(connections=True, addresses=how)))
            connection, _, _ = edge.open()
            with capturedLogs() as events:
                lose(connection)
            [event] = [each for each in events if each.get("messages_in") is not None]
            return formatEvent(event)

        self.assertRegex(line("none"), r"^Connection 1 ended after 0\.0 s: 0 messages ")
        self.assertRegex(line("plain"), r"^Connection 1 from 203\.0\.113\.7 ended ")
        self.assertRegex(line("hashed"), r"^Connection 1 from [0-9a-f]{16} ended ")

    def test_never_opened(self) -> None:
        """A connection whose handshake failed has no session to end."""
        before = len(self.edge.relay.sessions)
        connection, transport = self.edge.connect(
            HANDSHAKE.replace(b"Version: 13", b"Version: 7")
        )
        self.assertTrue(transport.disconnecting)
        lose(connection)
        self.assertEqual(len(self.edge.relay.sessions), before)
        self.assertEqual(self.edge.websockets.connection_count, 1)

    def test_refused_but_not_gone(self) -> None:
        """A refused peer that does not go is cut off after some time."""
        _, transport = self.edge.connect(HANDSHAKE.replace(b"GET / ", b"GET /x "))
        self.edge.clock.pump([1] * 8)
        self.assertTrue(transport.aborted)

    def test_pinged(self) -> None:
        """A client is pinged time and again, and lives as long as it answers."""
        self.transport.clear()
        for _ in range(10):
            self.edge.clock.pump([1] * 10)
            self.assertEqual(self.transport.value(), b"\x89\x00")
            self.transport.clear()
            self.connection.dataReceived(client_frame(b"", 10))
        self.assertFalse(self.transport.aborted)

    def test_any_byte_is_an_answer(self) -> None:
        """A client in the midst of a long message is alive."""
        frame = client_frame(b"x" * 100)
        for at in range(10):
            self.edge.clock.pump([1] * 10)
            self.connection.dataReceived(frame[at : at + 1])
        self.assertFalse(self.transport.aborted)

    def test_silent(self) -> None:
        """A client that does not answer a ping until the next is cut off."""
        self.edge.clock.pump([1] * 10)
        self.assertFalse(self.transport.aborted)
        self.edge.clock.pump([1] * 10)
        self.assertTrue(self.transport.aborted)


class RefusalTests(SynchronousTestCase):
    """Who is not let in, and how that is said."""

    def refused(self, request: bytes, settings: Settings | None = None) -> bytes:
        """The answer to a request that must be refused."""
        edge = Edge(settings)
        _, transport = edge.connect(request)
        self.assertTrue(transport.disconnecting)
        self.assertEqual(edge.relay.sessions, [])
        answer: bytes = transport.value()
        self.assertIn(b"\r\nAccess-Control-Allow-Origin: *\r\n", answer)
        return answer

    def test_other_paths(self) -> None:
        """There is a relay at one path only."""
        for path in (b"/x", b"//", b"//x/", b"/;a", b"http://h/x", b"*"):
            answer = self.refused(HANDSHAKE.replace(b"GET / ", b"GET %s " % path))
            self.assertTrue(answer.startswith(b"HTTP/1.1 404 Not Found\r\n"), path)

    def test_same_path(self) -> None:
        """A query changes nothing; nor does the long form of the path."""
        for path in (
            b"/?x=/y",
            b"?a",
            b"http://relay.example/",
            b"http://relay.example",
        ):
            _, transport = Edge().connect(
                HANDSHAKE.replace(b"GET / ", b"GET %s " % path)
            )
            self.assertTrue(transport.value().startswith(b"HTTP/1.1 101 "), path)

    def test_origins(self) -> None:
        """A page may connect only from where it is allowed; what is no page may."""
        settings = Settings(
            websocket=WebSocketSettings(allowed_origins=("https://client.example",))
        )
        answer = self.refused(from_page(b"https://evil.example"), settings)
        self.assertTrue(answer.startswith(b"HTTP/1.1 403 Forbidden\r\n"))
        for origin in (b"null", b"https://client.example:8443", b""):
            answer = self.refused(from_page(origin), settings)
            self.assertNotIn(b" 101 ", answer.partition(b"\r\n")[0], origin)
        twice = from_page(b"https://client.example\r\nOrigin: https://evil.example")
        self.assertNotIn(b" 101 ", self.refused(twice, settings).partition(b"\r\n")[0])
        for request in (from_page(b"https://client.example"), HANDSHAKE):
            _, transport = Edge(settings).connect(request)
            self.assertTrue(transport.value().startswith(b"HTTP/1.1 101 "))

    def test_too_early(self) -> None:
        """Who comes too fast is told when to try again; who may not come is not."""
        for refusal, status, retry in (
            ((429, "rate-limited: wait", 7), b"429 Too Many Requests", b"7"),
            ((403, "restricted: no", 0), b"403 Forbidden", None),
        ):
            edge = Edge()
            edge.relay.turned_away[PEER.host] = refusal
            _, transport = edge.connect(HANDSHAKE)
            head, _, body = transport.value().partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 " + status), head)
            headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
            self.assertEqual(headers.get(b"Retry-After"), retry)
            self.assertEqual(body, f"{refusal[1]}\n".encode())

    def test_wrong_handshakes(self) -> None:
        """A handshake that is wrong is refused, not answered with 101."""
        for wrong in (
            HANDSHAKE.replace(b"Host: relay.example\r\n", b""),
            HANDSHAKE.replace(b"Connection: Upgrade", b"Connection: close"),
            HANDSHAKE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"short"),
            HANDSHAKE.replace(b"Version: 13", b"Version: 8"),
            HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        ):
            self.assertNotIn(b" 101 ", self.refused(wrong).partition(b"\r\n")[0])

    def test_other_version(self) -> None:
        """Who speaks another version is told ours."""
        answer = self.refused(HANDSHAKE.replace(b"Version: 13", b"Version: 99"))
        self.assertIn(b"\r\nSec-WebSocket-Version: 13\r\n", answer)

    def test_answer_quotes_no_header(self) -> None:
        """What a client wrote cannot become a header of the answer."""
        evil = b"x\x0bSet-Cookie: a=b"
        answer = self.refused(HANDSHAKE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", evil))
        self.assertNotIn(b"Set-Cookie", answer.partition(b"\r\n\r\n")[0])

    def test_too_many_in_all(self) -> None:
        """Beyond the limit for all, 503."""
        edge = Edge(Settings(limits=LimitSettings(max_connections=1)))
        first, _, _ = edge.open()
        _, transport = edge.connect()
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 503 "))
        lose(first)
        edge.open()
        self.assertEqual(edge.websockets.connection_count, 1)

    def test_too_many_per_address(self) -> None:
        """Beyond the limit for an address, 429."""
        edge = Edge(Settings(limits=LimitSettings(max_connections_per_address=1)))
        edge.open()
        _, transport = edge.connect()
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 429 "))


class PathOfTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.web.connection.path_of`."""

    def test_paths(self) -> None:
        """The path stands alone, the empty one as a slash."""
        for target, path in (
            ("/", "/"),
            ("", "/"),
            ("?q", "/"),
            ("/a/b?q=://x", "/a/b"),
            ("http://h", "/"),
            ("WSS://h:1/p?q", "/p"),
            ("http://h?q=/", "/"),
            ("//h/", "//h/"),
        ):
            self.assertEqual(path_of(target), path, target)
