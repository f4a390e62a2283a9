"""Tests for :mod:`nostrtx.storage.opening`."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.config import StoreSettings
from nostrtx.interfaces import IEventStore, StoreUnusable
from nostrtx.nostr.vanish import names_all_relays
from nostrtx.storage.lmdb.store import LMDBEventStore
from nostrtx.storage.memory import MemoryEventStore
from nostrtx.storage.opening import open_store
from tests.storage.waiting_reactor import WaitingReactor


def _open(url: str) -> IEventStore:
    return open_store(url, StoreSettings(), WaitingReactor(), names_all_relays)


class OpenStoreTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.storage.opening.open_store`."""

    def test_memory(self) -> None:
        """``memory:`` is a store in memory."""
        store = _open("memory:")
        self.assertIsInstance(store, MemoryEventStore)

    def test_lmdb(self) -> None:
        """``lmdb:`` and a path is a store in that directory, not yet opened."""
        path = self.mktemp()
        store = _open(f"lmdb:{path}")
        self.assertIsInstance(store, LMDBEventStore)
        self.assertTrue(verifyObject(IEventStore, store))
        self.assertFalse(os.path.exists(path))

    def test_path_with_colons(self) -> None:
        """A path may hold colons."""
        path = self.mktemp() + ":1:2"
        reactor = WaitingReactor()
        settings = StoreSettings(max_gigabytes=1)
        store = open_store(f"lmdb:{path}", settings, reactor, names_all_relays)
        store.open()
        self.assertTrue(os.path.isdir(path))
        self.assertIsNone(reactor.result_of(store.close()))

    def test_unknown(self) -> None:
        """Anything else is refused in one line that names the forms there are."""
        for url in ("", "memory", "lmdb", "lmdb:", "memory:x", "redis://h", "/data"):
            error = self.assertRaises(StoreUnusable, _open, url)
            self.assertIn(repr(url), str(error))
            self.assertIn("lmdb:", str(error))
            self.assertIn("memory:", str(error))
            self.assertNotIn("\n", str(error))
