"""Tests for :mod:`nostrtx.relay.policies.nostr_lists`."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.event import Address, Event
from nostrtx.relay.policies.entries import Entries
from nostrtx.relay.policies.nostr_lists import NostrLists
from tests.relay.fakes import HeldStore
from tests.storage.events import ALICE, BOB, NOW, make_event

FOLLOWS = Address(3, ALICE, "")
TEAM = Address(30000, ALICE, "team")
MUTED = Address(10000, ALICE, "")


def listing(
    *people: int, kind: int = 3, d: str = "", at: int = NOW, author: bytes = ALICE
) -> Event:
    """A list that names some people."""
    tags = [["p", f"{number:064x}"] for number in people]
    if kind >= 30000:
        tags.insert(0, ["d", d])
    return make_event(kind=kind, tags=tags, created_at=at, pubkey=author)


def people(*numbers: int) -> frozenset[bytes]:
    """Their keys."""
    return frozenset(number.to_bytes(32, "big") for number in numbers)


class NostrListsTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.nostr_lists.NostrLists`."""

    def setUp(self) -> None:
        """A store, and three lists that are not read yet."""
        self.clock = Clock()
        self.store = HeldStore()
        self.changes = 0
        self.lists = NostrLists(
            (FOLLOWS, TEAM, MUTED), self.store, self.clock, self.changed
        )
        self.addCleanup(self.lists.stop)

    def changed(self) -> None:
        """Count changes."""
        self.changes += 1

    def save(self, *events: Event, note: bool = False) -> None:
        """Store events, and tell of them if they came along the log."""
        self.successResultOf(self.store.inner.save_events(events))
        for event in events if note else ():
            self.lists.note(event, 1, NOW)

    def test_start(self) -> None:
        """What is in the store is known when the start is over."""
        self.save(
            listing(1, 2),
            listing(3, kind=30000, d="team"),
            listing(4, kind=30000, d="other"),
            make_event(kind=10000, tags=[["word", "spam"], ["p", "ab" * 32]]),
        )
        self.lists.start()
        self.assertTrue(self.lists.loaded.is_past)
        self.assertEqual(self.lists.entries(FOLLOWS).pubkeys, people(1, 2))
        self.assertEqual(self.lists.entries(TEAM).pubkeys, people(3))
        self.assertEqual(self.lists.entries(MUTED).words, {"spam"})

    def test_words(self) -> None:
        """Words that could not stand in settings are left out: they take memory."""
        words = ["spam", "", " * ", "x" * 256, "x" * 257]
        tags = [["word", word] for word in words]
        self.save(make_event(kind=10000, tags=tags))
        self.lists.start()
        self.assertEqual(self.lists.entries(MUTED).words, {"spam", "x" * 256})

    def test_followed(self) -> None:
        """A new version counts as soon as it comes, an older one or another's not."""
        self.lists.start()
        self.assertEqual(self.lists.entries(FOLLOWS), Entries())
        for event in (
            listing(1),
            listing(7, author=BOB),
            listing(2, at=NOW - 1),
            listing(3, kind=30000, d="other"),
        ):
            self.lists.note(event, 1, NOW)
        self.assertEqual(self.lists.entries(FOLLOWS).pubkeys, people(1))
        self.assertEqual(self.changes, 1)
        self.lists.note(listing(1, 2, at=NOW + 1), 2, NOW)
        self.assertEqual(self.lists.entries(FOLLOWS).pubkeys, people(1, 2))
        self.assertEqual(self.changes, 2)
        self.lists.note(listing(2, 1, at=NOW + 2), 3, NOW)
        self.assertEqual(self.changes, 2)

    def test_deleted(self) -> None:
        """A list that its owner deletes is empty."""
        event = listing(1)
        self.save(event)
        self.lists.start()
        deletion = make_event(kind=5, tags=[["e", event.id.hex()]])
        self.save(deletion, note=True)
        self.assertEqual(self.lists.entries(FOLLOWS), Entries())
        self.save(listing(2, at=NOW + 1), note=True)
        self.assertEqual(self.lists.entries(FOLLOWS).pubkeys, people(2))

    def test_removed(self) -> None:
        """A list that the relay removes is empty."""
        event = listing(1)
        self.save(event)
        self.lists.start()
        self.successResultOf(self.store.inner.remove_events([event.id]))
        self.lists.forget([bytes(32)])
        self.assertEqual(self.lists.entries(FOLLOWS).pubkeys, people(1))
        self.lists.forget([event.id])
        self.assertEqual(self.lists.entries(FOLLOWS), Entries())

    def test_slow_store(self) -> None:
        """What comes while the store answers is not lost to an older version."""
        self.save(listing(1))
        self.store.hold_pages = True
        self.lists.start()
        self.assertFalse(self.lists.loaded.is_past)
        self.save(listing(2, at=NOW + 1), note=True)
        while not self.lists.loaded.is_past:
            self.store.queries[-1].answer()
        self.assertEqual(self.lists.entries(FOLLOWS).pubkeys, people(2))

    def test_failing_store(self) -> None:
        """A store that fails is asked again, and the log tells."""
        self.save(listing(1))
        self.store.query_error = StoreError("away")
        self.lists.start()
        self.assertFalse(self.lists.loaded.is_past)
        self.store.query_error = None
        self.clock.advance(1)
        self.assertTrue(self.lists.loaded.is_past)
        self.assertEqual(self.lists.entries(FOLLOWS).pubkeys, people(1))

    def test_stop(self) -> None:
        """After the end nothing is asked."""
        self.lists.start()
        self.lists.stop()
        asked = len(self.store.queries)
        self.lists.note(make_event(kind=5), 1, NOW)
        self.assertEqual(len(self.store.queries), asked)
