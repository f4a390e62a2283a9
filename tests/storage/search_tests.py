"""What every store that searches does with it (NIP-50), whatever its ranking."""

from __future__ import annotations

from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.json import dumps
from tests.storage.events import ALICE, ALICES_TWIN, BOB, NOW, event_id, make_event
from tests.storage.screens import Screen
from tests.storage.store_case import StoreCase, newest_first


class SearchTests(StoreCase):
    """
    Tests for filters with ``search``.

    What was saved a moment ago is found as well as what is in an index already:
    tests look before and after :meth:`settle`.
    """

    def settle(self) -> None:
        """Let the index catch up, if the store has one."""

    def assert_search(self, filter_: Filter, *events: Event, now: float = NOW) -> None:
        """Assert what a filter finds and counts, in whatever order."""
        answer = self.answer(filter_, now=now)
        self.assertEqual(sorted(answer), sorted(event.raw for event in events), filter_)
        self.assertEqual(self.count(filter_, now=now), len(events), filter_)

    def test_words(self) -> None:
        """All words must be there, in whatever order, case and language."""
        wine = make_event(content="Red wine and white bread")
        cafe = make_event(content="Café in 東京 with red awning")
        self.save(wine, cafe)
        for _ in range(2):
            for search, events in (
                ("wine", [wine]),
                ("RED", [wine, cafe]),
                ("bread red", [wine]),
                ("cafe", [cafe]),
                ("東京", [cafe]),
                ("京", [cafe]),
                ("red awning 東京", [cafe]),
                ("beer", []),
                ("red beer", []),
                ("re", []),
                ("京東", []),
                ("...", []),
            ):
                self.assert_search(Filter(search=search), *events)
            self.settle()

    def test_operators(self) -> None:
        """A client's text has no operators: it is words and nothing else."""
        one, two = make_event(content="apple pie"), make_event(content="apple tart NOT")
        self.save(one, two)
        self.settle()
        for search, events in (
            ("-apple", [one, two]),
            ("apple -pie", [one]),
            ('"pie apple"', [one]),
            ("apple OR pie", []),
            ("apple NOT pie", []),
            ("apple not", [two]),
            ("appl*", []),
            ("apple~1", []),
            ("words:apple", []),
            ("kind:[0 TO 9]", []),
            ("(apple", [one, two]),
            ("apple)) AND ((", []),
            ("apple^9", []),
            ("\\apple\x00", [one, two]),
            ("apple\ud800", [one, two]),
            ("*", []),
            ("/.*/", []),
        ):
            self.assert_search(Filter(search=search), *events)

    def test_blank(self) -> None:
        """A search without words to look for is no condition; newest first."""
        notes = [make_event(created_at=NOW - n, content=str(n)) for n in range(3)]
        self.save(*notes)
        self.assert_found(Filter(search=""), *notes)
        self.assertEqual(self.answer(Filter(search="", limit=1)), [notes[0].raw])

    def test_other_conditions(self) -> None:
        """All other members of a filter hold as well."""
        events = [
            make_event(
                pubkey=pubkey,
                kind=kind,
                created_at=time,
                content="word",
                tags=[["t", "a"], ["r", f"{time}"]],
            )
            for pubkey in (ALICE, ALICES_TWIN, BOB)
            for kind in (1, 11)
            for time in (NOW - 2, NOW - 1, NOW)
        ]
        events.append(make_event(id=event_id(1, b"\1" * 20), content="word"))
        events.append(make_event(id=event_id(2, b"\1" * 20), content="word"))
        self.save(*events, make_event(content="other", kind=11, pubkey=BOB))
        for _ in range(2):
            for filter_ in (
                Filter(),
                Filter(authors=(ALICE,)),
                Filter(authors=(ALICES_TWIN, BOB), kinds=(11,)),
                Filter(kinds=(0, 7, 11)),
                Filter(kinds=(-1, 2**80, 11)),
                Filter(kinds=(-1,)),
                Filter(since=NOW - 1),
                Filter(until=NOW - 1),
                Filter(since=NOW - 1, until=NOW - 1),
                Filter(since=-5, until=2**70),
                Filter(until=-1),
                Filter(since=2**70),
                Filter(tags=(("t", ("a", "b")),)),
                Filter(tags=(("t", ("a",)), ("r", (str(NOW),)))),
                Filter(tags=(("t", ("b",)),)),
                Filter(ids=(events[3].id, events[-1].id, event_id(9))),
                Filter(ids=(events[3].id,), kinds=(11,), authors=(ALICE,)),
                Filter(ids=()),
            ):
                expected = [event for event in events if filter_.matches(event)]
                searching = Filter(
                    filter_.ids,
                    filter_.authors,
                    filter_.kinds,
                    filter_.tags,
                    filter_.since,
                    filter_.until,
                    None,
                    "word",
                )
                self.assert_search(searching, *expected)
            self.settle()

    def test_limit(self) -> None:
        """The limit is applied after ranking; what is as good comes newest first."""
        notes = [
            make_event(created_at=NOW - n, content="gm everyone") for n in range(40)
        ]
        twins = [make_event(created_at=NOW, content="gm people")]
        best = make_event(created_at=NOW - 9999, content="gm gm gm")
        self.save(best, *notes[20:], *twins, *notes[:20])
        expected = [best, *newest_first([*notes, *twins])]
        for _ in range(2):
            for limit in (0, 1, 2, 3, 20, 41, 42, 50):
                self.assertEqual(
                    self.answer(Filter(search="gm", limit=limit)),
                    [event.raw for event in expected[:limit]],
                )
            self.assertEqual(self.count(Filter(search="gm", limit=3)), 42)
            self.settle()

    def test_union(self) -> None:
        """Several searches are ORed, each with its own limit; no event comes twice."""
        both = make_event(content="red wine")
        red = [make_event(content="red", created_at=NOW - n) for n in range(3)]
        wine = [make_event(content="wine", created_at=NOW - n) for n in range(3)]
        self.save(both, *red, *wine)
        for _ in range(2):
            filters = (Filter(search="red"), Filter(search="wine"))
            answer = self.answer(*filters)
            everything = [both.raw, *(event.raw for event in (*red, *wine))]
            self.assertEqual(sorted(answer), sorted(everything))
            self.assertEqual(self.count(*filters), 7)
            few = self.answer(
                Filter(search="red", limit=1, kinds=(1,)), Filter(search="beer")
            )
            self.assertEqual(len(few), 1)
            self.settle()

    def test_mixed(self) -> None:
        """What is searched for comes first, the rest after it, newest first."""
        notes = [
            make_event(created_at=NOW - n, content="old word" if n == 5 else "x")
            for n in range(6)
        ]
        self.save(*notes)
        for _ in range(2):
            filters = (Filter(kinds=(1,)), Filter(search="word"))
            expected = [notes[5].raw, *(note.raw for note in notes[:5])]
            self.assertEqual(self.answer(*filters), expected)
            self.assertEqual(self.count(*filters), 6)
            pages = self.pages(self.store.query(filters, NOW), 1)
            given = [bytes(raw) for page in pages for raw in page.events]
            self.assertEqual(given, expected)
            self.settle()

    def test_profiles(self) -> None:
        """Profiles are found by their names, articles by their titles."""
        profile = make_event(kind=0, content=dumps({"name": "Satoshi"}).decode())
        article = make_event(kind=30023, tags=[["d", "x"], ["title", "On Money"]])
        self.save(profile, article)
        self.assert_search(Filter(search="satoshi"), profile)
        self.assert_search(Filter(search="money", kinds=(30023,)), article)
        self.settle()
        self.assert_search(Filter(search="satoshi"), profile)
        self.assert_search(Filter(search="money", kinds=(30023,)), article)

    def test_removed(self) -> None:
        """What was replaced, deleted or has expired is not found nor counted."""
        old = make_event(kind=0, content='{"name":"anna"}')
        doomed = make_event(content="anna deleted")
        dying = make_event(content="anna dies", tags=[["expiration", str(NOW + 5)]])
        kept = make_event(content="anna stays")
        self.save(old, doomed, dying, kept)
        self.assert_search(Filter(search="anna"), old, doomed, dying, kept)
        self.settle()
        new = make_event(kind=0, content='{"name":"berta"}', created_at=NOW + 1)
        wish = make_event(kind=5, tags=[["e", doomed.id.hex()]])
        self.save(new, wish)
        for _ in range(2):
            self.assert_search(Filter(search="anna"), dying, kept)
            self.assert_search(Filter(search="anna"), kept, now=NOW + 5)
            self.assert_search(Filter(search="berta"), new)
            self.assertEqual(
                self.answer(Filter(search="anna", limit=1), now=NOW + 5), [kept.raw]
            )
            self.settle()

    def test_screen(self) -> None:
        """What is hidden is not found, not counted, and uses up no limit."""
        notes = [
            make_event(
                created_at=NOW - n, content="word", kind=14, pubkey=(ALICE, BOB)[n % 2]
            )
            for n in range(60)
        ]
        public = make_event(created_at=NOW - 90, content="word")
        self.save(*notes, public)
        bobs = [note for note in notes if note.pubkey == BOB]
        for _ in range(2):
            for screen, shown in (
                (Screen(frozenset({14}), (BOB,)), [*bobs, public]),
                (Screen(None, (BOB,)), bobs),
                (Screen(frozenset({14}), hides_all=True), [public]),
                (None, [*notes, public]),
            ):
                for limit in (1, 25, 100):
                    answer = self.answer(
                        Filter(search="word", limit=limit), screen=screen
                    )
                    expected = [event.raw for event in shown[:limit]]
                    self.assertEqual(answer, expected)
                count = self.count(Filter(search="word"), screen=screen)
                self.assertEqual(count, len(shown))
            self.settle()

    def test_authors(self) -> None:
        """A count can tell the author of each event that it counts."""
        notes = [
            make_event(content=content, pubkey=pubkey, created_at=NOW - n)
            for n, (content, pubkey) in enumerate(
                [("word", ALICE), ("word", BOB), ("word", BOB), ("x", ALICES_TWIN)]
            )
        ]
        self.save(*notes)
        for _ in range(2):
            for filters, expected in (
                ([Filter(search="word")], [ALICE, BOB, BOB]),
                ([Filter(search="word"), Filter(authors=(BOB,))], [ALICE, BOB, BOB]),
                (
                    [Filter(search="x"), Filter(ids=(notes[0].id,))],
                    [ALICE, ALICES_TWIN],
                ),
            ):
                authors: list[bytes] = []
                counting = self.store.count(filters, NOW, None, authors.append)
                self.assertEqual(self.counted(counting), len(expected))
                self.assertEqual(sorted(authors), expected)
            self.settle()

    def test_pages(self) -> None:
        """Found events come in pages, and a query can be given up between them."""
        notes = [
            make_event(created_at=NOW - n, content="word " + "x" * 300)
            for n in range(20)
        ]
        self.save(*notes)
        filters = [Filter(search="word"), Filter(kinds=(7,))]
        pages = self.pages(self.store.query(filters, NOW), 1000)
        given = [bytes(raw) for page in pages for raw in page.events]
        self.assertEqual(given, [note.raw for note in notes])
        self.assertGreater(len(pages), 5)
        query = self.store.query(filters, NOW)
        self.next_page(query, 1000)
        query.close()
        query.close()
        self.assertEqual(len(self.answer(*filters)), 20)

    def test_nothing_beyond_the_floor(self) -> None:
        """What is stored after a query began comes live, not from the query."""
        note = make_event(content="word")
        self.save(note)
        for late in ("late word", "later word"):
            before = self.answer(Filter(search="word"))
            query = self.store.query([Filter(search="word")], NOW)
            self.assertEqual(query.floor, self.store.last_seq())
            self.save(make_event(content=late))
            given = [bytes(raw) for page in self.pages(query) for raw in page.events]
            self.assertEqual(given, before)
            self.settle()
