# -*- test-case-name: tests.broadcast.test_workers -*-
"""
News between the workers of one machine, passed on by their supervisor.

Each worker has a stream socket to the hub. A frame is a length (4 bytes), the topic
and the sender's name, each behind its length (1 byte), and the payload. The hub looks
for the ends of frames only: what it reads at once from one worker goes to every other
in one piece. A frame without a topic comes from the hub and says that some were lost.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from struct import Struct
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IPushProducer, ITransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from nostrtx.interfaces.processes import IBroadcaster

#: What may wait for a process that does not read; beyond, news is lost.
MAX_UNSENT_BYTES: Final = 16 * 1024 * 1024

#: How long leaving may take while the supervisor does not read.
_LEAVE_SECONDS: Final = 2.0

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


_LOST: Final = pack_news("", "", b"")


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


@implementer(IPushProducer)
class Outlet:
    """
    The way out to one process, with a bound to what waits there.

    Args:
        transport: A stream that tells its producer when it is full.
        caught_up: Called when there is room again after something was lost.

    Attributes:
        lost: How many pieces were thrown away.
    """

    def __init__(self, transport: Any, caught_up: Callable[[], None]) -> None:
        self.lost = 0
        self._transport = transport
        self._caught_up = caught_up
        self._is_full = False
        self._unsent = 0
        self._is_behind = False
        transport.registerProducer(self, True)

    def write(self, frames: bytes) -> bool:
        """Send frames; False if they are thrown away."""
        if self._is_full:
            # After one loss all is lost until there is room: no gap is passed over.
            if self._is_behind or self._unsent + len(frames) > MAX_UNSENT_BYTES:
                self._is_behind = True
                self.lost += 1
                return False
            self._unsent += len(frames)
        self._transport.write(frames)
        return True

    def leave(self) -> None:
        """Close the stream once all is sent."""
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    def pauseProducing(self) -> None:
        """The stream is full; it may say so again and again."""
        self._is_full = True

    def resumeProducing(self) -> None:
        """All has been sent."""
        self._is_full = False
        self._unsent = 0
        if self._is_behind:
            self._is_behind = False
            self._caught_up()

    def stopProducing(self) -> None:
        """The stream is closed."""


class Hub:
    """
    Passes news on between workers; lives in their supervisor.

    Args:
        reactor: Reads and writes.
        farewell: A topic on which the hub says, in the name of a worker that is
            gone, that it is.
    """

    _log = Logger()

    def __init__(self, reactor: Any, farewell: str) -> None:
        self._reactor = reactor
        self._farewell = farewell
        self._peers: set[_Peer] = set()

    def join(self, name: str, descriptor: int) -> None:
        """
        Take in a worker.

        Args:
            name: What it calls itself in its news.
            descriptor: Of a stream socket to it, non-blocking; it is duplicated.
        """
        factory = Factory.forProtocol(lambda: _Peer(self, name))
        self._reactor.adoptStreamConnection(descriptor, socket.AF_UNIX, factory)

    def close(self) -> None:
        """Part with all workers."""
        for peer in tuple(self._peers):
            peer.leave()

    def joined(self, peer: _Peer) -> None:
        """A worker can be told news from now on."""
        self._peers.add(peer)

    def left(self, peer: _Peer) -> None:
        """A worker is gone; tell the others."""
        self._peers.discard(peer)
        self.pass_on(peer, pack_news(self._farewell, peer.name, b""))

    def pass_on(self, sender: _Peer, frames: bytes) -> None:
        """Send frames to all workers but the one they come from."""
        for peer in self._peers:
            if peer is not sender:
                peer.tell(frames)


class _Peer(Protocol):
    """The hub's connection to one worker."""

    def __init__(self, hub: Hub, name: str) -> None:
        self.name = name
        self._hub = hub
        self._frames = Frames()
        self._outlet: Outlet | None = None

    def connectionMade(self) -> None:
        self._outlet = Outlet(self.transport, self._caught_up)
        self._hub.joined(self)

    def dataReceived(self, data: bytes) -> None:
        if frames := self._frames.take(data):
            self._hub.pass_on(self, frames)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._outlet = None
        self._hub.left(self)

    def tell(self, frames: bytes) -> None:
        if self._outlet is not None and not self._outlet.write(frames):
            if self._outlet.lost == 1:
                Hub._log.warn("{name} does not read: news is lost.", name=self.name)

    def leave(self) -> None:
        if self._outlet is not None:
            self._outlet.leave()

    def _caught_up(self) -> None:
        if self._outlet is not None:
            Hub._log.warn(
                "{name} reads again, {count} messages were lost.",
                name=self.name,
                count=self._outlet.lost,
            )
            self._outlet.lost = 0
            self._outlet.write(_LOST)


