"""A relay to be measured, and the load generator that measures it."""

from __future__ import annotations

import json
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

HERE = Path(__file__).parent
CORPORA = HERE / "corpora"
_NLOAD = HERE / "nload"
_BIN = Path(sys.executable).parent
_LISTENING = re.compile(r"Listening on ws://127\.0\.0\.1:(\d+)/")
_OPTIONS = ("--config", "settings.toml", "--listen", "tcp:0:interface=127.0.0.1")
SETTINGS = """\
[limits]
max_connections = 0
max_connections_per_address = 0
[search]
enabled = false
"""


class BenchmarkError(Exception):
    """The measurement could not be made; the text says why."""


@attrs.frozen
class Relay:
    """
    A relay of its own, on a free port of the loopback interface.

    Attributes:
        port: Where it listens.
        pids: Its processes; the load generator finds the descendants itself.
        nodes: The ports of its nodes, if it has several.
        place: The directory in which it runs, if it is one process, or a supervisor.
        options: With which it was started there.
    """

    port: int
    pids: tuple[int, ...]
    nodes: tuple[int, ...] = ()
    place: Path | None = None
    options: tuple[str, ...] = ()


def _port_of(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if found := _LISTENING.search(log.read_text(errors="replace")):
            return int(found[1])
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise BenchmarkError(f"the relay did not start:\n{log.read_text()}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """
    End a process with SIGTERM.

    Raises:
        BenchmarkError: It does not end in good time.
    """
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise BenchmarkError("a process did not stop within 60 s") from None


@contextmanager
def running_relay(store: Path | None = None, settings: str = "") -> Iterator[Relay]:
    """
    Start a relay, and stop it in the end.

    Args:
        store: Directory of its store; None for an empty one that is then removed.
        settings: More of its settings.

    Raises:
        BenchmarkError: It does not start, or does not stop.
    """
    allow_many_files()
    with temporary_directory() as place:
        more = ["--store", f"lmdb:{store or 'store'}"]
        with running_process(place, SETTINGS + settings, more) as (port, pid):
            yield Relay(port, (pid,), (), place, (*_OPTIONS, *more))


def allow_many_files() -> None:
    """As many connections as the system lets us have."""
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A directory on the disk, where stores are; removed in the end."""
    CORPORA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="relay-", dir=CORPORA) as directory:
        yield Path(directory)


@contextmanager
def running_process(
    place: Path, settings: str, more: Sequence[str] = ()
) -> Iterator[tuple[int, int]]:
    """
    Start a relay in a directory, and stop it in the end; its port and its process.

    Args:
        place: The directory.
        settings: All of its settings.
        more: Further options.

    Raises:
        BenchmarkError: It does not start, or does not stop.
    """
    log = place / "log"
    (place / "settings.toml").write_text(settings)
    command = [
        *(str(_BIN / "twistd"), "-n", "--pidfile=", "nostr-relay"),
        *_OPTIONS,
        *more,
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=place, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield _port_of(process, log), process.pid
    finally:
        stop(process)
        if "Traceback" in log.read_text(errors="replace"):
            kept = HERE / "results" / "relay.log"
            kept.parent.mkdir(exist_ok=True)
            log.replace(kept)
            print(f"The relay logged a traceback: see {kept}", file=sys.stderr)


def build_nload() -> None:
    """Compile the load generator unless that is done already."""
    source = HERE / "nload.c"
    if _NLOAD.exists() and _NLOAD.stat().st_mtime > source.stat().st_mtime:
        return
    command = ["gcc", "-O2", "-w", str(source), "-o", str(_NLOAD), "-lm"]
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchmarkError(f"cannot compile nload: {error}") from None


class Load:
    """
    One run of the load generator, going on since this was made.

    Args:
        relay: What it works on.
        scenario: The generator's first argument.
        options: The others, by name: ``per_sub=20`` is ``--per-sub 20`` and
            ``random=True`` is ``--random``.
    """

    def __init__(self, relay: Relay, scenario: str, **options: Any) -> None:
        command = [str(_NLOAD), scenario, "--quiet", "--port", str(relay.port)]
        command += ["--pid", ",".join(map(str, relay.pids))]
        for name, value in options.items():
            command.append("--" + name.replace("_", "-"))
            if value is not True:
                command.append(str(value))
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def going_on(self) -> bool:
        """Whether it is still at work."""
        return self._process.poll() is None

    def result(self) -> dict[str, Any]:
        """
        Wait for its end; what it found, as it says in JSON.

        Raises:
            BenchmarkError: It could not run.
        """
        output, errors = self._process.communicate()
        if self._process.returncode not in (0, 1):
            raise BenchmarkError(f"nload failed: {errors}")
        found: dict[str, Any] = json.loads(output)
        return found


def takeover(relay: Relay) -> dict[str, Any]:
    """
    What clients notice when another process takes over from the relay, which ends.

    Raises:
        BenchmarkError: It could not be measured.
    """
    command = [sys.executable, "-m", "benchmarks.takeover", str(relay.place)]
    command += [str(relay.port), *relay.options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"the takeover could not be measured: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def delivery_between_nodes(relay: Relay, events: Path, rate: float) -> dict[str, Any]:
    """
    How long events take from the first node to a client of the last one.

    Raises:
        BenchmarkError: It could not be measured.
    """
    command = [sys.executable, "-m", "benchmarks.between", str(events)]
    command += [str(relay.nodes[0]), str(relay.nodes[-1]), str(rate)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"the delivery could not be measured: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
