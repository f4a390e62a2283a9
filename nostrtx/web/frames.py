# -*- test-case-name: tests.web.test_frames -*-
"""
Frames of RFC 6455, the short way: reading what clients send nearly always.

A complete, unfragmented, masked text frame, compressed or not, is read straight from
the received bytes, which costs a tenth of Autobahn's own parser. Everything else
(fragments, control frames, binary, large or malformed frames) is left to Autobahn, and
what is sent, reported and left behind is the same byte for byte. Differential tests
prove that; they must be kept, as this reads private names of Autobahn's parser.
"""

from __future__ import annotations

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.xormasker import (  # type: ignore[attr-defined]
    create_xor_masker,
)

from nostrtx.web.deflate import Inflater, inflated

_OPEN = WebSocketServerProtocol.STATE_OPEN
_CLOSED = WebSocketServerProtocol.STATE_CLOSED

#: From this length on, Autobahn's vectorised masker beats a big integer's XOR.
_LONG_PAYLOAD = 1500

#: An incomplete frame of more than this is left to Autobahn, which unmasks it
#: piece by piece as it arrives.
_STREAMED_PAYLOAD = 16384

#: Most of a control frame that Autobahn may gather after it failed a connection.
#: A valid control frame has 125 bytes; a forged length is gathered without end.
_CONTROL_FRAME_LIMIT = 65535


class _FrameHeaders(dict[int, bytes]):
    """Headers by payload length; those of common lengths are made once."""

    def __missing__(self, length: int) -> bytes:
        if length < 126:
            header = bytes((0x81, length))
        elif length < 65536:
            header = b"\x81\x7e" + length.to_bytes(2, "big")
        else:
            return b"\x81\x7f" + length.to_bytes(8, "big")
        self[length] = header
        return header


FRAME_HEADERS = _FrameHeaders()


def frame_header(length: int) -> bytes:
    """The header of an unfragmented, unmasked text frame of ``length`` bytes."""
    return FRAME_HEADERS[length]


class FastReceivingProtocol(WebSocketServerProtocol):
    """
    Autobahn's server protocol with a short cut for the usual frame.

    A message read by the short cut goes to :meth:`text_received`, any other to
    ``onMessage`` as usual; their order is that of arrival.

    ``maxMessagePayloadSize`` and ``maxFramePayloadSize`` must be the same, and not 0.

    Attributes:
        bytes_received: All that has arrived since the handshake began.
        messages_received: Text messages that took the short cut.
    """

    maxMessagePayloadSize: int  # noqa: N815
    _perMessageCompress: Inflater | None  # type: ignore[assignment] # noqa: N815
    _isMessageCompressed = False  # noqa: N815
    bytes_received = 0
    messages_received = 0

    def text_received(self, text: bytes) -> None:
        """
        Take one text message; its UTF-8 has been checked.

        Must not raise: the rest of what was received would be lost.
        """
        raise NotImplementedError

    def dataReceived(self, data: bytes) -> None:
        """Take what has arrived on the transport."""
        self.bytes_received += len(data)
        if self.state != _OPEN:
            self.data += data
            self.consumeData()
        elif self.current_frame is not None or self.inside_message:
            self.data += data
            self._read_with_autobahn()
        elif self.data:
            data = self.data + data
            self.data = b""
            self._read_frames(data)
        else:
            self._read_frames(data)

    def _read_with_autobahn(self) -> None:
        """Let Autobahn work until it stands between two messages."""
        while self.processData() and self.state != _CLOSED:
            if (
                self.current_frame is None
                and not self.inside_message
                and self.state == _OPEN
            ):
                data, self.data = self.data, b""
                self._read_frames(data)
                return

    def _read_frames(self, data: bytes) -> None:
        """Read text frames from ``data``, which begins with a frame."""
        start = 0
        end = len(data)
        limit = self.maxMessagePayloadSize
        text_received = self.text_received
        while end - start >= 6:
            length = data[start + 1] - 0x80
            if length < 0 or (
                data[start] != 0x81
                and (data[start] != 0xC1 or self._perMessageCompress is None)
            ):
                break  # not the whole of a masked text message
            payload_at = start + 6
            if length == 126:
                payload_at = start + 8
                if payload_at > end:
                    break
                length = data[start + 2] << 8 | data[start + 3]
                if length < 126:
                    break
            elif length == 127:
                break
            if length > limit:
                break
            frame_end = payload_at + length
            if frame_end > end:
                if length > _STREAMED_PAYLOAD:
                    break
                self.data = data[start:] if start else data
                return
            mask = data[payload_at - 4 : payload_at]
            if length < _LONG_PAYLOAD:
                text = (
                    int.from_bytes(data[payload_at:frame_end], "little")
                    ^ int.from_bytes((mask * ((length >> 2) + 1))[:length], "little")
                ).to_bytes(length, "little")
            else:
                text = create_xor_masker(mask, length).process(
                    data[payload_at:frame_end]
                )
            try:
                if data[start] == 0xC1:
                    text = inflated(text, limit)
                text.decode()
            except ValueError:
                break  # Autobahn reads the frame again and fails with its own words
            start = frame_end
            self.messages_received += 1
            text_received(text)
            if self.state != _OPEN:
                self.data = data[start:]
                if self.data:
                    self.consumeData()
                return
        else:
            # A header that is wrong already must not wait for its third byte.
            if end - start < 2 or (data[start] == 0x81 and data[start + 1] >= 0x80):
                self.data = data[start:] if start else data
                return
        self.data = data[start:] if start else data
        self._read_with_autobahn()

    def onMessageFrameBegin(self, length: int) -> None:
        """
        Take note of a data frame that Autobahn reads.

        Of a compressed message only what it stands for counts against the limit;
        Autobahn would add what is still to be inflated.
        """
        if self._isMessageCompressed and length <= 2 * self.maxMessagePayloadSize:
            self.frame_length = length
            self.frame_data = []
        else:
            super().onMessageFrameBegin(length)

    def onFrameData(self, payload: bytes) -> bool | None:
        """Take a part of a frame that Autobahn reads."""
        frame = self.current_frame
        if frame.opcode > 7:
            if self.failedByMe and frame.length > _CONTROL_FRAME_LIMIT:
                return None
        elif self._isMessageCompressed:
            self.message_data_total_length += len(payload)
        ongoing: bool | None = super().onFrameData(payload)
        if ongoing is False and self._isMessageCompressed:
            # It could not be inflated. What is left of the message is passed over,
            # for the answer to our good-bye comes behind it.
            self._isMessageCompressed = False
            self.utf8validateIncomingCurrentMessage = False
            return None
        return ongoing

    def onFrameEnd(self) -> bool | None:
        """Take the end of a frame that Autobahn reads."""
        ongoing: bool | None = super().onFrameEnd()
        if ongoing is False and self._isMessageCompressed:
            self.current_frame = None  # type: ignore[assignment]
            self.inside_message = False
            return None
        return ongoing
