"""What the machine is, what it takes away, and what one signature costs on it."""

from __future__ import annotations

import os
import platform
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

from coincurve import PrivateKey, PublicKeyXOnly
from coincurve._libsecp256k1 import lib
from coincurve.context import GLOBAL_CONTEXT

_PACKAGES = ("nostrtx", "Twisted", "autobahn", "lmdb", "coincurve", "ujson")


class Steal:
    """
    How much the hypervisor takes away: cores' worth, since this was made.

    A run during which it is more than a few hundredths says little.
    """

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._before = self._seconds()

    @staticmethod
    def _seconds() -> float:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
        return int(fields[8]) / os.sysconf("SC_CLK_TCK")

    def cores(self) -> float:
        """Steal per second of wall-clock time."""
        elapsed = time.monotonic() - self._since
        return (self._seconds() - self._before) / elapsed


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
