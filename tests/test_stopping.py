"""Tests for :mod:`nostrtx.stopping`."""

from __future__ import annotations

import signal
from typing import Any

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.stopping import HeedsOneSignal
from tests.test_reloading import SignalledReactor


class HeedsOneSignalTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.stopping.HeedsOneSignal`."""

    def test_second_signal(self) -> None:
        """From the first signal on, further ones get a line and do nothing else."""
        signals: dict[int, Any] = {}
        reactor = SignalledReactor()
        HeedsOneSignal(reactor, signals.__setitem__).startService()
        self.assertEqual(signals, {}, "the first one is the reactor's")
        for stopping in reactor.triggers["before"]["shutdown"]:
            stopping[0](*stopping[1], **stopping[2])
        self.assertEqual(set(signals), {signal.SIGINT, signal.SIGTERM})
        with capturedLogs() as logs:
            signals[signal.SIGINT](signal.SIGINT, None)
        self.assertEqual(list(map(formatEvent, logs)), ["This process stops already."])
        self.assertFalse(reactor.hasStopped)
