"""How every store tells whether an answer is all there is (NIP-67)."""

from __future__ import annotations

from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.storage.query_plan import MAX_SURPLUS
from tests.storage.events import ALICE, BOB, NOW, make_event
from tests.storage.screens import Screen
from tests.storage.store_case import StoreCase


class MoreTests(StoreCase):
    """Tests for :attr:`nostrtx.interfaces.Page.more`, and limits that are whole."""

    def save_line(self, count: int) -> list[Event]:
        """Store so many notes, a second apart; newest first."""
        notes = [
            make_event(created_at=NOW - n, content=f"{n}", tags=[["t", "x"]])
            for n in range(count)
        ]
        self.save(*notes)
        return notes

    def more(self, *filters: Filter, screen: Screen | None = None) -> bool | None:
        """What the last page says."""
        *earlier, last = self.pages(self.store.query(filters, NOW, screen), 1000)
        for page in earlier:
            self.assertIsNone(page.more)
        return last.more

    def all_finding(self, notes: list[Event]) -> list[Filter]:
        """Filters by every index that all find ``notes``."""
        return [
            Filter(),
            Filter(kinds=(1,)),
            Filter(kinds=(1, 7)),
            Filter(authors=(ALICE,)),
            Filter(authors=(ALICE, BOB), kinds=(1,)),
            Filter(tags=(("t", ("x",)),)),
            Filter(tags=(("t", ("x", "y")),), kinds=(1,)),
            Filter(ids=tuple(note.id for note in notes)),
        ]

    def test_all_given(self) -> None:
        """Where all was given there is no more, also if the limit is just reached."""
        notes = self.save_line(10)
        for one in self.all_finding(notes):
            for limit in (None, 10, 11, 500):
                self.assertIs(self.more(one.with_limit(limit)), False, (one, limit))

    def test_cut(self) -> None:
        """Where a limit cut something off there is more."""
        notes = self.save_line(10)
        for one in self.all_finding(notes):
            for limit in (1, 5, 9):
                self.assertIs(self.more(one.with_limit(limit)), True, (one, limit))
                self.assertEqual(len(self.answer(one.with_limit(limit))), limit)

    def test_nothing(self) -> None:
        """An answer without events is all there is if nothing could match."""
        self.save_line(3)
        for one in (Filter(kinds=(7,), limit=5), Filter(ids=(), limit=0)):
            self.assertIs(self.more(one), False)
        self.assertIsNot(self.more(Filter(limit=0)), False)

    def test_cut_but_given(self) -> None:
        """What one filter cut off and another one gave is not missing."""
        self.save_line(5)
        self.assertIsNot(self.more(Filter(limit=4), Filter(authors=(ALICE,))), True)
        self.assertIs(self.more(Filter(limit=2), Filter(kinds=(1,), limit=3)), True)

    def test_hidden_is_not_more(self) -> None:
        """What the reader may not see is not more."""
        self.save_line(4)
        secret = [
            make_event(kind=4, created_at=NOW - 9 - n, pubkey=BOB) for n in range(3)
        ]
        self.save(*secret)
        for screen in (Screen(frozenset({4}), hides_all=True), Screen(frozenset({4}))):
            self.assertIsNot(self.more(Filter(limit=4), screen=screen), True)
            self.assertIs(self.more(Filter(limit=5), screen=screen), False)
        self.assertIs(self.more(Filter(limit=4)), True)

    def test_client_limit_is_exact(self) -> None:
        """A limit that is the client's own may part what was made in one second."""
        self.save(*[make_event(content=f"{n}") for n in range(9)])
        self.assertEqual(len(self.answer(Filter(limit=4))), 4)
        self.assertIs(self.more(Filter(limit=4)), True)

    def test_whole_seconds(self) -> None:
        """A limit that is the relay's own does not part what was made in one second."""
        crowd = [
            make_event(created_at=NOW - 3, content=f"crowd {n}", tags=[["t", "x"]])
            for n in range(9)
        ]
        self.save(*crowd)
        notes = self.save_line(10)
        every = sorted([*notes, *crowd], key=lambda e: (-e.created_at, e.id))
        for one in self.all_finding(every):
            for limit, given in ((2, 2), (3, 3), (4, 13), (9, 13), (13, 13), (14, 14)):
                whole = one.with_limit(limit, whole_seconds=True)
                answer = self.answer(whole)
                self.assertEqual(answer, [event.raw for event in every[:given]], whole)
                self.assertIsNot(self.more(whole), False, whole)
            whole = one.with_limit(19, whole_seconds=True)
            self.assertIs(self.more(whole), False, whole)

    def test_crowded_second(self) -> None:
        """A second in which more was made than is reasonable is parted."""
        crowd = [make_event(content=f"{n}") for n in range(MAX_SURPLUS + 20)]
        self.save(*crowd)
        whole = Filter(limit=10, whole_seconds=True)
        ordered = sorted(crowd, key=lambda event: event.id)
        expected = [event.raw for event in ordered[: MAX_SURPLUS + 10]]
        self.assertEqual(self.answer(whole), expected)
        self.assertIs(self.more(whole), True)
