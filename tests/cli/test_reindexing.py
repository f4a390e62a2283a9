"""Tests for ``nostrtx reindex``."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from shutil import rmtree

import click
from click.testing import CliRunner
from rich.console import Console
from rich.progress import Progress
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.cli.main import main
from nostrtx.cli.reindexing import rebuild_index
from nostrtx.nostr.filters import Filter
from nostrtx.storage.memory import MemoryEventStore
from nostrtx.storage.search.finding import Finder
from nostrtx.storage.search.index import SearchIndex
from tests.storage.events import NOW, make_event


class RebuildTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.cli.reindexing.rebuild_index`."""

    def setUp(self) -> None:
        """A store with some notes, and a place for the index."""
        directory = tempfile.mkdtemp(prefix="nostrtx-test-")
        self.addCleanup(rmtree, directory)
        self.path = Path(directory) / "search"
        self.store = MemoryEventStore()
        self.notes = [make_event(content=f"note {n}") for n in range(100)]
        self.successResultOf(self.store.save_events(self.notes))
        self.progress = Progress(console=Console(file=io.StringIO()))

    def rebuild(self) -> int:
        """Make the index anew; how many events are in it."""
        clock = Clock()
        rebuilding = Deferred.fromCoroutine(
            rebuild_index(self.store, str(self.path), clock, self.progress)
        )
        while clock.getDelayedCalls():
            clock.advance(0)
        return self.successResultOf(rebuilding)

    def test_rebuild(self) -> None:
        """All that the store has is found afterwards, whatever was there before."""
        for _ in range(2):
            self.assertEqual(self.rebuild(), 100)
            self.assertTrue(self.progress.finished)
        (self.path / "version").write_text("old")
        self.assertEqual(self.rebuild(), 100)
        index = SearchIndex(str(self.path))
        index.open()
        finder = Finder(index, self.store, lambda: None)
        found = finder.best([Filter(search="note 17")], NOW, None, 1000)
        self.assertEqual(found, [self.notes[17].raw])

    def test_in_use(self) -> None:
        """An index that a relay writes to is left alone."""
        self.assertEqual(self.rebuild(), 100)
        index = SearchIndex(str(self.path))
        index.open()
        writer = index.writer()
        assert writer is not None
        self.failureResultOf(
            Deferred.fromCoroutine(
                rebuild_index(self.store, str(self.path), Clock(), self.progress)
            ),
            click.ClickException,
        )
        writer.wait_merging_threads()
        self.assertEqual(index.size(), 100)

    def test_command(self) -> None:
        """The command makes no store where there is none."""
        with CliRunner().isolated_filesystem():
            result = CliRunner().invoke(main, ["reindex", "--store", "lmdb:nowhere"])
        self.assertEqual(result.exit_code, 1)
        self.assertIn("there is no store at 'nowhere'", result.output)
