"""What every store hides from a reader who may not see everything."""

from __future__ import annotations

from itertools import product

from zope.interface.verify import verifyObject

from nostrtx.interfaces.queries import IScreen
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from tests.storage.events import ALICE, ALICES_TWIN, BOB, NOW, make_event
from tests.storage.screens import PartyScreen, Screen
from tests.storage.store_case import StoreCase

_PRIVATE = frozenset({4, 30078})


class ScreenTests(StoreCase):
    """Tests for :class:`nostrtx.interfaces.IScreen` in a store."""

    def save_letters(self) -> None:
        """Store private and public events of Alice, her twin and Bob."""
        self.events = [
            make_event(
                pubkey=author,
                created_at=NOW - number % 5,
                kind=kind,
                tags=[["p", BOB.hex()], ["t", "x"], ["d", f"{number}"]],
            )
            for author in (ALICE, ALICES_TWIN, BOB)
            for number in range(10)
            for kind in (1, 4, 30023, 30078)
        ]
        self.save(*self.events)
        self.filters = [
            Filter(),
            Filter(kinds=(4,)),
            Filter(kinds=(1, 4, 30023, 30078)),
            Filter(kinds=(1, 30023)),
            Filter(authors=(ALICE,)),
            Filter(authors=(ALICE, BOB), kinds=(4, 30078)),
            Filter(authors=(ALICE, ALICES_TWIN), kinds=(1, 4), tags=(("t", ("x",)),)),
            Filter(tags=(("p", (BOB.hex(),)),)),
            Filter(tags=(("t", ("x", "y")),), kinds=(4, 1)),
            Filter(tags=(("d", ("3", "4")),), kinds=(30078,), authors=(BOB, ALICE)),
            Filter(ids=tuple(event.id for event in self.events[:50])),
            Filter(since=NOW - 2, until=NOW - 1),
        ]

    def seen(self, screen: Screen) -> list[Event]:
        """What of the events a reader behind ``screen`` may see."""
        return [
            event
            for event in self.events
            if (screen.kinds is not None and event.kind not in screen.kinds)
            or (event.pubkey in screen.shown and not screen.hides_all)
        ]

    def assert_screened(self, screen: Screen) -> None:
        """Assert that all filters find and count what ``screen`` shows, no more."""
        self.save_letters()
        seen = self.seen(screen)
        for one in self.filters:
            matching = [event for event in seen if one.matches(event)]
            self.assert_found(one, *matching, screen=screen)

    def test_fake_screen(self) -> None:
        """The screen of these tests is one."""
        self.assertTrue(verifyObject(IScreen, Screen(None)))
        self.assertTrue(verifyObject(IScreen, PartyScreen(None, ())))

    def test_parties(self) -> None:
        """What only its parties may see they find, written by them or to them."""
        letters = [
            make_event(
                pubkey=author,
                created_at=NOW - number % 3,
                kind=kind,
                tags=[["p", to.hex()], ["p", also.hex()]],
                content=f"{number}",
            )
            for number, (author, to, also, kind) in enumerate(
                product((ALICE, ALICES_TWIN, BOB), (ALICE, BOB), (ALICE, BOB), (4, 14))
            )
        ]
        self.save(*letters)
        ordered = sorted(letters, key=lambda event: (-event.created_at, event.id))
        for parties in ([ALICE], [BOB], [ALICES_TWIN], [ALICE, BOB], [bytes(32)]):
            named = {party.hex() for party in parties}
            screen = PartyScreen(frozenset({4, 14}), parties)
            seen = [
                event
                for event in ordered
                if event.pubkey in parties or {tag[1] for tag in event.tags} & named
            ]
            for asked in (
                Filter(kinds=(4,)),
                Filter(kinds=(4, 14)),
                Filter(kinds=(4, 14), authors=(ALICE, BOB)),
                Filter(kinds=(4, 14), authors=(BOB,)),
                Filter(kinds=(14,), tags=(("p", (ALICE.hex(), BOB.hex())),)),
                Filter(kinds=(4,), tags=(("p", (BOB.hex(),)),)),
                Filter(kinds=(4,), ids=tuple(event.id for event in letters)),
                Filter(),
            ):
                found = [event for event in seen if asked.matches(event)]
                self.assert_found(asked, *found, screen=screen)
                raws = [event.raw for event in found]
                for limit in (1, 2, 5):
                    limited = self.answer(asked.with_limit(limit), screen=screen)
                    self.assertEqual(limited, raws[:limit])
                    whole = self.answer(asked.with_limit(limit, True), screen=screen)
                    last = found[:limit][-1:]
                    second = [
                        e.raw
                        for e in found
                        if last and e.created_at >= last[0].created_at
                    ]
                    self.assertEqual(whole, second)

    def test_some_are_hidden(self) -> None:
        """Of the screen's kinds only what it lets through is found and counted."""
        self.assert_screened(Screen(_PRIVATE, {ALICE}))
        self.assert_screened(Screen(_PRIVATE, {ALICES_TWIN, BOB}))
        self.assert_screened(Screen(_PRIVATE))

    def test_whole_kinds_are_hidden(self) -> None:
        """Whole kinds can be hidden; nothing of them is read."""
        self.assert_screened(Screen(_PRIVATE, {ALICE}, hides_all=True))

    def test_any_kind_is_hidden(self) -> None:
        """A screen that names no kinds is asked for every event."""
        self.assert_screened(Screen(None, {ALICE, BOB}))
        self.assert_screened(Screen(None))
        self.assert_screened(Screen(None, {ALICE}, hides_all=True))
        self.assert_screened(Screen(frozenset()))

    def test_nobody_is_asked_in_vain(self) -> None:
        """A screen is not asked where none of its kinds can match."""
        self.save_letters()
        screen = Screen(_PRIVATE, {ALICE})
        for one in (Filter(kinds=(1, 30023)), Filter(kinds=(1,), authors=(ALICE,))):
            self.assertNotEqual(self.answer(one, screen=screen), [])
            self.assertNotEqual(self.count(one, screen=screen), 0)
        self.assertEqual(screen.asked, [])

    def test_limits_behind_a_screen(self) -> None:
        """What is hidden does not use up a limit."""
        self.save_letters()
        for screen in (
            Screen(_PRIVATE, {BOB}),
            Screen(_PRIVATE, hides_all=True),
            Screen(None, {ALICES_TWIN}),
        ):
            for one in self.filters:
                whole = self.answer(one, screen=screen)
                for limit in (1, 2, 7, 40):
                    self.assertEqual(
                        self.answer(one.with_limit(limit), screen=screen),
                        whole[:limit],
                        (one, limit),
                    )

    def test_union_behind_a_screen(self) -> None:
        """An event that one filter would show is hidden from the others too."""
        self.save_letters()
        screen = Screen(_PRIVATE, {ALICE})
        asked = [
            Filter(kinds=(4,), limit=3),
            Filter(authors=(BOB,)),
            Filter(ids=tuple(event.id for event in self.events)),
        ]
        seen = self.seen(screen)
        answer = self.answer(*asked, screen=screen)
        self.assertEqual(sorted(answer), sorted(event.raw for event in seen))
        self.assertEqual(self.count(*asked, screen=screen), len(seen))

    def test_expired_behind_a_screen(self) -> None:
        """What has expired stays hidden, whatever the screen shows."""
        dying = make_event(kind=4, tags=[["expiration", str(NOW + 1)]], content="x")
        self.save(dying)
        screen = Screen(frozenset({4}), {ALICE})
        ids = Filter(ids=(dying.id,))
        self.assert_found(ids, dying, screen=screen)
        self.assert_found(ids, screen=screen, now=NOW + 1)
        self.assert_found(ids, screen=Screen(frozenset({4}), {BOB}))
