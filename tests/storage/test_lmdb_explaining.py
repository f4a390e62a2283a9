"""Tests for :mod:`nostrtx.storage.lmdb.explaining`."""

from __future__ import annotations

import tempfile
from shutil import rmtree

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.nostr.filters import Filter
from nostrtx.storage.explanation import Explanation, IExplains, Look
from nostrtx.storage.lmdb.store import LMDBEventStore
from tests.storage.events import ALICE, NOW, make_event
from tests.storage.waiting_reactor import WaitingReactor


class ExplainingTests(SynchronousTestCase):
    """How the embedded store tells what it does."""

    def setUp(self) -> None:
        """A store with a hundred notes of one author, a tenth of them tagged."""
        directory = tempfile.mkdtemp(prefix="nostrtx-test-")
        self.addCleanup(rmtree, directory)
        reactor = WaitingReactor()
        self.store = LMDBEventStore(directory, 2**24, reactor)
        self.store.open()
        events = [
            make_event(
                content=str(n),
                created_at=NOW - n,
                tags=[] if n % 10 else [["t", "x"], ["r", str(n % 50)]],
            )
            for n in range(100)
        ]
        reactor.result_of(self.store.save_events(events))
        self.addCleanup(lambda: reactor.result_of(self.store.close()))

    def explain(self, asked: Filter) -> Explanation:
        """How a filter is answered."""
        return self.store.explain(asked, NOW)

    def looks(self, asked: Filter) -> dict[str, Look]:
        """What is looked at, by database."""
        return {look.part: look for look in self.explain(asked).looks}

    def test_interface(self) -> None:
        """The embedded store explains."""
        self.assertTrue(verifyObject(IExplains, self.store))

    def test_ids(self) -> None:
        """An id is one key, and an event is one row."""
        event = make_event(content="7", created_at=NOW - 7)
        explanation = self.explain(Filter(ids=(event.id,), limit=10))
        self.assertEqual((explanation.way, explanation.events), ("ids", 1))
        looks = {look.part: look for look in explanation.looks}
        self.assertEqual((looks["ids"].keys, looks["ids"].entries), (1, 1))
        self.assertEqual(looks["events"].entries, 1)

    def test_limit(self) -> None:
        """With a limit little more is read than is given, and there is more."""
        explanation = self.explain(Filter(kinds=(1,), limit=5))
        self.assertEqual(explanation.way, "kinds")
        self.assertEqual((explanation.events, explanation.more), (5, True))
        looks = {look.part: look for look in explanation.looks}
        self.assertEqual(looks["kinds"].cursors, 1)
        self.assertLess(looks["kinds"].entries, 20)
        self.assertEqual(looks["events"].entries, 5)

    def test_choice(self) -> None:
        """Where there is a choice, the sizes tell why it fell as it did."""
        asked = Filter(authors=(ALICE,), kinds=(1,), tags=(("r", ("40",)),), limit=50)
        explanation = self.explain(asked)
        self.assertEqual(explanation.way, "tag #r")
        sizes = dict(explanation.choices)
        self.assertEqual(sizes, {"tag #r": 2, "authors": 100})
        self.assertEqual(explanation.events, 2)

    def test_nothing(self) -> None:
        """Of what is not there nothing is read."""
        looks = self.looks(Filter(kinds=(7,), limit=5))
        self.assertEqual(looks["kinds"].entries, 0)
        self.assertNotIn("events", looks)
