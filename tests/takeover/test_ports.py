"""Tests for :mod:`nostrtx.takeover.ports`."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.takeover.ports import BACKLOG, OpenUNIXPort, SeveralPorts, parts_of


class SeveralPortsTests(SynchronousTestCase):
    """Several sockets as one port."""

    def test_as_one(self) -> None:
        """It is where its sockets are, and closes all of them."""
        reactor = MemoryReactorClock()
        parts = [reactor.listenTCP(80, Factory()) for _ in range(2)]
        port = SeveralPorts(parts)
        self.assertTrue(verifyObject(IListeningPort, port))
        self.assertEqual(port.getHost(), parts[0].getHost())
        self.assertEqual(list(parts_of(port)), parts)
        self.assertEqual(list(parts_of(parts[0])), parts[:1])
        port.startListening()
        self.successResultOf(port.stopListening())


class OpenUNIXPortTests(SynchronousTestCase):
    """A UNIX socket that goes from one process to another."""

    def setUp(self) -> None:
        """A directory, and a socket with a lock beside it."""
        self.directory = Path(mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = self.directory / "socket"
        self.lock = self.directory / "socket.lock"
        self.reactor = MemoryReactorClock()
        path = os.fsencode(self.path)
        self.first = OpenUNIXPort(path, Factory(), BACKLOG, 0o600, self.reactor, 1)
        self.first.startListening()

    def adopt(self, wants_lock: bool = True) -> OpenUNIXPort:
        """The same socket as another process has it."""
        descriptor = os.dup(self.first.fileno())
        return OpenUNIXPort.adopt(self.reactor, descriptor, Factory(), wants_lock)

    def close(self, port: OpenUNIXPort) -> None:
        """Close a port as the reactor does in the end."""
        port.stopReading()
        port.connectionLost(None)

    def connect(self) -> socket.socket:
        """Connect to it."""
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(str(self.path))
        return client

    def test_alone(self) -> None:
        """One that nobody else has takes its name with it."""
        self.assertTrue(self.path.is_socket())
        self.close(self.first)
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_handed_over(self) -> None:
        """After the first one has let go, it can be connected to as before."""
        second = self.adopt()
        self.first.let_go()
        second.own()
        self.close(self.first)
        self.assertTrue(self.path.is_socket())
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(os.readlink(self.lock), str(os.getpid()))
        self.connect()
        second.own()
        self.close(second)
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_accepts(self) -> None:
        """Connections reach the second one, also those that came before."""
        self.connect()
        made: list[Any] = []
        second = self.adopt()
        self.addCleanup(self.close, self.first)
        self.first.let_go()
        factory: Any = second.factory
        factory.buildProtocol = made.append
        self.addCleanup(self.close, second)
        second.doRead()
        self.assertEqual(len(made), 1)

    def test_no_lock(self) -> None:
        """Where there is to be no lock, none is taken over."""
        second = self.adopt(wants_lock=False)
        second.own()
        second.let_go()
        self.close(second)
        self.assertTrue(self.lock.is_symlink())
        self.close(self.first)
