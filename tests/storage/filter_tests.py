"""Every form of filter, as every store must answer it (NIP-01)."""

from __future__ import annotations

from nostrtx.nostr.event import MAX_CREATED_AT, Event
from nostrtx.nostr.filters import Filter
from tests.storage.events import ALICE, ALICES_TWIN, BOB, NOW, event_id, make_event
from tests.storage.store_case import StoreCase, newest_first

#: Values that an index might mistake for one another.
ODD_VALUES = (
    "",
    " ",
    "\x00",
    "a",
    "A",
    "a\x00",
    "a\x00\x00",
    "a\x00b",
    "é",
    "e\u0301",
    "\U0001f600",
    "\uffff",
    "ab" * 32,
    "AB" * 32,
    "ab" * 31 + "aB",
    "ab" * 31 + "ag",
    " " + "ab" * 31 + " ",
    "ab" * 31 + "\u0661\u0662",
    bytes.fromhex("41" * 32).decode(),
    "41" * 32,
    "00" * 32,
    "\x00" * 32,
    "0" * 63,
    "0" * 65,
    "é" * 40,
    "é" * 40 + "x",
    "x" * 79 + "é",
    *("x" * size for size in (79, 80, 81, 82, 127, 128, 255, 256, 257, 511, 512)),
    "x" * 80 + "y",
    "x" * 80 + "\x00",
    "x" * 5000,
    "x" * 4999 + "y",
)


def tag(letter: str, *values: str) -> Filter:
    """A filter with one tag condition."""
    return Filter(tags=((letter, values),))


