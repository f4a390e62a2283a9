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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

HERE = Path(__file__).parent
CORPORA = HERE / "corpora"
_NLOAD = HERE / "nload"
_BIN = Path(sys.executable).parent
_LISTENING = re.compile(r"Listening on ws://127\.0\.0\.1:(\d+)/")
_SETTINGS = """\
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
        pid: Its process; the load generator finds the descendants itself.
    """

    port: int
    pid: int


def _port_of(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if found := _LISTENING.search(log.read_text(errors="replace")):
            return int(found[1])
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise BenchmarkError(f"the relay did not start:\n{log.read_text()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise BenchmarkError("the relay did not stop within 60 s") from None


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
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    CORPORA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="relay-", dir=CORPORA) as directory:
        place = Path(directory)
        log = place / "log"
        (place / "settings.toml").write_text(_SETTINGS + settings)
        command = [
            *(str(_BIN / "twistd"), "-n", "--pidfile=", "nostr-relay"),
            *("--config", "settings.toml"),
            *("--listen", "tcp:0:interface=127.0.0.1"),
            *("--store", f"lmdb:{store or 'store'}"),
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=place, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            yield Relay(port=_port_of(process, log), pid=process.pid)
        finally:
            _stop(process)
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
        command += ["--pid", str(relay.pid)]
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
