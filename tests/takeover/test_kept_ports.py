"""Tests for :mod:`nostrtx.takeover.kept_ports`."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from tempfile import mkdtemp

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.tcp import Port
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.takeover.kept_ports import KeptPorts
from nostrtx.takeover.offer import tcp_key, unix_key
from nostrtx.takeover.ports import IKeptPorts, OpenUNIXPort, SeveralPorts
from nostrtx.takeover.taken import TakenSockets
from nostrtx.web.secure import SecurePorts
from tests.certificates import write_certificates
from tests.takeover.reactor import TakeoverReactor
from tests.workers.system import System


class KeptPortsTests(SynchronousTestCase):
    """Ports of one process that another one can have."""

    def setUp(self) -> None:
        """Nothing was taken over."""
        self.reactor = TakeoverReactor()
        self.system = System()
        self.taken = TakenSockets()
        self.ports = KeptPorts(self.reactor, self.taken, self.system.socket)

    def take(self, *keys: tuple[str, ...], count: int = 1) -> list[int]:
        """Some sockets that were taken over for each of these ports."""
        numbers: list[int] = []
        for key in keys:
            made = [self.system.socket(socket.AF_INET, 0) for _ in range(count)]
            for each in made:
                each.setblocking(False)
                each.bind(("127.0.0.1", 80))
            self.taken.put({key: [each.fileno() for each in made]})
            numbers += [each.fileno() for each in made]
        return numbers

    def test_interface(self) -> None:
        """They are what a takeover needs."""
        self.assertTrue(verifyObject(IKeptPorts, self.ports))

    def test_new(self) -> None:
        """What was not taken over is opened, with room for many who wait."""
        factory = Factory()
        port = self.ports.listenTCP(80, factory, 50, "127.0.0.1")
        self.assertTrue(verifyObject(IListeningPort, port))
        self.assertEqual(self.reactor.tcpServers, [(80, factory, 1024, "127.0.0.1")])

    def test_taken(self) -> None:
        """What was taken over is served."""
        (number,) = self.take(tcp_key("127.0.0.1", 80))
        factory = Factory()
        self.ports.listenTCP(80, factory, interface="127.0.0.1")
        self.assertEqual(self.reactor.adopted, [(number, socket.AF_INET, factory)])
        self.assertEqual(self.reactor.tcpServers, [])
        self.assertTrue(self.system.find(number).listens)
        self.assertEqual(self.taken.take(tcp_key("127.0.0.1", 80)), [])

    def test_of_workers(self) -> None:
        """All sockets that workers had of one port are served."""
        numbers = self.take(tcp_key("", 80), count=3)
        port = self.ports.listenTCP(80, Factory())
        self.assertIsInstance(port, SeveralPorts)
        self.assertEqual([number for number, _, _ in self.reactor.adopted], numbers)

    def test_same_name(self) -> None:
        """Of two ports that the system has chosen each stays the one it is."""
        first = tcp_key("", 0)
        second = (*first, "again")
        numbers = self.take(first, second)
        for _ in numbers:
            self.ports.listenTCP(0, Factory())
        self.assertEqual([number for number, _, _ in self.reactor.adopted], numbers)

    def test_tls(self) -> None:
        """TLS is spoken as before."""
        self.take(tcp_key("", 443))
        directory = Path(self.mktemp())
        write_certificates(directory)
        files = (
            f"privateKey={directory / 'server.key'}:certKey={directory / 'server.pem'}"
        )
        described = f"ssl:443:{files}"
        ports = SecurePorts(self.ports, described, Clock())
        self.successResultOf(serverFromString(ports, described).listen(Factory()))
        ((_, _, factory),) = self.reactor.adopted
        self.assertIsInstance(factory, TLSMemoryBIOFactory)

    def test_handed_over(self) -> None:
        """There is a descriptor for each port, and closing does not shut them."""
        port = Port(0, Factory(), reactor=self.reactor)
        port.fileno = lambda: 33  # type: ignore[method-assign]
        self.reactor.listenTCP = lambda *rest: port  # type: ignore[method-assign]
        self.ports.listenTCP(80, Factory())
        self.assertEqual(self.ports.descriptors(), {tcp_key("", 80): [33]})
        self.assertTrue(port._shouldShutdown)
        self.ports.let_go()
        self.assertFalse(port._shouldShutdown)

    def test_unix(self) -> None:
        """A UNIX socket goes over as well, with its name and its lock."""
        directory = Path(mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        path = str(directory / "socket")
        first = self.ports.listenUNIX(path, Factory(), wantPID=True)
        assert isinstance(first, OpenUNIXPort)
        ((key, (number,)),) = self.ports.descriptors().items()
        self.assertEqual(key, unix_key(path))
        taken = TakenSockets()
        taken.put({key: [os.dup(number)]})
        others = KeptPorts(self.reactor, taken)
        second = others.listenUNIX(path, Factory(), wantPID=True)
        assert isinstance(second, OpenUNIXPort)
        self.ports.let_go()
        others.own()
        first.connectionLost(None)
        self.assertEqual(len(list(directory.iterdir())), 2)
        second.connectionLost(None)
        self.assertEqual(list(directory.iterdir()), [])

    def test_others(self) -> None:
        """What systemd has opened is the reactor's, and not handed over."""
        self.ports.adoptStreamPort(3, socket.AF_INET, Factory())
        self.assertEqual(len(self.reactor.adopted), 1)
        self.assertEqual(self.ports.descriptors(), {})
