# -*- test-case-name: tests.broadcast.test_workers -*-
"""News between the workers of one machine, passed on by the hub in their supervisor."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from nostrtx.broadcast.hub import LEAVE_SECONDS, Outlet
from nostrtx.broadcast.news import Frames, Listeners, pack_news
from nostrtx.interfaces.processes import IBroadcaster


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

    def __init__(self, name: str, reactor: Any, descriptor: int) -> None:
        self.name = name
        self._unsent = 0
        self._reactor = reactor
        self._descriptor = descriptor
        self._listeners = Listeners()
        self.heard = self._listeners.heard
        self._outlet: Outlet | None = None
        self._left: Deferred[None] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the hub is there."""
        return self._outlet is not None

    def listen(self, topic: str, heard: Callable[[str, bytes], None]) -> None:
        """Have ``heard`` called with what other workers say on ``topic``."""
        self._listeners.listen(topic, heard)

    def on_connected(self, call: Callable[[], None]) -> None:
        """Have ``call`` made at the start, and after news was lost."""
        self._listeners.on_connected(call)

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
            LEAVE_SECONDS, self._reactor, lambda result, timeout: None
        )

    # -- what the connection calls

    def joined(self, transport: ITransport) -> None:
        """The hub is there."""
        self._outlet = Outlet(transport, self._listeners.missed)
        self._listeners.missed()

    def parted(self) -> None:
        """The hub is gone, or this worker has left it."""
        self._outlet = None
        left, self._left = self._left, None
        if left is not None:
            left.callback(None)


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
