"""Tests for :mod:`nostrtx.workers.ports`."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IReactorTCP,
    IReactorUNIX,
)
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.takeover.offer import tcp_key
from nostrtx.takeover.ports import IKeptPorts
from nostrtx.takeover.taken import TakenSockets
from nostrtx.web.secure import SecurePorts
from nostrtx.workers.ports import InheritedPorts, PortOfWorkers, PortsOfWorkers
from tests.certificates import write_certificates
from tests.workers.system import FakeSocket, System


class PortsOfWorkersTests(SynchronousTestCase):
    """Ports that are opened for others."""

    def setUp(self) -> None:
        """Three workers."""
        self.system = System()
        self.ports = PortsOfWorkers(3, MemoryReactorClock(), self.system.socket)

    def listen(self, description: str) -> IListeningPort:
        """Open the port that an endpoint describes."""
        endpoint = serverFromString(self.ports, description)
        port: IListeningPort = self.successResultOf(endpoint.listen(Factory()))
        return port

    def test_tcp(self) -> None:
        """Each worker has a socket of its own on the same port."""
        port = self.listen("tcp:7447:interface=127.0.0.1")
        self.assertTrue(verifyObject(IListeningPort, port))
        self.assertEqual(port.getHost(), IPv4Address("TCP", "127.0.0.1", 7447))
        opened = self.system.open()
        self.assertEqual([each.address for each in opened], [("127.0.0.1", 7447)] * 3)
        self.assertTrue(all(each.listens for each in opened))
        numbers = [self.ports.of_worker(number) for number in range(3)]
        self.assertEqual(numbers, [[[each.fileno()]] for each in opened])

    def test_any_port(self) -> None:
        """If the system chooses the port, it is the same for all."""
        port = self.listen("tcp:0:interface=127.0.0.1")
        address: Any = port.getHost()
        self.assertGreater(address.port, 40000)
        found = {each.address[1] for each in self.system.open()}
        self.assertEqual(found, {address.port})

    def test_ipv6(self) -> None:
        """IPv6 is as good."""
        port = self.listen(r"tcp6:7447:interface=\:\:1")
        self.assertEqual(port.getHost(), IPv6Address("TCP", "::1", 7447))
        families = {each.family for each in self.system.open()}
        self.assertEqual(families, {socket.AF_INET6})

    def test_taken(self) -> None:
        """A port where others listen is refused, also if they would share it."""
        self.system.taken.add(80)
        endpoint = serverFromString(self.ports, "tcp:80")
        failure = self.failureResultOf(endpoint.listen(Factory()), CannotListenError)
        self.assertIn("Couldn't listen on any:80", failure.getErrorMessage())
        self.assertEqual(self.system.open(), [])

    def test_several(self) -> None:
        """Endpoints keep their order, whatever wraps them."""
        for description in ("tcp:1", "haproxy:tcp:2", r"tcp6:3:interface=\:\:"):
            self.listen(description)
        opened = self.system.open()
        for number in range(3):
            descriptors = self.ports.of_worker(number)
            ports = [
                each.address[1] for each in opened if [each.fileno()] in descriptors
            ]
            self.assertEqual(ports, [1, 2, 3])

    def test_close(self) -> None:
        """In the end nothing is open."""
        port = self.listen("tcp:80")
        self.ports.give_up(1)
        port.stopListening()
        self.assertEqual(self.system.open(), [])

    def test_give_up(self) -> None:
        """Where a worker is given up nobody waits, and its ports stay reserved."""
        for description in ("tcp:1:interface=127.0.0.1", r"tcp6:2:interface=\:\:1"):
            self.listen(description)
        before = [self.ports.of_worker(number) for number in range(3)]
        self.ports.give_up(1)
        after = [self.ports.of_worker(number) for number in range(3)]
        self.assertEqual((after[0], after[2]), (before[0], before[2]))
        for (old,), (new,) in zip(before[1], after[1], strict=True):
            self.assertTrue(self.system.find(old).closed)
            reserved = self.system.find(new)
            self.assertEqual((reserved.listens, reserved.closed), (False, False))
            self.assertEqual(reserved.address, self.system.find(old).address)

    def test_give_up_as_another_user(self) -> None:
        """Where no other socket can be had, the one there is stays in use."""
        self.listen("tcp:80")
        before = self.ports.of_worker(1)
        self.system.is_other_user = True
        self.assertRaises(OSError, self.ports.give_up, 1)
        self.assertEqual(self.ports.of_worker(1), before)
        self.assertTrue(all(each.listens for each in self.system.open()))

    def test_unix(self) -> None:
        """A UNIX socket is one for all, so nobody waits there for a certain worker."""
        path = self.mktemp()
        port = self.ports.listenUNIX(path, Factory())
        self.addCleanup(port.stopListening)
        before = [self.ports.of_worker(number) for number in range(3)]
        self.ports.give_up(1)
        after = [self.ports.of_worker(number) for number in range(3)]
        self.assertEqual(before, after)

    def taken(self, count: int) -> list[FakeSocket]:
        """Sockets of one port that were taken over, for three workers."""
        made = [self.system.socket(socket.AF_INET, 0) for _ in range(count)]
        for each in made:
            each.setblocking(False)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            each.bind(("127.0.0.1", 7447))
            each.options.clear()
        taken = TakenSockets()
        key = tcp_key("127.0.0.1", 7447)
        taken.put({key: [each.fileno() for each in made]})
        self.ports = PortsOfWorkers(3, MemoryReactorClock(), self.system.socket, taken)
        self.listen("tcp:7447:interface=127.0.0.1")
        offered = self.ports.descriptors()
        self.assertEqual(offered, {key: [each.fileno() for each in self.system.open()]})
        return made

    def test_interface(self) -> None:
        """They can be handed over."""
        self.assertTrue(verifyObject(IKeptPorts, self.ports))
        self.ports.own()
        self.ports.let_go()

    def test_fewer_taken_over(self) -> None:
        """Where the relay before had fewer workers, the others get new sockets."""
        (old,) = self.taken(1)
        self.assertEqual(len(self.system.open()), 3)
        self.assertIn(socket.SO_REUSEPORT, old.options)
        self.assertEqual(self.ports.of_worker(0), [[old.fileno()]])
        self.assertTrue(all(each.listens for each in self.system.open()))

    def test_more_taken_over(self) -> None:
        """Where it had more, some workers serve several, so that nobody is lost."""
        old = [each.fileno() for each in self.taken(5)]
        self.assertEqual(len(self.system.open()), 5)
        served = [self.ports.of_worker(number)[0] for number in range(3)]
        self.assertEqual(served, [[old[0], old[3]], [old[1], old[4]], [old[2]]])
        self.ports.give_up(0)
        given_up = [self.system.find(each).closed for each in old]
        self.assertEqual(given_up, [True, False, False, True, False])

    def test_inherited(self) -> None:
        """A descriptor that was given to the supervisor cannot be passed on."""
        self.assertRaises(
            CannotListenError, self.ports.adoptStreamPort, 3, socket.AF_INET, Factory()
        )

    def test_port(self) -> None:
        """Ports are what reactors promise."""
        port = PortOfWorkers(0, [], socket.socket)
        self.assertTrue(verifyObject(IListeningPort, port))
        port.startListening()


class SocketReactor(MemoryReactorClock):
    """A reactor that takes note of the ports it adopts."""

    def __init__(self) -> None:
        super().__init__()
        self.adopted: list[tuple[int, int, Any]] = []

    def adoptStreamPort(self, fileno: int, addressFamily: int, factory: Any) -> Any:
        """Adopt one."""
        self.adopted.append((fileno, addressFamily, factory))
        return super().adoptStreamPort(fileno, addressFamily, factory)


class InheritedPortsTests(SynchronousTestCase):
    """Ports that others have opened."""

    def setUp(self) -> None:
        """Some descriptors."""
        self.reactor = SocketReactor()
        self.system = System()
        supervisor = PortsOfWorkers(2, self.reactor, self.system.socket)
        for port in range(1, 4):
            supervisor.listenTCP(port, Factory())
        supervisor.give_up(0)
        self.descriptors = supervisor.of_worker(0)
        self.ports = InheritedPorts(self.reactor, self.descriptors, self.system.socket)

    def test_order(self) -> None:
        """They are served in the order of the endpoints, each as what it is."""
        factory = Factory()
        for description in ("tcp:1", r"tcp6:2:interface=\:\:"):
            serverFromString(self.ports, description).listen(factory)
        families = (socket.AF_INET, socket.AF_INET6)
        self.assertEqual(
            self.reactor.adopted,
            [
                (number, family, factory)
                for (number,), family in zip(
                    self.descriptors[:2], families, strict=True
                )
            ],
        )

    def test_listens(self) -> None:
        """A port where the supervisor had given up this worker listens again."""
        serverFromString(self.ports, "tcp:1").listen(Factory())
        served, other, _ = (self.system.find(each) for (each,) in self.descriptors)
        self.assertEqual((served.listens, other.listens), (True, False))
        self.assertEqual((served.closed, other.closed), (True, False))

    def test_taken_meanwhile(self) -> None:
        """A port that somebody else has got hold of cannot be served."""
        self.system.taken.add(1)
        endpoint = serverFromString(self.ports, "tcp:1")
        failure = self.failureResultOf(endpoint.listen(Factory()), CannotListenError)
        self.assertIn("Couldn't listen on any:1", failure.getErrorMessage())
        self.assertEqual(self.reactor.adopted, [])

    def test_wrapped(self) -> None:
        """What is wrapped around a port is in the worker."""
        endpoint = serverFromString(self.ports, "haproxy:tcp:1")
        endpoint.listen(Factory())
        ((_, _, factory),) = self.reactor.adopted
        self.assertIn("HAProxy", type(factory).__name__)

    def test_tls(self) -> None:
        """A port for TLS is like any other; the worker speaks TLS above it."""
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


class InterfaceTests(SynchronousTestCase):
    """What endpoints ask for is there, under the names and with the arguments."""

    def test_methods(self) -> None:
        """Both kinds of ports have what endpoints use of a reactor."""
        for ports in (PortsOfWorkers, InheritedPorts):
            for interface, name in (
                (IReactorTCP, "listenTCP"),
                (IReactorUNIX, "listenUNIX"),
            ):
                promised = interface[name].getSignatureInfo()["positional"]
                code = getattr(ports, name).__code__
                self.assertEqual(
                    code.co_varnames[1 : code.co_argcount], promised, (ports, name)
                )
