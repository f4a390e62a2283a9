# -*- test-case-name: tests.workers.test_process -*-
"""One worker, as its supervisor sees it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from nostrtx.settings.tree import Settings
from nostrtx.workers.orders import Orders, pack_orders, pack_settings
from nostrtx.workers.reports import (
    Alive,
    Logged,
    Ready,
    Report,
    Trouble,
    parse_reports,
)

#: Where a worker finds its socket to the supervisor.
CONTROL: Final = 3

#: Where it finds its orders.
ORDERS: Final = 4

_READ: Final = 65536


@implementer(IReadDescriptor)
class WorkerProcess:
    """
    A worker's process and the socket to it, from the start to the end.

    Args:
        reactor: Runs the process, and reads what it reports.
        orders: What it is told.
        inherits: Descriptors here, by what they are called in the worker.
        changed: Called when it has become ready, and when it has ended.

    Attributes:
        number: Of the worker.
        is_ready: Whether it serves clients.
        silent: How many beats have gone by without one from it; whoever counts
            them does it here.
        trouble: Why it cannot serve, if it said so.
        ended: How the process ended; None while it runs.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        orders: Orders,
        inherits: Mapping[int, int],
        changed: Callable[[WorkerProcess], None],
    ) -> None:
        self.number = orders.number
        self.is_ready = False
        self.silent = 0
        self.trouble: str | None = None
        self.ended: str | None = None
        self._reactor = reactor
        self._changed = changed
        self._received = b""
        self._gone: list[Deferred[None]] = []
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._control: socket.socket | None = ours
        module = "nostrtx.workers.worker"
        try:
            with theirs, open(os.devnull, "rb") as nothing, pack_orders(orders) as told:
                descriptors: dict[int, int | str] = {0: nothing.fileno()}
                descriptors |= {1: "r", 2: "r"}
                descriptors |= {CONTROL: theirs.fileno(), ORDERS: told.fileno()}
                self._process = reactor.spawnProcess(
                    _Output(self),
                    sys.executable,
                    [sys.executable, "-m", module, str(CONTROL), str(ORDERS)],
                    env=None,
                    childFDs={**descriptors, **inherits},
                )
        except OSError:
            ours.close()
            raise

    @property
    def pid(self) -> int | None:
        """The process's number; None once it has ended."""
        pid: int | None = self._process.pid
        return pid

    def signal(self, name: str | int) -> None:
        """Send the process a signal, by Twisted's name or its number."""
        try:
            self._process.signalProcess(name)
        except ProcessExitedAlready:
            pass

    def tell(self, settings: Settings) -> None:
        """Let the worker know that other settings hold from now on."""
        if self._control is None:
            return
        try:
            with pack_settings(settings) as packed:
                socket.send_fds(self._control, [b"s"], [packed.fileno()])
        except OSError as error:
            self._log.error(
                "worker {worker} was not told of the settings: {why}.",
                worker=self.number,
                why=error.strerror,
            )

    def gone(self) -> Deferred[None]:
        """Fires when the process has ended."""
        waiting: Deferred[None] = Deferred()
        if self.ended is None:
            self._gone.append(waiting)
        else:
            waiting.callback(None)
        return waiting

    # -- reports

    def fileno(self) -> int:
        """The socket's descriptor, for the reactor."""
        return -1 if self._control is None else self._control.fileno()

    def logPrefix(self) -> str:
        """What the reactor calls this in its log."""
        return "worker"

    def doRead(self) -> Failure | None:
        """Take reports from the socket."""
        try:
            return None if self._take_some() else Failure(CONNECTION_DONE)
        except BlockingIOError:
            return None

    def connectionLost(self, reason: Failure) -> None:
        """The worker has ended, or is about to."""
        self._close()

    def _take_some(self) -> bool:
        """
        Take what is there; False if nothing will come any more.

        Raises:
            BlockingIOError: Nothing is there yet.
        """
        if self._control is None:
            return False
        try:
            received = self._control.recv(_READ)
        except BlockingIOError:
            raise
        except OSError:
            return False
        self._received = parse_reports(self._received + received, self._heard)
        return bool(received)

    def _heard(self, report: Report) -> None:
        if isinstance(report, Logged):
            report.log(self.number)
        elif isinstance(report, Alive):
            self.silent = 0
        elif isinstance(report, Trouble):
            self.trouble = report.text
        elif isinstance(report, Ready):
            self.is_ready = True
            self._changed(self)

    def _close(self) -> None:
        if self._control is not None:
            self._reactor.removeReader(self)
            self._control.close()
            self._control = None

    # -- what the process writes and how it ends

    def wrote(self, line: bytes) -> None:
        """Log what was written past the log, such as an interpreter's last words."""
        self._log.warn(
            "worker {worker} wrote: {line}",
            worker=self.number,
            line=line.decode(errors="replace"),
        )

    def has_ended(self, how: str) -> None:
        """The process is gone, and has been heard to the end."""
        try:
            while self._take_some():
                pass
        except BlockingIOError:
            # Something that it started has the other end of the socket, too.
            pass
        self._close()
        self.ended = how
        waiting, self._gone = self._gone, []
        for each in waiting:
            each.callback(None)
        self._changed(self)


class _Output(ProcessProtocol):
    """Cuts what a worker writes into lines, and tells of its end."""

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker
        self._rests = {1: b"", 2: b""}

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Take something that was written."""
        *lines, self._rests[childFD] = (self._rests[childFD] + data).split(b"\n")
        for line in lines:
            self._worker.wrote(line)

    def processExited(self, reason: Failure) -> None:
        """
        The process is gone.

        Its descriptors need not be closed yet: its own children may have them.
        """
        for line in filter(None, self._rests.values()):
            self._worker.wrote(line)
        self._rests = {1: b"", 2: b""}
        self._worker.has_ended(reason.getErrorMessage())
