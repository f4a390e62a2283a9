"""Tests for :mod:`nostrtx.storage.lmdb.store`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from shutil import rmtree
from typing import TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from nostrtx.interfaces.store import IEventStore, StoreError, StoreUnusable
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.json import dumps
from nostrtx.storage.lmdb.keys import number
from nostrtx.storage.lmdb.schema import Databases, open_databases
from nostrtx.storage.lmdb.store import LMDBEventStore
from nostrtx.storage.lmdb.writer import EventWriter
from tests.storage.ban_tests import pubkey_ban
from tests.storage.events import BOB, NOW, make_event
from tests.storage.store_case import DELETED, DUPLICATE, STORED, VANISHED, obeys
from tests.storage.store_tests import EventStoreTests
from tests.storage.vanish_tests import to_vanish, wrap
from tests.storage.waiting_reactor import WaitingReactor

_T = TypeVar("_T")

_GIGABYTE = 2**30


class LMDBEventStoreTests(EventStoreTests, SynchronousTestCase):
    """Tests for :class:`nostrtx.storage.lmdb.store.LMDBEventStore`."""

    def setUp(self) -> None:
        """Begin with an empty store in a directory of its own."""
        self.reactor = WaitingReactor()
        super().setUp()

    def make_store(self) -> IEventStore:
        """A store in a new directory, which is removed after the test."""
        path = tempfile.mkdtemp(prefix="nostrtx-test-")
        self.addCleanup(rmtree, path)
        self.path = os.path.join(path, "store")
        return self.open_store(self.path)

    def open_store(self, path: str, max_bytes: int = _GIGABYTE) -> IEventStore:
        """The store at ``path``, closed after the test."""
        store = LMDBEventStore(path, max_bytes, self.reactor, obeys)
        store.open()
        self.addCleanup(self._close, store)
        return store

    def reopen(self) -> None:
        """Close the store and open it again, as another process would."""
        self._close(self.store)
        self.store = self.open_store(self.path)

    def result_of(self, deferred: Deferred[_T]) -> _T:
        """Wait for the store's threads."""
        return self.reactor.result_of(deferred)

    def _close(self, store: IEventStore) -> None:
        self.result_of(store.close())

    def test_class(self) -> None:
        """The class provides all that a store is asked for."""
        self.assertTrue(verifyClass(IEventStore, LMDBEventStore))

    def test_fake_reactor(self) -> None:
        """The tests' reactor provides what the store asks of one."""
        self.assertTrue(verifyObject(IReactorTime, self.reactor))
        self.assertTrue(verifyObject(IReactorFromThreads, self.reactor))

    def test_close_twice(self) -> None:
        """Closing a closed store is harmless."""
        self.assertIsNone(self.result_of(self.store.close()))
        self.assertIsNone(self.result_of(self.store.close()))

    def test_close_waits_for_writes(self) -> None:
        """What was handed over before closing is stored."""
        saved = self.store.save_events([make_event()])
        self._close(self.store)
        [result] = self.result_of(saved)
        self.assertEqual(result.outcome, STORED)
        self.store = self.open_store(self.path)
        self.assert_holds(make_event())

    def test_reopen(self) -> None:
        """Events, deletions and ``seq`` are there after reopening."""
        note, doomed = make_event(), make_event(content="doomed")
        profile = make_event(kind=0)
        wish = make_event(
            kind=5,
            tags=[["e", doomed.id.hex()], ["a", f"0:{profile.pubkey.hex()}:"]],
        )
        dying = make_event(tags=[["expiration", str(NOW + 9)]])
        self.save(note, doomed, wish, dying)
        last = self.store.last_seq()
        self.reopen()
        self.assertEqual(self.store.last_seq(), last)
        self.assert_holds(note, wish, dying)
        outcomes = self.save(note, doomed, profile)
        self.assertEqual(outcomes, [DUPLICATE, DELETED, DELETED])
        self.assertEqual(self.sweep(NOW + 9), 1)
        self.assert_holds(note, wish)

    def test_seq_after_reopening(self) -> None:
        """The ``seq`` of a removed last event is not used again after reopening."""
        for last in (
            make_event(tags=[["expiration", str(NOW)]]),
            make_event(tags=[["expiration", str(NOW)]], content="once more"),
        ):
            [before] = self.result_of(self.store.save_events([last]))
            self.sweep(NOW)
            self.assert_holds()
            self.reopen()
            self.assertEqual(self.store.last_seq(), before.seq)
            [after] = self.result_of(self.store.save_events([make_event(content="x")]))
            self.assertGreater(after.seq, before.seq)
            self.save(
                make_event(kind=5, tags=[["e", make_event(content="x").id.hex()]])
            )
            self.store = self.make_store()

    def test_later_bans(self) -> None:
        """Bans that only a later version understands are passed over."""
        self.ban(pubkey_ban())
        self._close(self.store)
        databases = open_databases(self.path, _GIGABYTE)
        with databases.env.begin(write=True) as txn:
            for at, record in enumerate((["word", "x", "", 1, False], [1, 2], None), 2):
                txn.put(number(at), dumps(record), db=databases.ban_changes)
        databases.env.close()
        self.store = self.open_store(self.path)
        self.ban(pubkey_ban(BOB))
        self.assertEqual([one.number for one in self.changes(0, 2)], [1, 5])
        self.assertEqual([one.ban for one in self.changes(1)], [pubkey_ban(BOB)])

    def test_vanished_after_reopening(self) -> None:
        """Nothing of an author who vanished is in any index, nor comes back later."""
        gone = [
            make_event(
                kind=kind, tags=[["d", "x"], ["t", "x"], ["expiration", "9" * 10]]
            )
            for kind in (0, 1, 5, 30023)
        ]
        marked = make_event(kind=5, tags=[["a", f"0:{make_event().pubkey.hex()}:"]])
        wish = to_vanish()
        self.save(*gone, marked, wrap(wish.pubkey), wish)
        self._close(self.store)
        databases = open_databases(self.path, _GIGABYTE)
        with databases.env.begin() as txn:
            for field in attrs.fields(Databases)[2:]:
                size = txn.stat(getattr(databases, field.name))["entries"]
                held = field.name in ("events", "ids", "authors", "kinds", "times")
                if field.name not in ("meta", "marks"):
                    self.assertEqual(size, 1 if held else 0, field.name)
            marks = txn.cursor(databases.marks).iternext(values=False)
            self.assertEqual(
                [key for key in marks if key[:1] != b"e"], [b"v" + wish.pubkey]
            )
        databases.env.close()
        self.store = self.open_store(self.path)
        self.assertEqual(set(self.save(*gone, wrap(wish.pubkey))), {VANISHED})
        self.assert_holds(wish)

    def test_vanishing_is_interrupted(self) -> None:
        """A request that was not carried out to its end can be sent again."""
        notes = [make_event(content=f"{n}") for n in range(9)]
        wish = to_vanish()
        self.save(*notes)
        self._close(self.store)
        databases = open_databases(self.path, _GIGABYTE)
        with databases.env.begin(write=True) as txn:
            writer = EventWriter(databases, txn)
            self.assertTrue(writer.vanish_ahead(wish, 5))
            writer.finish()
        databases.env.close()
        self.store = self.open_store(self.path)
        left = self.answer(Filter())
        self.assertEqual(len(left), 4)
        outcomes = [DUPLICATE if note.raw in left else VANISHED for note in notes]
        self.assertEqual(self.save(*notes), outcomes)
        self.assertEqual(self.save(wish), [STORED])
        self.assert_holds(wish)

    def test_full(self) -> None:
        """A store that is full says so, changes nothing, and still answers."""
        path = os.path.join(os.path.dirname(self.path), "small")
        self.store = self.open_store(path, 4 * 1024 * 1024)
        small = make_event(content="small")
        self.save(small)
        large = [make_event(content=f"{n}" * 400_000) for n in range(10, 40)]
        error = self.assertRaises(StoreError, self.save, *large)
        self.assertNotIn("\n", str(error))
        self.assert_holds(small)
        self.assertEqual(self.save(make_event(content="again")), [STORED])

    def test_unusable(self) -> None:
        """A path where no store can be is refused in one line that names it."""
        path = Path(self.path).parent / "file"
        path.write_text("not a directory")
        store = LMDBEventStore(str(path), _GIGABYTE, self.reactor)
        error = self.assertRaises(StoreUnusable, store.open)
        self.assertIn(str(path), str(error))
        self.assertNotIn("\n", str(error))

    def test_directories_are_made(self) -> None:
        """The directory of a store, and those above it, need not exist."""
        path = os.path.join(self.path, "a", "b")
        store = self.open_store(path)
        self.assertEqual(store.last_seq(), 0)
        self.assertTrue(os.path.isdir(path))

    def test_many_batches_under_way(self) -> None:
        """Batches handed over without waiting are saved in that order."""
        versions = [make_event(kind=0, created_at=NOW + n) for n in range(50)]
        waiting = [self.store.save_events([version]) for version in versions]
        for deferred in waiting:
            [result] = self.result_of(deferred)
            self.assertEqual(result.outcome, STORED)
        self.assertEqual(self.answer(Filter()), [versions[-1].raw])
