# -*- test-case-name: tests.cli.test_line_source -*-
"""The lines of a file or of a pipe, of which nobody knows when more will come."""

from __future__ import annotations

import os
from stat import S_ISFIFO, S_ISREG, S_ISSOCK
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

#: How much is read at a time, in bytes.
PART_BYTES: Final = 256 * 1024

#: No line is that long, in bytes, if each is an event.
MOST_BYTES: Final = 64 * 1024 * 1024


class LineTooLong(ValueError):
    """What is read has no lines; the text says so."""


@implementer(IReadDescriptor)
class _Opening:
    """Waits until something can be read, or will never be."""

    def __init__(self, descriptor: int, reactor: Any) -> None:
        self._descriptor = descriptor
        self._reactor = reactor
        self.ready: Deferred[None] = Deferred(lambda _: reactor.removeReader(self))
        reactor.addReader(self)

    def fileno(self) -> int:
        """What is waited for."""
        return self._descriptor

    def doRead(self) -> None:
        """There is something, or the end."""
        self._reactor.removeReader(self)
        self.ready.callback(None)

    def connectionLost(self, reason: object) -> None:
        """There is the end."""
        if not self.ready.called:
            self.doRead()

    def logPrefix(self) -> str:
        """What it is called in the log."""
        return "input"


class LineSource:
    """
    Gives lines as they come; whoever waits for a pipe holds up nobody.

    Args:
        descriptor: Of the file; nothing else reads from it.
        reactor: Provides ``IReactorFDSet``.
        part_bytes: How much is read at a time.
        most_bytes: How long a line may be.

    Attributes:
        read: How many bytes have been read.
        total: How many there are from the beginning; None where nobody knows.
    """

    def __init__(
        self,
        descriptor: int,
        reactor: Any,
        part_bytes: int = PART_BYTES,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.read = 0
        self._part_bytes = part_bytes
        self._most_bytes = most_bytes
        self._descriptor = descriptor
        self._reactor = reactor
        self._rest = bytearray()
        status = os.fstat(descriptor)
        mode = status.st_mode
        self._may_wait = S_ISFIFO(mode) or S_ISSOCK(mode) or os.isatty(descriptor)
        self.total: int | None = None
        if S_ISREG(mode):
            here = os.lseek(descriptor, 0, os.SEEK_CUR)
            self.total = max(status.st_size - here, 0)

    async def lines(self) -> list[bytes]:
        """
        Some lines, without what ends them; none at the end.

        Raises:
            LineTooLong: There is one of many megabytes.
            OSError: The file cannot be read.
        """
        while True:
            if self._may_wait:
                await _Opening(self._descriptor, self._reactor).ready
            chunk = os.read(self._descriptor, self._part_bytes)
            self.read += len(chunk)
            if not chunk:
                last = bytes(self._rest)
                self._rest.clear()
                return [last] if last else []
            head, newline, tail = chunk.rpartition(b"\n")
            if newline:
                self._rest += head
                lines = bytes(self._rest).split(b"\n")
                self._rest[:] = tail
                return lines
            self._rest += chunk
            if len(self._rest) > self._most_bytes:
                raise LineTooLong(
                    f"a line of more than {self._most_bytes:,} bytes: there must be one"
                    " JSON object a line"
                )
