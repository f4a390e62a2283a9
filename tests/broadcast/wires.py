"""Stream sockets between a hub and its workers that are none."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from nostrtx.broadcast.hub import Hub
from nostrtx.broadcast.workers import WorkerBroadcaster

#: What a stream takes before it is full, in bytes.
ROOM = 65536


class End:
    """
    One end of a stream, as a transport for the protocol there.

    Attributes:
        other: The other end.
        reads: Whether this end takes what the other one writes.
        unread: What is on the way to this end.
    """

    def __init__(self) -> None:
        self.other: End = self
        self.reads = True
        self.unread = bytearray()
        self.is_closing = False
        self.protocol: Any = None
        self._producer: Any = None
        self._is_full = False

    def attach(self, protocol: Any) -> None:
        """Let a protocol use this end."""
        self.protocol = protocol
        protocol.makeConnection(self)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Tell ``producer`` when the other end has enough."""
        assert streaming
        assert IPushProducer.providedBy(producer)
        self._producer = producer

    def unregisterProducer(self) -> None:
        """Tell nobody any more."""
        self._producer = None

    def write(self, data: bytes) -> None:
        """Send."""
        self.other.unread += data
        if len(self.other.unread) > ROOM and self._producer is not None:
            self._is_full = True
            self._producer.pauseProducing()

    def loseConnection(self) -> None:
        """Close once all is sent."""
        assert self._producer is None, "a stream with a producer is not closed"
        self.is_closing = True

    def deliver(self, step: int) -> bool:
        """Hand over what has come, so many bytes at a time; whether there was any."""
        if not self.reads or not self.unread or self.protocol is None:
            return False
        data = bytes(self.unread)
        self.unread.clear()
        for at in range(0, len(data), step):
            self.protocol.dataReceived(data[at : at + step])
        if self.other._is_full:
            self.other._is_full = False
            if self.other._producer is not None:
                self.other._producer.resumeProducing()
        return True

    def hang_up(self) -> None:
        """Both ends learn that it is over."""
        for end in (self, self.other):
            protocol, end.protocol = end.protocol, None
            if protocol is not None:
                protocol.connectionLost(Failure(ConnectionDone()))


class WireReactor(MemoryReactorClock):
    """A reactor that connects what adopts the two ends of one of its streams."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: dict[int, End] = {}

    def stream(self) -> tuple[int, int]:
        """Descriptors of both ends of a stream."""
        one, two = End(), End()
        one.other, two.other = two, one
        numbers = []
        for end in (one, two):
            # Real ones, for whoever adopts them closes them.
            number = os.open(os.devnull, os.O_RDONLY)
            self.ends[number] = end
            numbers.append(number)
        return numbers[0], numbers[1]

    def adoptStreamConnection(self, descriptor: int, family: int, factory: Any) -> None:
        """Let a factory's protocol use one end."""
        self.ends[descriptor].attach(factory.buildProtocol(None))


class Machine:
    """
    A hub and workers.

    Attributes:
        reactor: All of them use it.
        hub: The hub.
        workers: By name.
        step: Streams give so many bytes at a time.
    """

    def __init__(self, *names: str, farewell: str = "farewell") -> None:
        self.reactor = WireReactor()
        self.hub = Hub(self.reactor, farewell)
        self.workers: dict[str, WorkerBroadcaster] = {}
        self.step = 65536
        self._ends: dict[str, End] = {}
        self._all: list[End] = []
        for name in names:
            self.add(name)

    def add(self, name: str) -> WorkerBroadcaster:
        """One more worker, which has not started."""
        ours, theirs = self.reactor.stream()
        self.hub.join(name, ours)
        os.close(ours)
        end = self._ends[name] = self.reactor.ends[theirs]
        self._all += [end, end.other]
        worker = WorkerBroadcaster(name, self.reactor, theirs)
        self.workers[name] = worker
        return worker

    def start(self) -> None:
        """Start all workers."""
        for worker in self.workers.values():
            worker.start()  # type: ignore[unused-awaitable]

    def end_of(self, name: str) -> End:
        """A worker's end of its stream."""
        return self._ends[name]

    def pump(self) -> None:
        """Let everything arrive."""
        while any(end.deliver(self.step) for end in self._all):
            pass
        for end in self._all:
            if end.is_closing and end.protocol is not None:
                end.hang_up()
