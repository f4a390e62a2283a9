# -*- test-case-name: tests.relay.test_tasks -*-
"""Coroutines that run on their own, started where a framework calls us."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure


class BackgroundTasks:
    """Coroutines that run on their own; a failure is logged once, here."""

    _log = Logger()

    def __init__(self) -> None:
        self._running: set[Deferred[None]] = set()

    def start(
        self, task: Coroutine[Deferred[Any], Any, None], doing: str
    ) -> Callable[[], None]:
        """
        Run ``task`` now.

        Args:
            task: What to run; whoever starts it may cancel it.
            doing: Names it in the log if it fails, as in "Answering a query".

        Returns:
            What cancels the task; harmless once it has ended.
        """
        running = Deferred.fromCoroutine(task)
        self._running.add(running)

        def finished(result: Failure | None) -> None:
            self._running.discard(running)
            if isinstance(result, Failure) and not result.check(CancelledError):
                self._log.failure("{doing} failed.", failure=result, doing=doing)

        running.addBoth(finished)  # type: ignore[unused-awaitable]
        return running.cancel

    def cancel_all(self) -> None:
        """Cancel what still runs."""
        for running in list(self._running):
            running.cancel()
