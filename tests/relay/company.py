"""Processes of one relay that call the roll, all within a test."""

from __future__ import annotations

from itertools import count

from twisted.internet.task import Clock

from nostrtx.relay.roll_call import RollCall
from tests.broadcast.fakes import FakeBroadcaster


class Company:
    """
    Processes that hear one another.

    Attributes:
        clock: Of all of them.
        buses: Each one's broadcaster, by name.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.buses: dict[str, FakeBroadcaster] = {}
        self._all: list[FakeBroadcaster] = []
        self._instances = count(1)

    def process(self, name: str) -> RollCall:
        """A process that has not joined yet; it replaces one of the same name."""
        earlier = self.buses.get(name)
        if earlier is not None:
            self._all.remove(earlier)
        bus = self.buses[name] = FakeBroadcaster(name, self._all)
        bus.is_connected = False
        return RollCall(bus, self.clock, self._instance)

    def join(self, name: str, roll_call: RollCall) -> None:
        """Have it join the others."""
        roll_call.start()
        self.buses[name].start()  # type: ignore[unused-awaitable]

    def cut_off(self, name: str) -> None:
        """Let a process neither hear nor be heard."""
        self.buses[name].is_connected = False

    def beat(self, times: int = 1) -> None:
        """Let so many seconds go by."""
        self.clock.pump([1.0] * times)

    def _instance(self, size: int) -> bytes:
        return next(self._instances).to_bytes(size, "big")
