"""Tests for :mod:`nostrtx.storage.search.opening`."""

from __future__ import annotations

import subprocess
import sys

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.storage.lmdb.store import LMDBEventStore
from nostrtx.storage.memory import MemoryEventStore
from nostrtx.storage.search.opening import can_search, index_path, with_search
from nostrtx.storage.search.store import SearchingEventStore

_WITHOUT_TANTIVY = """
import sys
sys.modules["tantivy"] = None  # what imports it fails
from twisted.internet.testing import MemoryReactorClock
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.service import make_service
make_service(LiveSettings(Settings()), MemoryReactorClock())
from click import Context
from nostrtx.cli.main import COMMANDS, main
for name in COMMANDS:
    main.get_command(Context(main), name)
print("all well")
"""


class OpeningTests(SynchronousTestCase):
    """What can search, and how it comes to do so."""

    def test_can_search(self) -> None:
        """In memory it is always possible, on disk with the extra, else it is not."""
        asked: list[str] = []
        for installed in (True, False):

            def find(name: str, installed: bool = installed) -> object:
                asked.append(name)
                return object() if installed else None

            self.assertTrue(can_search("memory:", find))
            self.assertEqual(can_search("lmdb:data", find), installed)
            self.assertFalse(can_search("postgresql://h/d", find))
        self.assertEqual(asked, ["tantivy", "tantivy"])
        self.assertTrue(can_search("lmdb:data"))

    def test_with_search(self) -> None:
        """Beside a store on disk there is an index; one in memory needs none."""
        memory = MemoryEventStore()
        self.assertIs(with_search(memory, "memory:", Clock()), memory)
        store = with_search(LMDBEventStore("x", 2**30, Clock()), "lmdb:x", Clock())
        self.assertIsInstance(store, SearchingEventStore)
        self.assertEqual(index_path("lmdb:a/b"), "a/b/search")
        self.assertIsNone(index_path("memory:"))

    def test_without_the_extra(self) -> None:
        """Relay and commands work where tantivy is not installed."""
        done = subprocess.run(
            [sys.executable, "-c", _WITHOUT_TANTIVY], capture_output=True, text=True
        )
        self.assertEqual((done.stdout, done.returncode), ("all well\n", 0), done.stderr)
