"""Tests for :mod:`nostrtx.storage.postgres.parties`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.filters import Filter
from nostrtx.storage.postgres.parties import names_only_hidden, narrowed
from tests.storage.events import ALICE, BOB
from tests.storage.screens import PartyScreen, Screen

_TO_ALICE = ("p", (ALICE.hex(),))


class NarrowedTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.storage.postgres.parties.narrowed`."""

    def test_written_or_named(self) -> None:
        """Private events are looked for by who wrote them and by whom they name."""
        screen = PartyScreen(frozenset({4}), [ALICE])
        for asked, authors in (
            (Filter(kinds=(4,), limit=5), (ALICE,)),
            (Filter(kinds=(4,), authors=(ALICE, BOB)), (ALICE,)),
            (Filter(kinds=(4,), tags=(("p", (BOB.hex(),)),)), (ALICE,)),
        ):
            named, written = narrowed(asked, screen)
            self.assertEqual(named.tags, (*asked.tags, _TO_ALICE))
            self.assertEqual(named.authors, asked.authors)
            self.assertEqual(named.limit, asked.limit)
            self.assertEqual(written.tags, asked.tags)
            self.assertEqual(written.authors, authors)
        [named] = narrowed(Filter(kinds=(4,), authors=(BOB,)), screen)
        self.assertEqual((named.authors, named.tags), ((BOB,), (_TO_ALICE,)))

    def test_narrow_enough(self) -> None:
        """What names nobody but those who ask, or ids, stays as it is."""
        screen = PartyScreen(frozenset({4}), [ALICE])
        for asked in (
            Filter(kinds=(4,), authors=(ALICE,)),
            Filter(kinds=(4,), authors=(BOB,), tags=(_TO_ALICE,)),
            Filter(kinds=(4,), ids=(bytes(32),)),
        ):
            self.assertEqual(narrowed(asked, screen), [asked])
        asked = Filter(kinds=(4,))
        self.assertEqual(narrowed(asked, Screen(frozenset({4}), (ALICE,))), [asked])

    def test_only_hidden(self) -> None:
        """Only filters that name nothing but private kinds are made narrower."""
        screen = PartyScreen(frozenset({4, 14}), [ALICE])
        self.assertTrue(names_only_hidden(Filter(kinds=(14,)), screen))
        self.assertFalse(names_only_hidden(Filter(kinds=(14, 1)), screen))
        self.assertFalse(names_only_hidden(Filter(), screen))
        anything = PartyScreen(None, [ALICE])
        self.assertFalse(names_only_hidden(Filter(kinds=(14,)), anything))