class FilterTests(StoreCase):
    """Tests for what :meth:`nostrtx.interfaces.IEventStore.query` finds."""

    def test_empty_store(self) -> None:
        """An empty store answers nothing."""
        for filter_ in (Filter(), Filter(kinds=(1,)), tag("t", "x"), Filter(since=0)):
            self.assert_found(filter_)

    def test_ids(self) -> None:
        """Ids are found by all their bytes, unknown ones are passed over."""
        events = [make_event(id=event_id(n, b"same")) for n in range(4)]
        self.save(*events)
        self.assert_found(Filter(ids=(events[2].id,)), events[2])
        self.assert_found(
            Filter(ids=(events[3].id, event_id(9, b"same"), events[1].id)),
            events[1],
            events[3],
        )
        self.assert_found(Filter(ids=(event_id(9, b"same"), bytes(32), b"\xff" * 32)))

    def test_authors(self) -> None:
        """Authors are told apart by all bytes of their keys."""
        events = [
            make_event(pubkey=pubkey, kind=kind, created_at=NOW + n)
            for n in range(3)
            for kind in (1, 7)
            for pubkey in (ALICE, ALICES_TWIN, BOB)
        ]
        self.save(*events)
        for authors in (
            (ALICE,),
            (ALICES_TWIN,),
            (BOB, ALICE),
            (b"\xaa" * 32, ALICES_TWIN, BOB),
            (b"\xaa" * 32,),
        ):
            by_them = [event for event in events if event.pubkey in authors]
            self.assert_found(Filter(authors=authors), *by_them)
            self.assert_found(
                Filter(authors=authors, kinds=(7,)),
                *(event for event in by_them if event.kind == 7),
            )
            self.assert_found(Filter(authors=authors, kinds=(1, 7)), *by_them)
            self.assert_found(Filter(authors=authors, kinds=(7, 0, 40000, 1)), *by_them)

    def test_kinds(self) -> None:
        """Kinds are found to both ends of their range, others are not there."""
        kinds = (0, 1, 255, 256, 1059, 10000, 30000, 65534, 65535)
        events = [make_event(kind=kind) for kind in kinds]
        self.save(*events)
        for event in events:
            self.assert_found(Filter(kinds=(event.kind,)), event)
        self.assert_found(Filter(kinds=kinds), *events)
        odd = (-1, -65536, 65536, 65537, 2**16 + 1, 2**31, 2**32, 2**63, 2**64 + 1)
        self.assert_found(Filter(kinds=odd))
        self.assert_found(Filter(kinds=(*odd, 1)), events[1])
        self.assert_found(Filter(kinds=(*odd, 1), authors=(ALICE,)), events[1])
        self.assert_found(Filter(kinds=odd, authors=(ALICE,)))

    def test_tag_values(self) -> None:
        """A tag condition finds exactly its values, whatever they look like."""
        events = [
            make_event(tags=[["t", value]], created_at=NOW + n)
            for n, value in enumerate(ODD_VALUES)
        ]
        self.save(*events)
        for value, event in zip(ODD_VALUES, events, strict=True):
            self.assert_found(tag("t", value), event)
            self.assert_found(
                Filter(kinds=(1,), authors=(ALICE,), tags=(("t", (value,)),)), event
            )
            self.assert_found(tag("T", value))
        self.assert_found(tag("t", "aa", "x" * 83, "x" * 600, "cd" * 32, "\x00\x00"))
        self.assert_found(tag("t", *ODD_VALUES), *events)

    def test_tag_letters(self) -> None:
        """Each letter is a tag of its own; longer names are not indexed."""
        names = ("a", "A", "b", "e", "E", "p", "z", "Z", "aa", "-", "1", "é", "", "#")
        events = [make_event(tags=[[name, "x"]], content=name) for name in names]
        self.save(*events)
        for name, event in zip(names[:8], events[:8], strict=True):
            self.assert_found(tag(name, "x"), event)
        self.assert_found(tag("c", "x"))

    def test_first_value_only(self) -> None:
        """Of each tag only the first value is found, but of each tag of a name."""
        event = make_event(tags=[["t", "1", "2"], ["t"], ["t", "3"], ["t", "1"]])
        self.save(event)
        self.assert_found(tag("t", "1"), event)
        self.assert_found(tag("t", "3"), event)
        self.assert_found(tag("t", "2"))
        self.assert_found(tag("t", ""))

    def test_many_values_of_one_event(self) -> None:
        """An event that matches several values is given and counted once."""
        events = [
            make_event(tags=[["t", "a"], ["t", "b"], ["t", "a"]], created_at=NOW + n)
            for n in range(4)
        ]
        self.save(*events)
        self.assert_found(tag("t", "a", "b", "c"), *events)
        limited = Filter(tags=(("t", ("b", "a")),), limit=3)
        self.assertEqual(self.answer(limited), [e.raw for e in events[:0:-1]])

    def test_several_tag_conditions(self) -> None:
        """An event must meet each tag condition, with any of its values."""
        events = {
            (p, t): make_event(tags=[["p", p], ["t", t]])
            for p in ("aa" * 32, "bb" * 32, "x")
            for t in "12"
        }
        self.save(*events.values())
        self.assert_found(
            Filter(tags=(("t", ("1",)), ("p", ("bb" * 32,)))), events["bb" * 32, "1"]
        )
        self.assert_found(
            Filter(tags=(("p", ("aa" * 32, "bb" * 32)), ("t", ("2", "3"))), kinds=(1,)),
            events["aa" * 32, "2"],
            events["bb" * 32, "2"],
        )
        self.assert_found(Filter(tags=(("p", ("x",)), ("t", ("3",)))))
        self.assert_found(Filter(tags=(("t", ("1",)), ("q", ("x",)))))

    def test_d(self) -> None:
        """An addressable event without ``d`` is found under an empty one."""
        none, bare, empty, full = (
            make_event(kind=30000 + n, tags=tags)
            for n, tags in enumerate(
                ([], [["d"]], [["d", ""], ["d", "y"]], [["d", "x"], ["d", "y"]])
            )
        )
        note, noted = make_event(), make_event(tags=[["d", "x"]])
        replaceable = make_event(kind=10000)
        self.save(none, bare, empty, full, note, noted, replaceable)
        self.assert_found(tag("d", ""), none, bare, empty)
        self.assert_found(tag("d", "x"), full, noted)
        self.assert_found(tag("d", "y"), empty, full)
        kinds = (30000, 30001, 30002, 30003)
        for authors in ((ALICE,), (ALICE, BOB), None):
            for value, events in (
                ("", (none, bare, empty)),
                ("x", (full,)),
                ("y", (empty, full)),
                ("z", ()),
            ):
                conditions = (("d", (value,)),)
                filter_ = Filter(kinds=kinds, authors=authors, tags=conditions)
                self.assert_found(filter_, *events)

    def test_address_filters(self) -> None:
        """An address with further conditions is still held to all of them."""
        event = make_event(kind=30023, tags=[["d", "x"], ["t", "y"]])
        self.save(event)
        for more, events in (
            (Filter(since=NOW, until=NOW), (event,)),
            (Filter(since=NOW + 1), ()),
            (Filter(until=NOW - 1), ()),
            (Filter(tags=(("t", ("y",)),)), (event,)),
            (Filter(tags=(("t", ("z",)),)), ()),
            (Filter(ids=(event.id,)), (event,)),
            (Filter(ids=(bytes(32),)), ()),
        ):
            filter_ = Filter(
                ids=more.ids,
                authors=(ALICES_TWIN, ALICE),
                kinds=(30023, 30024),
                tags=(("d", ("z", "x")), *more.tags),
                since=more.since,
                until=more.until,
            )
            self.assert_found(filter_, *events)

    def test_ids_with_conditions(self) -> None:
        """Ids do not excuse an event from the other conditions."""
        event = make_event(tags=[["t", "x"]])
        self.save(event)
        for filter_ in (
            Filter(ids=(event.id,), authors=(ALICES_TWIN,)),
            Filter(ids=(event.id,), kinds=(2,)),
            Filter(ids=(event.id,), tags=(("t", ("y",)),)),
            Filter(ids=(event.id,), since=NOW + 1),
            Filter(ids=(event.id,), until=NOW - 1),
        ):
            self.assert_found(filter_)
        self.assert_found(
            Filter((event.id,), (ALICE,), (1,), (("t", ("x",)),), NOW, NOW), event
        )

    def test_times(self) -> None:
        """``since`` and ``until`` include their second, and may be any number."""
        times = (0, 1, 2, NOW - 1, NOW, NOW + 1, 2**32 - 1, 2**32, MAX_CREATED_AT)
        events = [make_event(created_at=time, tags=[["t", "x"]]) for time in times]
        self.save(*events)
        bounds = (None, -(2**64), -1, *times, MAX_CREATED_AT + 1, 2**40, 2**64)
        for since in bounds:
            for until in bounds:
                found = [
                    event
                    for event in events
                    if (since is None or event.created_at >= since)
                    and (until is None or event.created_at <= until)
                ]
                for filter_ in (
                    Filter(since=since, until=until),
                    Filter(kinds=(1,), since=since, until=until),
                    Filter(authors=(ALICE,), since=since, until=until),
                    Filter(tags=(("t", ("x", "y")),), since=since, until=until),
                ):
                    self.assert_found(filter_, *found)

    def test_nothing_asked(self) -> None:
        """An empty list is met by nothing, and so is no filter at all."""
        event = make_event(tags=[["t", "x"]])
        self.save(event)
        for filter_ in (
            Filter(ids=()),
            Filter(authors=()),
            Filter(kinds=()),
            Filter(tags=(("t", ()),)),
            Filter(ids=(event.id,), kinds=()),
            Filter(tags=(("t", ("x",)), ("p", ()))),
            Filter(since=NOW, until=NOW - 1),
        ):
            self.assert_found(filter_)
            self.assertEqual(self.answer(filter_, Filter(kinds=(1,))), [event.raw])
        self.assertEqual(self.answer(), [])
        self.assertEqual(self.count(), 0)


