"""Tests for :mod:`nostrtx.relay.tasks`."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.tasks import BackgroundTasks


class BackgroundTasksTests(SynchronousTestCase):
    """Coroutines that nobody awaits."""

    def setUp(self) -> None:
        """Two things to wait for, and a record of what ended."""
        self.tasks = BackgroundTasks()
        self.ended: list[str] = []

    async def wait(self, for_: Deferred[None], name: str) -> None:
        """Wait, and record how that ended."""
        outcome = "cancelled"
        try:
            await for_
            outcome = "done"
        finally:
            self.ended.append(f"{name} {outcome}")

    def test_runs_at_once(self) -> None:
        """A task runs as far as it can before ``start`` returns."""
        waited: Deferred[None] = Deferred()
        waited.callback(None)
        self.tasks.start(self.wait(waited, "it"), "Waiting")
        self.assertEqual(self.ended, ["it done"])

    def test_failure_is_logged_once(self) -> None:
        """A failing task is logged with its name, and harms nobody."""
        waited: Deferred[None] = Deferred()
        self.tasks.start(self.wait(waited, "it"), "Waiting")
        waited.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_cancel_one(self) -> None:
        """A task is cancelled by whoever started it, and others go on."""
        first: Deferred[None] = Deferred()
        second: Deferred[None] = Deferred()
        cancel = self.tasks.start(self.wait(first, "first"), "Waiting")
        self.tasks.start(self.wait(second, "second"), "Waiting")
        cancel()
        self.assertEqual(self.ended, ["first cancelled"])
        second.callback(None)
        self.assertEqual(self.ended, ["first cancelled", "second done"])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_cancel_after_the_end(self) -> None:
        """Cancelling what has ended does nothing."""
        waited: Deferred[None] = Deferred()
        cancel = self.tasks.start(self.wait(waited, "it"), "Waiting")
        waited.callback(None)
        cancel()
        self.assertEqual(self.ended, ["it done"])

    def test_cancel_all(self) -> None:
        """All that still run are cancelled, and nothing is logged for it."""
        waits: list[Deferred[None]] = [Deferred() for _ in range(3)]
        for number, one in enumerate(waits):
            self.tasks.start(self.wait(one, str(number)), "Waiting")
        waits[1].callback(None)
        self.tasks.cancel_all()
        self.assertEqual(self.ended[0], "1 done")
        self.assertEqual(set(self.ended[1:]), {"0 cancelled", "2 cancelled"})
        self.assertEqual(self.flushLoggedErrors(), [])
