"""Tests for :mod:`nostrtx.relay.policies.programs.remarks`."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.task import Clock
from twisted.logger import Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.policies.programs.remarks import MAX_LINE, MOST, SECONDS, Remarks


class RemarksTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.programs.remarks.Remarks`."""

    def setUp(self) -> None:
        """Have a log."""
        self.lines: list[str] = []
        self.clock = Clock()
        log = Logger(observer=cast(Any, self.note))
        self.remarks = Remarks(log, "judge", self.clock)

    def note(self, event: Any) -> None:
        """Keep a line of the log."""
        self.lines.append(formatEvent(event))

    def test_lines(self) -> None:
        """What it wrote stands in the log under its name, braces and all."""
        self.remarks.quote("a {b}")
        self.remarks.warn("is late")
        self.remarks.quote("x" * 9999)
        self.assertEqual(
            self.lines,
            [
                "judge: a {b}",
                "The policy program judge is late.",
                "judge: " + "x" * MAX_LINE,
            ],
        )

    def test_flood(self) -> None:
        """Many lines in a short time are left out, and how many is told later."""
        for _ in range(MOST + 5):
            self.remarks.quote("a")
        self.assertEqual(len(self.lines), MOST)
        self.clock.advance(SECONDS)
        self.remarks.quote("b")
        self.assertEqual(
            self.lines[MOST:],
            ["5 more lines about the policy program judge were left out.", "judge: b"],
        )
