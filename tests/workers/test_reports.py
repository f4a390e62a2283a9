"""Tests for :mod:`nostrtx.workers.reports`."""

from __future__ import annotations

import socket
from threading import Thread
from typing import Any

from twisted.logger import (
    ILogObserver,
    Logger,
    LogLevel,
    capturedLogs,
    eventAsText,
    formatEvent,
)
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.log_records import Record
from nostrtx.workers.reports import (
    Alive,
    Logged,
    Ready,
    Report,
    Reporter,
    Trouble,
    parse_reports,
)


class InterruptedSocket(socket.socket):
    """
    A socket whose sender is interrupted amid the first message.

    Attributes:
        interrupt: What happens then.
    """

    interrupt: Any = None

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send, with the interruption in between."""
        interrupt, self.interrupt = self.interrupt, None
        if interrupt is not None:
            super().sendall(data[:5])
            interrupt()
            data = data[5:]
        super().sendall(data)


class ReportsTests(SynchronousTestCase):
    """What a worker reports arrives as it was meant."""

    def setUp(self) -> None:
        """A worker's end, and the supervisor's."""
        self.ours, theirs = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(theirs.close)
        self.reporter = Reporter(theirs)
        self.theirs = theirs

    def heard(self, step: int = 65536) -> list[Report]:
        """What has been reported, taken in pieces."""
        reports: list[Report] = []
        self.ours.setblocking(False)
        rest = b""
        while True:
            try:
                rest = parse_reports(rest + self.ours.recv(step), reports.append)
            except BlockingIOError:
                self.assertEqual(rest, b"")
                return reports

    def log(self, **event: Any) -> Logged:
        """What arrives of one log event."""
        self.reporter({"log_level": LogLevel.info, "log_namespace": "here", **event})
        (report,) = self.heard()
        assert isinstance(report, Logged)
        return report

    def test_observer(self) -> None:
        """The worker's end takes log events from Twisted."""
        self.assertTrue(verifyObject(ILogObserver, self.reporter))

    def test_states(self) -> None:
        """Readiness, life and trouble, in any pieces."""
        for step in (1, 5, 65536):
            self.reporter.ready()
            self.reporter.alive()
            self.reporter.trouble('nostr-relay: "Grüße"\nno')
            self.assertEqual(
                self.heard(step),
                [Ready(), Alive(), Trouble('nostr-relay: "Grüße"\nno')],
            )

    def test_logged(self) -> None:
        """A message keeps its level and where it is from."""
        report = self.log(
            log_format="{n} events", n=3, log_level=LogLevel.warn, log_time=1.5
        )
        self.assertEqual(
            report, Logged(Record(1.5, "warn", "here", "3 events", {"n": 3}))
        )

    def test_nothing_to_say(self) -> None:
        """Events without a text are none, as with any log file."""
        self.reporter({"log_level": LogLevel.info})
        self.assertEqual(self.heard(), [])

    def test_any_text(self) -> None:
        """What cannot be encoded does not get lost, nor does what has no level."""
        self.assertEqual(self.log(log_format="a\udcffb").record.text, "a\udcffb")
        self.reporter({"log_format": "plain"})
        self.assertEqual(self.heard(), [Logged(Record(0.0, "info", "-", "plain"))])

    def test_traceback(self) -> None:
        """A traceback is whole, and one message in the supervisor's log."""
        log = Logger(namespace="there", observer=self.reporter)
        try:
            raise ZeroDivisionError("on purpose")
        except ZeroDivisionError:
            log.failure("It {what}.", what="failed")
        (report,) = self.heard()
        assert isinstance(report, Logged)
        with capturedLogs() as logs:
            report.log(7)
        (event,) = logs
        text = formatEvent(event)
        self.assertTrue(text.startswith("worker 7: It failed.\nTraceback"), text)
        self.assertIn("test_traceback", text)
        self.assertIn("ZeroDivisionError: on purpose", text)
        self.assertEqual(event["log_level"], LogLevel.critical)
        self.assertIn("[there#critical]", eventAsText(event))

    def test_unknown_level(self) -> None:
        """A level that is none is logged all the same."""
        with capturedLogs() as logs:
            Logged(Record(0.0, "loud", "there", "{braces}")).log(1)
        self.assertEqual(formatEvent(logs[0]), "worker 1: {braces}")

    def test_logged_meanwhile(self) -> None:
        """
        What is logged while a report is on its way, as when a collection of garbage
        comes in between, follows behind it.
        """
        theirs = InterruptedSocket(fileno=self.theirs.detach())
        self.addCleanup(theirs.close)
        reporter = Reporter(theirs)
        theirs.interrupt = lambda: reporter({"log_format": "in between"})
        reporter.trouble("first")
        reporter.ready()
        self.assertEqual(
            self.heard(),
            [
                Trouble("first"),
                Logged(Record(0.0, "info", "-", "in between")),
                Ready(),
            ],
        )

    def test_several_threads(self) -> None:
        """Reports of several threads stay whole, and in the order of each thread."""
        count = 200

        def report(name: str) -> None:
            for number in range(count):
                self.reporter.trouble(f"{name} {number}" * 50)

        threads = [Thread(target=report, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        reports: list[Report] = []
        rest = b""
        while len(reports) < 3 * count:
            rest = parse_reports(rest + self.ours.recv(65536), reports.append)
        for thread in threads:
            thread.join()
        for name in "abc":
            texts = [Trouble(f"{name} {number}" * 50) for number in range(count)]
            ours = [each for each in reports if each in texts]
            self.assertEqual(ours, texts)

    def test_supervisor_gone(self) -> None:
        """Without a supervisor reports go nowhere, and nothing is raised."""
        self.ours.close()
        self.reporter.ready()
        self.reporter({"log_format": "x"})
