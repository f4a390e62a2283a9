"""Tests for :mod:`nostrtx.storage.postgres.store`."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.filters import Filter
from nostrtx.storage.explanation import IExplains
from nostrtx.storage.postgres.store import PostgresEventStore
from tests.live.postgres_server import shared_server
from tests.live.postgres_stores import empty_database, give_back, postgres_store
from tests.storage.ban_tests import pubkey_ban
from tests.storage.events import BOB, NOW, make_event
from tests.storage.store_case import DUPLICATE, obeys
from tests.storage.store_tests import EventStoreTests
from tests.storage.vanish_tests import to_vanish
from tests.storage.waiting_reactor import WaitingReactor

_T = TypeVar("_T")


class PostgresEventStoreTests(EventStoreTests, SynchronousTestCase):
    """Tests for :class:`nostrtx.storage.postgres.store.PostgresEventStore`."""

    def setUp(self) -> None:
        """Begin with an empty store in a database of its own."""
        self.reactor = WaitingReactor()
        super().setUp()

    def make_store(self) -> IEventStore:
        """A store in a new database, which is emptied after the test."""
        self.database = empty_database()
        self.addCleanup(give_back, self.database)
        self.url = shared_server().url(self.database, by_socket=True)
        return self.open_store(self.url)

    def open_store(self, url: str) -> PostgresEventStore:
        """The store at ``url``, closed after the test."""
        store = postgres_store(url, self.reactor, obeys)
        store.open()
        self.addCleanup(self._close, store)
        return store

    def result_of(self, deferred: Deferred[_T]) -> _T:
        """Wait for the store's threads."""
        return self.reactor.result_of(deferred)

    def _close(self, store: IEventStore) -> None:
        self.result_of(store.close())

    def test_class(self) -> None:
        """The class provides all that a store is asked for."""
        self.assertTrue(verifyClass(IEventStore, PostgresEventStore))

    def test_explained(self) -> None:
        """The server tells how it makes each statement of a query."""
        self.save(*(make_event(content=str(n)) for n in range(5)))
        assert isinstance(self.store, PostgresEventStore)
        self.assertTrue(verifyObject(IExplains, self.store))
        for _ in range(2):
            # Nothing is left behind on the connection.
            asked = Filter(kinds=(1,), limit=3)
            explanation = self.result_of(self.store.explain(asked, NOW))
            self.assertEqual((explanation.events, explanation.more), (3, True))
        plans = "\n".join(line for look in explanation.looks for line in look.details)
        self.assertIn("actual time", plans)
        self.assertIn("Execution Time", plans)

    def test_later_bans(self) -> None:
        """Bans of a kind that only a later version knows are passed over."""
        self.ban(pubkey_ban())
        shared_server().execute(
            "INSERT INTO nostrtx.bans VALUES ('word', 'x', 2, '', 1, false);"
            " UPDATE nostrtx.counters SET last_ban = 2",
            self.database,
        )
        self.ban(pubkey_ban(BOB))
        self.assertEqual([one.number for one in self.changes(0, 2)], [1, 3])
        self.assertEqual([one.ban for one in self.changes(1)], [pubkey_ban(BOB)])

    def test_vanishing_again(self) -> None:
        """Nothing goes with a request that was stored before this relay was meant."""
        store = postgres_store(self.url, self.reactor, lambda _: False)
        store.open()
        self.addCleanup(self._close, store)
        wish = to_vanish()
        self.result_of(store.save_events([wish]))
        notes = [make_event(created_at=NOW - n, content=f"{n}") for n in range(2100)]
        self.save(*notes)
        self.assertEqual(self.save(wish), [DUPLICATE])
        self.assert_holds(wish, *notes)

    def test_floor(self) -> None:
        """The floor is the last ``seq`` in the snapshot, known with the first page."""
        for _ in range(3):
            query = self.store.query([Filter(ids=(bytes(32),))], NOW)
            self.assertIsNone(query.floor)
            self.pages(query)
            self.assertEqual(query.floor, self.store.last_seq())
            self.save(make_event(content=str(self.store.last_seq())))
        query = self.store.query([], NOW)
        self.pages(query)
        self.assertEqual(query.floor, self.store.last_seq())

    def test_nothing_beyond_the_floor(self) -> None:
        """What is stored after the first page was asked for is not in the answer."""
        notes = self.notes(20)
        filters = [Filter(kinds=(1,)), Filter(authors=(notes[0].pubkey,), limit=15)]
        running = self.store.query(filters, NOW)
        given = list(self.next_page(running, 2000).events)
        floor = running.floor
        self.save(*(make_event(created_at=NOW - n, content="late") for n in range(20)))
        given += [raw for page in self.pages(running, 2000) for raw in page.events]
        self.assertEqual(given, [note.raw for note in notes])
        self.assertEqual(running.floor, floor)
        self.assertEqual(len(self.answer(*filters)), 40)
