"""A relay started as an operator starts it, in a process of its own."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure

from tests.live.occasion import Occasion
from tests.live.reactor import reactor

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parent.parent.parent
FREE_PORT = "tcp:0:interface=127.0.0.1"
PROXIED = f"haproxy:{FREE_PORT}"
#: Settings of a relay with pages for the operator.
WITH_PAGES = f'[admin]\nendpoints = ["{FREE_PORT}"]\n'

_LISTENING = re.compile(r"Listening on (wss?://[^\s\"]+)")
_PAGES = re.compile(r"Metrics and health are at http://[^\s/]*:(\d+)/")
_START_SECONDS = 30
_STOP_SECONDS = 30


class RelayDied(Exception):
    """The process ended before it listened; the text is what it wrote."""


class _Process(ProcessProtocol):
    """Gathers what a process writes, and says when it listens and when it ends."""

    def __init__(self) -> None:
        self.output = ""
        self.listening: Occasion[str] = Occasion()
        self.ended: Occasion[int] = Occasion()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Keep what is written to standard output and to standard error."""
        self.output += data.decode(errors="replace")
        if self.listening.value is None and (found := _LISTENING.search(self.output)):
            self.listening.happens(found[1])

    def processEnded(self, reason: Failure) -> None:
        """Tell whoever waits; a signal is a negative exit code."""
        self.listening.fails(RelayDied(self.output))
        end = reason.value
        assert isinstance(end, (ProcessDone, ProcessTerminated))
        self.ended.happens(-end.signal if end.signal else end.exitCode or 0)


class RelayProcess:
    """
    A relay that runs; made by :meth:`start`.

    Attributes:
        url: Where clients connect.
        directory: Where it runs, keeps its store, and has its settings.
    """

    def __init__(self, process: _Process, url: str, directory: Path) -> None:
        self._process = process
        self.url = url
        self.directory = directory

    @classmethod
    async def start(
        cls, directory: Path, settings: str = "", listen: str = FREE_PORT
    ) -> RelayProcess:
        """
        Start a relay on a free port of the loopback interface.

        Args:
            directory: Holds its store; made if it does not exist.
            settings: Its settings file.
            listen: Where it listens.

        Raises:
            RelayDied: It ended instead.
        """
        directory.mkdir(exist_ok=True)
        (directory / "settings.toml").write_text(settings)
        arguments = ["--config", "settings.toml", "--listen", listen]
        arguments += ["--store", "lmdb:store"]
        return await cls.spawn(directory, ["nostr-relay", *arguments])

    @classmethod
    async def spawn(
        cls,
        directory: Path,
        arguments: Sequence[str],
        **environment: str,
    ) -> RelayProcess:
        """
        Start ``twistd -n`` with these arguments, and wait until it listens.

        Raises:
            RelayDied: It ended instead.
        """
        process = _spawn(directory, arguments, environment)
        url = await process.listening.wait(_START_SECONDS)
        return cls(process, url, directory)

    @classmethod
    async def activate(
        cls, directory: Path, arguments: Sequence[str], descriptor: int
    ) -> RelayProcess:
        """
        Start ``twistd -n`` as systemd does with a socket that it has opened.

        Raises:
            RelayDied: It ended instead.
        """
        script = 'export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=x; exec "$0" "$@"'
        before = ["/bin/sh", "-c", script]
        process = _spawn(directory, arguments, {}, before, {3: descriptor})
        url = await process.listening.wait(_START_SECONDS)
        return cls(process, url, directory)

    @property
    def pid(self) -> int:
        """Its process."""
        pid: int = self._process.transport.pid  # type: ignore[union-attr]
        return pid

    @property
    def output(self) -> str:
        """All it has written so far."""
        return self._process.output

    @property
    def address(self) -> tuple[str, int]:
        """Host and port where it listens."""
        host, _, port = self.url.partition("//")[2].rstrip("/").rpartition(":")
        return host, int(port)

    @property
    def node(self) -> tuple[str, int, int]:
        """Host, port, and the port of the operator's pages, as HAProxy knows it."""
        pages = _PAGES.search(self.output)
        assert pages is not None, "it has no such pages"
        return *self.address, int(pages[1])

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Hosts and ports where it listens, in the order of its endpoints."""
        return [
            (
                url.partition("//")[2].partition(":")[0],
                int(url.rstrip("/").rpartition(":")[2]),
            )
            for url in _LISTENING.findall(self.output)
        ]

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.ended.value is not None

    async def stop(self, signal: str = "TERM") -> int:
        """
        Send a signal and wait for the end.

        Returns:
            The exit code; if a signal ended the process, that number, negative.
        """
        if not self.has_ended:
            self._process.transport.signalProcess(signal)  # type: ignore[union-attr]
        return await self.end()

    async def end(self) -> int:
        """Wait for the end; the exit code as in :meth:`stop`."""
        return await self._process.ended.wait(_STOP_SECONDS)


async def run_to_end(directory: Path, arguments: Sequence[str]) -> tuple[int, str]:
    """
    Run ``twistd -n`` with arguments with which it cannot serve.

    Returns:
        Its exit code and all it wrote.
    """
    process = _spawn(directory, arguments, {})
    return await process.ended.wait(_STOP_SECONDS), process.output


async def daemonize(directory: Path, settings: str, arguments: Sequence[str]) -> int:
    """
    Run ``twistd`` as a daemon, with the files ``pid`` and ``log``.

    Returns:
        Its exit code; it comes back when the daemon serves or cannot.
    """
    (directory / "settings.toml").write_text(settings)
    command = [str(BIN / "twistd"), "--pidfile=pid", "--logfile=log", "nostr-relay"]
    _, _, code = await getProcessOutputAndValue(
        command[0],
        [*command[1:], "--config", "settings.toml", *arguments],
        path=str(directory),
    )
    return int(code)


def running_in(directory: Path) -> list[int]:
    """The processes whose working directory this is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == directory:
                found.append(int(process.name))
        except OSError:
            # It is gone, or somebody else's.
            pass
    return found


def _spawn(
    directory: Path,
    arguments: Sequence[str],
    environment: dict[str, str],
    before: Sequence[str] = (),
    descriptors: Mapping[int, int] | None = None,
) -> _Process:
    directory.mkdir(exist_ok=True)
    process = _Process()
    command = [*before, str(BIN / "twistd"), "-n", "--pidfile=", *arguments]
    inherited: dict[int, Any] = {0: "w", 1: "r", 2: "r", **(descriptors or {})}
    reactor.spawnProcess(
        process,
        command[0],
        command,
        {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(directory), **environment},
        str(directory),
        childFDs=inherited,
    )
    return process