@implementer(IBroadcaster)
class WorkerBroadcaster:
    """
    Provides :class:`IBroadcaster` between the workers of one machine.

    Args:
        name: What this worker is called.
        reactor: Reads and writes.
        descriptor: Of the socket to the hub; it is closed once it is in use.
    """

    shares_store = True
    _log = Logger()

    def __init__(self, name: str, reactor: Any, descriptor: int) -> None:
        self.name = name
        self._unsent = 0
        self._reactor = reactor
        self._descriptor = descriptor
        self._heard: dict[bytes, list[Callable[[str, bytes], None]]] = {}
        self._connected: list[Callable[[], None]] = []
        self._names: dict[bytes, str] = {}
        self._outlet: Outlet | None = None
        self._left: Deferred[None] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the hub is there."""
        return self._outlet is not None

    def listen(self, topic: str, heard: Callable[[str, bytes], None]) -> None:
        """Have ``heard`` called with what other workers say on ``topic``."""
        self._heard.setdefault(topic.encode("ascii"), []).append(heard)

    def on_connected(self, call: Callable[[], None]) -> None:
        """Have ``call`` made at the start, and after news was lost."""
        self._connected.append(call)

    def start(self) -> Deferred[None]:
        """Use the socket; the hub is at its other end already."""
        factory = Factory.forProtocol(lambda: _Line(self))
        self._reactor.adoptStreamConnection(self._descriptor, socket.AF_UNIX, factory)
        os.close(self._descriptor)
        return succeed(None)

    def publish(self, topic: str, payload: bytes) -> bool:
        """Tell the others; False if the hub is gone or has not read for long."""
        frame = pack_news(topic, self.name, payload)
        if self._outlet is not None and self._outlet.write(frame):
            return True
        self._unsent += 1
        return False

    def facts(self) -> dict[str, int]:
        """How many pieces of news could not be sent."""
        return {"news_unsent": self._unsent}

    def stop(self) -> Deferred[None]:
        """Send what was published, then leave; fires when that is done."""
        if self._outlet is None:
            return succeed(None)
        self._left = Deferred()
        self._outlet.leave()
        return self._left.addTimeout(
            _LEAVE_SECONDS, self._reactor, lambda result, timeout: None
        )

    # -- what the connection calls

    def joined(self, transport: ITransport) -> None:
        """The hub is there."""
        self._outlet = Outlet(transport, self._missed)
        self._missed()

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
                self._missed()
            at = end

    def parted(self) -> None:
        """The hub is gone, or this worker has left it."""
        self._outlet = None
        left, self._left = self._left, None
        if left is not None:
            left.callback(None)

    def _missed(self) -> None:
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


class _Line(Protocol):
    """A worker's connection to the hub."""

    def __init__(self, broadcaster: WorkerBroadcaster) -> None:
        self._broadcaster = broadcaster
        self._frames = Frames()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self._broadcaster.joined(self.transport)

    def dataReceived(self, data: bytes) -> None:
        if frames := self._frames.take(data):
            self._broadcaster.heard(frames)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._broadcaster.parted()
