"""
PostgreSQL servers for tests: their own, on a free loopback port, in a directory in
``/tmp``; never the machine's.

:func:`shared_server` is one for all tests of a process, fast and careless about
power cuts; tests of durability start their own with :meth:`PostgresServer.start`.
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg
from twisted.trial.unittest import SkipTest

from tests.live.free_ports import free_port

_USER: Final = "postgres"
_START_SECONDS: Final = 60

#: What makes tests quick.
_SETTINGS: Final = {
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "hot_standby": "on",
    "autovacuum_naptime": "10s",
    "lc_messages": "C",
}
_FAST: Final = {"fsync": "off", "full_page_writes": "off"}


class ServerFailed(Exception):
    """A server did not do what it was told; the text is what it wrote."""


def programs() -> Path:
    """
    Where the programs of the newest PostgreSQL of this machine are.

    Raises:
        SkipTest: There is none.
    """
    found = [
        path
        for path in Path("/usr/lib/postgresql").glob("*/bin")
        if (path / "initdb").exists()
    ]
    if not found:
        raise SkipTest("no PostgreSQL: apt-get install postgresql")
    return max(found, key=lambda path: float(path.parent.name))


def unprivileged() -> dict[str, Any]:
    """
    How to run what must not run as root, for :class:`subprocess.Popen`.

    Empty where the tests themselves do not run as root.
    """
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise SkipTest("PostgreSQL does not run as root, and there is nobody else")


def private_directory() -> Path:
    """A new directory that belongs to whom :func:`unprivileged` names."""
    path = Path(tempfile.mkdtemp(prefix="nostrtx-postgres-", dir="/tmp"))
    who = unprivileged()
    if who:
        os.chown(path, who["user"], who["group"])
    return path


class PostgresServer:
    """
    A server that runs; made by :meth:`start` or :meth:`start_replica`.

    Attributes:
        port: Where it listens on the loopback interface; stays the same when it is
            restarted.
        directory: Holds its data, its socket and its log; removed by :meth:`remove`.
    """

    def __init__(self, directory: Path, port: int, settings: Mapping[str, str]) -> None:
        self.directory = directory
        self.port = port
        self._settings = dict(settings)
        self._process: subprocess.Popen[bytes] | None = None
        self._names = count(1)

    @classmethod
    def start(
        cls, *, durable: bool = True, settings: Mapping[str, str] | None = None
    ) -> PostgresServer:
        """
        Make a cluster of databases and start a server.

        Args:
            durable: Whether it waits for the disk; without, tests are quicker.
            settings: Further parameters, as in ``postgresql.conf``.

        Raises:
            SkipTest: There is no PostgreSQL here.
            ServerFailed: It does not start.
        """
        server = cls(
            private_directory(),
            free_port(),
            {**_SETTINGS, **({} if durable else _FAST), **(settings or {})},
        )
        server._run(
            "initdb",
            *("-D", str(server.data), "-U", _USER, "-A", "trust", "-E", "UTF8"),
            *("--locale", "C.UTF-8", "--no-sync"),
        )
        server.begin()
        return server

    def start_replica(
        self, settings: Mapping[str, str] | None = None
    ) -> PostgresServer:
        """
        Start another server that follows this one.

        Args:
            settings: Further parameters, as in ``postgresql.conf``.
        """
        replica = PostgresServer(
            private_directory(), free_port(), {**self._settings, **(settings or {})}
        )
        replica._run(
            "pg_basebackup",
            *("-h", "127.0.0.1", "-p", str(self.port), "-U", _USER),
            *("-D", str(replica.data), "-R", "-X", "stream", "-c", "fast", "--no-sync"),
        )
        replica.begin()
        return replica

    @property
    def data(self) -> Path:
        """The cluster of databases."""
        return self.directory / "data"

    @property
    def log(self) -> str:
        """All the server has written so far."""
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def pid(self) -> int:
        """The server's first process."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres", *, by_socket: bool = False) -> str:
        """
        The URL of a database.

        Args:
            database: Its name.
            by_socket: Whether to connect to the Unix socket instead of the port.
        """
        if by_socket:
            where = f"host={self.directory}&port={self.port}"
            return f"postgresql://{_USER}@/{database}?{where}"
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        """Execute one statement outside of any transaction; its rows, if any."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def make_database(self, template: str = "template0", more: str = "") -> str:
        """
        Make a database; its name.

        Args:
            template: The database it is a copy of; nobody may be connected to it.
            more: Further options of ``CREATE DATABASE``.
        """
        name = f"test_{os.getpid()}_{next(self._names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} {more}")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def begin(self) -> None:
        """Start the server again after it was stopped; returns when it answers."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
            **self._settings,
        }
        command = [str(programs() / "postgres"), "-D", str(self.data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with open(self.directory / "log", "ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **unprivileged(),
            )
        ready = [str(programs() / "pg_isready"), "-q", "-h", "127.0.0.1"]
        ready += ["-p", str(self.port), "-t", "1"]
        for _ in range(_START_SECONDS * 20):
            if self._process.poll() is not None:
                break
            if subprocess.run(ready, check=False).returncode == 0:
                return
            # Not a test that sleeps: the server has no other way to tell.
            try:
                self._process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        raise ServerFailed(self.log)

    def stop(self, signal_: int = signal.SIGINT) -> None:
        """
        Stop the server, by default at once but in an orderly way.

        Args:
            signal_: SIGTERM waits for clients to leave, SIGINT sends them away,
                SIGQUIT does not even write what is left.
        """
        process, self._process = self._process, None
        if process is not None:
            os.kill(process.pid, signal.SIGCONT)
            process.send_signal(signal_)
            process.wait(_START_SECONDS)

    def kill(self) -> None:
        """End all of the server's processes with ``kill -9``, as a crash would."""
        process, self._process = self._process, None
        if process is None:
            return
        backends = self._children(process.pid)
        process.kill()
        for pid in backends:
            _signal(pid, signal.SIGKILL)
        process.wait(_START_SECONDS)

    def kill_backends(self, database: str) -> int:
        """End those who serve a database with ``kill -9``; how many there were."""
        query = f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}'"
        pids = [pid for (pid,) in self.execute(query)]
        for pid in pids:
            _signal(pid, signal.SIGKILL)
        return len(pids)

    def restart(self, signal_: int = signal.SIGINT) -> None:
        """Stop the server, then start it again on the same port."""
        self.stop(signal_)
        self.begin()

    def pause(self) -> None:
        """Have all of the server's processes stand still: it takes no notice."""
        for pid in (self.pid, *self._children(self.pid)):
            _signal(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Have them go on; returns when the server answers."""
        for pid in (*self._children(self.pid), self.pid):
            _signal(pid, signal.SIGCONT)
        self.execute("SELECT 1")

    def remove(self) -> None:
        """Stop the server and remove all it had."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(programs() / program), *arguments],
            cwd=self.directory,
            capture_output=True,
            check=False,
            timeout=_START_SECONDS,
            **unprivileged(),
        )
        if done.returncode:
            raise ServerFailed(done.stderr.decode(errors="replace"))

    def _children(self, pid: int) -> Sequence[int]:
        path = Path(f"/proc/{pid}/task/{pid}/children")
        return [int(child) for child in path.read_text().split()]


def _signal(pid: int, signal_: int) -> None:
    try:
        os.kill(pid, signal_)
    except ProcessLookupError:
        pass


@cache
def shared_server() -> PostgresServer:
    """
    The server that all tests of this process share; stopped when it exits.

    Raises:
        SkipTest: There is no PostgreSQL here.
    """
    server = PostgresServer.start(durable=False)
    atexit.register(server.remove)
    return server
