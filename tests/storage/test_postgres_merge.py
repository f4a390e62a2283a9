"""
Tests for :mod:`nostrtx.storage.postgres.merge` and where it reads from.

What is found is compared with the store in memory elsewhere; here it is looked at
how much is asked for it.
"""

from __future__ import annotations

from math import inf

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.storage.postgres.conditions import conditions_for
from nostrtx.storage.postgres.exchange import Ask, Rows
from nostrtx.storage.postgres.newest import Cut, find_newest
from nostrtx.storage.postgres.session import (
    Session,
    TookTooLong,
    connection_parameters,
)
from nostrtx.storage.postgres.snapshot import Known, Snapshot
from nostrtx.storage.query_plan import Way
from tests.live.postgres_server import shared_server
from tests.live.postgres_stores import Node, empty_database, give_back
from tests.storage.events import NOW, event_id, make_event
from tests.storage.screens import Screen

_AUTHORS = tuple(event_id(n, b"author") for n in range(300))


class _CountingSession(Session):
    """Counts the rows that statements gave."""

    rows = 0
    round_trips = 0

    def ask(self, *asks: Ask) -> list[Rows]:
        """The rows of each statement."""
        answers = super().ask(*asks)
        self.round_trips += 1
        self.rows += sum(map(len, answers))
        return answers


class ReadingTests(SynchronousTestCase):
    """How much is read to find what is wanted."""

    def setUp(self) -> None:
        """Store notes of many authors, of whom one writes most."""
        name = empty_database()
        self.addCleanup(give_back, name)
        self.node = Node(shared_server().url(name))
        self.addCleanup(self.node.close)
        self.events = [
            make_event(
                pubkey=_AUTHORS[0 if n % 3 else n % 300],
                created_at=NOW - n,
                kind=(1, 1, 6)[n % 7 % 3],
                content=f"{n}",
                tags=[["t", f"{n % 50}"]],
            )
            for n in range(3000)
        ]
        self.node.save(*self.events)
        self.session = _CountingSession.connect(
            connection_parameters(shared_server().url(name))
        )
        self.addCleanup(self.session.close)

    def find(self, asked: Filter, most_rows: int, most_trips: int) -> None:
        """Assert that the right events are found with no more than so much."""
        assert isinstance(self.session, _CountingSession)
        self.session.rows = self.session.round_trips = 0
        with self.session.transaction():
            snapshot = Snapshot(self.session, inf, Known())
            [cut] = snapshot.run([find_newest(asked, NOW, None)])
            snapshot.finish()
        self.assert_newest(asked, cut)
        self.assertLessEqual(self.session.rows, most_rows)
        self.assertLessEqual(self.session.round_trips, most_trips)

    def assert_newest(self, asked: Filter, cut: Cut) -> None:
        """Assert that what was found is what was asked for."""
        matching: list[Event] = [e for e in self.events if asked.matches(e)]
        seqs = [self.events.index(event) + 1 for event in matching]
        self.assertEqual([seq for _, seq, _ in cut.found], seqs[: asked.limit])

    def test_one_list(self) -> None:
        """Of one list, no more is read than is wanted, and one to see if it ends."""
        for asked in (
            Filter(limit=20),
            Filter(kinds=(1,), limit=20),
            Filter(kinds=(1,), authors=_AUTHORS[:1], limit=20),
            Filter(kinds=(1,), tags=(("t", ("7",)),), limit=20),
            Filter(kinds=(1,), until=NOW - 500, limit=20),
        ):
            self.find(asked, 22, 2)

    def test_some_lists(self) -> None:
        """Of several lists, little more than is wanted."""
        for asked in (
            Filter(kinds=(1, 6), limit=100),
            Filter(kinds=(1, 6), authors=_AUTHORS[:30], limit=100),
            Filter(authors=_AUTHORS[:3], limit=100),
            Filter(kinds=(1,), tags=(("t", ("7", "8", "9")),), limit=30),
        ):
            self.find(asked, 400, 4)

    def test_many_authors(self) -> None:
        """Of hundreds of authors, those who have anything new."""
        everybody, quiet = _AUTHORS, _AUTHORS[1:]
        for authors in (everybody, quiet, quiet[200:]):
            self.find(Filter(kinds=(1, 6), authors=authors, limit=50), 420, 5)
            self.find(Filter(authors=authors, limit=50), 420, 5)

    def test_profiles(self) -> None:
        """What there is only one of for each author is looked up at once."""
        self.find(Filter(kinds=(0, 3), authors=_AUTHORS, limit=500), 1, 2)

    def test_rarest_condition(self) -> None:
        """Of two conditions, the rarer one leads."""
        asked = Filter(authors=_AUTHORS[:1], tags=(("t", ("49",)),), limit=10)
        self.find(asked, 20, 4)

    def test_rarest_of_many(self) -> None:
        """Of two conditions that many events meet, it is counted which is rarer."""
        everything = tuple(f"{n}" for n in range(50))
        busy = Filter(
            kinds=(1, 6), authors=_AUTHORS[:1], tags=(("t", everything),), limit=10
        )
        authors, tags = _AUTHORS[:91:3], everything[:36]
        frequent = Filter(authors=authors, tags=(("t", tags),), limit=10)
        for asked, way in ((busy, Way.AUTHORS), (frequent, Way.TAG)):
            with self.session.transaction():
                snapshot = Snapshot(self.session, inf, Known())
                [conditions] = snapshot.run([conditions_for(asked, NOW)])
            self.assertIs(conditions.plan.way, way)

    def test_hidden(self) -> None:
        """Where nearly all is hidden, more and more is read at once."""
        assert isinstance(self.session, _CountingSession)
        screen = Screen(frozenset({1}), _AUTHORS[9:10])
        shown = [e for e in self.events if e.kind == 1 and e.pubkey == _AUTHORS[9]]
        with self.session.transaction():
            snapshot = Snapshot(self.session, inf, Known())
            asked = Filter(kinds=(1,), limit=len(shown))
            [cut] = snapshot.run([find_newest(asked, NOW, screen)])
        seqs = [self.events.index(event) + 1 for event in shown]
        self.assertEqual([seq for _, seq, _ in cut.found], seqs)
        self.assertLessEqual(self.session.round_trips, 25)
        self.assertEqual(len(screen.asked), sum(e.kind == 1 for e in self.events))

    def test_deadline(self) -> None:
        """A query of many quick statements ends when its time is over."""
        times = iter(range(100))
        with self.session.transaction():
            snapshot = Snapshot(self.session, 10, Known(), lambda: next(times))
            asked = Filter(kinds=(1,), limit=10)
            finding = find_newest(asked, NOW, Screen(frozenset({1})))
            self.assertRaises(TookTooLong, snapshot.run, [finding])
        self.assertEqual(next(times), 11)

    def test_time_left(self) -> None:
        """A statement late in a query gets only the time that is left."""
        times = iter([100.0, 104.0, 107.0])
        ask: Ask = ("SELECT current_setting('statement_timeout')", {})
        with self.session.transaction():
            snapshot = Snapshot(self.session, 10, Known(), lambda: next(times))
            answers = [snapshot.ask(ask) for _ in range(3)]
        self.assertEqual(answers, [[[("10s",)]], [[("10s",)]], [[("3s",)]]])
