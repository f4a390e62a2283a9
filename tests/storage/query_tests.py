"""How every store hands out an answer: pages, snapshots, giving up."""

from __future__ import annotations

from math import inf

from nostrtx.interfaces.store import LogPart
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from tests.storage.events import ALICE, NOW, make_event
from tests.storage.store_case import StoreCase


class QueryTests(StoreCase):
    """Tests for :class:`nostrtx.interfaces.IStoredQuery`."""

    def notes(self, count: int) -> list[Event]:
        """So many stored notes, newest first."""
        notes = [
            make_event(created_at=NOW - n, content="x" * 300, tags=[["t", "x"]])
            for n in range(count)
        ]
        self.save(*notes)
        return notes

    def test_last_page(self) -> None:
        """An answer ends with a page that says so; an empty one is just that."""
        pages = self.pages(self.store.query([Filter()], NOW))
        self.assertEqual(
            [(list(page.events), page.done) for page in pages], [([], True)]
        )

    def test_pages(self) -> None:
        """A page has about as many bytes as asked for, and at least one event."""
        notes = self.notes(50)
        size = len(notes[0].raw)
        for filter_ in (
            Filter(),
            Filter(kinds=(1,)),
            Filter(authors=(ALICE,), kinds=(1,)),
            Filter(tags=(("t", ("x", "y")),)),
            Filter(ids=tuple(note.id for note in notes)),
        ):
            for max_bytes in (1, size, 3 * size, 10 * size + 1, 1000 * size):
                query = self.store.query([filter_], NOW)
                pages = self.pages(query, max_bytes)
                given = [bytes(raw) for page in pages for raw in page.events]
                self.assertEqual(given, [note.raw for note in notes])
                for page in pages:
                    self.assertTrue(page.events or page.done)
                    self.assertLessEqual(
                        sum(map(len, page.events)), max_bytes + size, max_bytes
                    )

    def test_pages_of_a_union(self) -> None:
        """Pages of several limited filters add up to the same answer."""
        self.notes(60)
        filters = [
            Filter(kinds=(1,), limit=20),
            Filter(authors=(ALICE,), limit=30),
            Filter(tags=(("t", ("x",)),), until=NOW - 10, limit=35),
        ]
        whole = self.answer(*filters)
        self.assertEqual(len(whole), 45)
        for max_bytes in (1, 1000, 5000):
            pages = self.pages(self.store.query(filters, NOW), max_bytes)
            given = [bytes(raw) for page in pages for raw in page.events]
            self.assertEqual(given, whole)

    def test_deadline(self) -> None:
        """When the time is up a page may be short; the rest comes later."""
        notes = self.notes(30)
        query = self.store.query([Filter(kinds=(1,)), Filter(authors=(ALICE,))], NOW)
        given = []
        for deadline in (-inf, -1.0, 0.0, inf):
            page = self.next_page(query, 5000, deadline)
            given += [bytes(raw) for raw in page.events]
        given += [bytes(raw) for page in self.pages(query) for raw in page.events]
        self.assertEqual(given, [note.raw for note in notes])

    def test_floor(self) -> None:
        """The floor is the last ``seq`` at the time of asking."""
        for _ in range(3):
            query = self.store.query([Filter(ids=(bytes(32),))], NOW)
            self.assertEqual(query.floor, self.store.last_seq())
            self.pages(query)
            self.save(make_event(content=str(self.store.last_seq())))
        self.assertEqual(self.store.query([], NOW).floor, self.store.last_seq())

    def test_nothing_beyond_the_floor(self) -> None:
        """What is stored after the query began is not part of its answer."""
        notes = self.notes(20)
        filters = [Filter(kinds=(1,)), Filter(authors=(ALICE,), limit=15)]
        begun = self.store.query(filters, NOW)
        running = self.store.query(filters, NOW)
        page = self.next_page(running, 2000)
        given = [bytes(raw) for raw in page.events]
        self.save(*(make_event(created_at=NOW - n, content="late") for n in range(20)))
        given += [
            bytes(raw) for page in self.pages(running, 2000) for raw in page.events
        ]
        self.assertEqual(given, [note.raw for note in notes])
        fresh = [bytes(raw) for page in self.pages(begun) for raw in page.events]
        self.assertEqual(fresh, [note.raw for note in notes])
        self.assertEqual(len(self.answer(*filters)), 40)

    def test_close(self) -> None:
        """A query can be given up before, during and after, and repeatedly."""
        notes = self.notes(20)
        for pages in range(4):
            query = self.store.query([Filter(kinds=(1,))], NOW)
            for _ in range(pages):
                self.next_page(query, 1000)
            query.close()
            query.close()
        self.assertEqual(self.answer(Filter()), [note.raw for note in notes])

    def test_many_at_once(self) -> None:
        """Hundreds of clients may be in the middle of their answers."""
        notes = self.notes(10)
        queries = [self.store.query([Filter(kinds=(1,))], NOW) for _ in range(600)]
        for query in queries:
            self.next_page(query, 1)
        self.save(make_event(content="late"))
        for query in queries:
            rest = [bytes(raw) for page in self.pages(query) for raw in page.events]
            self.assertEqual(rest, [note.raw for note in notes[1:]])

    def test_arrival_log(self) -> None:
        """Events can be read in order of arrival, from any point on."""
        self.assertEqual(self.store.events_after(0, 10), [])
        notes = self.notes(20)
        log = self.store.events_after(0, 100)
        self.assertEqual([raw for _, raw in log], [note.raw for note in notes])
        seqs = [seq for seq, _ in log]
        self.assertEqual(seqs, sorted(set(seqs)))
        self.assertEqual(seqs[-1], self.store.last_seq())
        self.assertEqual(self.store.events_after(seqs[4], 3), log[5:8])
        self.assertEqual(self.store.events_after(seqs[-1], 3), [])

    def test_part_of_the_log(self) -> None:
        """A part of the log says where it ends, and where the log does."""
        self.assertEqual(self.log_after(0, 10), LogPart([], 0, 0))
        self.save(make_event(kind=0))
        self.save(make_event(kind=0, created_at=NOW + 1))
        notes = self.notes(3)
        last = self.store.last_seq()
        part = self.log_after(0, 2)
        self.assertEqual([raw for _, raw in part.events][1:], [notes[0].raw])
        self.assertEqual((part.to, part.last), (part.events[-1][0], last))
        part = self.log_after(part.to, 3)
        self.assertEqual([raw for _, raw in part.events], [n.raw for n in notes[1:]])
        self.assertEqual((part.to, part.last), (last, last))
        self.assertEqual(self.log_after(last, 3), LogPart([], last, last))

    def test_end_of_the_log_without_the_removed(self) -> None:
        """The log is read to its end, also where its last events were removed."""
        doomed = make_event(content="doomed")
        self.notes(1)
        self.save(doomed)
        self.result_of(self.store.remove_events([doomed.id]))
        last = self.store.last_seq()
        part = self.log_after(0, 10)
        self.assertEqual((len(part.events), part.to, part.last), (1, last, last))

    def test_arrival_log_without_the_removed(self) -> None:
        """What was removed is not in the log, nor found by its ``seq``."""
        self.save(make_event(kind=0), make_event(content="doomed"))
        seqs = [seq for seq, _ in self.store.events_after(0, 10)]
        later = make_event(kind=0, created_at=NOW + 1)
        wish = make_event(kind=5, tags=[["e", make_event(content="doomed").id.hex()]])
        self.save(later, wish)
        log = self.store.events_after(0, 10)
        self.assertEqual([raw for _, raw in log], [later.raw, wish.raw])
        asked = [log[1][0], *seqs, log[0][0], log[1][0] + 1]
        self.assertEqual(
            self.store.events_at(asked), [wish.raw, None, None, later.raw, None]
        )

    def test_counts_do_not_stop_at_limits(self) -> None:
        """A count is of all that matches, whatever the limits."""
        self.notes(12)
        self.assertEqual(self.count(Filter(limit=0)), 12)
        self.assertEqual(self.count(Filter(kinds=(1,), limit=5), Filter(limit=3)), 12)
        self.assertEqual(self.count(Filter(since=NOW - 3, limit=1)), 4)
