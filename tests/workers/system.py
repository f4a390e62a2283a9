"""Ports that are none, for tests of processes that share them."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Any


class System:
    """
    An operating system with ports, as far as sockets show it.

    Attributes:
        sockets: All that were made.
        taken: Ports where somebody else listens.
        is_other_user: Whether the process has changed its user, who may bind nothing.
    """

    def __init__(self) -> None:
        self.sockets: list[FakeSocket] = []
        self.taken: set[int] = set()
        self.is_other_user = False

    def socket(self, family: int, type_: int, fileno: int | None = None) -> Any:
        """Make a socket, or one of what was inherited."""
        if fileno is not None:
            return self.find(fileno)
        made = FakeSocket(self, family)
        self.sockets.append(made)
        return made

    def find(self, descriptor: int) -> FakeSocket:
        """The one with this number."""
        return self.sockets[descriptor - 1000]

    def open(self) -> list[FakeSocket]:
        """Those that are not closed."""
        return [made for made in self.sockets if not made.closed]


class FakeSocket:
    """
    A socket that listens at most in name.

    Attributes:
        listens: Whether it does.
        closed: Whether it is closed.
        address: Where it is bound.
    """

    def __init__(self, system: System, family: int) -> None:
        self.family = family
        self.options: set[int] = set()
        self.blocking = True
        self.listens = False
        self.closed = False
        self.address: Any = None
        self._system = system

    def __enter__(self) -> FakeSocket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def setblocking(self, blocking: bool) -> None:
        """Take note."""
        self.blocking = blocking

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Take note."""
        self.options.add(option)

    def bind(self, address: tuple[str, int]) -> None:
        """Bind, unless somebody listens there and one of both does not share."""
        if self._system.is_other_user:
            raise OSError(13, "Permission denied")
        host, port = address
        shares = socket.SO_REUSEPORT in self.options
        if port in self._system.taken and not shares:
            raise OSError(98, "Address already in use")
        rest = (0, 0) if self.family == socket.AF_INET6 else ()
        self.address = (host or "0.0.0.0", port or 40000 + len(self._system.sockets))
        self.address += rest

    def listen(self, backlog: int) -> None:
        """Listen."""
        assert not self.blocking
        assert backlog >= 1024
        if self.address[1] in self._system.taken:
            raise OSError(98, "Address already in use")
        self.listens = True

    def getsockname(self) -> Any:
        """Where it is bound."""
        return self.address

    def fileno(self) -> int:
        """A number that tells sockets apart."""
        return 1000 + self._system.sockets.index(self)

    def close(self) -> None:
        """Close."""
        self.closed = True
