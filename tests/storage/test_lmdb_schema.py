"""Tests for :mod:`nostrtx.storage.lmdb.schema`."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import rmtree

import lmdb
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import SaveOutcome, StoreUnusable
from nostrtx.nostr.filters import Filter
from nostrtx.storage.lmdb.schema import VERSION, open_databases
from nostrtx.storage.lmdb.store import LMDBEventStore
from tests.storage.events import NOW, make_event
from tests.storage.store_case import count_now
from tests.storage.waiting_reactor import WaitingReactor

_SIZE = 2**30

#: What another process does beside the relay: it saves one event.
_OTHER_PROCESS = """
import sys
from nostrtx.storage.lmdb.store import LMDBEventStore
from tests.storage.events import make_event
from tests.storage.waiting_reactor import WaitingReactor

reactor = WaitingReactor()
store = LMDBEventStore(sys.argv[1], 2**30, reactor)
store.open()
[result] = reactor.result_of(store.save_events([make_event(content="theirs")]))
reactor.result_of(store.close())
print(result.seq)
"""


class OpenDatabasesTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.storage.lmdb.schema.open_databases`."""

    def setUp(self) -> None:
        """Choose a directory."""
        self.parent = tempfile.mkdtemp(prefix="nostrtx-test-")
        self.addCleanup(rmtree, self.parent)
        self.path = os.path.join(self.parent, "store")

    def assert_unusable(self, *words: str) -> None:
        """Assert that opening fails with one line that holds ``words``."""
        error = self.assertRaises(StoreUnusable, open_databases, self.path, _SIZE)
        for word in (*words, self.path):
            self.assertIn(word, str(error))
        self.assertNotIn("\n", str(error))

    def test_private(self) -> None:
        """A new directory is for its owner only."""
        open_databases(self.path, _SIZE).env.close()
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o700)

    def test_sparse(self) -> None:
        """However large a store may become, its file is small at first."""
        open_databases(self.path, 2**40).env.close()
        self.assertLess(os.stat(os.path.join(self.path, "data.mdb")).st_size, 2**20)

    def test_reopen(self) -> None:
        """What was made here can be opened again."""
        for _ in range(2):
            databases = open_databases(self.path, _SIZE)
            databases.env.close()
        self.assertEqual(os.listdir(self.parent), ["store"])

    def test_other_version(self) -> None:
        """A store of another version is refused, and the way out is named."""
        databases = open_databases(self.path, _SIZE)
        with databases.env.begin(write=True) as txn:
            txn.put(b"version", b"0", db=databases.meta)
        databases.env.close()
        self.assert_unusable("layout 0", VERSION.decode(), "export", "import")

    def test_other_data(self) -> None:
        """An LMDB environment with something else in it is left alone."""
        with lmdb.open(self.path) as env, env.begin(write=True) as txn:
            txn.put(b"key", b"value")
        self.assert_unusable("other data")
        with lmdb.open(self.path) as env, env.begin() as txn:
            self.assertEqual(list(txn.cursor()), [(b"key", b"value")])

    def test_not_lmdb(self) -> None:
        """A directory in which ``data.mdb`` is something else is refused."""
        os.mkdir(self.path)
        Path(self.path, "data.mdb").write_bytes(b"no such thing" * 1000)
        self.assert_unusable("not a store")

    def test_file(self) -> None:
        """A file is refused."""
        Path(self.path).write_bytes(b"")
        self.assert_unusable("is a file")

    def test_below_a_file(self) -> None:
        """A directory that cannot be made is refused."""
        Path(self.parent, "store").write_bytes(b"")
        self.path = os.path.join(self.path, "below")
        self.assert_unusable("cannot make")

    def test_twice(self) -> None:
        """Opening a store twice in one process is refused."""
        databases = open_databases(self.path, _SIZE)
        self.addCleanup(databases.env.close)
        self.assert_unusable("already open")

    def test_beside_another_process(self) -> None:
        """Another process may save events while the store is open here."""
        reactor = WaitingReactor()
        store = LMDBEventStore(self.path, _SIZE, reactor)
        store.open()
        self.addCleanup(lambda: reactor.result_of(store.close()))
        ours = make_event(content="ours")
        [first] = reactor.result_of(store.save_events([ours]))
        other = subprocess.run(
            [sys.executable, "-c", _OTHER_PROCESS, self.path],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            check=False,
            text=True,
        )
        self.assertEqual((other.stdout, other.stderr), (f"{first.seq + 1}\n", ""))
        self.assertEqual(store.last_seq(), first.seq + 1)
        theirs = make_event(content="theirs")
        [again, more] = reactor.result_of(
            store.save_events([theirs, make_event(content="more")])
        )
        self.assertIs(again.outcome, SaveOutcome.DUPLICATE)
        self.assertEqual(more.seq, first.seq + 2)
        self.assertEqual(count_now(store.count([Filter()], NOW)), 3)
