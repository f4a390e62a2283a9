"""Tests for the search index: its documents, its directory, and following a store."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from shutil import copytree, ignore_patterns, rmtree

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import StoreUnusable
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.storage.memory import MemoryEventStore
from nostrtx.storage.search.documents import document
from nostrtx.storage.search.finding import Finder
from nostrtx.storage.search.follower import IndexFollower
from nostrtx.storage.search.index import SearchIndex
from tests.storage.events import ALICE, NOW, make_event


class IndexCase(SynchronousTestCase):
    """
    A store and the path of an index.

    Attributes:
        store: The store, empty.
        path: Where the index is to be; in a directory of its own.
    """

    def setUp(self) -> None:
        """Make the directory, which is removed after the test."""
        directory = tempfile.mkdtemp(prefix="nostrtx-test-")
        self.addCleanup(rmtree, directory)
        self.path = Path(directory) / "search"
        self.store = MemoryEventStore()

    def save(self, *events: Event) -> None:
        """Save events in the store."""
        self.successResultOf(self.store.save_events(events))

    def opened(self) -> SearchIndex:
        """The index, opened anew."""
        index = SearchIndex(str(self.path))
        index.open()
        return index

    def follower(self, index: SearchIndex) -> IndexFollower:
        """A follower of the store that never rests."""
        return IndexFollower(index, self.store, lambda seconds: None)

    def follow(self, index: SearchIndex) -> int:
        """Have the index catch up; how many documents it has then."""
        follower = self.follower(index)
        self.assertTrue(follower.begin())
        follower.catch_up(lambda: False)
        follower.end()
        return self.documents(index)

    def documents(self, index: SearchIndex) -> int:
        """How many documents the committed index has."""
        return index.size()


class DocumentTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.storage.search.documents.document`."""

    def test_without_words(self) -> None:
        """What has no words is not indexed."""
        for event in (
            make_event(content=""),
            make_event(content="!?"),
            make_event(kind=4, content="words"),
            make_event(kind=7, content="+"),
        ):
            self.assertIsNone(document(1, event.raw))
        self.assertIsNotNone(document(1, make_event(content="word").raw))


