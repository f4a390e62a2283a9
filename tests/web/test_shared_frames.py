"""Tests for :mod:`nostrtx.web.shared_frames`."""

from __future__ import annotations

import zlib
from pathlib import Path
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.web.shared_frames import (
    MAX_DEFLATED_BYTES,
    BodyDeflater,
    DeflatedFrames,
    FramesByWindow,
    SharedFrames,
)

_EVENTS = Path(__file__).parent.parent / "data" / "real-events.jsonl"

#: Heads of different lengths, as subscription ids make them.
HEADS = (b'["EVENT","",', b'["EVENT","sub:1",', b'["EVENT","%b",' % (b"x" * 300))


def real_bodies() -> list[bytes]:
    """The messages of real events, without their heads."""
    return [line + b"]" for line in _EVENTS.read_bytes().splitlines()]


def read_frame(frame: bytes) -> tuple[bool, bytes]:
    """
    Take a frame of the relay apart.

    Returns:
        Whether it is compressed, and its payload.
    """
    first, length = frame[0], frame[1]
    assert first in (0x81, 0xC1)
    start = 2
    if length == 126:
        length, start = int.from_bytes(frame[2:4], "big"), 4
    elif length == 127:
        length, start = int.from_bytes(frame[2:10], "big"), 10
    assert len(frame) == start + length
    return first == 0xC1, frame[start:]


class Receiver:
    """
    A client that inflates as RFC 7692 says, with zlib.

    Args:
        window_bits: How far back it looks.
        takes_over: Whether it keeps what it knows from message to message.
    """

    def __init__(
        self, window_bits: int = zlib.MAX_WBITS, takes_over: bool = True
    ) -> None:
        self._window_bits = window_bits
        self._takes_over = takes_over
        self._begin()

    def _begin(self) -> None:
        self._stream = zlib.decompressobj(-self._window_bits)

    def read(self, frame: bytes) -> bytes:
        """The message in a frame."""
        compressed, payload = read_frame(frame)
        if not compressed:
            return payload
        if not self._takes_over:
            self._begin()
        return self._stream.decompress(payload + b"\x00\x00\xff\xff")


class SharedFramesTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.web.shared_frames.SharedFrames`."""

    def test_frame(self) -> None:
        """A frame holds the head and then the body, whatever the lengths."""
        frames = SharedFrames()
        for length in (0, 1, 113, 114, 600, 65_523, 65_524, 200_000):
            body = b"y" * length
            frame = frames.frame(HEADS[0], body)
            self.assertEqual(read_frame(frame), (False, HEADS[0] + body))

    def test_made_once(self) -> None:
        """Messages that are the same have one frame, until there is another body."""
        frames = SharedFrames()
        body, other = b"body", b"other"
        first = frames.frame(b"a", body)
        self.assertEqual(read_frame(frames.frame(b"b", body)), (False, b"bbody"))
        self.assertIs(frames.frame(b"a", body), first)
        self.assertEqual(read_frame(frames.frame(b"a", other)), (False, b"aother"))
        self.assertEqual(read_frame(frames.frame(b"b", body)), (False, b"bbody"))

    def test_forget(self) -> None:
        """What was forgotten is made again."""
        frames = SharedFrames()
        body = b"body"
        first = frames.frame(b"a", body)
        frames.forget()
        again = frames.frame(b"a", body)
        self.assertEqual(again, first)
        self.assertIsNot(again, first)


class DeflatedFramesTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.web.shared_frames.DeflatedFrames`."""

    def assert_read(
        self, frames: SharedFrames, receivers: list[Receiver], chance: float
    ) -> int:
        """
        Assert that receivers read what is theirs of real events.

        Returns:
            How many frames were compressed.
        """
        random = Random(1)
        compressed = 0
        for body in real_bodies():
            for number, receiver in enumerate(receivers):
                if random.random() < chance:
                    head = HEADS[number % len(HEADS)]
                    frame = frames.frame(head, body)
                    self.assertEqual(receiver.read(frame), head + body)
                    compressed += frame[0] == 0xC1
        return compressed

    def test_all_of_the_stream(self) -> None:
        """Receivers read every message, with context take-over or without."""
        receivers = [Receiver(takes_over=number % 2 == 0) for number in range(6)]
        frames = DeflatedFrames(BodyDeflater(), 15)
        self.assertEqual(self.assert_read(frames, receivers, 1.0), 6 * 300)

    def test_part_of_the_stream(self) -> None:
        """Receivers read what they get, whatever went only to others."""
        receivers = [Receiver(takes_over=number % 2 == 0) for number in range(6)]
        frames = DeflatedFrames(BodyDeflater(), 15)
        self.assertGreater(self.assert_read(frames, receivers, 0.3), 400)

    def test_small_windows(self) -> None:
        """Who looks back less far gets short bodies compressed, and reads them all."""
        deflater = BodyDeflater()
        compressed = [
            self.assert_read(
                DeflatedFrames(deflater, bits), [Receiver(max(bits, 9))] * 2, 0.5
            )
            for bits in range(8, 16)
        ]
        self.assertEqual(compressed[0], 0)
        self.assertEqual(compressed, sorted(compressed))
        self.assertGreater(compressed[2], 50)

    def test_window_is_kept(self) -> None:
        """What is sent never refers back farther than the window."""
        block = Random(2).randbytes(400).hex().encode()
        frames = DeflatedFrames(BodyDeflater(), 10)
        far = block + b"-" * 300 + block
        self.assertEqual(read_frame(frames.frame(b"a", far)), (False, b"a" + far))
        near = b"-" * 900
        self.assertTrue(read_frame(frames.frame(b"a", near))[0])

    def test_shorter(self) -> None:
        """Real events take fewer bytes; what would take more is not compressed."""
        bodies = real_bodies()
        frames = DeflatedFrames(BodyDeflater(), 15)
        sizes = [len(frames.frame(HEADS[1], body)) for body in bodies]
        self.assertLess(sum(sizes), 0.75 * sum(map(len, bodies)))
        noise = Random(3).randbytes(1000)
        self.assertEqual(read_frame(frames.frame(b"a", noise)), (False, b"a" + noise))
        self.assertEqual(read_frame(frames.frame(b"a", b"]")), (False, b"a]"))

    def test_long(self) -> None:
        """A body that takes long to compress is sent as it is."""
        frames = DeflatedFrames(BodyDeflater(), 15)
        body = b"z" * (MAX_DEFLATED_BYTES + 1)
        self.assertEqual(read_frame(frames.frame(b"a", body)), (False, b"a" + body))
        shorter = frames.frame(b"a", body[1:])
        self.assertLess(len(shorter), 1000)
        self.assertEqual(Receiver().read(shorter), b"a" + body[1:])

    def test_compressed_once(self) -> None:
        """Whoever gets it under whatever head, a body is compressed once."""
        deflater = BodyDeflater()
        body = real_bodies()[0]
        blocks = deflater.blocks(body)
        frames = DeflatedFrames(deflater, 15)
        for head in HEADS:
            self.assertTrue(frames.frame(head, body).endswith(blocks))
        self.assertIs(deflater.blocks(body), blocks)


class FramesByWindowTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.web.shared_frames.FramesByWindow`."""

    def test_by_window(self) -> None:
        """Receivers with the same window share what is made."""
        frames = FramesByWindow()
        body = real_bodies()[0]
        self.assertIs(frames.deflated(15), frames.deflated(15))
        self.assertIsNot(frames.deflated(12), frames.deflated(15))
        self.assertEqual(
            frames.deflated(12).frame(b"a", body), frames.deflated(15).frame(b"a", body)
        )

    def test_forget(self) -> None:
        """All of it is forgotten together."""
        frames = FramesByWindow()
        body = real_bodies()[0]
        kinds = (frames.plain, frames.deflated(12), frames.deflated(15))
        before = [kind.frame(b"a", body) for kind in kinds]
        frames.forget()
        after = [kind.frame(b"a", body) for kind in kinds]
        self.assertEqual(before, after)
        for one, other in zip(before, after, strict=True):
            self.assertIsNot(one, other)
