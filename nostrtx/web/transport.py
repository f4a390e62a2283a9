# -*- test-case-name: tests.web.test_transport -*-
"""
Sending at once, and knowing what could not be sent.

Twisted's transports queue what is written and ask the reactor to call back when the
socket is writable, which costs more than sending. :class:`FastServer` sends in
``write`` while nothing is queued; the rest of its behaviour is Twisted's.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import tcp
from twisted.internet.interfaces import (
    IConsumer,
    IListeningPort,
    IPushProducer,
)
from zope.interface import Interface, implementer


class IOutlet(Interface):
    """The way out of a connection."""

    def write(data: bytes) -> None:  # noqa: N805
        """Send ``data`` now or as soon as the system takes it."""

    def unsent_bytes() -> int:
        """About how many bytes were written that the system has not taken yet."""

    def call_when_drained(call: Callable[[], None]) -> None:  # noqa: N805
        """
        Make ``call`` once, when nothing is unsent any more.

        Only of use while something is unsent. A later call replaces an earlier one;
        none is made when the connection is lost.
        """


@implementer(IOutlet)
class FastServer(tcp.Server):
    """An accepted TCP connection whose ``write`` sends at once if it can."""

    _drained: Callable[[], None] | None = None

    def write(self, data: bytes) -> None:
        """Send ``data``, or as much as the system takes now and the rest later."""
        if (
            data
            and not self._tempDataBuffer
            and not self.dataBuffer
            and self.producer is None
            and self.connected
            and not self.disconnecting
            and not self._writeDisconnecting
            and not self.TLS
        ):
            try:
                sent = self.socket.send(data)
            except OSError:
                # Would block, or an error, which the reactor's own way finds again.
                sent = 0
            if sent == len(data):
                return
            if sent:
                data = data[sent:]
        super().write(data)

    def doWrite(self) -> Any:
        """Send what is queued; the reactor calls this when the system takes more."""
        outcome = super().doWrite()
        if self._drained is not None and outcome is None and not self.unsent_bytes():
            call, self._drained = self._drained, None
            call()
        return outcome

    def unsent_bytes(self) -> int:
        """How many bytes are queued here."""
        return len(self.dataBuffer) - self.offset + self._tempDataLen

    def call_when_drained(self, call: Callable[[], None]) -> None:
        """See :meth:`IOutlet.call_when_drained`."""
        self._drained = call

    def connectionLost(self, reason: Any) -> None:
        """Forget whom to call, and end as usual."""
        self._drained = None
        super().connectionLost(reason)


@implementer(IOutlet, IPushProducer)
class ProducerOutlet:
    """
    The same for any other transport, through its producer interface.

    Such a transport says only that it is full and that it has room again. So what is
    counted as unsent is what was written since it was full; what it buffers before
    it is full (64 KiB in Twisted) is not.

    Args:
        transport: Where to write. If it is not a consumer, nothing ever counts as
            unsent.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._paused = False
        self._unsent = 0
        self._drained: Callable[[], None] | None = None
        self._registered = IConsumer.providedBy(transport)
        if self._registered:
            transport.registerProducer(self, True)

    def detach(self) -> None:
        """Let the transport end: it does not while it has a producer."""
        if self._registered:
            self._registered = False
            self._transport.unregisterProducer()

    def write(self, data: bytes) -> None:
        """Write to the transport and count while it is full."""
        self._transport.write(data)
        if self._paused:
            self._unsent += len(data)

    def unsent_bytes(self) -> int:
        """What was written since the transport became full."""
        return self._unsent

    def call_when_drained(self, call: Callable[[], None]) -> None:
        """See :meth:`IOutlet.call_when_drained`."""
        self._drained = call

    def pauseProducing(self) -> None:
        """The transport is full; it may say so again and again."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The transport has room again."""
        self._paused = False
        self._unsent = 0
        if self._drained is not None:
            call, self._drained = self._drained, None
            call()

    def stopProducing(self) -> None:
        """The connection is lost."""
        self._drained = None


def write_through(port: IListeningPort) -> bool:
    """
    Let the connections that ``port`` accepts from now on be :class:`FastServer`.

    Ports that are not plain TCP are left as they are, and work.

    Args:
        port: What an endpoint's ``listen`` gave.

    Returns:
        Whether the port is plain TCP.
    """
    if type(port) is not tcp.Port or port._type != "TCP":
        return False
    port.transport = FastServer
    # Accepted sockets inherit this, which saves a system call for each.
    port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return True
