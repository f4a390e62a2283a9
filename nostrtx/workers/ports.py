# -*- test-case-name: tests.workers.test_ports -*-
"""
Ports for several processes: opened in one, served in the others.

Each worker has a listening socket of its own on every TCP port (SO_REUSEPORT), and
the system spreads connections over them. The supervisor keeps a copy: what connects
while a worker is replaced waits for the next one, unless it gives that up. A UNIX
socket is one for all.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory
from zope.interface import implementer

from nostrtx.takeover.offer import Key, distinct, tcp_key, unix_key
from nostrtx.takeover.ports import (
    BACKLOG,
    IKeptPorts,
    OpenUNIXPort,
    adopt_tcp,
    family_of,
)
from nostrtx.takeover.taken import TakenSockets


@implementer(IListeningPort)
class PortOfWorkers:
    """
    One TCP port with a socket for each worker, none of them accepted from here.

    A relay that had more workers may have left more sockets: some workers serve
    several.

    Args:
        workers: How many there are.
        sockets: They listen; at least one for each.
        bind: Makes another one that is bound and does not listen.
    """

    def __init__(
        self,
        workers: int,
        sockets: Sequence[socket.socket],
        bind: Callable[[], socket.socket],
    ) -> None:
        self.sockets = list(sockets)
        self._workers = workers
        self._bind = bind

    def give_up(self, number: int) -> None:
        """As :meth:`PortsOfWorkers.give_up`, for this port."""
        for at in range(number, len(self.sockets), self._workers):
            bound = self._bind()
            self.sockets[at].close()
            self.sockets[at] = bound

    def of_worker(self, number: int) -> list[int]:
        """The descriptors of one worker."""
        return [each.fileno() for each in self.sockets[number :: self._workers]]

    def startListening(self) -> None:
        """It listens."""

    def stopListening(self) -> None:
        """Close the copies that are here."""
        for each in self.sockets:
            each.close()

    def getHost(self) -> IAddress:
        """Where clients connect."""
        return _address_of(self.sockets[0])


@implementer(IKeptPorts)
class PortsOfWorkers:
    """
    What endpoints ask of a reactor, in the process that only opens ports.

    Args:
        workers: How many processes will serve them.
        reactor: Holds UNIX sockets.
        make_socket: Makes sockets as ``socket.socket`` does.
        taken: What was taken over from the relay that ran before.
    """

    def __init__(
        self,
        workers: int,
        reactor: Any,
        make_socket: Callable[..., socket.socket] = socket.socket,
        taken: TakenSockets | None = None,
    ) -> None:
        self._taken = TakenSockets() if taken is None else taken
        self._workers = workers
        self._reactor = reactor
        self._make_socket = make_socket
        self._ports: dict[Key, PortOfWorkers | OpenUNIXPort] = {}

    def of_worker(self, number: int) -> list[list[int]]:
        """
        The descriptors of one worker, of each port one or several.

        They are in the order in which the ports were asked for.
        """
        return [
            port.of_worker(number)
            if isinstance(port, PortOfWorkers)
            else [port.fileno()]
            for port in self._ports.values()
        ]

    def descriptors(self) -> dict[Key, list[int]]:
        """See :meth:`IKeptPorts.descriptors`."""
        return {
            key: [each.fileno() for each in port.sockets]
            if isinstance(port, PortOfWorkers)
            else [port.fileno()]
            for key, port in self._ports.items()
        }

    def own(self) -> None:
        """See :meth:`IKeptPorts.own`."""
        for port in self._ports.values():
            if isinstance(port, OpenUNIXPort):
                port.own()

    def let_go(self) -> None:
        """See :meth:`IKeptPorts.let_go`."""
        for port in self._ports.values():
            if isinstance(port, OpenUNIXPort):
                port.let_go()

    def give_up(self, number: int) -> None:
        """
        Let nobody wait for a worker that is not there.

        Who waits is turned away, and who connects gets another worker, until there is
        a new one: that listens by itself.

        Raises:
            OSError: It is impossible, and the port remains as it is. So it is after a
                change of the user: all sockets of a port must be of one.
        """
        for port in self._ports.values():
            if isinstance(port, PortOfWorkers):
                port.give_up(number)

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """
        Open a TCP port.

        Raises:
            CannotListenError: That is impossible.
        """
        key = distinct(tcp_key(interface, port), self._ports)
        sockets = [
            self._make_socket(family_of(interface), socket.SOCK_STREAM, fileno=each)
            for each in self._taken.take(key)
        ]
        try:
            if not sockets:
                # Without SO_REUSEPORT this fails if anybody listens there, be it
                # another relay; with it, clients would be spread over both.
                self._bound(port, interface, shared=False).close()
            for each in sockets:
                # A relay of one process did without.
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                port = each.getsockname()[1]
            for _ in range(len(sockets), self._workers):
                sockets.append(self._bound(port, interface, shared=True))
                port = sockets[0].getsockname()[1]
            for each in sockets:
                each.listen(max(backlog, BACKLOG))
        except OSError as error:
            for each in sockets:
                each.close()
            raise CannotListenError(interface, port, error) from error
        opened = PortOfWorkers(
            self._workers, sockets, partial(self._bound, port, interface, True)
        )
        self._ports[key] = opened
        return opened

    def listenUNIX(
        self,
        address: str,
        factory: IProtocolFactory,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,
    ) -> IListeningPort:
        """Open a UNIX socket, one for all."""
        key = distinct(unix_key(address), self._ports)
        descriptors = self._taken.take(key)
        if descriptors:
            port = OpenUNIXPort.adopt(self._reactor, descriptors[0], factory, wantPID)
        else:
            backlog = max(backlog, BACKLOG)
            port = OpenUNIXPort(
                address.encode(), factory, backlog, mode, self._reactor, wantPID
            )
            port.startListening()
        port.stopReading()
        self._ports[key] = port
        return port

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: int, factory: Any
    ) -> IListeningPort:
        """
        Refuse: a worker cannot find such a port.

        Raises:
            CannotListenError: Always.
        """
        raise CannotListenError(
            "a descriptor", fileDescriptor, "not with several workers"
        )

    def _bound(self, port: int, interface: str, shared: bool) -> socket.socket:
        bound = self._make_socket(family_of(interface), socket.SOCK_STREAM)
        try:
            bound.setblocking(False)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind((interface, port))
        except BaseException:
            bound.close()
            raise
        return bound


class InheritedPorts:
    """
    What endpoints ask of a reactor, in a process whose ports are open already.

    Args:
        reactor: Accepts connections.
        descriptors: Of the sockets of each port, in the order in which the ports are
            asked for.
        make_socket: Makes sockets as ``socket.socket`` does.
    """

    def __init__(
        self,
        reactor: Any,
        descriptors: Iterable[Sequence[int]],
        make_socket: Callable[..., socket.socket] = socket.socket,
    ) -> None:
        self._reactor = reactor
        self._descriptors = iter(descriptors)
        self._make_socket = make_socket

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """
        Serve the next port, which is a TCP port.

        Raises:
            CannotListenError: That is impossible.
        """
        return adopt_tcp(
            self._reactor,
            next(self._descriptors),
            port,
            factory,
            backlog,
            interface,
            self._make_socket,
        )

    def listenUNIX(
        self,
        address: str,
        factory: IProtocolFactory,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,
    ) -> IListeningPort:
        """Serve the next port, which is a UNIX socket that others serve, too."""
        (descriptor,) = next(self._descriptors)
        return SharedUNIXPort.adopt(self._reactor, descriptor, factory)


class SharedUNIXPort(OpenUNIXPort):
    """
    A UNIX socket that several processes accept from and another one owns.

    It takes one connection at a time, so that the others get theirs. In the end it
    leaves the socket's name alone.
    """

    leaves_name = True

    @property
    def numberAccepts(self) -> int:
        """How many connections are accepted in one turn."""
        return 1

    @numberAccepts.setter
    def numberAccepts(self, number: int) -> None:
        pass


def _address_of(listening: socket.socket) -> IAddress:
    host, port, *rest = listening.getsockname()
    if listening.family == socket.AF_INET6:
        return IPv6Address("TCP", host, port, *rest)
    return IPv4Address("TCP", host, port)
