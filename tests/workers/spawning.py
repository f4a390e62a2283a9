"""Worker processes that are none: they do what the test says."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from signal import SIGKILL
from typing import Any

from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IReactorProcess
from twisted.internet.posixbase import _DisconnectSelectableMixin
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from zope.interface import implementer

from nostrtx.workers.orders import Orders, receive_orders
from nostrtx.workers.process import CONTROL, ORDERS
from nostrtx.workers.reports import Reporter
from tests.broadcast.wires import End


class FakeProcess:
    """
    A worker as its system sees it, and what it does.

    Args:
        protocol: Is told what it writes and when it ends.
        pid: Its number.
        control: Its socket to the supervisor.
        orders: Descriptor of the file with its orders.
        on_signal: Called with this when it is asked to stop.

    Attributes:
        orders: What it was told.
        reporter: Its reports.
        signals: What it was sent.
        hangs: Whether it has ceased to say that it is alive.
        inherited: Descriptors of its supervisor, by what they are called here.
    """

    def __init__(
        self,
        protocol: Any,
        pid: int,
        control: socket.socket,
        orders: int,
        on_signal: Any,
    ) -> None:
        self.pid: int | None = pid
        self.signals: list[str | int] = []
        self.hangs = False
        self.inherited: dict[int, int | str] = {}
        self.protocol = protocol
        self.control = control
        self.orders: Orders = receive_orders(orders)
        self.reporter = Reporter(control)
        self.on_signal = on_signal

    def signalProcess(self, name: str | int) -> None:
        """Take note of a signal."""
        if self.pid is None:
            raise ProcessExitedAlready
        self.signals.append(name)
        if name == "KILL":
            self.end()
        else:
            self.on_signal(self)

    def end(self) -> None:
        """Be gone, as if killed."""
        if self.pid is not None:
            self.pid = None
            self.control.close()
            self.protocol.processExited(Failure(ProcessTerminated(signal=SIGKILL)))


class _Bus(End):
    """A stream on which nothing arrives, and that closes at once."""

    def loseConnection(self) -> None:
        """Close it."""
        super().loseConnection()
        self.hang_up()


@implementer(IReactorProcess)
class SpawningReactor(MemoryReactorClock, _DisconnectSelectableMixin):
    """
    A reactor that starts fake workers.

    Attributes:
        processes: All that were started, in order.
        on_start: Called with each; by default it reports that it is ready.
        on_signal: Called with each that gets a signal other than SIGKILL; by default
            it ends.
        fails: What starting a process raises, if anything.
    """

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[FakeProcess] = []
        self.on_start: Any = lambda process: process.reporter.ready()
        self.on_signal: Any = FakeProcess.end
        self.fails: OSError | None = None
        self.running = True

    def spawnProcess(
        self,
        processProtocol: Any,
        executable: bytes | str,
        args: Sequence[bytes | str] = (),
        env: Mapping[Any, Any] | None = None,
        path: bytes | str | None = None,
        uid: int | None = None,
        gid: int | None = None,
        usePTY: bool = False,
        childFDs: Mapping[int, int | str] | None = None,
    ) -> Any:
        """Start a fake worker."""
        if self.fails is not None:
            raise self.fails
        assert childFDs is not None
        named = [str(CONTROL), str(ORDERS)]
        assert list(args)[1:] == ["-m", "nostrtx.workers.worker", *named]
        assert (childFDs[1], childFDs[2]) == ("r", "r")
        control, orders = childFDs[CONTROL], childFDs[ORDERS]
        assert isinstance(control, int)
        assert isinstance(orders, int)
        process = FakeProcess(
            processProtocol,
            1000 + len(self.processes),
            socket.socket(fileno=os.dup(control)),
            os.dup(orders),
            self.on_signal,
        )
        process.inherited = {
            name: number for name, number in childFDs.items() if name > ORDERS
        }
        self.processes.append(process)
        self.on_start(process)
        return process

    def adoptStreamConnection(self, descriptor: int, family: int, factory: Any) -> None:
        """Connect to a bus on which nothing arrives."""
        _Bus().attach(factory.buildProtocol(None))

    def advance(self, amount: float) -> None:
        """Let time go by, in which workers say that they are alive."""
        for process in self.processes:
            if process.pid is not None and not process.hangs:
                process.reporter.alive()
        self.read()
        super().advance(amount)

    def read(self) -> None:
        """Have everything read that is there, as a real reactor does."""
        for reader in self.getReaders():
            if why := reader.doRead():
                self._disconnectSelectable(reader, why, True)

    def close(self) -> None:
        """Close what tests have left open."""
        for process in self.processes:
            process.control.close()
