"""Tests for :mod:`nostrtx.reloading`."""

from __future__ import annotations

import signal
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.reloading import Reloading
from nostrtx.settings.file import ConfigError, parse_settings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings


class SignalledReactor(MemoryReactorClock):
    """A reactor that does at once what a signal asks for."""

    def callFromThread(self, callable: Any, *args: Any, **kwargs: Any) -> None:
        """Do it."""
        callable(*args, **kwargs)


class ReloadingTests(SynchronousTestCase):
    """Reading the settings again."""

    def setUp(self) -> None:
        """A relay with the defaults, and a file to be read later."""
        self.live = LiveSettings(Settings())
        self.text = ""
        self.signals: dict[int, Any] = {signal.SIGHUP: "as before"}
        self.reactor = SignalledReactor()
        self.terminal = False
        self.service = Reloading(
            self.live, self.load, self.reactor, self.set_signal, lambda: self.terminal
        )
        self.service.startService()

    def set_signal(self, number: int, to: Any) -> Any:
        """Take note of what comes of a signal."""
        before, self.signals[number] = self.signals[number], to
        return before

    def load(self) -> Settings:
        """Read the file."""
        return parse_settings(self.text)

    def lines(self, text: str) -> list[str]:
        """What is logged when the signal comes and this is in the file."""
        self.text = text
        with capturedLogs() as logs:
            self.signals[signal.SIGHUP](signal.SIGHUP, None)
        return [str(formatEvent(log)) for log in logs]

    def test_terminal(self) -> None:
        """A relay ends with its terminal; as long as that is open, it reads."""
        self.terminal = True
        self.service.startService()
        self.assertIn("The settings were read again.", self.lines(""))
        self.assertFalse(self.reactor.hasStopped)
        self.terminal = False
        self.assertEqual(self.lines(""), [])
        self.assertTrue(self.reactor.hasStopped)

    def test_signal(self) -> None:
        """What the file says holds from then on, and the log says what is new."""
        lines = self.lines("[limits]\nmax_limit = 7\n[store]\nurl = 'memory:'")
        self.assertEqual(
            lines,
            [
                "The settings were read again.",
                "store.url: needs a restart",
                "limits.max_limit: 7, was 5000",
            ],
        )
        self.assertEqual(self.live.now.limits.max_limit, 7)
        self.assertEqual(self.live.now.store.url, "lmdb:data")

    def test_nothing_new(self) -> None:
        """If nothing has changed, the log says that."""
        self.assertEqual(self.lines("")[1:], ["Nothing has changed in them."])

    def test_faults(self) -> None:
        """A file with faults changes nothing; each fault has a line."""
        lines = self.lines("[limits]\nmax_limit = 0\nnonsense = 1\nmax_filters = 2")
        self.assertIn("stay as they are", lines[0])
        self.assertEqual(len(lines), 3)
        self.assertTrue(lines[1].startswith("limits.max_limit: must be"), lines[1])
        self.assertEqual(self.live.now, Settings())

    def test_inconsistent(self) -> None:
        """Nor does one in which something is missing that it needs elsewhere."""
        lines = self.lines("[limits]\nmax_limit = 7\n[discovery]\nannounce = true")
        self.assertTrue(lines[1].startswith("relay.url: needed"), lines[1])
        self.assertEqual(self.live.now, Settings())

    def test_forbidden(self) -> None:
        """Nor does one that a part of the relay cannot take."""

        def check(settings: Settings) -> None:
            raise ConfigError("rules[2]: there is no such list")

        self.live.check_first(check)
        lines = self.lines("[limits]\nmax_limit = 7")
        self.assertEqual(lines[1:], ["rules[2]: there is no such list"])
        self.assertEqual(self.live.now, Settings())

    def test_failing_part(self) -> None:
        """A part that fails to follow is logged, and the others follow."""

        def fail(settings: Settings) -> None:
            if settings.limits.max_limit == 7:
                raise ZeroDivisionError

        self.live.follow(fail)
        self.assertIn("limits.max_limit: 7, was 5000", self.lines("limits.max_limit=7"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_stop(self) -> None:
        """Once this stops, the signal means what it meant before."""
        self.service.stopService()
        self.assertEqual(self.signals, {signal.SIGHUP: "as before"})
