"""
Live tests for :mod:`nostrtx.relay.signature_checks`: real processes, a real reactor.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from nostrtx.nostr.event import Event
from nostrtx.relay.signature_checks import RESTART_SECONDS, SignatureChecks
from nostrtx.relay.signature_worker import MAX_BATCH
from nostrtx.turns import ScheduledTurns
from tests.storage.events import make_event, signed_event


@attrs.define(eq=False)
class Item:
    """An event on its way."""

    event: Event


class VerifierProcessTests(TestCase):
    """Signatures checked by a process of its own."""

    timeout = 60

    def setUp(self) -> None:
        """Start one process."""
        self.verdicts: list[tuple[Item, int]] = []
        self.batches = 0
        self.expected = 0
        self.done: Deferred[None] = Deferred()
        self.before = children()
        turns = ScheduledTurns(reactor)
        self.checks: SignatureChecks[Item] = SignatureChecks(turns, self.note)
        self.checks.start(reactor, 1)

    async def tearDown(self) -> None:  # type: ignore[override]
        """End the process, and wait for the reactor to notice."""
        self.checks.stop()
        while self.started():
            await deferLater(reactor, 0.01)

    def started(self) -> list[int]:
        """The processes that were started by this test and still run."""
        return sorted(children() - self.before)

    def note(self, batch: Sequence[Item], good: Sequence[int]) -> None:
        """Record what was checked."""
        self.verdicts += zip(batch, map(int, good), strict=True)
        self.batches += 1
        if len(self.verdicts) >= self.expected:
            self.done.callback(None)

    def add(self, count: int) -> list[Item]:
        """Add as many items at once; each third one is a forgery."""
        good, forged = signed_event(), make_event()
        items = [Item(forged if n % 3 == 2 else good) for n in range(count)]
        self.verdicts, self.expected, self.done = [], count, Deferred()
        for item in items:
            self.checks.add(item)
        return items

    def assert_all_checked(self, items: list[Item]) -> None:
        """Each item got exactly one verdict, and the right one."""
        self.assertCountEqual(
            self.verdicts, [(item, int(n % 3 != 2)) for n, item in enumerate(items)]
        )

    async def test_checks(self) -> None:
        """A crowd is checked by the process, each signature rightly."""
        items = self.add(MAX_BATCH * 4 + 100)
        await self.done
        self.assert_all_checked(items)
        self.assertEqual(self.batches, 5)

    async def test_killed_in_the_middle(self) -> None:
        """
        A process that is killed with work in its hands leaves nothing unchecked,
        and another takes its place.
        """
        (pid,) = self.started()
        os.kill(pid, signal.SIGSTOP)
        items = self.add(MAX_BATCH * 4)
        # The process has two batches by then, and cannot answer either.
        await deferLater(reactor, 0)
        await deferLater(reactor, 0)
        self.assertEqual(self.verdicts, [])
        os.kill(pid, signal.SIGKILL)
        await self.done
        self.assert_all_checked(items)
        await deferLater(reactor, RESTART_SECONDS * 1.2)
        (successor,) = self.started()
        self.assertNotEqual(successor, pid)
        items = self.add(MAX_BATCH * 2)
        self.batches = 0
        await self.done
        self.assert_all_checked(items)
        self.assertEqual(self.batches, 2)


def children() -> set[int]:
    """The processes that this one has started and that have not been waited for."""
    path = f"/proc/self/task/{os.getpid()}/children"
    with open(path, encoding="ascii") as file:
        return {int(pid) for pid in file.read().split()}
