"""A relay of several nodes to be measured, with all that they share."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.running import (
    SETTINGS,
    BenchmarkError,
    Relay,
    allow_many_files,
    running_process,
    stop,
    temporary_directory,
)
from tests.live.free_ports import free_port
from tests.live.postgres_server import PostgresServer

_NODE = """\
[store]
url = "{store}"
[ingest]
verifier_processes = 0
[cluster]
node = "{name}"
"""
_NEWS = """\
redis = "redis://127.0.0.1:{port}/0"
secret_file = "{secret}"
"""


@contextmanager
def _running(command: list[str], place: Path, port: int) -> Iterator[int]:
    """Start a program that listens on ``port``, and stop it in the end; its process."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    program = shutil.which(command[0], path=path)
    if program is None:
        raise BenchmarkError(f"{command[0]} is not installed")
    with open(place / f"{command[0]}.log", "wb") as log:
        process = subprocess.Popen(
            [program, *command[1:]], cwd=place, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    said = (place / f"{command[0]}.log").read_text(errors="replace")
                    raise BenchmarkError(f"{command[0]}: {said}") from None
                time.sleep(0.05)
        yield process.pid
    finally:
        stop(process)


@contextmanager
def running_nodes(count: int) -> Iterator[Relay]:
    """
    Start nodes over one PostgreSQL, and stop them in the end.

    Args:
        count: How many; several hear one another through Redis.

    Raises:
        BenchmarkError: Something does not start, or does not stop.
    """
    allow_many_files()
    with ExitStack() as stack:
        place = stack.enter_context(temporary_directory())
        postgres = PostgresServer.start()
        stack.callback(postgres.remove)
        pids = [postgres.pid]
        news = ""
        if count > 1:
            port = free_port()
            command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1"]
            stack.enter_context(_running([*command, "--save", ""], place, port))
            (place / "secret").write_text(os.urandom(32).hex())
            (place / "secret").chmod(0o600)
            news = _NEWS.format(port=port, secret=place / "secret")
        ports = []
        for number in range(1, count + 1):
            name = f"node{number}"
            (place / name).mkdir()
            settings = _NODE.format(store=postgres.url(), name=name)
            node = running_process(place / name, SETTINGS + settings + news)
            port, pid = stack.enter_context(node)
            ports.append(port)
            pids.append(pid)
        yield Relay(ports[0], tuple(pids), tuple(ports))
