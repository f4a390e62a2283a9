# -*- test-case-name: tests.broadcast.test_workers -*-
"""
The hub between processes of one machine, each at a stream socket.

It looks for the ends of frames only: what it reads at once from one process goes to
every other in one piece.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from nostrtx.broadcast.envelope import VERSION
from nostrtx.broadcast.news import LOST, Frames, pack_news
from nostrtx.interfaces.processes import IMeeting

#: What may wait for a process that does not read; beyond, news is lost.
MAX_UNSENT_BYTES: Final = 16 * 1024 * 1024

#: How long leaving may take while the other side does not read.
LEAVE_SECONDS: Final = 2.0


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


@implementer(IMeeting)
class Hub:
    """
    Passes news on between processes; lives in the supervisor of workers.

    Args:
        reactor: Reads and writes.
        farewell: A topic on which the hub says, in the name of a process that is
            gone, that it is.
        heard: Called with frames of any of them, for whoever is in this very process.
        arrived: Called when there is one more.
    """

    version = str(VERSION)
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        farewell: str,
        heard: Callable[[bytes], None] = lambda frames: None,
        arrived: Callable[[], None] = lambda: None,
    ) -> None:
        self._reactor = reactor
        self._farewell = farewell
        self._heard = heard
        self._arrived = arrived
        self._peers: set[_Peer] = set()
        self._empty: list[Deferred[None]] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is nobody to be told anything."""
        return not self._peers

    def join(self, name: str, descriptor: int) -> None:
        """See :meth:`IMeeting.join`."""
        factory = Factory.forProtocol(lambda: _Peer(self, name))
        self._reactor.adoptStreamConnection(descriptor, socket.AF_UNIX, factory)

    def tell(self, frames: bytes) -> None:
        """Send frames to all."""
        for peer in self._peers:
            peer.tell(frames)

    def close(self) -> Deferred[None]:
        """Part with all processes; fires when what was to be sent has been."""
        if not self._peers:
            return succeed(None)
        empty: Deferred[None] = Deferred()
        self._empty.append(empty)
        left = empty.addTimeout(
            LEAVE_SECONDS, self._reactor, lambda result, timeout: None
        )
        for peer in tuple(self._peers):
            peer.leave()
        return left

    # -- what the connections call

    def joined(self, peer: _Peer) -> None:
        """A process can be told news from now on."""
        self._peers.add(peer)
        self._arrived()

    def left(self, peer: _Peer) -> None:
        """A process is gone; tell the others."""
        self._peers.discard(peer)
        self.pass_on(peer, pack_news(self._farewell, peer.name, b""))
        if not self._peers:
            waiting, self._empty = self._empty, []
            for each in waiting:
                if not each.called:
                    each.callback(None)

    def pass_on(self, sender: _Peer, frames: bytes) -> None:
        """Send frames to all processes but the one they come from."""
        for peer in self._peers:
            if peer is not sender:
                peer.tell(frames)
        self._heard(frames)


class _Peer(Protocol):
    """The hub's connection to one process."""

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
            self._outlet.write(LOST)
