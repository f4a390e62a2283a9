"""Tests for :mod:`nostrtx.web.deflate`, and for connections that use it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any

from autobahn.exception import PayloadCorruptError, PayloadExceededError
from autobahn.websocket.compress_deflate import PerMessageDeflate
from autobahn.websocket.protocol import WebSocketProtocol
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.settings.edge import WebSocketSettings
from nostrtx.settings.limits import LimitSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.connection import RelayWebSocketProtocol
from nostrtx.web.deflate import Inflater, agree, inflated
from tests.web.fakes import (
    HANDSHAKE,
    Edge,
    FakeSession,
    FakeTransport,
    client_frame,
)
from tests.web.test_frames import (
    ShortCutProtocol,
    StockProtocol,
    StreamOfFrames,
    opened,
    outcome,
)
from tests.web.test_shared_frames import Receiver, read_frame, real_bodies

LIMIT = 4096

RSV1 = 0x40


def compressed(
    text: bytes, flush: int = zlib.Z_SYNC_FLUSH, level: int = 6, wbits: int = -15
) -> bytes:
    """A message's payload as a client compresses it."""
    stream = zlib.compressobj(level, wbits=wbits)
    payload = stream.compress(text) + stream.flush(flush)
    return payload[:-4] if flush != zlib.Z_FINISH else payload


def compressed_frame(text: bytes) -> bytes:
    """A compressed text as a client sends it."""
    return client_frame(compressed(text), 1 | RSV1)


def in_fragments(payload: bytes, size: int, opcode: int = 1 | RSV1) -> list[bytes]:
    """The frames of a message that is sent in pieces."""
    cuts = [*range(0, max(1, len(payload)), size), len(payload)]
    return [
        client_frame(payload[start:end], opcode if start == 0 else 0, end == cuts[-1])
        for start, end in pairwise(cuts)
    ]


class AgreeTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.web.deflate.agree`."""

    def agreed(self, header: str) -> tuple[str, int] | None:
        """The answer to a header, and the window."""
        offers = WebSocketProtocol._parseExtensionsHeader(WebSocketProtocol(), header)
        agreement = agree(offers)
        if agreement is None:
            return None
        return agreement.answer, agreement.window_bits

    def test_plain(self) -> None:
        """The client is asked to compress each message by itself, offered or not."""
        answer = "permessage-deflate; client_no_context_takeover"
        for header in (
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=10",
            "permessage-deflate; client_no_context_takeover",
            'Permessage-Deflate; client_max_window_bits="15"',
            "x-webkit-deflate-frame, permessage-deflate",
        ):
            self.assertEqual(self.agreed(header), (answer, 15), header)

    def test_server_parameters(self) -> None:
        """What a client asks of the relay's messages is granted and said."""
        answer = "permessage-deflate; client_no_context_takeover"
        self.assertEqual(
            self.agreed("permessage-deflate; server_no_context_takeover"),
            (f"{answer}; server_no_context_takeover", 15),
        )
        for bits in range(8, 16):
            parameter = f"; server_max_window_bits={bits}"
            self.assertEqual(
                self.agreed("permessage-deflate" + parameter),
                (answer + parameter, bits),
            )

    def test_first_valid(self) -> None:
        """The first offer that is valid is taken."""
        self.assertEqual(
            self.agreed(
                "permessage-deflate; server_max_window_bits=99,"
                " permessage-deflate; server_max_window_bits=9,"
                " permessage-deflate"
            ),
            (
                "permessage-deflate; client_no_context_takeover;"
                " server_max_window_bits=9",
                9,
            ),
        )

    def test_declined(self) -> None:
        """What RFC 7692 does not know is declined."""
        for header in (
            "",
            "permessage-bzip2",
            "permessage-deflate; what",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=true",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=09",
            "permessage-deflate; client_max_window_bits=1x",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
        ):
            self.assertIsNone(self.agreed(header), header)


class InflatedTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.web.deflate.inflated` and its piecewise sibling."""

    def in_pieces(self, payload: bytes, limit: int, size: int) -> bytes:
        """What Autobahn's parser makes of it, piece by piece."""
        inflater = Inflater()
        inflater.start_decompress_message()
        message = b""
        for at in range(0, len(payload), size):
            message += inflater.decompress_message_data(
                payload[at : at + size], limit - len(message)
            )
        inflater.end_decompress_message()
        return message

    def assert_inflated(self, payload: bytes, text: bytes, limit: int = LIMIT) -> None:
        """Both ways give ``text``."""
        self.assertEqual(inflated(payload, limit), text)
        for size in (1, 7, 1000):
            self.assertEqual(self.in_pieces(payload, limit, size), text)

    def test_rfc_examples(self) -> None:
        """The examples of RFC 7692, section 7.2.3, stand for what it says."""
        for payload in (
            "f248cdc9c90700",  # one compressed block
            "000500faff48656c6c6f00",  # one stored block
            "f348cdc9c9070000",  # a block that says it is the last
            "f248050000 00ffffcac9c90700",  # two blocks
        ):
            self.assert_inflated(bytes.fromhex(payload), b"Hello")
        self.assert_inflated(b"\x00", b"")
        self.assert_inflated(b"\x02\x00", b"")

    def test_real_events(self) -> None:
        """Whatever the compressor's settings, events come out as they went in."""
        for number, body in enumerate(real_bodies()[:60]):
            for wbits in (-9, -15):
                for flush in (zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_FINISH):
                    payload = compressed(body, flush, number % 10, wbits)
                    self.assert_inflated(payload, body, 100_000)

    def test_limit(self) -> None:
        """What has exactly the limit is taken; a byte more is not."""
        for text in (b"x" * LIMIT, Random(1).randbytes(LIMIT // 2).hex().encode()):
            payload = compressed(text)
            self.assert_inflated(payload, text)
            self.assertRaises(ValueError, inflated, payload, LIMIT - 1)
            for size in (1, 7, 1000):
                self.assertRaises(
                    PayloadExceededError, self.in_pieces, payload, LIMIT - 1, size
                )

    def test_bomb(self) -> None:
        """Of a bomb no more is inflated than the limit."""
        payload = compressed(b"\x00" * 50_000_000)
        self.assertLess(len(payload), 50_000)
        self.assertRaises(ValueError, inflated, payload, LIMIT)
        self.assertRaises(PayloadExceededError, self.in_pieces, payload, LIMIT, 10**6)

    def test_corrupt(self) -> None:
        """What is not compressed properly, or not all there, is refused."""
        good = compressed(b"Hello, this is to be cut.")
        for bad in (b"", b"\xff\xff\xff", b"\x06", *(good[:at] for at in (1, 9, -3))):
            self.assertRaises(ValueError, inflated, bad, LIMIT)
            self.assertRaises(PayloadCorruptError, self.in_pieces, bad, LIMIT, 5)

    def test_last_is_not_last(self) -> None:
        """What comes behind a last block is not passed over in silence."""
        payload = compressed(b"one", zlib.Z_FINISH) + compressed(b"two")
        self.assertRaises(ValueError, inflated, payload, LIMIT)
        self.assertRaises(PayloadCorruptError, self.in_pieces, payload, LIMIT, 100)


class ConnectionTestCase(SynchronousTestCase):
    """A connection that has offered compression."""

    settings = Settings(limits=LimitSettings(max_message_bytes=LIMIT))

    def setUp(self) -> None:
        """An edge, and a connection."""
        self.edge = Edge(self.settings)
        self.connection, self.transport, self.session = self.open()

    def open(
        self, offer: bytes = b"permessage-deflate", answer: bytes = b"no_context"
    ) -> tuple[RelayWebSocketProtocol, FakeTransport, FakeSession]:
        """A connection with this offer, whose answer has ``answer`` in it."""
        header = b"Sec-WebSocket-Extensions: " + offer + b"\r\n\r\n"
        connection, transport = self.edge.connect(HANDSHAKE[:-2] + header)
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 101 "))
        self.assertIn(answer, transport.value())
        transport.clear()
        transport.writes.clear()
        return connection, transport, self.edge.relay.sessions[-1]

    def close_code(self) -> int:
        """The code of the close frame that was sent."""
        sent = self.transport.value()
        self.assertEqual(sent[0], 0x88)
        return int.from_bytes(sent[2:4], "big")


class ReceivingTests(ConnectionTestCase):
    """What clients send compressed."""

    def test_texts(self) -> None:
        """Compressed and other texts arrive in order."""
        self.connection.dataReceived(
            compressed_frame(b"[1]")
            + client_frame(b"[2]")
            + compressed_frame(b"[3]" * 500)
        )
        self.assertEqual(self.session.texts, [b"[1]", b"[2]", b"[3]" * 500])
        self.assertEqual(self.connection.messages_received, 3)

    def test_any_cut(self) -> None:
        """However the stream is cut, and in however many frames, all arrives."""
        text = real_bodies()[0]
        payload = compressed(text)
        stream = compressed_frame(text)
        for size in (1, 50, 1000):
            frames = in_fragments(payload, size)
            stream += client_frame(b"ping", 9).join(frames)
        stream += client_frame(b"plain")
        for size in (1, 3, 17, len(stream)):
            self.session.texts.clear()
            for at in range(0, len(stream), size):
                self.connection.dataReceived(stream[at : at + size])
            self.assertEqual(self.session.texts, [text] * 4 + [b"plain"])

    def test_with_the_handshake(self) -> None:
        """A compressed text that comes with the handshake is not lost."""
        header = b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        self.edge.connect(HANDSHAKE[:-2] + header + compressed_frame(b"[early]"))
        self.assertEqual(self.edge.relay.sessions[-1].texts, [b"[early]"])

    def test_binary(self) -> None:
        """A compressed binary message is a binary message."""
        frame = client_frame(compressed(b"\xff"), 2 | RSV1)
        self.connection.dataReceived(frame + compressed_frame(b"[1]"))
        self.assertEqual(self.session.binaries, 1)
        self.assertEqual(self.session.texts, [b"[1]"])

    def test_nothing_is_kept(self) -> None:
        """Between messages there is no inflater."""
        text = real_bodies()[0]
        self.connection.dataReceived(compressed_frame(text))
        for frame in in_fragments(compressed(text), 100):
            self.connection.dataReceived(frame)
        self.assertEqual(self.session.texts, [text, text])
        inflater: Any = self.connection._perMessageCompress
        self.assertIsNone(inflater._stream)

    def test_limit(self) -> None:
        """A text of the limit's length arrives; it may be much shorter compressed."""
        text = b"x" * LIMIT
        self.connection.dataReceived(compressed_frame(text))
        for frame in in_fragments(compressed(text), 5):
            self.connection.dataReceived(frame)
        self.assertEqual(self.session.texts, [text, text])

    def refusals(self, stream: bytes, code: int) -> Iterator[FakeSession]:
        """Assert that ``stream`` is answered with a close frame, however it is cut."""
        for size in (len(stream), 1000, 1):
            self.connection, self.transport, session = self.open()
            for at in range(0, len(stream), size):
                self.connection.dataReceived(stream[at : at + size])
            self.assertEqual(session.texts, [])
            self.assertEqual(self.close_code(), code)
            yield session

    def refused(self, stream: bytes, code: int) -> None:
        """Assert the same, and that the client's good-bye is understood."""
        for session in self.refusals(stream, code):
            self.assertFalse(self.transport.disconnecting)
            self.connection.dataReceived(compressed_frame(b"no") + client_frame(b"no"))
            self.connection.dataReceived(client_frame(code.to_bytes(2, "big"), 8))
            self.assertEqual(session.texts, [])
            self.assertTrue(self.transport.disconnecting)
            self.assertTrue(self.connection.wasClean)

    def test_too_long(self) -> None:
        """A text beyond the limit closes with 1009, compressed or not."""
        text = b"x" * (LIMIT + 1)
        self.refused(compressed_frame(text), 1009)
        self.refused(b"".join(in_fragments(compressed(text), 5)), 1009)
        noise = Random(1).randbytes(LIMIT)
        self.refused(compressed_frame(noise.hex().encode()), 1009)

    def test_bomb(self) -> None:
        """A bomb closes with 1009, in one frame or in many."""
        payload = compressed(b"\x00" * 3_000_000)
        self.assertLess(len(payload), LIMIT)
        self.refused(client_frame(payload, 1 | RSV1), 1009)
        self.refused(b"".join(in_fragments(payload, 100)), 1009)

    def test_corrupt(self) -> None:
        """What cannot be inflated closes with 1007."""
        good = compressed(b"Hello, this is to be cut.")
        for bad in (b"", b"\xff\xff\xff\xff", good[:9]):
            self.refused(client_frame(bad, 1 | RSV1), 1007)
            self.refused(b"".join(in_fragments(bad, 2)), 1007)

    def test_bad_utf8(self) -> None:
        """A text that is not UTF-8 when inflated closes with 1007."""
        for bad in (b"\xff", b"fine so far: \xe2\x82"):
            frames = b"".join(in_fragments(compressed(bad), 3))
            for stream in (compressed_frame(bad), frames):
                self.assertEqual(len(list(self.refusals(stream, 1007))), 3)

    def test_misplaced_bit(self) -> None:
        """RSV1 on a control frame, or not on a message's first frame, is 1002."""
        first = client_frame(compressed(b"[1]"), 1 | RSV1, fin=False)
        for stream in (
            client_frame(b"", 9 | RSV1),
            first + client_frame(b"\x00", RSV1),
            client_frame(b"[", 1, fin=False) + client_frame(b"]", RSV1),
            client_frame(b"", RSV1),
            client_frame(b"[]", 1 | 0x20),
        ):
            connection, self.transport, session = self.open()
            connection.dataReceived(stream)
            self.assertEqual(session.texts, [])
            self.assertEqual(self.close_code(), 1002)

    def test_not_agreed(self) -> None:
        """Without an agreement a compressed frame is 1002."""
        edge = Edge()
        connection, self.transport, session = edge.open()
        connection.dataReceived(compressed_frame(b"[1]"))
        self.assertEqual(session.texts, [])
        self.assertEqual(self.close_code(), 1002)


class CompressedStream(StreamOfFrames):
    """What a client might send after it was agreed on compression, from a seed."""

    def message(self) -> bytes:
        """As without compression, or a compressed message."""
        if self.random.random() < 0.5:
            return super().message()
        text = self.text()[:3000]
        opcode = (2 if self.random.random() < 0.1 else 1) | RSV1
        flush = self.random.choice((zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH))
        payload = compressed(text, flush, self.random.randrange(10))
        if self.random.random() < 0.5:
            return client_frame(payload, opcode, mask=self.random.randbytes(4))
        frames = in_fragments(payload, self.random.randrange(1, 500), opcode)
        return client_frame(b"ping", 9).join(frames)


class DifferentialTests(SynchronousTestCase):
    """The short cut for compressed frames against Autobahn's own extension."""

    def test_same_as_autobahn(self) -> None:
        """Whatever arrives, all is as with Autobahn."""
        messages = 0
        for seed in range(500):
            stock = opened(StockProtocol, False)
            stock._perMessageCompress = PerMessageDeflate(
                True, False, True, 15, 15, None
            )
            ours = opened(ShortCutProtocol, False)
            ours._perMessageCompress = Inflater()
            for segment in CompressedStream(seed).segments():
                stock.dataReceived(segment)
                ours.dataReceived(segment)
            self.assertEqual(outcome(ours), outcome(stock), f"seed {seed}")
            messages += len(ours.got)
        self.assertGreater(messages, 1000)


class SendingTests(ConnectionTestCase):
    """What clients are sent compressed."""

    def test_shared(self) -> None:
        """What is shared is compressed, and read by each under its own head."""
        clients = [self.open() for _ in range(3)]
        for body in real_bodies()[:20]:
            for number, (connection, _, _) in enumerate(clients):
                connection.send_shared(b"[%d," % number, body)
            self.edge.end_turn()
        for number, (_, transport, _) in enumerate(clients):
            receiver = Receiver()
            self.assertEqual(
                [receiver.read(frame) for frame in transport.writes],
                [b"[%d," % number + body for body in real_bodies()[:20]],
            )
            self.assertTrue(all(read_frame(each)[0] for each in transport.writes))

    def test_others(self) -> None:
        """Messages for one client are not compressed, and keep their places."""
        body = real_bodies()[0]
        self.connection.send(b"[1]" * 200)
        self.connection.send_shared(b"[", body)
        self.connection.send(b"[2]")
        self.edge.end_turn()
        (sent,) = self.transport.writes
        first = b"\x81\x7e\x02\x58" + b"[1]" * 200
        last = b"\x81\x03[2]"
        self.assertTrue(sent.startswith(first))
        self.assertTrue(sent.endswith(last))
        middle = sent.removeprefix(first).removesuffix(last)
        self.assertEqual(Receiver(takes_over=False).read(middle), b"[" + body)
        self.assertEqual(self.connection.messages_sent, 3)

    def test_mixed_clients(self) -> None:
        """Each client gets what it takes, in the same turn."""
        body = real_bodies()[0]
        plain, plain_transport, _ = self.edge.open()
        small, small_transport, _ = self.open(
            b"permessage-deflate; server_max_window_bits=8", b"server_max_window_bits=8"
        )
        for connection in (plain, self.connection, small, plain):
            connection.send_shared(b"[", body)
        self.edge.end_turn()
        frame = read_frame(small_transport.value())
        self.assertEqual(frame, (False, b"[" + body))
        self.assertEqual(plain_transport.value(), small_transport.value() * 2)
        self.assertEqual(Receiver().read(self.transport.value()), b"[" + body)
        self.assertLess(len(self.transport.value()), len(small_transport.value()))

    def test_lost(self) -> None:
        """Sending is harmless when the connection is closing."""
        self.connection.close(1000, "")
        self.transport.clear()
        self.connection.send_shared(b"[", b"]")
        self.edge.end_turn()
        self.assertEqual(self.transport.value(), b"")

    def test_flood_in_one_turn(self) -> None:
        """Much that is shared leaves before the turn ends, too."""
        body = Random(1).randbytes(50_000)
        for _ in range(10):
            self.connection.send_shared(b"[", body)
        self.assertGreater(len(self.transport.value()), 250_000)


class SettingTests(SynchronousTestCase):
    """The setting, and offers that are declined."""

    def assert_declined(self, settings: Settings, offer: bytes) -> None:
        """Assert that a client with this offer is served without compression."""
        edge = Edge(settings)
        header = b"Sec-WebSocket-Extensions: " + offer + b"\r\n\r\n"
        connection, transport = edge.connect(HANDSHAKE[:-2] + header)
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 101 "))
        self.assertNotIn(b"Extensions", transport.value())
        transport.clear()
        body = real_bodies()[0]
        connection.send_shared(b"[", body)
        edge.end_turn()
        self.assertEqual(read_frame(transport.value()), (False, b"[" + body))

    def test_off(self) -> None:
        """Where compression is off, no offer is taken."""
        settings = Settings(websocket=WebSocketSettings(compression=False))
        self.assert_declined(settings, b"permessage-deflate")

    def test_others(self) -> None:
        """Other extensions, and offers that are wrong, are not taken."""
        for offer in (b"permessage-bzip2", b"permessage-deflate; what=1"):
            self.assert_declined(Settings(), offer)
