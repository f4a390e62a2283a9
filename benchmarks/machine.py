"""What the machine is, what it takes away, and what one signature costs on it."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

from coincurve import PrivateKey, PublicKeyXOnly
from coincurve._libsecp256k1 import lib
from coincurve.context import GLOBAL_CONTEXT

_HERTZ = os.sysconf("SC_CLK_TCK")
_PACKAGES = ("nostrtx", "Twisted", "autobahn", "lmdb", "coincurve", "ujson")


class Disturbance:
    """
    What else went on on the machine, since this was made.

    Args:
        relay: Process ids of the relay; with their descendants, this process and the
            load generators that have ended, they are what should go on.
    """

    def __init__(self, relay: Sequence[int]) -> None:
        self._relay = relay
        self._since = time.monotonic()
        self._before = self._seconds()

    def _seconds(self) -> tuple[float, float]:
        """Taken by the hypervisor, and by other jobs, since some moment."""
        line = Path("/proc/stat").read_text().split("\n", 1)[0]
        user, nice, system, _, _, irq, softirq, steal = map(int, line.split()[1:9])
        busy = (user + nice + system + irq + softirq) / _HERTZ
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            usage = resource.getrusage(who)
            busy -= usage.ru_utime + usage.ru_stime
        return steal / _HERTZ, busy - sum(map(cpu_seconds, self._relay))

    def cores(self) -> tuple[float, float]:
        """Cores' worth that the hypervisor took away, and that other jobs took."""
        elapsed = time.monotonic() - self._since
        steal, others = (
            after - before
            for after, before in zip(self._seconds(), self._before, strict=True)
        )
        return steal / elapsed, others / elapsed


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its descendants."""
    place = Path(f"/proc/{pid}")
    fields = (place / "stat").read_text().rpartition(")")[2].split()
    seconds = sum(map(int, fields[11:15])) / _HERTZ
    for children in place.glob("task/*/children"):
        seconds += sum(cpu_seconds(int(pid)) for pid in children.read_text().split())
    return seconds


def signature_microseconds(checks: int = 4000) -> float:
    """
    CPU time to check one signature with nothing around it: the unit *sig*.

    It is the call into libsecp256k1 that every relay must make for every event, the
    author's key parsed before. The quickest of eight parts of ``checks`` counts.
    """
    secret = PrivateKey(b"\x01" * 32)
    key = PublicKeyXOnly.from_secret(secret.secret).public_key
    context = GLOBAL_CONTEXT.ctx
    ids = [number.to_bytes(32, "big") for number in range(checks // 8)]
    signed = [(id_, secret.sign_schnorr(id_, b"\0" * 32)) for id_ in ids]
    parts = []
    for _ in range(8):
        started = time.process_time()
        for id_, signature in signed:
            if not lib.secp256k1_schnorrsig_verify(context, signature, id_, 32, key):
                raise RuntimeError("libsecp256k1 refuses its own signature")
        parts.append((time.process_time() - started) / len(signed))
    return min(parts) * 1e6


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def description() -> str:
    """One line: date, processor, system and the versions that matter."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    python = f"Python {platform.python_version()}"
    return (
        f"{date.today()}; {_processor()}, {os.cpu_count()} cores, "
        f"Linux {platform.release()}; {python}; {packages}"
    )
