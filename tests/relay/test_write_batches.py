"""Tests for :mod:`nostrtx.relay.write_batches`."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import SaveOutcome, SaveResult, StoreError
from nostrtx.nostr.event import Event
from nostrtx.relay.measurements import Measurements
from nostrtx.relay.write_batches import WriteBatches
from tests.relay.fakes import FakeTurns, HeldStore
from tests.storage.events import make_event


@attrs.define(eq=False)
class Item:
    """An event on its way."""

    event: Event


class WriteBatchesTests(SynchronousTestCase):
    """Group commit."""

    def setUp(self) -> None:
        """Batches of at most three, and a store that answers when told."""
        self.turns = FakeTurns()
        self.clock = Clock()
        self.measurements = Measurements()
        self.store = HeldStore()
        self.store.hold_saves = True
        self.saved: list[tuple[list[Item], list[SaveResult]]] = []
        self.failed: list[tuple[list[Item], str]] = []
        self.batches: WriteBatches[Item] = WriteBatches(
            self.store,
            self.turns,
            lambda: 3,
            self.note_saved,
            self.note_failed,
            self.clock,
            self.measurements,
        )
        self.items = [Item(make_event(content=str(n))) for n in range(10)]

    def note_saved(self, batch: Sequence[Item], results: Sequence[SaveResult]) -> None:
        """Record a batch that was saved."""
        self.saved.append((list(batch), list(results)))

    def note_failed(self, batch: Sequence[Item], reason: str) -> None:
        """Record a batch that failed."""
        self.failed.append((list(batch), reason))

    def add(self, *items: Item) -> None:
        """Add ``items`` in one turn."""
        for item in items:
            self.batches.add(item)

    def sizes(self) -> list[int]:
        """How many events each transaction so far had."""
        return [len(save.events) for save in self.store.saves]

    def test_one_transaction_per_turn(self) -> None:
        """What is added in one turn is saved together, at its end, in order."""
        self.add(*self.items[:3])
        self.assertEqual(self.sizes(), [])
        self.turns.settle()
        self.assertEqual(
            [list(save.events) for save in self.store.saves],
            [[item.event for item in self.items[:3]]],
        )

    def test_told_after_the_commit(self) -> None:
        """A batch is reported when the store has answered, and not before."""
        self.add(self.items[0])
        self.turns.settle()
        self.store.saves[0].commit()
        self.assertEqual(self.saved, [])
        self.store.saves[0].succeed()
        self.assertEqual(
            self.saved, [([self.items[0]], [SaveResult(SaveOutcome.STORED, 1)])]
        )

    def test_gathers_while_saving(self) -> None:
        """What arrives during a transaction is the next one, and only one runs."""
        self.add(self.items[0])
        self.turns.settle()
        for item in self.items[1:4]:
            self.add(item)
            self.turns.settle()
        self.assertEqual(self.sizes(), [1])
        self.store.saves[0].succeed()
        self.turns.settle()
        self.assertEqual(self.sizes(), [1, 3])

    def test_most_per_transaction(self) -> None:
        """No transaction is larger than allowed, and the rest follows at once."""
        self.add(*self.items[:8])
        for _ in range(3):
            self.turns.settle()
            self.store.saves[-1].succeed()
        self.turns.settle()
        self.assertEqual(self.sizes(), [3, 3, 2])
        self.assertEqual(
            [item for batch, _ in self.saved for item in batch], self.items[:8]
        )

    def test_store_that_answers_at_once(self) -> None:
        """With such a store all batches are saved without anything further."""
        self.store.hold_saves = False
        self.add(*self.items)
        self.turns.settle()
        self.assertEqual([len(batch) for batch, _ in self.saved], [3, 3, 3, 1])

    def test_store_error(self) -> None:
        """A refused transaction is reported with the store's words; others go on."""
        self.add(*self.items[:4])
        self.turns.settle()
        self.store.saves[0].fail(StoreError("disk full"))
        self.turns.settle()
        self.store.saves[1].succeed()
        self.assertEqual(self.failed, [(self.items[:3], "disk full")])
        self.assertEqual([batch for batch, _ in self.saved], [[self.items[3]]])

    def test_unexpected_failure(self) -> None:
        """What a store should never raise is logged, and told without details."""
        self.add(self.items[0])
        self.turns.settle()
        self.store.saves[0].fail(ZeroDivisionError("secret"))
        self.assertEqual(self.failed, [([self.items[0]], "internal error")])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_failure_at_once(self) -> None:
        """A store that raises instead of failing later is no different."""
        self.store.save_error = StoreError("map full")
        self.add(*self.items[:4])
        self.turns.settle()
        self.assertEqual(
            self.failed,
            [(self.items[:3], "map full"), ([self.items[3]], "map full")],
        )

    def test_measured(self) -> None:
        """How long the store takes for how many events is measured, if it does it."""
        self.add(*self.items[:2])
        self.turns.settle()
        self.add(self.items[2])
        self.assertEqual(self.batches.unsaved, 1)
        self.clock.advance(0.2)
        self.store.saves[0].succeed()
        self.turns.settle()
        self.store.saves[1].fail(StoreError("on purpose"))
        self.turns.settle()
        self.assertEqual(
            self.measurements.facts(),
            {
                "commit_seconds:0.25": 1,
                "commit_seconds:sum": 200_000,
                "commit_events:2": 1,
                "commit_events:sum": 2_000_000,
            },
        )
