"""Tests for what :mod:`nostrtx.storage.lmdb` does a slice of time at a time."""

from __future__ import annotations

import os
import tempfile
from shutil import rmtree

import lmdb
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from nostrtx.interfaces.queries import Count, IStoredCount, IStoredQuery, Page
from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.filters import Filter
from nostrtx.storage.lmdb.counting import LMDBStoredCount
from nostrtx.storage.lmdb.query import LMDBStoredQuery
from nostrtx.storage.lmdb.store import LMDBEventStore
from tests.storage.events import NOW, make_event
from tests.storage.waiting_reactor import WaitingReactor

_COUNT = 3000


class _BusyReactor(WaitingReactor):
    """A reactor on which each look at the clock takes a while."""

    def __init__(self) -> None:
        super().__init__()
        self.cost = 0.0

    def seconds(self) -> float:
        """The time, later by ``cost`` each time."""
        self.rightNow += self.cost
        return self.rightNow


class TurnsTests(SynchronousTestCase):
    """Tests for long queries and counts."""

    def setUp(self) -> None:
        """Open a store with some thousand events."""
        path = tempfile.mkdtemp(prefix="nostrtx-test-")
        self.addCleanup(rmtree, path)
        self.path = os.path.join(path, "store")
        self.reactor = _BusyReactor()
        self.store = LMDBEventStore(self.path, 2**30, self.reactor)
        self.store.open()
        self.addCleanup(self._close)
        self.notes = [
            make_event(created_at=NOW - number, content=f"{number}")
            for number in range(_COUNT)
        ]
        self.reactor.result_of(self.store.save_events(self.notes))
        self.reactor.cost = 0.001

    def _close(self) -> None:
        self.reactor.result_of(self.store.close())

    def count(self) -> IStoredCount:
        """Begin to count in a way that needs to look at the events."""
        return self.store.count([Filter(kinds=(1,), until=NOW)], NOW)

    def query(self) -> IStoredQuery:
        """Begin to ask for everything."""
        return self.store.query([Filter(kinds=(1,))], NOW)

    def page(self, query: IStoredQuery, seconds: float) -> Page:
        """The next page of ``query``, made within ``seconds``."""
        page = query.next_page(2**20, self.reactor.rightNow + seconds)
        assert isinstance(page, Page)
        return page

    def test_interface(self) -> None:
        """A query provides what is asked of one."""
        self.assertTrue(verifyClass(IStoredQuery, LMDBStoredQuery))
        query = self.query()
        self.assertTrue(verifyObject(IStoredQuery, query))
        query.close()

    def test_deadline_while_looking(self) -> None:
        """A page whose time is up before all is found holds nothing yet."""
        query = self.query()
        page = self.page(query, 0.001)
        self.assertEqual((page.events, page.done), ((), False))
        query.close()

    def test_deadline_while_reading(self) -> None:
        """Pages hold what could be read in time, and all of them everything."""
        query = self.query()
        given: list[bytes] = []
        pages = 0
        page = self.page(query, 0.01)
        while not page.done:
            pages += 1
            given += page.events
            page = self.page(query, 0.01)
        given += page.events
        self.assertGreater(pages, 5)
        self.assertEqual(given, [note.raw for note in self.notes])

    def test_no_time(self) -> None:
        """However late it is, a query gets on a little each time."""
        query = self.query()
        given: list[bytes] = []
        page = self.page(query, -1)
        while not page.done:
            given += page.events
            page = self.page(query, -1)
        self.assertEqual(len(given) + len(page.events), _COUNT)

    def test_snapshot_is_given_up(self) -> None:
        """A query that is being read does not keep a snapshot."""
        query = self.query()
        page = Page((), False)
        while not page.events:
            page = self.page(query, 0.01)
        [wish] = [make_event(kind=5, tags=[["e", self.notes[-1].id.hex()]])]
        self.reactor.result_of(self.store.save_events([wish]))
        given = list(page.events)
        while not page.done:
            page = self.page(query, 1)
            given += page.events
        self.assertEqual(given, [note.raw for note in self.notes[:-1]])

    def go_on(self, counting: IStoredCount, seconds: float) -> Count:
        """Count on for some seconds."""
        count = counting.go_on(self.reactor.rightNow + seconds)
        assert isinstance(count, Count)
        return count

    def test_count_interface(self) -> None:
        """A count provides what is asked of one."""
        self.assertTrue(verifyClass(IStoredCount, LMDBStoredCount))
        counting = self.count()
        self.assertTrue(verifyObject(IStoredCount, counting))
        counting.close()

    def test_count_takes_turns(self) -> None:
        """A long count stops when its time is up, and says how far it came."""
        counting = self.count()
        numbers = []
        count = self.go_on(counting, 0.001)
        while not count.done:
            numbers.append(count.events)
            count = self.go_on(counting, 0.001)
        self.assertEqual(count.events, _COUNT)
        self.assertGreater(len(numbers), 1)
        self.assertEqual(numbers, sorted(numbers))
        self.assertTrue(any(0 < number < _COUNT for number in numbers), numbers)

    def test_count_over_one_snapshot(self) -> None:
        """What is stored or removed while a count goes on does not change it."""
        counting = self.count()
        self.go_on(counting, 0.001)
        wish = make_event(kind=5, tags=[["e", self.notes[-1].id.hex()]])
        late = make_event(created_at=NOW - _COUNT, content="late")
        self.reactor.result_of(self.store.save_events([wish, late]))
        self.assertEqual(self.go_on(counting, 1000).events, _COUNT)

    def test_count_without_time(self) -> None:
        """However late it is, a count gets on a little each time."""
        counting = self.count()
        count = self.go_on(counting, -1)
        while not count.done:
            count = self.go_on(counting, -1)
        self.assertEqual(count.events, _COUNT)

    def test_count_is_closed(self) -> None:
        """A count can be given up at any time, and more than once."""
        for seconds in (None, 0.001, 1000):
            counting = self.count()
            if seconds is not None:
                self.go_on(counting, seconds)
            counting.close()
            counting.close()
        self.assertEqual(self.go_on(self.count(), 1000), Count(_COUNT, True))

    def test_closed_while_counting(self) -> None:
        """A count fails if the store is closed before it ends; closing it is fine."""
        counting = self.count()
        self.go_on(counting, 0.001)
        self._close()
        self.assertRaises(StoreError, self.go_on, counting, 1)
        counting.close()
        self.assertNotEqual(self.flushLoggedErrors(lmdb.Error), [])
        self.assertRaises(StoreError, self.count)

    def test_closed_while_asking(self) -> None:
        """A query fails if the store is closed before it ends; closing it is fine."""
        for seconds in (0.001, 0.02):
            query = self.query()
            self.page(query, seconds)
            self._close()
            self.assertRaises(StoreError, self.page, query, 1)
            query.close()
            self.assertNotEqual(self.flushLoggedErrors(lmdb.Error), [])
            self.assertRaises(StoreError, self.query)
            self.assertRaises(StoreError, self.store.last_seq)
            self.store = LMDBEventStore(self.path, 2**30, self.reactor)
            self.store.open()
