# -*- test-case-name: tests.takeover.test_takeover -*-
"""Sockets of the takeover as the reactor reads them: who comes, and what is said."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure
from zope.interface import implementer

_READ: Final = 4096


class _Watched:
    def __init__(self, reactor: Any, watched: socket.socket) -> None:
        watched.setblocking(False)
        self._reactor = reactor
        self.socket = watched
        self._is_open = True
        reactor.addReader(self)

    def fileno(self) -> int:
        """The socket's descriptor, for the reactor."""
        return self.socket.fileno()

    def logPrefix(self) -> str:
        """What the reactor calls this in its log."""
        return "takeover"

    def close(self) -> None:
        """Close this process's descriptor."""
        if self._is_open:
            self._is_open = False
            self._reactor.removeReader(self)
            self.socket.close()

    def connectionLost(self, reason: Failure) -> None:
        """The reactor reads no more."""
        self.close()


@implementer(IReadDescriptor)
class Door(_Watched):
    """
    Where a successor knocks.

    Args:
        reactor: Waits for it.
        listening: The socket.
        knocked: Called with the connection to it.
    """

    def __init__(
        self,
        reactor: Any,
        listening: socket.socket,
        knocked: Callable[[socket.socket], None],
    ) -> None:
        super().__init__(reactor, listening)
        self._knocked = knocked

    def doRead(self) -> None:
        """Let it in."""
        try:
            connection, _ = self.socket.accept()
        except OSError:
            # It is gone again, or there are no descriptors left: it may try again.
            return
        self._knocked(connection)


@implementer(IReadDescriptor)
class Line(_Watched):
    """
    The connection to a successor or a predecessor.

    Args:
        reactor: Waits for what is said.
        connection: The socket.
        said: Called with what was said, and with nothing once the other one is gone.
    """

    def __init__(
        self,
        reactor: Any,
        connection: socket.socket,
        said: Callable[[bytes], None],
    ) -> None:
        super().__init__(reactor, connection)
        self._said = said
        self._is_over = False

    def say(self, word: bytes) -> None:
        """Say something; if nobody is there any more, that is read soon."""
        try:
            self.socket.sendall(word)
        except OSError:
            pass

    def doRead(self) -> Failure | None:
        """Hear what is said."""
        try:
            received = self.socket.recv(_READ)
        except BlockingIOError:
            return None
        except OSError:
            received = b""
        if received:
            self._said(received)
            return None
        return Failure(CONNECTION_DONE)

    def connectionLost(self, reason: Failure) -> None:
        """The other one is gone."""
        super().connectionLost(reason)
        if not self._is_over:
            self._is_over = True
            self._said(b"")
