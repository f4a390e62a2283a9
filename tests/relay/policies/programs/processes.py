"""Processes of a program that are none: the test says what they write."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport, IReactorProcess
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IProcessTransport)
class FakeProgram:
    """
    A process, from the relay's side.

    Attributes:
        pid: Its number.
        arguments: How it was started.
        environment: What it was started with.
        writes: What was written to its input, at a time.
        has_input: Whether its input is open.
        signals: What it was sent.
    """

    def __init__(
        self,
        reactor: MemoryReactorClock,
        protocol: Any,
        arguments: Sequence[str],
        environment: Mapping[str, str],
    ) -> None:
        self.pid = 1
        self.arguments = list(arguments)
        self.environment = environment
        self.writes: list[bytes] = []
        self.has_input = True
        self.signals: list[str] = []
        self._reactor = reactor
        self._protocol = protocol
        protocol.makeConnection(self)

    @property
    def input(self) -> list[Any]:
        """The lines that it has got by the end of this turn, as parsed JSON."""
        self._reactor.advance(0)
        return [json.loads(line) for line in b"".join(self.writes).splitlines()]

    @property
    def asked(self) -> list[str]:
        """The ids that it was asked about."""
        return [request["event"]["id"] for request in self.input]

    def put(self, data: bytes) -> None:
        """Have it write to its standard output."""
        self._protocol.childDataReceived(1, data)

    def complain(self, data: bytes) -> None:
        """Have it write to its standard error."""
        self._protocol.childDataReceived(2, data)

    def answer(self, id_: str, action: str = "accept", message: str = "") -> None:
        """Have it answer."""
        answer = {"id": id_, "action": action, "msg": message}
        self.put(json.dumps(answer).encode() + b"\n")

    def end(self, signal: int | None = None, code: int = 0) -> None:
        """Have it be gone."""
        done = ProcessTerminated(code or None, signal) if signal or code else None
        self._protocol.processEnded(Failure(done or ProcessDone(0)))

    def close_input(self) -> None:
        """Have it close its input."""
        self._protocol.childConnectionLost(0)

    def writeToChild(self, childFD: int, data: bytes) -> None:
        """Take lines."""
        if not self.has_input:
            raise KeyError(childFD)
        assert childFD == 0
        assert data.endswith(b"\n")
        self.writes.append(data)

    def closeChildFD(self, descriptor: int) -> None:
        """There is no more input."""
        self.has_input = self.has_input and descriptor != 0

    def signalProcess(self, signalID: str | int) -> None:
        """Take a signal."""
        self.signals.append(str(signalID))

    def closeStdin(self) -> None:
        """There is no more input."""
        self.closeChildFD(0)

    def closeStdout(self) -> None:
        """Nobody hears it any more."""

    def closeStderr(self) -> None:
        """Likewise."""

    def write(self, data: bytes) -> None:
        """Take a line."""
        self.writeToChild(0, data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Take lines."""
        self.write(b"".join(data))

    def getPeer(self) -> Any:
        """It has no address."""

    def getHost(self) -> Any:
        """Likewise."""

    def loseConnection(self) -> None:
        """All of it."""
        self.closeStdin()


@implementer(IReactorProcess)
class ProgramReactor(MemoryReactorClock):
    """
    A reactor that starts such processes.

    Attributes:
        programs: All that were started.
    """

    def __init__(self) -> None:
        super().__init__()
        self.programs: list[FakeProgram] = []

    def spawnProcess(
        self,
        processProtocol: Any,
        executable: Any,
        args: Any = (),
        env: Any = None,
        path: Any = None,
        uid: Any = None,
        gid: Any = None,
        usePTY: Any = False,
        childFDs: Any = None,
    ) -> Any:
        """Start one."""
        program = FakeProgram(self, processProtocol, args, env)
        self.programs.append(program)
        return program
