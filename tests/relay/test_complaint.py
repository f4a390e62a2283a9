"""Tests for :mod:`nostrtx.relay.complaint`."""

from __future__ import annotations

from typing import Any

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import provider

from nostrtx.interfaces.store import StoreError
from nostrtx.relay.complaint import Complaint


class ComplaintTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.complaint.Complaint`."""

    def setUp(self) -> None:
        """One thing that may fail."""
        self.told: list[tuple[Any, str]] = []

        @provider(ILogObserver)
        def observe(event: LogEvent) -> None:
            self.told.append((event["log_level"], formatEvent(event)))

        self.complaint = Complaint(Logger(observer=observe), "Saving events")

    def test_nothing(self) -> None:
        """Of what works nothing is said."""
        self.complaint.works()
        self.assertEqual(self.told, [])

    def test_once(self) -> None:
        """The log tells once that something fails, and once that it works again."""
        for _ in range(3):
            self.complaint.fails(StoreError("disk full"))
        self.complaint.works()
        self.complaint.works()
        self.complaint.fails(StoreError("disk full"))
        self.assertEqual(
            self.told,
            [
                (LogLevel.error, "Saving events fails: disk full."),
                (LogLevel.info, "Saving events works again."),
                (LogLevel.error, "Saving events fails: disk full."),
            ],
        )

    def test_defect(self) -> None:
        """What no store should do is told with all there is to know, and once too."""
        for _ in range(3):
            self.complaint.fails(ZeroDivisionError("on purpose"))
        self.assertEqual(self.told, [(LogLevel.critical, "Saving events fails.")])

    def test_another_reason(self) -> None:
        """Another reason is told as well."""
        self.complaint.fails(StoreError("disk full"))
        self.complaint.fails(StoreError("no connection"))
        self.assertEqual(len(self.told), 2)
