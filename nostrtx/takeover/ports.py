# -*- test-case-name: tests.takeover.test_ports -*-
"""
Ports whose sockets are open already, and may be another process's as well.

One port may have several sockets, as several workers had them: all are served.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from twisted.internet import unix
from twisted.internet.abstract import isIPv6Address
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.tcp import Port
from twisted.python.lockfile import FilesystemLock
from zope.interface import Interface, implementer

from nostrtx.takeover.offer import Key

#: Connections that may wait to be accepted; the system may allow fewer.
BACKLOG: Final = 1024


class IKeptPorts(Interface):
    """The open ports of a relay, as far as another process may have them, too."""

    def descriptors() -> dict[Key, list[int]]:
        """What there is to be handed over."""

    def own() -> None:
        """Take note that the ports are nobody else's any more."""

    def let_go() -> None:
        """Take note that the ports are another process's, too, and outlive this one."""


@implementer(IListeningPort)
class SeveralPorts:
    """
    Several sockets that are one port to clients.

    Args:
        parts: One for each socket, at least one.
    """

    def __init__(self, parts: Sequence[IListeningPort]) -> None:
        self.parts = parts

    def startListening(self) -> None:
        """They listen."""

    def stopListening(self) -> Deferred[Any]:
        """Close all of them."""
        closing = [part.stopListening() for part in self.parts]
        return gatherResults([each for each in closing if each is not None])

    def getHost(self) -> IAddress:
        """Where clients connect."""
        return self.parts[0].getHost()


def parts_of(port: IListeningPort) -> Sequence[Any]:
    """The ports of which one is made, which may be itself alone."""
    return port.parts if isinstance(port, SeveralPorts) else (port,)


def family_of(interface: str) -> socket.AddressFamily:
    """The address family of a TCP port, by the interface that was asked for."""
    return socket.AF_INET6 if isIPv6Address(interface) else socket.AF_INET


def adopt_tcp(
    reactor: Any,
    descriptors: Sequence[int],
    port: int,
    factory: Any,
    backlog: int,
    interface: str,
    make_socket: Callable[..., socket.socket] = socket.socket,
) -> IListeningPort:
    """
    Serve a TCP port whose sockets are open.

    Args:
        reactor: Accepts connections.
        descriptors: Of the sockets, at least one; they are closed once they are in use.
        port: The port that was asked for.
        factory: Makes protocols.
        backlog: How many connections may wait, at least.
        interface: Where it was to be.
        make_socket: Makes sockets as ``socket.socket`` does.

    Raises:
        CannotListenError: That is impossible.
    """
    family = family_of(interface)
    adopted: list[IListeningPort] = []
    for descriptor in descriptors:
        with make_socket(family, socket.SOCK_STREAM, fileno=descriptor) as served:
            try:
                # It does already, unless its worker had been given up.
                served.listen(max(backlog, BACKLOG))
            except OSError as error:
                raise CannotListenError(interface, port, error) from error
            adopted.append(reactor.adoptStreamPort(served.fileno(), family, factory))
    return adopted[0] if len(adopted) == 1 else SeveralPorts(adopted)


class OpenUNIXPort(unix.Port):
    """
    A UNIX socket that may be taken over, and handed over.

    Attributes:
        leaves_name: Whether it leaves its name, and the lock beside it, alone in the
            end.
    """

    leaves_name = False

    @classmethod
    def adopt(
        cls, reactor: Any, descriptor: int, factory: Any, wants_lock: bool = False
    ) -> OpenUNIXPort:
        """
        Serve a socket that is open.

        Args:
            reactor: Accepts connections.
            descriptor: Of the socket; it is closed once it is in use.
            factory: Makes protocols.
            wants_lock: Whether there is a lock beside it, which is another process's.
        """
        port: OpenUNIXPort = cls._fromListeningDescriptor(reactor, descriptor, factory)
        os.close(descriptor)
        port.wantPID = wants_lock
        port.startListening()
        return port

    def startListening(self) -> None:
        """Accept connections."""
        listening = self._preexistingSocket
        if listening is None:
            super().startListening()
            return
        self._preexistingSocket = None
        self.factory.doStart()  # type: ignore[union-attr]
        listening.listen(BACKLOG)
        listening.setblocking(False)
        self._shouldShutdown = False
        self.socket = listening
        self.fileno = listening.fileno  # type: ignore[method-assign]
        self.connected = True
        self.numberAccepts = 100
        self.startReading()

    def own(self) -> None:
        """Take over the lock, if there is to be one: its holder will be gone."""
        if self.wantPID and self.lockFile is None:
            name = self._bindPath + b".lock"
            new = name + b".new"
            with suppress(OSError):
                os.symlink(str(os.getpid()).encode(), new)
                os.rename(new, name)
            self.lockFile = FilesystemLock(name)
            self.lockFile.locked = True

    def let_go(self) -> None:
        """Close only this process's descriptor in the end: another one has it, too."""
        self.leaves_name = True
        self._shouldShutdown = False

    def connectionLost(self, reason: Any) -> None:
        """Close it, and take its name away unless that is another process's."""
        if self.leaves_name:
            Port.connectionLost(self, reason)
        else:
            super().connectionLost(reason)
