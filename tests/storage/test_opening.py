"""Tests for :mod:`nostrtx.storage.opening`."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.interfaces.store import IEventStore, StoreUnusable
from nostrtx.nostr.vanish import names_all_relays
from nostrtx.settings.storing import StoreSettings
from nostrtx.storage.lmdb.store import LMDBEventStore
from nostrtx.storage.memory import MemoryEventStore
from nostrtx.storage.opening import open_store, shown_url
from nostrtx.storage.postgres.store import PostgresEventStore
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

    def test_postgres(self) -> None:
        """A URL of PostgreSQL is the shared store, not yet connected to."""
        for url in (
            "postgresql://u:secret@h/d",
            "postgres:///d?host=/tmp",
            "postgres:///d?host=@socket",
        ):
            self.assertTrue(StoreSettings(url=url).is_shared)
            store = _open(url)
            self.assertIsInstance(store, PostgresEventStore)
            self.assertTrue(verifyObject(IEventStore, store))
        self.assertFalse(StoreSettings(url="lmdb:postgres://").is_shared)
        self.assertFalse(StoreSettings(url="postgresql:x").is_shared)

    def test_postgres_not_understood(self) -> None:
        """
        A URL that PostgreSQL does not understand is refused without its words; so is
        one whose password is taken in part for the host or the database.
        """
        for url in (
            "postgresql://u:secret@h/d?nonsense=1",
            "postgresql://u:p@secret@h/d",
            "postgresql://u:1/secret@h/d",
            "postgresql://u:secret/1@h/d",
            "postgresql://u:%secret@h/d",
        ):
            error = self.assertRaises(StoreUnusable, _open, url)
            self.assertIn("URL", str(error))
            self.assertNotIn("secret", str(error))
            self.assertNotIn("\n", str(error))

    def test_without_the_extra(self) -> None:
        """Where psycopg is not installed, one line says what to install."""
        error = self.assertRaises(
            StoreUnusable,
            open_store,
            "postgresql://u:secret@h/d",
            StoreSettings(),
            WaitingReactor(),
            names_all_relays,
            find=lambda name: None,
        )
        self.assertIn('pip install "nostrtx[postgres]"', str(error))
        self.assertNotIn("secret", str(error))

    def test_shown(self) -> None:
        """A URL is shown without its password, wherever that stands."""
        for url, shown in (
            ("lmdb:a:b@c", "lmdb:a:b@c"),
            ("postgresql://u:pa:ss@h:1/d", "postgresql://u:***@h:1/d"),
            ("postgresql://u:p@ss@h:1/d", "postgresql://u:***@h:1/d"),
            (
                "postgresql://u@h/d?password=x&a=b",
                "postgresql://u@h/d?password=***&a=b",
            ),
            ("postgresql://u:p#a?ss@h:1/d", "postgresql://u:***@h:1/d"),
            (
                "postgresql://u:x@h/d?sslpassword=y",
                "postgresql://u:***@h/d?sslpassword=***",
            ),
            ("postgresql://h:1/d?password=a:x@b", "postgresql://h:1/d?password=***"),
            ("postgresql://h/d?p%61ssword=x", "postgresql://h/d?p%61ssword=***"),
            ("postgresql://u@h/d", "postgresql://u@h/d"),
            ("postgres:///d?host=/tmp", "postgres:///d?host=/tmp"),
            ("redis://:x@h:1/0", "redis://:***@h:1/0"),
        ):
            self.assertEqual(shown_url(url), shown)

    def test_unknown(self) -> None:
        """
        Anything else is refused in one line that names the forms there are, and does
        not repeat what may hold a password.
        """
        for url in (
            "",
            "memory",
            "lmdb",
            "lmdb:",
            "memory:x",
            "redis://h",
            "/data",
            "host=h password=secret",
            "postgresql:u:secret@h/d",
        ):
            error = self.assertRaises(StoreUnusable, _open, url)
            self.assertIn("lmdb:", str(error))
            self.assertNotIn("secret", str(error))
            self.assertIn("memory:", str(error))
            self.assertNotIn("\n", str(error))
