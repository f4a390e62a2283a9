# -*- test-case-name: tests.workers.test_ports -*-
"""
Ports for several processes: opened in one, served in the others.

Each worker has a listening socket of its own on every TCP port (SO_REUSEPORT), and
the system spreads connections over them. The supervisor keeps a copy: what connects
while a worker is replaced waits for the next one, unless it gives that up. A UNIX
socket is one for all.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from twisted.internet import unix
from twisted.internet.abstract import isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory
from twisted.internet.tcp import Port
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

#: Connections that may wait to be accepted; the system may allow fewer.
_BACKLOG = 1024


@implementer(IListeningPort)
class PortOfWorkers:
    """
    One TCP port with a socket for each worker, none of them accepted from here.

    Args:
        sockets: They listen.
        bind: Makes another one that is bound and does not listen.
    """

    def __init__(
        self, sockets: Sequence[socket.socket], bind: Callable[[], socket.socket]
    ) -> None:
        self.sockets = list(sockets)
        self._bind = bind

    def give_up(self, number: int) -> None:
        """As :meth:`PortsOfWorkers.give_up`, for this port."""
        bound = self._bind()
        self.sockets[number].close()
        self.sockets[number] = bound

    def startListening(self) -> None:
        """It listens."""

    def stopListening(self) -> None:
        """Close the copies that are here."""
        for each in self.sockets:
            each.close()

    def getHost(self) -> IAddress:
        """Where clients connect."""
        return _address_of(self.sockets[0])


class PortsOfWorkers:
    """
    What endpoints ask of a reactor, in the process that only opens ports.

    Args:
        workers: How many processes will serve them.
        reactor: Holds UNIX sockets.
        make_socket: Makes sockets as :func:`socket.socket` does.
    """

    def __init__(
        self,
        workers: int,
        reactor: Any,
        make_socket: Callable[..., socket.socket] = socket.socket,
    ) -> None:
        self._workers = workers
        self._reactor = reactor
        self._make_socket = make_socket
        self._ports: list[PortOfWorkers | unix.Port] = []

    def of_worker(self, number: int) -> list[int]:
        """The descriptors of one worker, in the order in which they were asked for."""
        return [
            port.sockets[number].fileno()
            if isinstance(port, PortOfWorkers)
            else port.fileno()
            for port in self._ports
        ]

    def give_up(self, number: int) -> None:
        """
        Let nobody wait for a worker that is not there.

        Who waits is turned away, and who connects gets another worker, until there is
        a new one: that listens by itself.

        Raises:
            OSError: It is impossible, and the port remains as it is. So it is after a
                change of the user: all sockets of a port must be of one.
        """
        for port in self._ports:
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
        sockets: list[socket.socket] = []
        try:
            # Without SO_REUSEPORT this fails if anybody listens there, be it
            # another relay; with it, clients would be spread over both.
            self._bound(port, interface, shared=False).close()
            for _ in range(self._workers):
                sockets.append(self._bound(port, interface, shared=True))
                port = sockets[0].getsockname()[1]
            for each in sockets:
                each.listen(max(backlog, _BACKLOG))
        except OSError as error:
            for each in sockets:
                each.close()
            raise CannotListenError(interface, port, error) from error
        opened = PortOfWorkers(sockets, partial(self._bound, port, interface, True))
        self._ports.append(opened)
        return opened

    def listenSSL(
        self,
        port: int,
        factory: Any,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        """Open a TCP port; the workers do the TLS."""
        return self.listenTCP(port, factory, backlog, interface)

    def listenUNIX(
        self,
        address: str,
        factory: IProtocolFactory,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,
    ) -> IListeningPort:
        """Open a UNIX socket, one for all."""
        backlog = max(backlog, _BACKLOG)
        port = unix.Port(
            address.encode(), factory, backlog, mode, self._reactor, wantPID
        )
        port.startListening()
        port.stopReading()
        self._ports.append(port)
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
        family = socket.AF_INET6 if isIPv6Address(interface) else socket.AF_INET
        bound = self._make_socket(family, socket.SOCK_STREAM)
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
        descriptors: Of the ports, in the order in which they are asked for.
        make_socket: Makes sockets as :func:`socket.socket` does.
    """

    def __init__(
        self,
        reactor: Any,
        descriptors: Iterable[int],
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
        family = socket.AF_INET6 if isIPv6Address(interface) else socket.AF_INET
        descriptor = next(self._descriptors)
        with self._make_socket(family, socket.SOCK_STREAM, fileno=descriptor) as served:
            try:
                # It does already, unless the supervisor had given up this worker.
                served.listen(max(backlog, _BACKLOG))
            except OSError as error:
                raise CannotListenError(interface, port, error) from error
            adopted: IListeningPort = self._reactor.adoptStreamPort(
                served.fileno(), family, factory
            )
        return adopted

    def listenSSL(
        self,
        port: int,
        factory: Any,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        """Serve the next port, a TCP port on which TLS is spoken."""
        tls = TLSMemoryBIOFactory(contextFactory, False, factory)
        adopted: Any = self.listenTCP(port, tls, backlog, interface)
        adopted._type = "TLS"
        return adopted  # type: ignore[no-any-return]

    def listenUNIX(
        self,
        address: str,
        factory: IProtocolFactory,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,
    ) -> IListeningPort:
        """Serve the next port, which is a UNIX socket that others serve, too."""
        descriptor = next(self._descriptors)
        port: IListeningPort = SharedUNIXPort._fromListeningDescriptor(
            self._reactor, descriptor, factory
        )
        os.close(descriptor)
        port.startListening()
        return port


class SharedUNIXPort(unix.Port):
    """
    A UNIX socket that several processes accept from and another one owns.

    It takes one connection at a time, so that the others get theirs. In the end it
    leaves the socket's name alone.
    """

    def startListening(self) -> None:
        """Accept connections."""
        self.factory.doStart()  # type: ignore[union-attr]
        listening = self._preexistingSocket
        assert listening is not None
        self._preexistingSocket = None
        self._shouldShutdown = False
        self.socket = listening
        self.fileno = listening.fileno  # type: ignore[method-assign]
        self.connected = True
        self.startReading()

    @property
    def numberAccepts(self) -> int:
        """How many connections are accepted in one turn."""
        return 1

    @numberAccepts.setter
    def numberAccepts(self, number: int) -> None:
        pass

    def connectionLost(self, reason: Any) -> None:
        """Close this process's descriptor, and nothing else."""
        Port.connectionLost(self, reason)


def _address_of(listening: socket.socket) -> IAddress:
    host, port, *rest = listening.getsockname()
    if listening.family == socket.AF_INET6:
        return IPv6Address("TCP", host, port, *rest)
    return IPv4Address("TCP", host, port)
