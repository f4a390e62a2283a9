"""
Verifier processes that are none: their end of the socket is the test's.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Sequence
from typing import Any

from twisted.internet.error import ProcessTerminated
from twisted.internet.posixbase import _DisconnectSelectableMixin
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from nostrtx.relay.signature_worker import MAX_BATCH, RECORD_BYTES, check_batch


class FakeProcess:
    """
    The verifier's end of its socket, which works when the test says.

    Args:
        protocol: Is told of the end.
        descriptor: The inherited socket.
    """

    def __init__(self, protocol: Any, descriptor: int) -> None:
        self._protocol = protocol
        self.socket = socket.socket(fileno=os.dup(descriptor))
        self.socket.setblocking(False)

    def work(self) -> int:
        """Answer one batch, as the real one does; how many events it had."""
        batch = self.socket.recv(RECORD_BYTES * MAX_BATCH)
        self.socket.send(check_batch(batch))
        return len(batch) // RECORD_BYTES

    def waiting(self) -> bool:
        """Whether a batch is there that was not read."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def hang_up(self) -> None:
        """Close the socket; the reactor finds that out before the process ends."""
        self.socket.close()

    def end(self) -> None:
        """Be gone, and have the reactor say so."""
        self.socket.close()
        self._protocol.processEnded(Failure(ProcessTerminated(9)))


class ProcessReactor(MemoryReactorClock, _DisconnectSelectableMixin):
    """A reactor that starts fake processes, and reads when the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[FakeProcess] = []
        self.spawn_error: OSError | None = None

    def spawnProcess(
        self,
        protocol: Any,
        executable: str,
        args: Sequence[str],
        env: Any,
        childFDs: dict[int, int],
    ) -> None:
        """Start a fake process."""
        if self.spawn_error is not None:
            raise self.spawn_error
        assert list(args) == [
            executable,
            "-m",
            "nostrtx.relay.signature_worker",
            "3",
        ]
        self.processes.append(FakeProcess(protocol, childFDs[3]))

    def read(self) -> None:
        """Have everything read that is there, as a real reactor does."""
        while ready := [
            reader
            for reader in self.getReaders()
            if select.select([reader.fileno()], [], [], 0)[0]
        ]:
            for reader in ready:
                why = reader.doRead()
                if why:
                    self._disconnectSelectable(reader, why, True)
