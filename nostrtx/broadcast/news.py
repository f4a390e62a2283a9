# -*- test-case-name: tests.broadcast.test_workers -*-
"""
News on streams between processes of one machine: frames, and who listens to them.

A frame is a length (4 bytes), the topic and the sender's name, each behind its length
(1 byte), and the payload. One without a topic says that some were lost.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final

from twisted.logger import Logger

_LENGTH = Struct(">I")


def pack_news(topic: str, sender: str, payload: bytes) -> bytes:
    """One piece of news as a frame."""
    topic_bytes, name = topic.encode("ascii"), sender.encode()
    return b"".join(
        (
            _LENGTH.pack(2 + len(topic_bytes) + len(name) + len(payload)),
            bytes((len(topic_bytes),)),
            topic_bytes,
            bytes((len(name),)),
            name,
            payload,
        )
    )


#: Says that news was lost.
LOST: Final = pack_news("", "", b"")


def end_of_frames(received: bytes | bytearray) -> int:
    """Where the last complete frame of ``received`` ends."""
    at, size = 0, len(received)
    while at + 4 <= size:
        end = at + 4 + _LENGTH.unpack_from(received, at)[0]
        if end > size:
            break
        at = end
    return at


class Frames:
    """Gathers what arrives until frames are complete."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def take(self, data: bytes) -> bytes:
        """Take what has arrived; all frames that are complete now, in one piece."""
        rest = self._rest
        if not rest:
            end = end_of_frames(data)
            if end == len(data):
                return data
            rest += data[end:]
            return data[:end]
        rest += data
        end = end_of_frames(rest)
        if not end:
            return b""
        frames = bytes(rest[:end])
        del rest[:end]
        return frames


class Listeners:
    """Whoever listens to news, and wants to know when some was lost."""

    _log = Logger()

    def __init__(self) -> None:
        self._heard: dict[bytes, list[Callable[[str, bytes], None]]] = {}
        self._connected: list[Callable[[], None]] = []
        self._names: dict[bytes, str] = {}

    def listen(self, topic: str, heard: Callable[[str, bytes], None]) -> None:
        """Have ``heard`` called with what others say on ``topic``."""
        self._heard.setdefault(topic.encode("ascii"), []).append(heard)

    def on_connected(self, call: Callable[[], None]) -> None:
        """Have ``call`` made at the start, and after news was lost."""
        self._connected.append(call)

    def heard(self, frames: bytes) -> None:
        """Call whoever listens to what these complete frames say."""
        at, size = 0, len(frames)
        while at < size:
            topic_end = at + 5 + frames[at + 4]
            name_end = topic_end + 1 + frames[topic_end]
            end = at + 4 + _LENGTH.unpack_from(frames, at)[0]
            calls = self._heard.get(frames[at + 5 : topic_end])
            if calls is not None:
                sender = self._name(frames[topic_end + 1 : name_end])
                payload = frames[name_end:end]
                for call in calls:
                    try:
                        call(sender, payload)
                    except Exception:
                        self._log.failure("Taking in news failed.")
            elif topic_end == at + 5:
                self.missed()
            at = end

    def missed(self) -> None:
        """News was lost, from here or to here; the listeners know what to do."""
        for call in self._connected:
            try:
                call()
            except Exception:
                self._log.failure("Catching up with lost news failed.")

    def _name(self, name: bytes) -> str:
        known = self._names.get(name)
        if known is None:
            known = self._names[name] = name.decode()
        return known
