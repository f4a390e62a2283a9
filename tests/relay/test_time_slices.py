"""Tests for :mod:`nostrtx.relay.time_slices`."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.time_slices import TimeSlices
from tests.relay.fakes import FakeTurns


class TimeSlicesTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.time_slices.TimeSlices`."""

    def setUp(self) -> None:
        """Slices of four milliseconds, and who got a part of one."""
        self.clock = Clock()
        self.turns = FakeTurns()
        self.slices = TimeSlices(self.turns, self.clock, lambda: 0.004)
        self.served: list[str] = []

    def compute(self, name: str, seconds: float, again: int = 0) -> None:
        """Wait for a part, take that long, and so again some times."""

        def begin(until: float) -> None:
            self.served.append(f"{name} until {until:.3f}")
            self.clock.advance(seconds)
            if again:
                self.compute(name, seconds, again - 1)

        _ = self.slices.turn().addCallback(begin)

    def test_all_who_fit(self) -> None:
        """Short computations share the slice of one turn, in their order."""
        self.compute("a", 0.001)
        self.compute("b", 0.001)
        self.turns.take()
        self.assertEqual(self.served, ["a until 0.004", "b until 0.004"])
        self.assertFalse(self.turns.take())

    def test_one_after_the_other(self) -> None:
        """Who uses up a slice waits behind the others for the next one."""
        self.compute("a", 0.004, again=1)
        self.compute("b", 0.004)
        self.turns.take()
        self.assertEqual(self.served, ["a until 0.004"])
        self.turns.settle()
        self.assertEqual(self.served[1:], ["b until 0.008", "a until 0.012"])

    def test_once_a_turn(self) -> None:
        """Nobody gets two parts in one turn, however short they are."""
        self.compute("a", 0.0, again=5)
        self.turns.take()
        self.assertEqual(len(self.served), 1)
        self.turns.settle()
        self.assertEqual(len(self.served), 6)

    def test_cancelled(self) -> None:
        """Who does not want to compute any more is passed over."""
        waiting = self.slices.turn()
        self.compute("b", 0.0)
        waiting.addErrback(lambda _: None).cancel()
        self.turns.settle()
        self.assertEqual(self.served, ["b until 0.004"])
