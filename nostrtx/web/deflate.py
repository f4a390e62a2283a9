# -*- test-case-name: tests.web.test_deflate -*-
"""
permessage-deflate (RFC 7692): what is agreed on, and what clients send compressed.

A client is always asked to compress each message by itself. So an inflater lives as
long as one message, and a connection has none while it rests.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
from autobahn.exception import PayloadCorruptError, PayloadExceededError

_EXTENSION: Final = "permessage-deflate"

#: What senders cut off, and then a last block: if it is not found to be the last, a
#: block before it was not complete.
_END: Final = b"\x00\x00\xff\xff\x03\x00"

#: What may be left of a message behind a block that said it was the last one.
_LEFT_BEHIND: Final = frozenset((b"", _END, b"\x00" + _END))

_FLAGS: Final = frozenset(("server_no_context_takeover", "client_no_context_takeover"))
_WINDOWS: Final = frozenset(("server_max_window_bits", "client_max_window_bits"))
_WINDOW_BITS: Final = {str(bits): bits for bits in range(8, 16)}


@attrs.frozen(slots=True)
class Agreement:
    """
    What holds for a connection with compressed messages.

    Attributes:
        answer: The ``Sec-WebSocket-Extensions`` of the handshake's answer.
        window_bits: How far back the relay's messages may refer, as a power of two.
    """

    answer: str
    window_bits: int


def agree(
    offers: Iterable[tuple[str, Mapping[str, Sequence[str | bool]]]],
) -> Agreement | None:
    """
    Take the first offer that can be taken, if any.

    Args:
        offers: The client's ``Sec-WebSocket-Extensions``: names, each with the values
            of its parameters; True where a parameter has none.
    """
    for name, parameters in offers:
        if name == _EXTENSION and _is_valid(parameters):
            break
    else:
        return None
    answer = f"{_EXTENSION}; client_no_context_takeover"
    if "server_no_context_takeover" in parameters:
        answer += "; server_no_context_takeover"
    window_bits = zlib.MAX_WBITS
    if "server_max_window_bits" in parameters:
        window_bits = _WINDOW_BITS[str(parameters["server_max_window_bits"][0])]
        answer += f"; server_max_window_bits={window_bits}"
    return Agreement(answer, window_bits)


def _is_valid(parameters: Mapping[str, Sequence[str | bool]]) -> bool:
    """Whether an offer is one of RFC 7692, section 7.1; others are declined."""
    for name, values in parameters.items():
        if len(values) != 1:
            return False
        value = values[0]
        if name in _FLAGS:
            if value is not True:
                return False
        elif name not in _WINDOWS:
            return False
        elif value not in _WINDOW_BITS and (
            value is not True or name == "server_max_window_bits"
        ):
            return False
    return True


def inflated(payload: bytes, limit: int) -> bytes:
    """
    What a message of one frame stands for.

    Raises:
        ValueError: That is more than ``limit`` bytes, or the message is not compressed
            properly. No more than that is ever inflated.
    """
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        message = stream.decompress(payload + _END, limit + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if len(message) > limit or not _has_ended(stream):
        raise ValueError("too long, or not complete")
    return message


def _has_ended(stream: Any) -> bool:
    return stream.eof and stream.unused_data in _LEFT_BEHIND


class Inflater:
    """
    What Autobahn's parser asks of an extension, for messages in several pieces.

    The names are Autobahn's.
    """

    EXTENSION_NAME = _EXTENSION
    __slots__ = ("_stream",)

    def __init__(self) -> None:
        self._stream: Any = None

    def start_decompress_message(self) -> None:
        """A message begins."""
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)

    def decompress_message_data(
        self, data: bytes, max_output_len: int | None = None
    ) -> bytes:
        """
        What a piece of the message stands for.

        Raises:
            PayloadCorruptError: It is not compressed properly.
            PayloadExceededError: That is more than ``max_output_len`` bytes.
        """
        limit = max(0, max_output_len or 0)
        try:
            message: bytes = self._stream.decompress(data, limit + 1)
        except zlib.error as error:
            raise PayloadCorruptError(f"invalid {_EXTENSION} data: {error}") from None
        if len(message) > limit:
            raise PayloadExceededError("too long when decompressed")
        return message

    def end_decompress_message(self) -> None:
        """
        The message is complete.

        Raises:
            PayloadCorruptError: It is not.
        """
        stream, self._stream = self._stream, None
        try:
            rest = stream.decompress(_END)
        except zlib.error as error:
            raise PayloadCorruptError(f"invalid {_EXTENSION} data: {error}") from None
        if rest or not _has_ended(stream):
            raise PayloadCorruptError("the last block is not complete")
