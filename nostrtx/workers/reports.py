# -*- test-case-name: tests.workers.test_reports -*-
"""
What a worker tells its supervisor: what it logs, that it serves, and still does, or
why it cannot.

One JSON array a line. A worker waits until the line is taken, so nothing is lost when
it dies right afterwards.
"""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Callable
from threading import RLock
from typing import Any, Final

import attrs
from twisted.logger import (
    ILogObserver,
    InvalidLogLevelError,
    LogEvent,
    Logger,
    LogLevel,
)
from zope.interface import implementer

from nostrtx.log_records import RECORD, Record, record_of

#: How often a worker that serves says that it does not hang, in seconds.
BEAT_SECONDS: Final = 5.0


@attrs.frozen
class Ready:
    """The worker serves clients."""


@attrs.frozen
class Alive:
    """The worker's reactor turns."""


@attrs.frozen
class Trouble:
    """
    The worker cannot serve and ends.

    Attributes:
        text: One line that says why.
    """

    text: str


@attrs.frozen
class Logged:
    """
    The worker has logged something.

    Attributes:
        record: What it has logged.
    """

    record: Record

    def log(self, worker: int) -> None:
        """Log it here, as what worker number ``worker`` says."""
        record = self.record
        try:
            level = LogLevel.levelWithName(record.level)
        except InvalidLogLevelError:
            level = LogLevel.info
        Logger(namespace=record.namespace).emit(
            level,
            "worker {worker}: {text}",
            worker=worker,
            text=record.whole_text,
            **{RECORD: record},
        )


Report = Ready | Alive | Trouble | Logged


def parse_reports(lines: bytes, heard: Callable[[Report], None]) -> bytes:
    """
    Call ``heard`` with the reports that are complete; what is left of ``lines``.
    """
    *complete, rest = lines.split(b"\n")
    for line in complete:
        what, *members = json.loads(line)
        heard(_REPORTS[what](*members))
    return rest


_REPORTS: dict[str, Callable[..., Report]] = {
    "ready": Ready,
    "alive": Alive,
    "trouble": Trouble,
    "logged": lambda members: Logged(Record(**members)),
}


@implementer(ILogObserver)
class Reporter:
    """
    The worker's end: reports, and sends what is logged in this process.

    Args:
        control: The socket to the supervisor; sending on it blocks.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._unsent: deque[bytes] = deque()
        self._is_sending = False
        self._lock = RLock()

    def __call__(self, event: LogEvent) -> None:
        """Pass on one log event; from any thread."""
        record = record_of(event)
        if record is not None:
            self._send(["logged", attrs.asdict(record)])

    def ready(self) -> None:
        """Report that clients are served."""
        self._send(["ready"])

    def alive(self) -> None:
        """Report that the reactor turns."""
        self._send(["alive"])

    def trouble(self, text: str) -> None:
        """Report why this worker cannot serve."""
        self._send(["trouble", text])

    def _send(self, report: list[Any]) -> None:
        self._unsent.append(json.dumps(report).encode() + b"\n")
        with self._lock:
            if self._is_sending:
                # This thread was interrupted below, by a signal or a collection of
                # garbage that logs; it will go on with this line.
                return
            self._is_sending = True
            try:
                while self._unsent:
                    self._control.sendall(self._unsent.popleft())
            except OSError:
                # The supervisor is gone; so will be this process, in a moment.
                pass
            finally:
                self._is_sending = False
