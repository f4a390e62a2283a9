"""Tests for :mod:`nostrtx.storage.memory`."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass

from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.filters import Filter
from nostrtx.storage.memory import MemoryEventStore
from tests.storage.events import NOW, make_event
from tests.storage.search_tests import SearchTests
from tests.storage.store_case import obeys
from tests.storage.store_tests import EventStoreTests

_T = TypeVar("_T")


class MemoryEventStoreTests(EventStoreTests, SearchTests, SynchronousTestCase):
    """Tests for :class:`nostrtx.storage.memory.MemoryEventStore`."""

    def make_store(self) -> IEventStore:
        """A store in memory needs no closing."""
        store = MemoryEventStore(obeys)
        store.open()
        return store

    def result_of(self, deferred: Deferred[_T]) -> _T:
        """Everything fires at once."""
        return self.successResultOf(deferred)

    def test_class(self) -> None:
        """The class provides all that a store is asked for."""
        self.assertTrue(verifyClass(IEventStore, MemoryEventStore))

    def test_close(self) -> None:
        """Closing succeeds at once."""
        self.assertIsNone(self.successResultOf(self.store.close()))

    def test_snapshot(self) -> None:
        """A query gives what there was when it began, even what is deleted then."""
        note = make_event()
        self.save(note)
        query = self.store.query([Filter()], NOW)
        self.save(make_event(kind=5, tags=[["e", note.id.hex()]]))
        [page] = self.pages(query)
        self.assertEqual(page.events, [note.raw])

    def test_closed_query(self) -> None:
        """Nothing more comes out of a query that was given up."""
        self.save(make_event(), make_event(content="2"))
        query = self.store.query([Filter()], NOW)
        query.next_page(1, 0)
        query.close()
        [page] = self.pages(query)
        self.assertEqual((list(page.events), page.done), ([], True))
