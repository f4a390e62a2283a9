"""A Redis server of a test's own, and a Sentinel that watches it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from typing import Final

from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from tests.live.free_ports import free_port
from tests.live.occasion import Occasion
from tests.live.reactor import reactor

_PROGRAM: Final = shutil.which("redis-server")

#: Why tests that need Redis are skipped; None if they are not.
REDIS_MISSING: Final = None if _PROGRAM else "redis-server is not installed"

_SECONDS: Final = 20


class RedisDied(Exception):
    """The process ended before it served; the text is what it wrote."""


class _Process(ProcessProtocol):
    """Gathers what the process writes, and says when it serves and when it ends."""

    def __init__(self, serving: str) -> None:
        self.output = ""
        self.serves: Occasion[bool] = Occasion()
        self.ended: Occasion[bool] = Occasion()
        self._serving = serving

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Look for the line that says that it serves."""
        self.output += data.decode(errors="replace")
        if self._serving in self.output:
            self.serves.happens(True)

    def processEnded(self, reason: Failure) -> None:
        """Tell whoever waits."""
        assert isinstance(reason.value, (ProcessDone, ProcessTerminated))
        self.serves.fails(RedisDied(self.output))
        self.ended.happens(True)


class RedisServer:
    """
    A Redis server that keeps nothing on disk; made by :meth:`start`.

    It stands and falls on one port, however often it is started again.

    Attributes:
        port: Where it listens, on the loopback interface.
        socket: The UNIX socket where it listens as well; only as long as this is
            short enough can anyone connect to it.
    """

    def __init__(self, directory: Path, settings: str, sentinel: bool) -> None:
        self.port = free_port()
        self.socket = directory / "redis.sock"
        self._directory = directory
        self._sentinel = sentinel
        self._process: _Process | None = None
        directory.mkdir(parents=True, exist_ok=True)
        common = f"bind 127.0.0.1\ndir {directory}\n"
        if not sentinel:
            common += 'save ""\nunixsocket redis.sock\nrepl-diskless-sync-delay 0\n'
        if "tls-port" not in settings:
            common += f"port {self.port}\n"
        settings = settings.replace("{port}", str(self.port))
        (directory / "redis.conf").write_text(common + settings)

    @classmethod
    async def start(
        cls, directory: Path, settings: str = "", sentinel: bool = False
    ) -> RedisServer:
        """
        Start a server, and wait until it serves.

        Args:
            directory: Where it runs; made if it does not exist, not to be shared.
            settings: More lines for its ``redis.conf``, in which ``{port}`` stands
                for its port: with ``tls-port {port}`` it speaks nothing but TLS.
            sentinel: Whether it is a Sentinel, with a ``monitor`` in ``settings``.

        Raises:
            RedisDied: It ended instead.
        """
        server = cls(directory, settings, sentinel)
        await server.restart()
        return server

    @property
    def url(self) -> str:
        """Where it is, for the setting ``cluster.redis``."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        pid: int = self._process.transport.pid  # type: ignore[union-attr]
        return pid

    @property
    def output(self) -> str:
        """What the process has written so far."""
        return "" if self._process is None else self._process.output

    async def restart(self) -> None:
        """
        Start it on its port, empty; end it first if it runs.

        Raises:
            RedisDied: It ended instead.
        """
        await self.stop()
        assert _PROGRAM is not None
        self._process = _Process("+monitor" if self._sentinel else "Ready to accept")
        command = [_PROGRAM, "redis.conf"] + ["--sentinel"] * self._sentinel
        reactor.spawnProcess(
            self._process, command[0], command, {}, str(self._directory)
        )
        await self._process.serves.wait(_SECONDS)

    async def stop(self) -> None:
        """End it in good order; harmless if it does not run."""
        await self._end(SIGTERM)

    async def kill(self) -> None:
        """End it at once."""
        await self._end(SIGKILL)

    def pause(self) -> None:
        """Have it do nothing, though its connections stand."""
        os.kill(self.pid, SIGSTOP)

    def resume(self) -> None:
        """Have it go on after :meth:`pause`."""
        os.kill(self.pid, SIGCONT)

    async def _end(self, number: int) -> None:
        if self._process is None:
            return
        if self._process.ended.value is None:
            os.kill(self.pid, SIGCONT)
            os.kill(self.pid, number)
        await self._process.ended.wait(_SECONDS)
        self._process = None
