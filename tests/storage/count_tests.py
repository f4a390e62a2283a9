"""How every store counts (NIP-45)."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from nostrtx.interfaces.queries import IStoredCount
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from tests.storage.events import ALICE, ALICES_TWIN, BOB, NOW, make_event
from tests.storage.screens import Screen
from tests.storage.store_case import StoreCase


class CountTests(StoreCase):
    """Tests for :meth:`nostrtx.interfaces.IEventStore.count`."""

    def save_mixed(self) -> list[Event]:
        """Store events of all sorts of kinds, some of which expire."""
        events = [
            make_event(
                kind=kind,
                pubkey=author,
                created_at=NOW - number,
                tags=[
                    ["p", BOB.hex()],
                    ["t", "ab"[number % 2]],
                    ["t", "c"],
                    ["d", f"{number}"],
                    *([["expiration", str(NOW + 5)]] if number == 3 else []),
                ],
            )
            for kind in (1, 3, 4, 7, 30023)
            for author in (ALICE, ALICES_TWIN, BOB)
            for number in (range(8) if kind != 3 else [3 if author == BOB else 0])
        ]
        self.save(*events)
        return events

    def told(
        self, *filters: Filter, now: float = NOW, screen: Screen | None
    ) -> list[bytes]:
        """The authors of what is counted, in order."""
        told: list[bytes] = []
        counting = self.store.count(filters, now, screen, told.append)
        self.assertEqual(self.counted(counting), len(told), filters)
        return sorted(told)

    def test_count_interface(self) -> None:
        """A count provides what it promises, and can be given up."""
        counting = self.store.count([Filter()], NOW)
        self.assertTrue(verifyObject(IStoredCount, counting))
        counting.close()
        counting.close()

    def test_counted_authors(self) -> None:
        """The author of each event that is counted is told, once an event."""
        events = self.save_mixed()
        for one in (
            Filter(),
            Filter(kinds=(1,)),
            Filter(kinds=(3,), tags=(("p", (BOB.hex(),)),)),
            Filter(kinds=(3, 30023), tags=(("p", (BOB.hex(),)),)),
            Filter(tags=(("p", (BOB.hex(),)),)),
            Filter(kinds=(7,), tags=(("t", ("a", "b", "c")),)),
            Filter(tags=(("t", ("c",)), ("d", ("1", "2")))),
            Filter(kinds=(30023,), tags=(("t", ("a",)),), since=NOW - 4),
            Filter(kinds=(30023,), tags=(("d", ("1",)),), authors=(ALICE, BOB)),
            Filter(authors=(ALICE,)),
            Filter(ids=tuple(event.id for event in events[::2])),
        ):
            for screen in (
                None,
                Screen(frozenset({4, 30023}), {BOB}),
                Screen(frozenset({4, 3}), hides_all=True),
                Screen(None, {ALICE}),
            ):
                for now in (NOW, NOW + 5):
                    expected = sorted(
                        event.pubkey
                        for event in events
                        if one.matches(event)
                        and not event.is_expired(now)
                        and (
                            screen is None
                            or (
                                screen.kinds is not None
                                and event.kind not in screen.kinds
                            )
                            or (not screen.hides_all and event.pubkey in screen.shown)
                        )
                    )
                    found = self.told(one, now=now, screen=screen)
                    self.assertEqual(found, expected, (one, screen, now))
                    number = self.count(one, now=now, screen=screen)
                    self.assertEqual(number, len(expected), (one, screen, now))

    def test_counted_authors_of_a_union(self) -> None:
        """An event that matches two filters is told and counted once."""
        events = self.save_mixed()
        asked = [Filter(kinds=(1,)), Filter(authors=(ALICE,)), Filter(kinds=(1, 7))]
        expected = sorted(
            event.pubkey for event in events if any(one.matches(event) for one in asked)
        )
        self.assertEqual(self.told(*asked, screen=None), expected)
