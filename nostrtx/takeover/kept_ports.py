# -*- test-case-name: tests.takeover.test_kept_ports -*-
"""The ports of a relay of one process, such that another one can have them next."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.tcp import Port
from zope.interface import implementer

from nostrtx.takeover.offer import Key, distinct, tcp_key, unix_key
from nostrtx.takeover.ports import (
    BACKLOG,
    IKeptPorts,
    OpenUNIXPort,
    adopt_tcp,
    parts_of,
)
from nostrtx.takeover.taken import TakenSockets


@implementer(IKeptPorts)
class KeptPorts:
    """
    What endpoints ask of a reactor, where ports are taken over and handed over.

    What was not taken over is opened. Ports that others have opened, such as systemd,
    are not handed over: who hands them out does so again.

    Args:
        reactor: Accepts connections.
        taken: What was taken over.
        make_socket: Makes sockets as ``socket.socket`` does.
    """

    def __init__(
        self,
        reactor: Any,
        taken: TakenSockets,
        make_socket: Callable[..., socket.socket] = socket.socket,
    ) -> None:
        self._make_socket = make_socket
        self._reactor = reactor
        self._taken = taken
        self._ports: dict[Key, IListeningPort] = {}

    def __getattr__(self, name: str) -> Any:
        """All else that an endpoint may want is the reactor's."""
        return getattr(self._reactor, name)

    def descriptors(self) -> dict[Key, list[int]]:
        """See :meth:`IKeptPorts.descriptors`."""
        return {
            key: [part.fileno() for part in parts_of(port)]
            for key, port in self._ports.items()
        }

    def own(self) -> None:
        """See :meth:`IKeptPorts.own`."""
        for port in self._parts():
            if isinstance(port, OpenUNIXPort):
                port.own()

    def let_go(self) -> None:
        """See :meth:`IKeptPorts.let_go`."""
        for port in self._parts():
            if isinstance(port, OpenUNIXPort):
                port.let_go()
            elif isinstance(port, Port):
                port._shouldShutdown = False

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """
        Listen on a TCP port.

        Raises:
            CannotListenError: That is impossible.
        """
        key = distinct(tcp_key(interface, port), self._ports)
        descriptors = self._taken.take(key)
        if descriptors:
            opened = adopt_tcp(
                self._reactor,
                descriptors,
                port,
                factory,
                backlog,
                interface,
                self._make_socket,
            )
        else:
            backlog = max(backlog, BACKLOG)
            opened = self._reactor.listenTCP(port, factory, backlog, interface)
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
        """
        Listen on a UNIX socket.

        Raises:
            CannotListenError: That is impossible.
        """
        key = distinct(unix_key(address), self._ports)
        descriptors = self._taken.take(key)
        if descriptors:
            opened = OpenUNIXPort.adopt(self._reactor, descriptors[0], factory, wantPID)
        else:
            opened = OpenUNIXPort(
                address.encode(),
                factory,
                max(backlog, BACKLOG),
                mode,
                self._reactor,
                wantPID,
            )
            opened.startListening()
        self._ports[key] = opened
        return opened

    def _parts(self) -> list[Any]:
        return [part for port in self._ports.values() for part in parts_of(port)]
