"""Tests for :mod:`nostrtx.cli.line_source`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.cli.line_source import LineSource, LineTooLong


class Readers:
    """What a reactor knows of who waits to read."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """Somebody waits."""
        self.waiting.append(reader)

    def removeReader(self, reader: Any) -> None:
        """Somebody waits no more."""
        self.waiting.remove(reader)


class LineSourceTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.cli.line_source.LineSource`."""

    def setUp(self) -> None:
        """Have a reactor in which nothing happens."""
        self.reactor = Readers()

    def file_of(self, content: bytes, skip: int = 0, **sizes: int) -> LineSource:
        """The lines of a file, of which some is read already."""
        path = Path(self.mktemp())
        path.write_bytes(content)
        descriptor = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        os.read(descriptor, skip)
        return LineSource(descriptor, self.reactor, **sizes)

    def pipe(self) -> tuple[LineSource, int]:
        """The lines of a pipe, and where to write."""
        here, there = os.pipe()
        self.addCleanup(os.close, here)
        return LineSource(here, self.reactor), there

    def some(self, source: LineSource) -> Deferred[list[bytes]]:
        """The next lines, perhaps later."""
        return Deferred.fromCoroutine(source.lines())

    def all(self, source: LineSource) -> list[bytes]:
        """All lines that are there."""
        found: list[bytes] = []
        while lines := self.successResultOf(self.some(source)):
            found += lines
        return found

    def test_file(self) -> None:
        """No line of a file is lost or comes twice, however it is cut into parts."""
        lines = [b"%d" % (7**power) for power in range(200)]
        text = b"\n".join(lines)
        for end in (b"", b"\n"):
            for size in (1, 3, 100, 1_000_000):
                source = self.file_of(text + end, part_bytes=size)
                self.assertEqual(self.all(source), lines)
                self.assertEqual(source.read, len(text + end))
        self.assertEqual(self.all(self.file_of(b"")), [])

    def test_total(self) -> None:
        """How much there is to read is known of a file, and not of a pipe."""
        self.assertEqual(self.file_of(b"0123456789").total, 10)
        self.assertEqual(self.file_of(b"0123456789", skip=4).total, 6)
        source, there = self.pipe()
        os.close(there)
        self.assertIsNone(source.total)

    def test_no_lines(self) -> None:
        """What goes on and on without a new line is refused."""
        source = self.file_of(b"short\n" + b"x" * 5000, part_bytes=400, most_bytes=1000)
        self.assertEqual(self.successResultOf(self.some(source)), [b"short"])
        self.failureResultOf(self.some(source), LineTooLong)

    def test_pipe(self) -> None:
        """What comes through a pipe is waited for, until its other end is closed."""
        source, there = self.pipe()
        lines = self.some(source)
        self.assertNoResult(lines)
        [waiting] = self.reactor.waiting
        self.assertTrue(verifyObject(IReadDescriptor, waiting))
        os.write(there, b"one\ntw")
        waiting.doRead()
        self.assertEqual(self.successResultOf(lines), [b"one"])
        lines = self.some(source)
        os.write(there, b"o\n")
        self.reactor.waiting[0].doRead()
        self.assertEqual(self.successResultOf(lines), [b"two"])
        lines = self.some(source)
        os.close(there)
        self.reactor.waiting[0].connectionLost(Failure(ConnectionError()))
        self.assertEqual(self.successResultOf(lines), [])
        self.assertEqual(self.reactor.waiting, [])

    def test_interrupted(self) -> None:
        """Who is interrupted while nothing comes waits no more."""
        source, there = self.pipe()
        self.addCleanup(os.close, there)
        lines = self.some(source)
        lines.cancel()
        self.failureResultOf(lines, CancelledError)
        self.assertEqual(self.reactor.waiting, [])
