# -*- test-case-name: tests.test_stopping -*-
"""
What comes of signals while a relay stops: nothing, for it stops already.

Who is impatient sends a second one, and so do programs between a terminal and the
relay. The reactor would complain about that.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger


class HeedsOneSignal(Service):
    """
    Lets SIGINT and SIGTERM stop the relay once.

    Args:
        reactor: Tells that it stops.
        set_signal: Says what comes of a signal, as ``signal.signal`` does.
    """

    _log = Logger()

    def __init__(
        self, reactor: Any, set_signal: Callable[[int, Any], Any] = signal.signal
    ) -> None:
        self._reactor = reactor
        self._set_signal = set_signal

    def startService(self) -> None:
        """Wait for the end."""
        super().startService()
        self._reactor.addSystemEventTrigger("before", "shutdown", self._stopping)

    def _stopping(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._set_signal(number, self._signalled)

    def _signalled(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._log.info, "This process stops already.")