class FollowTests(IndexCase):
    """Tests for :class:`nostrtx.storage.search.follower.IndexFollower`."""

    def test_follows(self) -> None:
        """The index has every event with words once, also after a restart."""
        index = self.opened()
        self.save(*(make_event(content=f"note {n}") for n in range(100)))
        self.assertEqual(self.follow(index), 100)
        self.assertEqual(self.follow(index), 100)
        self.save(make_event(content="more"), make_event(kind=7, content="+"))
        self.assertEqual(self.follow(self.opened()), 101)
        self.assertEqual(index.position(), self.store.last_seq())

    def test_killed_before_the_position_was_noted(self) -> None:
        """A commit whose position was not noted is not made twice."""
        index = self.opened()
        self.save(*(make_event(content=f"note {n}") for n in range(10)))
        self.assertEqual(self.follow(index), 10)
        index.set_position(3)
        self.assertEqual(self.follow(self.opened()), 10)
        (self.path / "position").write_bytes(b"")
        self.assertEqual(self.follow(self.opened()), 10)

    def test_killed_before_a_commit(self) -> None:
        """What was read and not committed is read again."""
        index = self.opened()
        self.save(make_event(content="one"))
        follower = self.follower(index)
        follower.begin()
        follower.catch_up(lambda: False)
        # What a process that is killed now leaves behind.
        left = self.path.with_name("left")
        copytree(self.path, left, ignore=ignore_patterns(".tmp*"))
        follower.end()
        self.path = left
        index = self.opened()
        self.assertEqual((index.position(), self.documents(index)), (0, 0))
        self.assertEqual(self.follow(index), 1)

    def test_one_writer(self) -> None:
        """Of several processes one writes; another takes over once it has ended."""
        first, second = self.follower(self.opened()), self.follower(self.opened())
        self.assertTrue(first.begin())
        self.assertFalse(second.begin())
        first.end()
        self.assertTrue(second.begin())
        second.end()

    def test_another_store(self) -> None:
        """An index that is ahead of its store is of another one, and made anew."""
        self.save(*(make_event(content=f"note {n}") for n in range(10)))
        self.assertEqual(self.follow(self.opened()), 10)
        self.store = MemoryEventStore()
        self.save(make_event(content="other"))
        index = self.opened()
        self.assertEqual(self.follow(index), 1)
        self.assertEqual(index.position(), 1)

    def test_stops(self) -> None:
        """Reading stops where it is told to, and goes on from there."""
        index = self.opened()
        self.save(*(make_event(content=f"note {n}") for n in range(200)))
        follower = self.follower(index)
        follower.begin()
        seen: list[int] = []
        follower.catch_up(lambda: len(seen) == 2, seen.append)
        follower.end()
        self.assertEqual(self.documents(index), seen[-1])
        self.assertLess(seen[-1], 200)
        self.assertEqual(self.follow(index), 200)

    def test_removed(self) -> None:
        """What was removed from the store leaves the index, hit or not."""
        index = self.opened()
        notes = [make_event(content=f"note {n}") for n in range(10)]
        self.save(*notes)
        self.follow(index)
        self.save(make_event(kind=5, tags=[["e", note.id.hex()] for note in notes[:4]]))
        follower = self.follower(index)
        follower.begin()
        follower.sweep()
        follower.commit()
        self.assertEqual(self.documents(index), 6)
        self.save(make_event(kind=5, tags=[["e", note.id.hex()] for note in notes]))
        finder = Finder(index, self.store, lambda: None)
        self.assertEqual(finder.best([Filter(search="note")], NOW, None, 99), [])
        follower.sweep()
        follower.end()
        self.assertEqual(self.documents(index), 0)

    def test_floor(self) -> None:
        """An event beyond the floor is not found, though the index has it."""
        index = self.opened()
        notes = [make_event(content=f"note {n}") for n in range(5)]
        self.save(*notes)
        self.follow(index)
        finder = Finder(index, self.store, lambda: None)
        search = Filter(search="note")
        found = finder.best([search], NOW, None, 3)
        self.assertEqual(sorted(found), sorted(note.raw for note in notes[:3]))
        counted = finder.authors([search], [], NOW, None, 0, 3)
        self.assertEqual(counted, ([ALICE] * 3, 3))

    def test_many(self) -> None:
        """However many match, each is counted once, a part of the log at a time."""
        index = self.opened()
        self.save(make_event(content="note"))
        self.save(
            *(make_event(content=f"note {n % 2}", created_at=n) for n in range(4500))
        )
        self.follow(index)
        finder = Finder(index, self.store, lambda: None)
        filters = [Filter(search="note 1"), Filter(search="note"), Filter(search="0")]
        counted, parts, at = 0, 0, 0
        while at < 4501:
            authors, at = finder.authors(filters, [], NOW, None, at, 4501)
            counted += len(authors)
            parts += 1
        self.assertEqual((counted, parts), (4501, 3))

    def test_another_event_at_that_place(self) -> None:
        """A hit is only found if the store's event there is the one indexed."""
        index = self.opened()
        self.save(make_event(content="apple"), make_event(content="pear"))
        self.follow(index)
        self.store = MemoryEventStore()
        self.save(make_event(content="plum"), make_event(content="pear"))
        finder = Finder(index, self.store, lambda: None)
        found = [
            finder.best([Filter(search=x)], NOW, None, 9) for x in ("apple", "pear")
        ]
        self.assertEqual(found, [[], [make_event(content="pear").raw]])


class DirectoryTests(IndexCase):
    """Tests for :class:`nostrtx.storage.search.index.SearchIndex`."""

    def test_another_version(self) -> None:
        """An index that another version made is made anew, from the store."""
        self.save(make_event(content="word"))
        self.assertEqual(self.follow(self.opened()), 1)
        (self.path / "version").write_text("0 of old")
        index = self.opened()
        self.assertEqual((index.position(), self.documents(index)), (0, 0))
        self.assertEqual(self.follow(index), 1)

    def test_damaged(self) -> None:
        """An index that cannot be opened is made anew as well."""
        self.save(make_event(content="word"))
        self.assertEqual(self.follow(self.opened()), 1)
        (self.path / "index" / "meta.json").write_text("{")
        index = self.opened()
        self.assertEqual((index.position(), self.documents(index)), (0, 0))
        self.assertEqual(self.follow(index), 1)

    def test_unusable(self) -> None:
        """Where no directory can be made is said in one line."""
        self.path.write_text("a file")
        error = self.assertRaises(StoreUnusable, self.opened)
        self.assertIn(str(self.path), str(error))
        self.assertNotIn("\n", str(error))

    def test_permissions(self) -> None:
        """Nobody else may read what is indexed."""
        self.opened()
        self.assertEqual(os.stat(self.path / "index").st_mode & 0o777, 0o700)
