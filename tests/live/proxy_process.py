"""A proxy in a process of its own, on free ports of the loopback interface."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import Signals
from tempfile import mkdtemp

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError, ProcessDone, ProcessTerminated
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.live.occasion import Occasion
from tests.live.reactor import reactor

_START_SECONDS = 20
_STOP_SECONDS = 20
_LOOK_SECONDS = 0.02


class ProxyDied(Exception):
    """The process ended before it served; the text is what it wrote."""


def program(name: str) -> str | None:
    """Where a program is, also one of those that Debian keeps for the administrator."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


class _Process(ProcessProtocol):
    """Gathers what a process writes, and says when it ends."""

    def __init__(self) -> None:
        self.output = ""
        self.ended: Occasion[int] = Occasion()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self.output += data.decode(errors="replace")

    def processEnded(self, reason: Failure) -> None:
        end = reason.value
        assert isinstance(end, (ProcessDone, ProcessTerminated))
        self.ended.happens(-end.signal if end.signal else end.exitCode or 0)


class ProxyProcess:
    """
    A process that runs in the foreground and listens on known ports.

    Attributes:
        directory: For its files: not in the test's own, whose name may be too long
            for a UNIX socket. Removed when it has stopped.
        ports: Where it listens.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self.directory = Path(mkdtemp(prefix="proxy-"))
        self.ports = ports
        self._process = _Process()

    @property
    def pid(self) -> int:
        """The process."""
        pid: int = self._process.transport.pid  # type: ignore[union-attr]
        return pid

    @property
    def output(self) -> str:
        """All it has written so far."""
        return self._process.output

    async def run(self, command: Sequence[str]) -> None:
        """
        Start the process, and wait until it takes connections on all ports.

        Raises:
            ProxyDied: It ended instead.
            TimeoutError: It takes none, and was ended.
        """
        try:
            await self._run(command)
        except BaseException:
            await self.stop()
            raise

    async def _run(self, command: Sequence[str]) -> None:
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        reactor.spawnProcess(
            self._process, command[0], command, environment, str(self.directory)
        )
        deadline = reactor.seconds() + _START_SECONDS
        for port in self.ports:
            while not await _is_open(port):
                if self._process.ended.value is not None:
                    raise ProxyDied(self.output)
                if reactor.seconds() > deadline:
                    raise TimeoutError(self.output)
                await deferLater(reactor, _LOOK_SECONDS)

    def signal(self, signal: Signals) -> None:
        """Send a signal to the process."""
        os.kill(self.pid, signal)

    async def says(
        self, text: str, times: int = 1, seconds: float = _START_SECONDS
    ) -> None:
        """
        Wait until it has written ``text`` so many times.

        Raises:
            TimeoutError: It does not.
        """
        deadline = reactor.seconds() + seconds
        while self.output.count(text) < times:
            if reactor.seconds() > deadline:
                raise TimeoutError(self.output)
            await deferLater(reactor, _LOOK_SECONDS)

    async def stop(self) -> int:
        """End the process; its exit code, or the signal's number, negative."""
        if self._process.ended.value is None:
            self._process.transport.signalProcess("TERM")  # type: ignore[union-attr]
        code = await self._process.ended.wait(_STOP_SECONDS)
        shutil.rmtree(self.directory, ignore_errors=True)
        return code


async def _is_open(port: int) -> bool:
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    try:
        connection = await endpoint.connect(Factory.forProtocol(Protocol))
    except ConnectError:
        return False
    assert isinstance(connection, Protocol)
    connection.transport.loseConnection()  # type: ignore[union-attr]
    return True


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """``text`` after replacements, each of which must apply."""
    for old, new in changes.items():
        if old not in text:
            raise ValueError(f"{old!r} is not in the configuration")
        text = text.replace(old, new)
    return text
