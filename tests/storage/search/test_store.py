"""Tests for :mod:`nostrtx.storage.search.store`."""

from __future__ import annotations

import os
import tempfile
from shutil import rmtree
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.interfaces.queries import IStoredCount, IStoredQuery
from nostrtx.interfaces.store import IEventStore, StoreError
from nostrtx.nostr.filters import Filter
from nostrtx.storage.lmdb.store import LMDBEventStore
from nostrtx.storage.search.follower import IndexFollower
from nostrtx.storage.search.index import SearchIndex
from nostrtx.storage.search.store import SearchingEventStore
from tests.storage.events import NOW, make_event
from tests.storage.filter_tests import FilterTests
from tests.storage.query_tests import QueryTests
from tests.storage.search_tests import SearchTests
from tests.storage.waiting_reactor import WaitingReactor

_T = TypeVar("_T")

_GIGABYTE = 2**30


class SearchingEventStoreTests(
    SearchTests, QueryTests, FilterTests, SynchronousTestCase
):
    """Tests for :class:`nostrtx.storage.search.store.SearchingEventStore`."""

    def setUp(self) -> None:
        """Begin with an empty store in a directory of its own."""
        self.reactor = WaitingReactor()
        super().setUp()

    def make_store(self) -> IEventStore:
        """An LMDB store with an index beside it."""
        path = tempfile.mkdtemp(prefix="nostrtx-test-")
        self.addCleanup(rmtree, path)
        self.path = os.path.join(path, "store")
        return self.open_store()

    def open_store(self) -> IEventStore:
        """The store, closed after the test."""
        inner = LMDBEventStore(self.path, _GIGABYTE, self.reactor)
        store: IEventStore = SearchingEventStore(
            inner, os.path.join(self.path, "search"), self.reactor
        )
        store.open()
        self.addCleanup(lambda: self.result_of(store.close()))
        return store

    def settle(self) -> None:
        """Have the index follow up to here: another process might, as well."""
        self.result_of(self.store.close())
        inner = LMDBEventStore(self.path, _GIGABYTE, self.reactor)
        inner.open()
        index = SearchIndex(os.path.join(self.path, "search"))
        index.open()
        follower = IndexFollower(index, inner, lambda seconds: None)
        self.assertTrue(follower.begin())
        follower.catch_up(lambda: False)
        follower.end()
        self.result_of(inner.close())
        self.store = self.open_store()

    def result_of(self, deferred: Deferred[_T]) -> _T:
        """Wait for the store's threads."""
        return self.reactor.result_of(deferred)

    def test_interface(self) -> None:
        """It provides all that a store is asked for, and its queries do as well."""
        self.assertTrue(verifyObject(IEventStore, self.store))
        for filters in ([Filter(search="x")], [Filter(search="x"), Filter()]):
            query = self.store.query(filters, NOW)
            self.assertTrue(verifyObject(IStoredQuery, query))
            query.close()
            counting = self.store.count(filters, NOW)
            self.assertTrue(verifyObject(IStoredCount, counting))
            counting.close()

    def test_closed(self) -> None:
        """A closed store says that it is closed; closing it again is harmless."""
        self.result_of(self.store.close())
        self.assertRaises(StoreError, self.store.query, [Filter(search="x")], NOW)
        self.assertIsNone(self.result_of(self.store.close()))

    def test_cancelled(self) -> None:
        """A search that nobody waits for any more disturbs nobody."""
        self.save(make_event(content="word"))
        query = self.store.query([Filter(search="word")], NOW)
        page = query.next_page(1000, 0)
        assert isinstance(page, Deferred)
        page.cancel()
        self.assertRaises(CancelledError, self.result_of, page)
        query.close()
        self.assertEqual(len(self.answer(Filter(search="word"))), 1)

    def test_hits_behind_the_removed(self) -> None:
        """However many better hits were removed, the limit is filled."""
        doomed = [make_event(content="word " * 5 + str(n)) for n in range(90)]
        kept = [make_event(content=f"word and more words {n}") for n in range(3)]
        self.save(*doomed, *kept)
        self.settle()
        self.save(make_event(kind=5, tags=[["e", note.id.hex()] for note in doomed]))
        answer = self.answer(Filter(search="word", limit=3))
        self.assertEqual(sorted(answer), sorted(note.raw for note in kept))
