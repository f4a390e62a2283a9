"""A reactor that adopts ports and reads only when the test says."""

from __future__ import annotations

from typing import Any

from twisted.internet.posixbase import _DisconnectSelectableMixin
from twisted.internet.testing import MemoryReactorClock


class TakeoverReactor(MemoryReactorClock, _DisconnectSelectableMixin):
    """
    Takes note of what it is asked for.

    Attributes:
        adopted: Descriptors of ports, with family and factory.
        stops: How often it was stopped.
    """

    def __init__(self) -> None:
        super().__init__()
        self.adopted: list[tuple[int, int, Any]] = []
        self.stops = 0

    def adoptStreamPort(self, fileno: int, addressFamily: int, factory: Any) -> Any:
        """Adopt a port."""
        self.adopted.append((fileno, addressFamily, factory))
        return super().adoptStreamPort(fileno, addressFamily, factory)

    def stop(self) -> None:
        """Take note that it was stopped."""
        self.stops += 1

    def read(self) -> None:
        """Have everything read that is there, as a real reactor does."""
        for reader in self.getReaders():
            if why := reader.doRead():
                self._disconnectSelectable(reader, why, True)