class OrderTests(StoreCase):
    """Tests for order, limits and unions in answers."""

    def ties(self) -> list[Event]:
        """Events of three seconds, in the order of answers, saved in another."""
        events = [
            make_event(
                id=event_id(n, prefix),
                created_at=NOW - age,
                pubkey=(ALICE, ALICES_TWIN, BOB)[n % 3],
                kind=1 + n % 2,
                tags=[["t", "xy"[n % 2]], ["t", "all"]],
            )
            for age in range(3)
            for prefix in (b"saml", b"same", b"samf")
            for n in range(20 * age, 20 * age + 6)
        ]
        self.save(*events[::2])
        self.save(*reversed(events[1::2]))
        events.sort(key=lambda event: (-event.created_at, event.id))
        return events

    def test_order(self) -> None:
        """Newest first; events of one second by their whole id, lowest first."""
        events = self.ties()
        self.assertEqual(self.answer(Filter()), [event.raw for event in events])

    def test_limits_at_ties(self) -> None:
        """A limit cuts that very order, also between events of one second."""
        events = self.ties()
        for filter_ in (
            Filter(),
            Filter(kinds=(1,)),
            Filter(kinds=(1, 2)),
            Filter(authors=(ALICE,)),
            Filter(authors=(ALICE, BOB), kinds=(2,)),
            Filter(authors=(ALICE, ALICES_TWIN, BOB), kinds=(1, 2)),
            Filter(tags=(("t", ("all",)),)),
            Filter(tags=(("t", ("x", "y", "all")),)),
            Filter(tags=(("t", ("all",)),), authors=(ALICES_TWIN,)),
            Filter(ids=tuple(event.id for event in events[::3])),
            Filter(until=NOW - 1),
            Filter(since=NOW - 1, kinds=(2,)),
        ):
            found = [event.raw for event in events if filter_.matches(event)]
            for limit in (0, 1, 2, 3, 5, 7, 18, 19, len(found), 1000, 2**64):
                limited = filter_.with_limit(limit)
                self.assertEqual(self.answer(limited), found[:limit], limited)
                self.assertEqual(self.count(limited), len(found), limited)

    def test_union(self) -> None:
        """Several filters give each event once, in the one order."""
        events = self.ties()
        filters = (
            Filter(kinds=(1,)),
            Filter(authors=(ALICE,)),
            Filter(ids=(events[0].id, events[-1].id)),
            Filter(tags=(("t", ("x",)),)),
        )
        found = [e.raw for e in events if any(f.matches(e) for f in filters)]
        self.assertEqual(self.answer(*filters), found)
        self.assertEqual(self.count(*filters), len(found))
        self.assertEqual(self.answer(Filter(), Filter()), [e.raw for e in events])
        self.assertEqual(self.count(Filter(), Filter()), len(events))

    def test_limits_in_a_union(self) -> None:
        """Each filter has its own limit, and shared events use up both."""
        events = self.ties()
        of_kind = [event for event in events if event.kind == 1]
        by_alice = [event for event in events if event.pubkey == ALICE]
        for first in (0, 1, 3, 10):
            for second in (0, 1, 4, 11):
                wanted = {e.raw for e in of_kind[:first] + by_alice[:second]}
                self.assertEqual(
                    self.answer(
                        Filter(kinds=(1,), limit=first),
                        Filter(authors=(ALICE,), limit=second),
                    ),
                    [event.raw for event in events if event.raw in wanted],
                )

    def test_long_lists(self) -> None:
        """Filters with thousands of values find what there is, in order."""
        authors = tuple(event_id(n, b"auth") for n in range(2000))
        events = [
            make_event(
                pubkey=authors[n * 7 % 2000],
                created_at=NOW - n // 5,
                kind=(0, 1, 3, 7)[n % 4],
                tags=[["p", authors[n].hex()]],
            )
            for n in range(400)
        ]
        self.save(*events)
        newest = sorted(events, key=lambda event: (-event.created_at, event.id))
        keys = tuple(author.hex() for author in authors[100:])
        for filter_ in (
            Filter(authors=authors),
            Filter(authors=authors[:700]),
            Filter(authors=authors[:70], kinds=(1, 7)),
            Filter(authors=authors, kinds=(1,)),
            Filter(authors=authors, kinds=(0, 3)),
            Filter(authors=authors[::2], kinds=tuple(range(300))),
            Filter(tags=(("p", keys),)),
            Filter(tags=(("p", keys[:90]),), kinds=(1, 7), authors=authors[:500]),
            Filter(ids=tuple(e.id for e in events) + authors),
        ):
            found = [event.raw for event in newest if filter_.matches(event)]
            self.assertEqual(self.answer(filter_), found)
            self.assertEqual(self.count(filter_), len(found))
            for limit in (1, 10, 100):
                limited = filter_.with_limit(limit)
                self.assertEqual(self.answer(limited), found[:limit])

    def test_quiet_authors(self) -> None:
        """Authors who write seldom are found behind all that others wrote."""
        quiet = event_id(0, b"quiet")
        strangers = tuple(event_id(n, b"strange") for n in range(80))
        events = [
            make_event(
                pubkey=quiet if (n % 7 == 0 and n < 70) or n > 1170 else BOB,
                kind=1 + n % 2,
                created_at=NOW - n // 3,
                content=str(n),
            )
            for n in range(1200)
        ]
        self.save(*events)
        events = newest_first(events)
        for authors in ((quiet, *strangers), (*strangers, quiet)):
            for kinds in (None, (1,), (1, 2)):
                for limit in (1, 5, 8, 12, 30, None):
                    filter_ = Filter(authors=authors, kinds=kinds, limit=limit)
                    found = [event.raw for event in events if filter_.matches(event)]
                    given = self.answer(filter_)
                    self.assertEqual(given, found[:limit], (kinds, limit))
