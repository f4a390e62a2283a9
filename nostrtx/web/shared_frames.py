# -*- test-case-name: tests.web.test_shared_frames -*-
"""
Frames of messages that go to many clients: each is made once.

Such messages differ in their heads at most (a subscription id) and have their body
in common (an event). A body is also compressed once, for all the clients that take
compressed messages (RFC 7692), and no connection has a compressor: a message is the
head as a stored block, then the common blocks. Nothing in them refers to anything
before the body, so it does not matter what else a client has got.
"""

from __future__ import annotations

import zlib
from typing import Final

from nostrtx.web.frames import FRAME_HEADERS

#: Longer bodies go uncompressed: the other clients should not wait for them.
MAX_DEFLATED_BYTES: Final = 128 * 1024

#: The fastest; others take longer and save next to nothing of an event.
_LEVEL: Final = 1

#: What a receiver puts back behind each message.
_TAIL_BYTES: Final = 4


class SharedFrames:
    """
    Frames of the messages around one body, by their heads.

    It keeps those of the body it was last asked for.
    """

    def __init__(self) -> None:
        self._body: bytes | None = None
        self._frames: dict[bytes, bytes] = {}

    def frame(self, head: bytes, body: bytes) -> bytes:
        """
        The whole frame of the message ``head + body``.

        Args:
            head: At most some hundred bytes.
            body: What is common; the very same object as in the call before, if the
                message before had the same body.
        """
        if body is not self._body:
            self._body = body
            self._frames = {}
        frame = self._frames.get(head)
        if frame is None:
            frame = self._frames[head] = self._made(head, body)
        return frame

    def forget(self) -> None:
        """Free what is kept."""
        if self._body is not None:
            self._body = None
            self._frames = {}

    def _made(self, head: bytes, body: bytes) -> bytes:
        return b"".join((FRAME_HEADERS[len(head) + len(body)], head, body))


class BodyDeflater:
    """The one compressor; keeps the body it has compressed last."""

    def __init__(self) -> None:
        self._stream = zlib.compressobj(_LEVEL, wbits=-zlib.MAX_WBITS)
        self._body: bytes | None = None
        self._blocks = b""

    def blocks(self, body: bytes) -> bytes:
        """
        Deflate blocks that stand for ``body`` and refer to nothing before it.

        They end at a byte boundary, with the tail cut off that RFC 7692 (section
        7.2.1) has every message cut off.
        """
        if body is not self._body:
            stream = self._stream
            blocks = stream.compress(body) + stream.flush(zlib.Z_FULL_FLUSH)
            self._blocks = blocks[:-_TAIL_BYTES]
            self._body = body
        return self._blocks


class DeflatedFrames(SharedFrames):
    """
    The same for clients that take compressed messages.

    Args:
        deflater: Is shared by all.
        window_bits: How far back the blocks may refer, as a power of two. Not all
            compressors can be held to that, so a longer body goes uncompressed.
    """

    def __init__(self, deflater: BodyDeflater, window_bits: int) -> None:
        super().__init__()
        self._deflater = deflater
        self._longest = (
            MAX_DEFLATED_BYTES if window_bits == zlib.MAX_WBITS else 1 << window_bits
        )

    def _made(self, head: bytes, body: bytes) -> bytes:
        if len(body) > self._longest:
            return super()._made(head, body)
        blocks = self._deflater.blocks(body)
        stored = len(head)
        length = 5 + stored + len(blocks)
        if length >= stored + len(body):
            return super()._made(head, body)
        return b"".join(
            (
                b"\xc1",  # FIN, RSV1, text
                FRAME_HEADERS[length][1:],
                b"\x00",
                stored.to_bytes(2, "little"),
                (stored ^ 0xFFFF).to_bytes(2, "little"),
                head,
                blocks,
            )
        )


class FramesByWindow:
    """
    The frames of a process, by what their receivers take.

    Attributes:
        plain: For clients that take no compressed messages.
    """

    def __init__(self) -> None:
        self.plain = SharedFrames()
        self._deflater: BodyDeflater | None = None
        self._deflated: dict[int, DeflatedFrames] = {}

    def deflated(self, window_bits: int) -> DeflatedFrames:
        """For clients that take compressed messages with this window."""
        frames = self._deflated.get(window_bits)
        if frames is None:
            if self._deflater is None:
                self._deflater = BodyDeflater()
            frames = DeflatedFrames(self._deflater, window_bits)
            self._deflated[window_bits] = frames
        return frames

    def forget(self) -> None:
        """Free what was made for the messages of this turn."""
        self.plain.forget()
        for frames in self._deflated.values():
            frames.forget()
