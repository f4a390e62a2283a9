# -*- test-case-name: tests.relay.policies.programs.test_process -*-
"""One process of a program: lines to it, lines from it, and its end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from shutil import which
from typing import Any, Final, Protocol

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

#: Longest line of a program, in bytes.
MAX_LINE: Final = 64 * 1024

#: How long a program may go on after the end of its input, in seconds.
END_SECONDS: Final = 3.0

#: Names of the environment that begin so are the relay's own, secrets among them.
_OWN: Final = "NOSTRTX_"


class IListens(Protocol):
    """Whoever a process reports to."""

    def wrote(self, process: ProgramProcess, lines: Sequence[bytes]) -> None:
        """It wrote lines to its standard output."""

    def complained(self, lines: Sequence[bytes]) -> None:
        """It wrote lines to its standard error."""

    def ended(self, process: ProgramProcess, how: str) -> None:
        """It is gone; ``how`` ends a sentence."""


class _Lines:
    """Makes whole lines of what comes in parts; parts of one too long are lines."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            lines.append(self._rest)
            self._rest = b""
        return [line for line in lines if line and not line.isspace()]


class ProgramProcess(ProcessProtocol):
    """
    A process that runs.

    Args:
        reactor: Runs it.
        arguments: The program, and what it is given.
        listener: Whom it reports to.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(
        self, reactor: Any, arguments: Sequence[str], listener: IListens
    ) -> None:
        self._reactor = reactor
        self._listener = listener
        self._answers = _Lines()
        self._complaints = _Lines()
        self._kill: Any = None
        self._has_ended = False
        self._told: list[bytes] = []
        self._writing: Any = None
        program = which(arguments[0])
        if program is None:
            raise FileNotFoundError(f"{arguments[0]} is no program")
        reactor.spawnProcess(
            self,
            program,
            list(arguments),
            env={k: v for k, v in os.environ.items() if not k.startswith(_OWN)},
        )

    def tell(self, line: bytes) -> None:
        """Write a line to it, with what else it is told in this turn."""
        if self._kill is not None:
            return
        if not self._told:
            self._writing = self._reactor.callLater(0, self._write)
        self._told.append(line)

    def finish(self) -> None:
        """End its input; upon that it should end, or else it is made to."""
        if self._kill is None and not self._has_ended:
            self._kill = self._reactor.callLater(END_SECONDS, self._kill_late)
            if self._told:
                self._writing.cancel()
                self._write()
            if self.transport is not None:
                self.transport.closeChildFD(0)

    def kill(self) -> None:
        """End it at once."""
        if self.transport is not None and not self._has_ended:
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")

    def outReceived(self, data: bytes) -> None:
        """Pass on what it writes, line by line."""
        lines = self._answers.take(data)
        if lines:
            self._listener.wrote(self, lines)

    def errReceived(self, data: bytes) -> None:
        """Likewise of its standard error."""
        lines = self._complaints.take(data)
        if lines:
            self._listener.complained(lines)

    def inConnectionLost(self) -> None:
        """End it if it does not want to be asked any more."""
        if self._kill is None:
            self.kill()

    def processEnded(self, reason: Failure) -> None:
        """Report the end."""
        self._has_ended = True
        if self._kill is not None and self._kill.active():
            self._kill.cancel()
        signal = getattr(reason.value, "signal", None)
        code = getattr(reason.value, "exitCode", None)
        how = f"by signal {signal}" if signal else f"with exit code {code or 0}"
        self._listener.ended(self, how)

    def _write(self) -> None:
        lines, self._told = self._told, []
        if self.transport is not None and not self._has_ended:
            # Its input may be closed; then its end is near.
            with suppress(KeyError):
                self.transport.writeToChild(0, b"".join(lines))

    def _kill_late(self) -> None:
        self.kill()
