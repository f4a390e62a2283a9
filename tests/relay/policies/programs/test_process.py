"""Tests for :mod:`nostrtx.relay.policies.programs.process`."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.interfaces import IProcessTransport, IReactorProcess
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.relay.policies.programs.process import (
    END_SECONDS,
    MAX_LINE,
    ProgramProcess,
)
from tests.relay.policies.programs.processes import ProgramReactor


class ProgramProcessTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.programs.process.ProgramProcess`."""

    def setUp(self) -> None:
        """Start a process."""
        self.lines: list[bytes] = []
        self.complaints: list[bytes] = []
        self.ends: list[str] = []
        self.patch_environment()
        self.reactor = ProgramReactor()
        self.process = ProgramProcess(self.reactor, ["sh", "-e"], self)
        (self.program,) = self.reactor.programs

    def patch_environment(self) -> None:
        """Have a secret in the environment."""
        import os

        self.patch(os, "environ", {**os.environ, "NOSTRTX_CLUSTER_SECRET": "x"})

    def wrote(self, process: ProgramProcess, lines: Sequence[bytes]) -> None:
        """Note lines."""
        self.lines += lines

    def complained(self, lines: Sequence[bytes]) -> None:
        """Note lines."""
        self.complaints += lines

    def ended(self, process: ProgramProcess, how: str) -> None:
        """Note the end."""
        self.ends.append(how)

    def test_interface(self) -> None:
        """What stands in for processes here is like them."""
        self.assertTrue(verifyObject(IReactorProcess, self.reactor))
        self.assertTrue(verifyObject(IProcessTransport, self.program))

    def test_start(self) -> None:
        """It gets its arguments and the environment, but no secret of the relay."""
        self.assertEqual(self.program.arguments, ["sh", "-e"])
        self.assertIn("PATH", self.program.environment)
        self.assertNotIn("NOSTRTX_CLUSTER_SECRET", self.program.environment)

    def test_no_program(self) -> None:
        """What is no program cannot be started."""
        error = self.assertRaises(
            OSError, ProgramProcess, self.reactor, ["/nonexistent"], self
        )
        self.assertIn("/nonexistent", str(error))

    def test_lines(self) -> None:
        """Lines may come in parts, and several at once; empty ones are none."""
        for data in (b"o", b"ne\ntwo\n\n \nth", b"ree\nfour"):
            self.program.put(data)
        self.program.complain(b"no\n")
        self.assertEqual(self.lines, [b"one", b"two", b"three"])
        self.assertEqual(self.complaints, [b"no"])

    def test_endless_line(self) -> None:
        """A line without an end takes no memory without an end."""
        for _ in range(10):
            self.program.put(b"x" * MAX_LINE)
        self.assertGreater(len(self.lines), 3)

    def test_tell(self) -> None:
        """What it is told in one turn is written at once."""
        for number in (b"1\n", b"2\n"):
            self.process.tell(number)
        self.assertEqual(self.program.writes, [])
        self.reactor.advance(0)
        self.assertEqual(self.program.writes, [b"1\n2\n"])
        self.process.tell(b"3\n")
        self.process.finish()
        self.reactor.advance(0)
        self.assertEqual(self.program.writes, [b"1\n2\n", b"3\n"])

    def test_finish(self) -> None:
        """At the end of its input it ends by itself."""
        self.process.finish()
        self.process.finish()
        self.assertFalse(self.program.has_input)
        self.process.tell(b"{}\n")
        self.program.end()
        self.assertEqual(self.ends, ["with exit code 0"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.process.kill()
        self.assertEqual(self.program.signals, [])

    def test_does_not_finish(self) -> None:
        """If it does not end, it is killed."""
        self.process.finish()
        self.reactor.advance(END_SECONDS)
        self.assertEqual(self.program.signals, ["KILL"])
        self.program.end(signal=9)
        self.assertEqual(self.ends, ["by signal 9"])

    def test_closes_its_input(self) -> None:
        """A process that reads no more is of no use, and ended."""
        self.program.close_input()
        self.assertEqual(self.program.signals, ["KILL"])
