"""Tests for :mod:`nostrtx.turns`."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyClass, verifyObject

from nostrtx.interfaces.edge import ITurns
from nostrtx.turns import EpollTurns, ScheduledTurns, turns_of


class _Work:
    """
    Work that is done at the end of turns.

    Args:
        name: What it writes down each time.
        seen: Where.
        leaves: For how many calls it leaves work behind.
    """

    def __init__(self, name: str, seen: list[str], leaves: int = 0) -> None:
        self._name = name
        self._seen = seen
        self._leaves = leaves

    def __call__(self) -> bool:
        self._seen.append(self._name)
        self._leaves -= 1
        return self._leaves >= 0


class _TwoFaults:
    """A call that raises twice and is fine then."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> bool:
        self.calls += 1
        if self.calls <= 2:
            raise RuntimeError("no")
        return False


class ScheduledTurnsTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.turns.ScheduledTurns`."""

    def setUp(self) -> None:
        """Begin with no calls."""
        self.clock = Clock()
        self.turns = ScheduledTurns(self.clock)
        self.seen: list[str] = []

    def test_interface(self) -> None:
        """They are turns."""
        self.assertTrue(verifyClass(ITurns, ScheduledTurns))
        self.assertTrue(verifyObject(ITurns, self.turns))

    def test_once(self) -> None:
        """Calls are made in order, once, however often they are asked for."""
        for name in "abc":
            self.turns.at_end(_Work(name, self.seen))
        self.turns.needed()
        self.turns.needed()
        self.assertEqual(self.seen, [])
        self.clock.advance(0)
        self.assertEqual(self.seen, ["a", "b", "c"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_again(self) -> None:
        """They can be asked for again in a later turn."""
        self.turns.at_end(_Work("a", self.seen))
        for _ in range(3):
            self.turns.needed()
            self.clock.advance(0)
        self.assertEqual(self.seen, ["a", "a", "a"])

    def test_work_left(self) -> None:
        """As long as a call leaves work, all are made in the next turn as well."""
        self.turns.at_end(_Work("a", self.seen, leaves=2))
        self.turns.at_end(_Work("b", self.seen))
        self.turns.needed()
        self.clock.pump([0] * 10)
        self.assertEqual(self.seen, ["a", "b"] * 3)

    def test_needed_by_a_call(self) -> None:
        """A call may ask for the next turn."""

        def call() -> bool:
            self.seen.append("a")
            if len(self.seen) < 3:
                self.turns.needed()
            return False

        self.turns.at_end(call)
        self.turns.needed()
        self.clock.pump([0] * 10)
        self.assertEqual(self.seen, ["a"] * 3)

    def test_fault(self) -> None:
        """A call that raises is logged, keeps none from theirs, and is made again."""
        faulty = _TwoFaults()
        self.turns.at_end(faulty)
        self.turns.at_end(_Work("b", self.seen))
        for _ in range(3):
            self.turns.needed()
            self.clock.advance(0)
        self.assertEqual(self.seen, ["b"] * 3)
        self.assertEqual(faulty.calls, 3)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)


class _Poller:
    """
    The reactor's epoll object, which never waits and writes down how long it should.

    Args:
        epoll: The real one.
    """

    def __init__(self, epoll: Any) -> None:
        self._epoll = epoll
        self.timeouts: list[float] = []
        self.interrupted = False

    def poll(self, timeout: float, max_events: int) -> Any:
        """What is ready now."""
        self.timeouts.append(timeout)
        if self.interrupted:
            raise InterruptedError
        return self._epoll.poll(0, max_events)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)


@implementer(IReadDescriptor)
class _Reader:
    """
    One end of a socket pair, read by a reactor.

    Args:
        on_read: What reading does; its result is the reactor's to judge.

    Attributes:
        peer: The other end.
        lost: Why the connection was lost, if it was.
    """

    def __init__(self, on_read: Callable[[bytes], Any]) -> None:
        self._socket, self.peer = socket.socketpair()
        self._on_read = on_read
        self.lost: list[Failure] = []

    def fileno(self) -> int:
        """The descriptor, for the reactor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """A name, for the reactor."""
        return "reader"

    def doRead(self) -> Any:
        """Read what is there."""
        return self._on_read(self._socket.recv(100))

    def doWrite(self) -> Any:
        """Say that writing was possible."""
        return self._on_read(b"<writable>")

    def connectionLost(self, reason: Failure) -> None:
        """Remember why."""
        self.lost.append(reason)

    def close(self) -> None:
        """Close both ends."""
        self._socket.close()
        self.peer.close()


class EpollTurnsTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.turns.EpollTurns`, on a reactor that does not run."""

    def setUp(self) -> None:
        """Take over a reactor of our own."""
        self.reactor: Any = EPollReactor()
        self.addCleanup(self.reactor.waker.connectionLost, None)
        self.addCleanup(self.reactor._poller.close)
        self.poller = _Poller(self.reactor._poller)
        self.reactor._poller = self.poller
        self.turns = EpollTurns(self.reactor)
        self.seen: list[Any] = []

    def reader(self, on_read: Callable[[bytes], Any] | None = None) -> _Reader:
        """A socket that the reactor reads from."""
        reader = _Reader(on_read or self.seen.append)
        self.addCleanup(reader.close)
        self.reactor.addReader(reader)
        return reader

    def test_interface(self) -> None:
        """They are turns, and the reader is what reactors read."""
        self.assertTrue(verifyClass(ITurns, EpollTurns))
        self.assertTrue(verifyObject(ITurns, self.turns))
        self.assertTrue(verifyObject(IReadDescriptor, self.reader()))

    def test_every_turn(self) -> None:
        """Calls are made in order, in every turn, before the reactor polls."""
        for name in "ab":
            self.turns.at_end(_Work(name, self.seen))
        self.turns.needed()
        self.assertEqual(self.seen, [])
        reader = self.reader()
        reader.peer.send(b"x")
        for _ in range(2):
            self.reactor.doIteration(0)
        self.assertEqual(self.seen, ["a", "b", b"x", "a", "b"])

    def test_work_left(self) -> None:
        """The reactor does not wait while a call leaves work."""
        self.turns.at_end(_Work("a", self.seen, leaves=2))
        self.reactor.callLater(1000, self.fail)
        for _ in range(3):
            self.reactor.doIteration(500)
        self.assertEqual(self.poller.timeouts[:2], [0, 0])
        self.assertGreater(self.poller.timeouts[2], 100)

    def test_waits_for_calls_scheduled_meanwhile(self) -> None:
        """What a call schedules is not slept through, timed calls or none before."""

        def call() -> bool:
            self.reactor.callLater(0, self.fail)
            return False

        self.turns.at_end(call)
        self.reactor.doIteration(None)
        self.reactor.doIteration(500)
        self.assertEqual(self.poller.timeouts, [0, 0])

    def test_waits_for_ever(self) -> None:
        """With nothing scheduled the reactor waits until something happens."""
        self.reactor.doIteration(None)
        self.assertEqual(self.poller.timeouts, [-1])

    def test_does_not_wait(self) -> None:
        """A reactor that is about to stop, or must not wait, does not."""
        self.reactor.callLater(1000, self.fail)
        for timeout in (0, False):
            self.reactor.doIteration(timeout)
        self.assertEqual(self.poller.timeouts, [0, 0])

    def test_fault(self) -> None:
        """A call that raises is logged, and the turn goes on."""
        self.turns.at_end(_TwoFaults())
        self.turns.at_end(_Work("b", self.seen))
        self.reactor.doIteration(0)
        self.assertEqual(self.seen, ["b"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_reads(self) -> None:
        """What has arrived is read, in as many turns as it takes."""
        reader = self.reader()
        for text in (b"1", b"2"):
            reader.peer.send(text)
            self.reactor.doIteration(0)
        self.reactor.doIteration(0)
        self.assertEqual(self.seen, [b"1", b"2"])
        self.assertEqual(reader.lost, [])

    def test_loss(self) -> None:
        """A connection whose reading ends is taken from the reactor and told why."""
        reader = self.reader(lambda data: ConnectionDone())
        reader.peer.send(b"x")
        self.reactor.doIteration(0)
        self.assertEqual([f.type for f in reader.lost], [ConnectionDone])
        self.assertNotIn(reader, self.reactor.getReaders())

    def test_hang_up(self) -> None:
        """A peer that goes away is noticed."""
        reader = self.reader(lambda data: None if data else ConnectionDone())
        reader.peer.close()
        self.reactor.doIteration(0)
        self.assertEqual(len(reader.lost), 1)
        self.assertNotIn(reader, self.reactor.getReaders())

    def test_reading_raises(self) -> None:
        """An error in reading is logged once and ends that connection only."""

        def fail(data: bytes) -> None:
            raise ValueError(data)

        bad, good = self.reader(fail), self.reader()
        for reader in (bad, good):
            reader.peer.send(b"x")
        self.reactor.doIteration(0)
        self.assertEqual([f.type for f in bad.lost], [ValueError])
        self.assertEqual((self.seen, good.lost), ([b"x"], []))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_writes(self) -> None:
        """Writing goes the reactor's own way."""
        reader = self.reader()
        self.reactor.addWriter(reader)
        reader.peer.send(b"x")
        self.reactor.doIteration(0)
        self.assertEqual(sorted(self.seen), [b"<writable>", b"x"])

    def test_removed_meanwhile(self) -> None:
        """What another reader has removed in the same turn is not read."""
        readers: list[_Reader] = []

        def remove_all(data: bytes) -> None:
            self.seen.append(data)
            for reader in readers:
                self.reactor.removeReader(reader)

        readers += [self.reader(remove_all), self.reader(remove_all)]
        for reader in readers:
            reader.peer.send(b"x")
        self.reactor.doIteration(0)
        self.assertEqual(self.seen, [b"x"])

    def test_interrupted(self) -> None:
        """A signal that interrupts waiting ends the turn and nothing else."""
        self.turns.at_end(_Work("a", self.seen))
        self.poller.interrupted = True
        self.reactor.doIteration(0)
        self.poller.interrupted = False
        self.reactor.doIteration(0)
        self.assertEqual(self.seen, ["a", "a"])


class TurnsOfTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.turns.turns_of`."""

    def test_epoll(self) -> None:
        """Twisted's epoll reactor is taken over, one derived from it is not."""

        class Derived(EPollReactor):
            """A reactor of somebody else's."""

        for kind, turns in ((EPollReactor, EpollTurns), (Derived, ScheduledTurns)):
            reactor: Any = kind()
            self.addCleanup(reactor.waker.connectionLost, None)
            self.addCleanup(reactor._poller.close)
            self.assertIs(type(turns_of(reactor)), turns)

    def test_others(self) -> None:
        """Any clock will do."""
        self.assertIsInstance(turns_of(Clock()), ScheduledTurns)
