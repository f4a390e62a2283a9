"""Tests for :mod:`nostrtx.relay.policies.lists` and its entries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.bech32 import Npub, encode
from nostrtx.relay.policies.lists import Lists
from nostrtx.settings.policies import ListSettings
from nostrtx.storage.memory import MemoryEventStore
from tests.relay.policies.test_list_files import at_once
from tests.relay.policies.test_nostr_lists import listing, people
from tests.storage.events import ALICE, BOB, NOW


class ListsTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.lists.Lists`."""

    def setUp(self) -> None:
        """A list of all sorts of sources, and an empty one."""
        self.path = Path(self.mktemp())
        self.path.write_text(f"{2:064x}\n")
        self.store = MemoryEventStore()
        self.lists = Lists(
            {
                "all": ListSettings(
                    pubkeys=(f"{1:064x}",),
                    words=("spam",),
                    addresses=("10.0.0.0/8",),
                    files=(str(self.path),),
                    nostr=(ALICE.hex(), f"30000:{ALICE.hex()}:x"),
                ),
                "empty": ListSettings(),
            },
            self.store,
            Clock(),
        )
        self.addCleanup(self.lists.stop)

    def keys(self) -> set[bytes]:
        """All keys on the list of all sorts."""
        return {key for part in self.lists.parts("all") for key in part.pubkeys}

    def test_names(self) -> None:
        """Lists are known by their names."""
        self.assertIn("all", self.lists)
        self.assertNotIn("none", self.lists)
        self.assertRaises(KeyError, self.lists.parts, "none")
        self.assertEqual(list(map(len, self.lists.parts("empty"))), [0])

    def people_of(self, lists: Lists, text: str) -> set[bytes]:
        """All whom a rule names."""
        return set().union(*lists.people(text))

    def test_people(self) -> None:
        """A rule names a list, those who are allowed, or one person."""
        allowed = {BOB}
        lists = Lists(
            {"all": ListSettings(pubkeys=(ALICE.hex(),))},
            self.store,
            Clock(),
            lambda: frozenset(allowed),
        )
        self.assertEqual(self.people_of(lists, "all"), {ALICE})
        self.assertEqual(self.people_of(lists, encode(Npub(BOB))), {BOB})
        self.assertEqual(self.people_of(lists, "allowed"), {BOB})
        before = lists.version
        allowed.clear()
        lists.allowed_changed()
        self.assertNotEqual(lists.version, before)
        self.assertEqual(self.people_of(lists, "allowed"), frozenset())

    def test_union(self) -> None:
        """A list is all that its sources hold."""
        self.successResultOf(self.store.save_events([listing(3)]))
        self.lists.start(at_once)
        self.assertTrue(self.lists.loaded.is_past)
        self.assertEqual(self.keys(), people(1, 2, 3))
        parts = self.lists.parts("all")
        self.assertEqual(parts[0].words, {"spam"})
        self.assertEqual(parts[0].addresses, {"10.0.0.0/8"})
        self.assertEqual(sum(map(len, parts)), 5)

    def test_changes(self) -> None:
        """It shows that something else is on a list; the other sources are the same."""
        self.lists.start(at_once)
        before, parts = self.lists.version, self.lists.parts("all")
        self.lists.note(listing(4, kind=30000, d="x"), 1, NOW)
        self.assertNotEqual(self.lists.version, before)
        self.assertEqual(self.keys(), people(1, 2, 4))
        self.assertIs(self.lists.parts("all")[1], parts[1])

    def test_slow_file(self) -> None:
        """They are loaded once all files have been read."""
        waiting: list[Deferred[object]] = []

        def later(call: Callable[..., object], *arguments: Any) -> Deferred[object]:
            waiting.append(Deferred())
            return waiting[-1].addCallback(lambda _: call(*arguments))

        self.lists.start(later)
        self.assertFalse(self.lists.loaded.is_past)
        while waiting:
            waiting.pop().callback(None)
        self.assertTrue(self.lists.loaded.is_past)
        self.assertEqual(self.keys(), people(1, 2))
