"""Tests for :mod:`nostrtx.web.frames`."""

from __future__ import annotations

from random import Random
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.web.frames import FastReceivingProtocol, frame_header
from tests.web.fakes import HANDSHAKE, FakeTransport, client_frame

LIMIT = 70_000

#: Payload lengths at which something changes.
EDGES = (0, 1, 2, 3, 5, 124, 125, 126, 127, 1498, 1499, 1500, 1501, 16383, 16384, 16385)
FAR_EDGES = (65535, 65536, 65537, LIMIT - 1, LIMIT, LIMIT + 1, 200_000)

PIECES = ("a", "Z", '"', "ü", "€", "😀", "\x00", "\u2028", "[]", "nostr")
BAD_UTF8 = (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x82", b"\xf4\x90\x80\x80")


def record(connection: Any, payload: bytes, binary: bool) -> None:
    """Keep a message, and close when it says so."""
    connection.got.append((payload, binary))
    if payload == b"close":
        connection.sendClose(1000, "as you wish")


class StockProtocol(WebSocketServerProtocol):
    """Autobahn as it is."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Record the message."""
        record(self, payload, isBinary)


class ShortCutProtocol(FastReceivingProtocol):
    """Ours."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Record the message."""
        record(self, payload, isBinary)

    def text_received(self, text: bytes) -> None:
        """Record the message."""
        record(self, text, False)


def opened(
    protocol: type[WebSocketServerProtocol], fail_by_drop: bool, limit: int = LIMIT
) -> Any:
    """A server protocol that is through with its handshake."""
    factory = WebSocketServerFactory(reactor=MemoryReactorClock())
    factory.setProtocolOptions(
        failByDrop=fail_by_drop,
        maxFramePayloadSize=limit,
        maxMessagePayloadSize=limit,
        openHandshakeTimeout=0,
        closeHandshakeTimeout=0,
    )
    connection: Any = protocol()
    connection.got = []
    connection.unregisterProducer = lambda: None  # of which there is none
    connection.factory = factory
    connection.makeConnection(FakeTransport())
    connection.dataReceived(HANDSHAKE)
    connection.transport.clear()
    return connection


def outcome(connection: Any) -> dict[str, object]:
    """All that can be told from outside."""
    return {
        "messages": connection.got,
        "sent": connection.transport.value(),
        "state": connection.state,
        "dropped": connection.droppedByMe,
        "aborted": connection.transport.aborted,
        "ending": connection.transport.disconnecting,
        "failed": connection.failedByMe,
        "clean": connection.wasClean,
        "codes": (connection.localCloseCode, connection.remoteCloseCode),
    }


class StreamOfFrames:
    """
    What a client might send, well-behaved or not, from a seed.

    Args:
        seed: Makes all choices.
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def text(self) -> bytes:
        """A payload, nearly always UTF-8."""
        random = self.random
        choice = random.random()
        if choice < 0.5:
            length = random.randrange(80)
        elif choice < 0.9:
            length = random.choice(EDGES)
        else:
            length = random.choice((*EDGES, *FAR_EDGES))
        text = "".join(random.choices(PIECES, k=min(length, 60))).encode()
        text = (text * (length // (len(text) or 1) + 1))[:length]
        text = text.decode(errors="ignore").encode()
        if random.random() < 0.04:
            at = random.randrange(len(text) + 1)
            text = text[:at] + random.choice(BAD_UTF8) + text[at:]
        return b"close" if random.random() < 0.02 else text

    def message(self) -> bytes:
        """Frames of one message, or control frames."""
        random = self.random
        choice = random.random()
        mask = random.randbytes(4)
        if choice < 0.72:
            return client_frame(self.text(), mask=mask)
        if choice < 0.78:
            return client_frame(random.randbytes(random.randrange(300)), 2, mask=mask)
        if choice < 0.86:
            return client_frame(
                random.randbytes(random.randrange(126)), random.choice((9, 10))
            )
        if choice < 0.95:
            return self.fragments()
        if choice < 0.97:
            body = random.choice((b"", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xec", b"\1"))
            return client_frame(body, 8)
        return self.malformed()

    def fragments(self) -> bytes:
        """A message in fragments, with control frames between them."""
        random = self.random
        text = self.text()[:3000]
        frames = b""
        opcode = random.choice((1, 1, 2))
        while True:
            cut = random.randrange(len(text) + 1)
            last = random.random() < 0.4
            part, text = (text, b"") if last else (text[:cut], text[cut:])
            frames += client_frame(part, opcode, last, random.randbytes(4))
            if last:
                return frames
            opcode = 0
            if random.random() < 0.3:
                frames += client_frame(random.randbytes(5), 9)

    def malformed(self) -> bytes:
        """What RFC 6455 does not allow."""
        random = self.random
        text = self.text()[:200]
        frame = bytearray(client_frame(text, mask=random.randbytes(4)))
        choice = random.randrange(6)
        if choice == 0:
            frame[0] |= random.choice((0x10, 0x20, 0x40))  # RSV
        elif choice == 1:
            frame[0] = 0x80 | random.choice((3, 4, 7, 11, 15))  # reserved opcode
        elif choice == 2:
            frame[1] &= 0x7F  # unmasked
        elif choice == 3:
            return b"\x81\xfe\x00\x05\0\0\0\0hello"  # length not minimal
        elif choice == 4:
            return b"\x81\xff\0\0\0\0\0\0\x01\x00\0\0\0\0" + b"x" * 256
        else:
            frame[0] = 0x80  # continues nothing
        return bytes(frame)

    def segments(self) -> list[bytes]:
        """A whole stream, cut as a network might."""
        random = self.random
        stream = b"".join(self.message() for _ in range(random.randrange(1, 12)))
        if random.random() < 0.2:
            stream += client_frame(b"the rest is missing")[: random.randrange(25)]
        longest = random.choice((1, 2, 7, 50, 400, 5000, 65536, 65536, 10**6))
        longest = max(longest, len(stream) // 50)
        segments = []
        while stream:
            cut = random.randrange(longest) + 1
            segments.append(stream[:cut])
            stream = stream[cut:]
        return segments


class FrameHeaderTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.web.frames.frame_header`."""

    def test_like_autobahn(self) -> None:
        """The header is what Autobahn puts before a text of that length."""
        for length in (*EDGES, *FAR_EDGES, *EDGES):
            stock = opened(StockProtocol, False, limit=0)
            stock.sendMessage(b"x" * length)
            self.assertEqual(
                frame_header(length) + b"x" * length, stock.transport.value()
            )


class FastReceivingProtocolTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.web.frames.FastReceivingProtocol`."""

    def assert_same(self, fail_by_drop: bool, segments: list[bytes], note: str) -> None:
        """Ours and stock Autobahn make the same of ``segments``."""
        stock = opened(StockProtocol, fail_by_drop)
        ours = opened(ShortCutProtocol, fail_by_drop)
        for segment in segments:
            stock.dataReceived(segment)
            ours.dataReceived(segment)
        self.assertEqual(outcome(ours), outcome(stock), note)

    def assert_same_streams(self, fail_by_drop: bool) -> None:
        """Ours and stock Autobahn make the same of a great many streams."""
        for seed in range(1000):
            segments = StreamOfFrames(seed).segments()
            self.assert_same(fail_by_drop, segments, f"seed {seed}")

    def test_same_as_autobahn_closing(self) -> None:
        """Whatever arrives, all is as with Autobahn that closes on violations."""
        self.assert_same_streams(False)

    def test_same_as_autobahn_dropping(self) -> None:
        """Whatever arrives, all is as with Autobahn that drops on violations."""
        self.assert_same_streams(True)

    def test_every_length(self) -> None:
        """A text arrives as it was sent, at all lengths where something changes."""
        for length in (*EDGES, *FAR_EDGES[:-2]):
            text = (b"0123456789" * (length // 10 + 1))[:length]
            frames = client_frame(text, mask=b"\x00\xff\x80\x01") * 2
            for segments in ([frames], [frames[:7], frames[7:]]):
                self.assert_same(False, segments, f"{length} bytes")

    def test_too_long(self) -> None:
        """A text beyond the limit closes the connection with 1009."""
        connection = opened(ShortCutProtocol, False, limit=1000)
        connection.dataReceived(client_frame(b"x" * 1001))
        self.assertEqual(connection.got, [])
        self.assertEqual(connection.localCloseCode, 1009)

    def test_bad_utf8(self) -> None:
        """A text that is not UTF-8 closes the connection with 1007."""
        for bad in BAD_UTF8:
            connection = opened(ShortCutProtocol, False)
            connection.dataReceived(client_frame(b"good") + client_frame(b"x" + bad))
            self.assertEqual(connection.got, [(b"good", False)])
            self.assertEqual(connection.localCloseCode, 1007)

    def test_wrong_header_does_not_wait(self) -> None:
        """A frame that is wrong in its first two bytes is refused at once."""
        connection = opened(ShortCutProtocol, False)
        connection.dataReceived(b"\x81\x05")
        self.assertEqual(connection.localCloseCode, 1002)

    def test_endless_control_frame(self) -> None:
        """After a failure, a control frame of forged length takes no memory."""
        connection = opened(ShortCutProtocol, False)
        connection.dataReceived(b"\x89\xff" + (1 << 40).to_bytes(8, "big") + b"mask")
        for _ in range(100):
            connection.dataReceived(b"x" * 10_000)
        self.assertEqual(connection.localCloseCode, 1002)
        self.assertEqual(connection.control_frame_data, [])

    def test_counts(self) -> None:
        """Bytes and short-cut messages are counted."""
        connection = opened(ShortCutProtocol, False)
        before = connection.bytes_received
        stream = client_frame(b"one") + client_frame(b"two")
        for at in range(len(stream)):
            connection.dataReceived(stream[at : at + 1])
        self.assertEqual(connection.bytes_received - before, len(stream))
        self.assertEqual(connection.messages_received, 2)
