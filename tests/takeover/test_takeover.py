"""Tests for :mod:`nostrtx.takeover.takeover` and :mod:`nostrtx.takeover.lines`."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from tempfile import mkdtemp

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from nostrtx.cannot_serve import CannotServe
from nostrtx.interfaces.processes import IMeeting
from nostrtx.takeover.offer import Key, Offer, receive_offer
from nostrtx.takeover.ports import IKeptPorts
from nostrtx.takeover.taken import TakenSockets
from nostrtx.takeover.takeover import Takeover, no_takeover
from tests.takeover.reactor import TakeoverReactor


@implementer(IKeptPorts)
class Ports:
    """
    One port that is none.

    Attributes:
        history: What it was told.
        file: Stands for its socket.
    """

    def __init__(self) -> None:
        self.history: list[str] = []
        self.file = os.memfd_create("port")

    def descriptors(self) -> dict[Key, list[int]]:
        """It."""
        return {("tcp", "", "80"): [self.file]}

    def own(self) -> None:
        """Write it down."""
        self.history.append("own")

    def let_go(self) -> None:
        """Write it down."""
        self.history.append("let go")


@implementer(IMeeting)
class Meeting:
    """
    Where news would be told.

    Attributes:
        version: Of the news.
        others: Who joined, each with the stream to it.
    """

    def __init__(self) -> None:
        self.version = "1"
        self.others: dict[str, socket.socket] = {}

    def join(self, name: str, descriptor: int) -> None:
        """Take in a process."""
        self.others[name] = socket.socket(fileno=os.dup(descriptor))

    def close(self) -> None:
        """Part with all."""
        for other in self.others.values():
            other.close()


class Process:
    """
    A relay process, as far as it takes over and hands over.

    Args:
        path: Where processes meet.
        before: The one before it, which runs meanwhile; None if there is none.
    """

    def __init__(self, path: Path, before: Process | None) -> None:
        self.reactor = TakeoverReactor()
        self.ports = Ports()
        self.taken = TakenSockets()
        self.gives_way = 0
        self.gone: Deferred[None] = Deferred()
        self.meeting = Meeting()
        self._before = before
        self.takeover = Takeover(
            str(path),
            self.reactor,
            self.ports,
            self.taken,
            self._give_way,
            self.meeting,
            self._receive,
        )

    def _give_way(self) -> Deferred[None]:
        self.gives_way += 1
        return self.gone

    def _receive(self, connection: socket.socket) -> Offer:
        if self._before is not None:
            self._before.reactor.read()
        return receive_offer(connection)

    def close(self) -> None:
        """End as a process does."""
        self.takeover.stop()
        self.meeting.close()
        os.close(self.ports.file)


class TakeoverTests(SynchronousTestCase):
    """From one process to the next."""

    def setUp(self) -> None:
        """A place to meet, and one process that serves."""
        directory = mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.path = Path(directory) / "socket"
        self.old = self.process()
        self.old.takeover.begin()
        self.old.takeover.serves()

    def process(self, before: Process | None = None) -> Process:
        """A process that has not begun."""
        made = Process(self.path, before)
        self.addCleanup(made.close)
        return made

    def successor(self) -> Process:
        """One that has taken over from the old one, and does not serve yet."""
        made = self.process(self.old)
        made.takeover.begin()
        return made

    def test_fakes(self) -> None:
        """What these tests use is what the takeover expects."""
        self.assertTrue(verifyObject(IKeptPorts, self.old.ports))
        self.assertTrue(verifyObject(IMeeting, self.old.meeting))
        self.successor()
        readers = self.old.reactor.getReaders()
        self.assertEqual(len(readers), 2)
        for reader in readers:
            self.assertTrue(verifyObject(IReadDescriptor, reader))
            self.assertTrue(reader.logPrefix())

    def test_alone(self) -> None:
        """The first one takes nothing over, and makes a socket only for its user."""
        self.assertFalse(self.old.takeover.has_predecessor)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.old.takeover.stop()
        self.assertFalse(self.path.exists())
        self.assertEqual(self.old.ports.history, [])

    def test_in_order(self) -> None:
        """
        The new one gets the sockets; the old one gives way once that serves, and ends
        when its clients are gone; then the new one hands over in its turn.
        """
        new = self.successor()
        self.assertTrue(new.takeover.has_predecessor)
        (number,) = new.taken.take(("tcp", "", "80"))
        self.addCleanup(os.close, number)
        self.assertTrue(os.path.sameopenfile(number, self.old.ports.file))
        self.assertEqual(self.old.gives_way, 0)
        new.takeover.serves()
        self.old.reactor.read()
        self.assertEqual((self.old.gives_way, self.old.reactor.stops), (1, 0))
        new.reactor.read()
        self.assertEqual(new.ports.history, ["own"])
        self.assertFalse(new.takeover.has_predecessor)
        self.old.gone.callback(None)
        self.assertEqual(self.old.reactor.stops, 1)
        self.old.takeover.stop()
        self.assertEqual(self.old.ports.history, ["let go"])
        self.assertTrue(self.path.is_socket())
        last = self.process(new)
        last.takeover.begin()
        self.assertTrue(last.takeover.has_predecessor)

    def test_news(self) -> None:
        """Both hear one another from when the new one serves."""
        new = self.successor()
        self.assertEqual((self.old.meeting.others, new.meeting.others), ({}, {}))
        new.takeover.serves()
        self.old.reactor.read()
        (after,) = self.old.meeting.others.values()
        (before,) = new.meeting.others.values()
        self.assertFalse(os.get_blocking(after.fileno()))
        after.send(b"from the old one")
        self.assertEqual(before.recv(100), b"from the old one")
        before.close()
        self.assertEqual(after.recv(100), b"")

    def test_other_news(self) -> None:
        """If they would not understand one another, neither hears the other one."""
        new = self.process(self.old)
        new.meeting.version = "2"
        new.takeover.begin()
        new.takeover.serves()
        self.old.reactor.read()
        self.assertEqual(self.old.gives_way, 1)
        self.assertEqual(new.meeting.others, {})
        (after,) = self.old.meeting.others.values()
        self.assertEqual(after.recv(100), b"")

    def test_dies_unheard(self) -> None:
        """One that dies before it serves is never joined, but the next one is."""
        new = self.successor()
        new.takeover.stop()
        self.old.reactor.read()
        self.assertEqual(self.old.meeting.others, {})
        self.successor().takeover.serves()
        self.old.reactor.read()
        self.assertEqual(len(self.old.meeting.others), 1)

    def test_unused(self) -> None:
        """Sockets that the new one does not use are closed once it serves."""
        new = self.successor()
        new.takeover.serves()
        self.assertEqual(new.taken.take(("tcp", "", "80")), [])

    def test_dies(self) -> None:
        """If the new one dies before it serves, the old one goes on, and says so."""
        new = self.successor()
        new.takeover.stop()
        with capturedLogs() as logs:
            self.old.reactor.read()
        self.assertIn("this one goes on", logs[0]["log_format"])
        self.assertEqual((self.old.gives_way, self.old.reactor.stops), (0, 0))
        self.assertTrue(self.path.is_socket())
        self.assertTrue(self.successor().takeover.has_predecessor)

    def test_old_one_dies(self) -> None:
        """If the old one dies meanwhile, the new one has all it needs."""
        new = self.successor()
        self.old.takeover.stop()
        self.assertEqual(self.old.ports.history, ["let go"])
        self.assertTrue(self.path.is_socket())
        new.takeover.serves()
        new.reactor.read()
        self.assertEqual(new.ports.history, ["own"])
        last = self.process(new)
        last.takeover.begin()
        self.assertTrue(last.takeover.has_predecessor)

    def test_one_at_a_time(self) -> None:
        """While one is about to take over, a second one is turned away."""
        new = self.successor()
        error = self.assertRaises(CannotServe, self.process(self.old).takeover.begin)
        self.assertIn("being taken over by another one", str(error))
        new.takeover.serves()
        self.old.reactor.read()
        self.assertEqual(self.old.gives_way, 1)

    def test_left_behind(self) -> None:
        """A socket that a killed process has left is no obstacle."""
        new = self.process()
        self.old.takeover.stop()
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(self.path))
        new.takeover.begin()
        self.assertFalse(new.takeover.has_predecessor)

    def test_no_socket(self) -> None:
        """A file that is something else is left alone."""
        new = self.process()
        self.old.takeover.stop()
        self.path.write_text("precious")
        error = self.assertRaises(CannotServe, new.takeover.begin)
        self.assertIn("cannot make", str(error))
        self.assertEqual(self.path.read_text(), "precious")

    def test_silence(self) -> None:
        """One line tells why an old process that hangs is not replaced."""
        new = self.process()

        def wait(connection: socket.socket) -> Offer:
            raise TimeoutError

        new.takeover._receive = wait
        error = self.assertRaises(CannotServe, new.takeover.begin)
        self.assertIn("nobody answers", str(error))

    def test_too_long(self) -> None:
        """A path that cannot be the name of a socket is refused."""
        long = Process(Path("/tmp") / ("x" * 200), None)
        self.addCleanup(long.close)
        error = self.assertRaises(CannotServe, long.takeover.begin)
        self.assertIn("path too long", str(error))

    def test_clients_cannot_be_sent_away(self) -> None:
        """Whatever goes wrong while it gives way, the old one ends."""
        self.successor().takeover.serves()
        self.old.reactor.read()
        self.old.gone.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.old.reactor.stops, 1)

    def test_none(self) -> None:
        """Without a path nothing is taken over or handed over."""
        takeover = no_takeover()
        takeover.begin()
        takeover.serves()
        takeover.stop()
        self.assertFalse(takeover.has_predecessor)
