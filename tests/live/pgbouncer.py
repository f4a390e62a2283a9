"""PgBouncer between tests and PostgreSQL: lends connections for a transaction each."""

from __future__ import annotations

import atexit
import shutil
import subprocess
from functools import cache
from typing import Final

import psycopg
from twisted.trial.unittest import SkipTest

from tests.live.free_ports import free_port
from tests.live.postgres_server import (
    PostgresServer,
    ServerFailed,
    private_directory,
    shared_server,
    unprivileged,
)
from tests.live.proxy_process import program

_START_SECONDS: Final = 20

_CONFIGURATION: Final = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
logfile = {directory}/log
"""


class PgBouncer:
    """
    A pooler before a server; made by :meth:`start`.

    Attributes:
        port: Where it listens on the loopback interface.
    """

    def __init__(self) -> None:
        self.directory = private_directory()
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, server: PostgresServer, connections: int) -> PgBouncer:
        """
        Start it; returns when it answers.

        Args:
            server: What is behind it.
            connections: How many it holds there for each database.

        Raises:
            SkipTest: There is none here.
            ServerFailed: It does not start.
        """
        path = program("pgbouncer")
        if path is None:
            raise SkipTest("pgbouncer is not installed")
        pooler = cls()
        configuration = pooler.directory / "pgbouncer.ini"
        configuration.write_text(
            _CONFIGURATION.format(
                server=server.port,
                port=pooler.port,
                connections=connections,
                directory=pooler.directory,
            )
        )
        pooler._process = process = subprocess.Popen(
            [path, "--quiet", str(configuration)],
            cwd=pooler.directory,
            stdin=subprocess.DEVNULL,
            **unprivileged(),
        )
        for _ in range(_START_SECONDS * 20):
            try:
                psycopg.connect(pooler.url("postgres")).close()
            except psycopg.OperationalError:
                # Not a test that sleeps: it has no other way to tell.
                try:
                    process.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
                break
            return pooler
        log = pooler.directory / "log"
        text = log.read_text(errors="replace") if log.exists() else ""
        pooler.remove()
        raise ServerFailed(text)

    def url(self, database: str) -> str:
        """The URL of a database, by way of the pooler."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def remove(self) -> None:
        """Stop it, and remove all it had."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(_START_SECONDS)
        shutil.rmtree(self.directory, ignore_errors=True)


@cache
def shared_pooler() -> PgBouncer:
    """
    The pooler before the shared server, with two connections for each database.

    Raises:
        SkipTest: There is none here, or no PostgreSQL.
    """
    pooler = PgBouncer.start(shared_server(), connections=2)
    atexit.register(pooler.remove)
    return pooler
