"""Tests for :mod:`nostrtx.broadcast.losses`."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.broadcast.losses import Losses


class LossesTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.broadcast.losses.Losses`."""

    def setUp(self) -> None:
        """Nothing is lost yet."""
        self.clock = Clock()
        self.losses = Losses(self.clock)

    def lines(self, seconds: float, *kinds: str) -> list[str]:
        """What the log says within some time after losses."""
        with capturedLogs() as events:
            for kind in kinds:
                self.losses.add(kind)
            self.clock.advance(seconds)
        return [formatEvent(event) for event in events]

    def test_together(self) -> None:
        """Losses of the same time are told together, one line for each kind."""
        lines = self.lines(1, *["unsent"] * 1000, "forged")
        self.assertEqual(len(lines), 2)
        self.assertIn("1 messages between nodes were forged", lines[0])
        self.assertIn("1000 messages between nodes were unsent", lines[1])
        self.assertEqual(self.losses.counts, {"unsent": 1000, "forged": 1})

    def test_once_a_minute(self) -> None:
        """However much is lost, it is told once a minute, all of it."""
        self.assertEqual(len(self.lines(1, "unsent")), 1)
        for _ in range(59):
            self.assertEqual(self.lines(1, "unsent"), [])
        [line] = self.lines(1, "unsent")
        self.assertIn("60 messages", line)
        self.assertEqual(self.lines(1000), [])

    def test_stop(self) -> None:
        """What is untold at the end is told then."""
        self.losses.add("replayed")
        with capturedLogs() as events:
            self.losses.stop()
            self.losses.stop()
        self.assertEqual(len(events), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
