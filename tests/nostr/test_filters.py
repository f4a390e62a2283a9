"""Tests for :mod:`nostrtx.nostr.filters`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import parse_event
from nostrtx.nostr.filters import Filter, parse_filter
from tests.nostr.vectors import load
from tests.storage.events import ALICE, ALICES_TWIN, BOB, NOW, event_id, make_event

_KEY = "ab" * 32
_KEY_BYTES = b"\xab" * 32


class ParseFilterTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.filters.parse_filter`."""

    def assert_rejected(self, members: object, prefix: ReasonPrefix) -> None:
        """Assert that ``members`` are refused with this prefix, in one line."""
        error = self.assertRaises(Rejected, parse_filter, members)
        self.assertEqual(error.prefix, prefix, members)
        self.assertNotIn("\n", error.message)
        self.assertTrue(error.message.isascii())

    def test_empty(self) -> None:
        """An empty object asks for everything."""
        self.assertEqual(parse_filter({}), Filter())

    def test_all_members(self) -> None:
        """Each member of NIP-01 has its place."""
        self.assertEqual(
            parse_filter(
                {
                    "ids": [_KEY],
                    "authors": [_KEY, "00" * 32],
                    "kinds": [1, 0],
                    "#e": [_KEY],
                    "#t": ["x", "é\x00", ""],
                    "#T": [],
                    "since": 0,
                    "until": 2**70,
                    "limit": 0,
                }
            ),
            Filter(
                ids=(_KEY_BYTES,),
                authors=(_KEY_BYTES, bytes(32)),
                kinds=(1, 0),
                tags=(("e", (_KEY,)), ("t", ("x", "é\x00", "")), ("T", ())),
                since=0,
                until=2**70,
                limit=0,
            ),
        )

    def test_empty_lists(self) -> None:
        """An empty list is a condition and not the absence of one."""
        filter_ = parse_filter({"ids": [], "authors": [], "kinds": [], "#p": []})
        self.assertEqual(filter_, Filter((), (), (), (("p", ()),)))

    def test_values_once(self) -> None:
        """Values stand once each, in the client's order."""
        filter_ = parse_filter({"kinds": [7, 1, 7], "#t": ["b", "a", "b"]})
        self.assertEqual(filter_, Filter(kinds=(7, 1), tags=(("t", ("b", "a")),)))
        self.assertEqual(parse_filter({"ids": [_KEY] * 3}), Filter(ids=(_KEY_BYTES,)))

    def test_not_an_object(self) -> None:
        """A filter is an object."""
        wrong: list[Any] = [None, [], "x", 1, True, [{}]]
        for value in wrong:
            self.assert_rejected(value, ReasonPrefix.INVALID)

    def test_keys(self) -> None:
        """Ids, authors, ``#e`` and ``#p`` hold 64 lower-case hexadecimal digits."""
        wrong: list[Any] = [
            None,
            _KEY,
            {},
            [1],
            [None],
            [_KEY, 1],
            [[_KEY]],
            [""],
            ["ab"],
            [_KEY.upper()],
            [_KEY + "ab"],
            [_KEY[:-1], _KEY + "a"],
            [" " + _KEY[:-1]],
            [_KEY[:-2] + "  "],
            [_KEY[:-1] + "g"],
            ["é" * 64],
            ["\ud800" * 64],
            [_KEY, _KEY[:-1] + "A"],
        ]
        for name in ("ids", "authors", "#e", "#p"):
            for value in wrong:
                self.assert_rejected({name: value}, ReasonPrefix.INVALID)

    def test_kinds(self) -> None:
        """Kinds are integers; one that no event has is harmless."""
        wrong: list[Any] = [None, 1, "1", ["1"], [1.0], [True], [1, None], [[1]], {}]
        for value in wrong:
            self.assert_rejected({"kinds": value}, ReasonPrefix.INVALID)
        self.assertEqual(parse_filter({"kinds": [-1, 70000]}).kinds, (-1, 70000))

    def test_tag_values(self) -> None:
        """Values of tags are strings that UTF-8 can encode."""
        wrong: list[Any] = [
            None,
            "x",
            [1],
            ["x", None],
            [["x"]],
            {},
            ["\ud800"],
            ["a", True],
        ]
        for value in wrong:
            self.assert_rejected({"#t": value}, ReasonPrefix.INVALID)

    def test_other_tags_take_any_text(self) -> None:
        """Only ``#e`` and ``#p`` must be hexadecimal."""
        for letter in "abcdfgqtzAEPZ":
            filter_ = parse_filter({f"#{letter}": ["x", _KEY.upper()]})
            self.assertEqual(filter_.tags, ((letter, ("x", _KEY.upper())),))

    def test_numbers(self) -> None:
        """Times and limits are integers, and a limit is not negative."""
        for name in ("since", "until", "limit"):
            wrong: list[Any] = [None, "1", 1.0, 1.5, True, [1], {}]
            for value in wrong:
                self.assert_rejected({name: value}, ReasonPrefix.INVALID)
        self.assert_rejected({"limit": -1}, ReasonPrefix.INVALID)
        self.assertEqual(parse_filter({"since": -5}), Filter(since=-5))

    def test_unknown_members(self) -> None:
        """What the relay does not know it does not ignore."""
        for name in (
            "",
            "#",
            "foo",
            "Search",
            "Kinds",
            "#foo",
            "#1",
            "#-",
            "#é",
            "##",
            "&t",
            "\ud800",
            "#\ud800",
            "x" * 1000,
        ):
            self.assert_rejected({name: ["x"]}, ReasonPrefix.UNSUPPORTED)

    def test_search(self) -> None:
        """A search is text; extensions are left out of it, for none is known."""
        for text, search in (
            ("best  nostr\tapps", "best nostr apps"),
            ("orange language:en include:spam", "orange"),
            ("see https://example.com/a:b", "see https://example.com/a:b"),
            ("Note: x", "Note: x"),
            ('"NEAR(" -x* AND', '"NEAR(" -x* AND'),
            ("", ""),
            (" \n", ""),
            ("domain:example.com", ""),
        ):
            self.assertEqual(parse_filter({"search": text}), Filter(search=search))
        wrong: list[Any] = [None, 1, True, [], ["x"], {}, "x" * 513]
        for value in wrong:
            self.assert_rejected({"search": value}, ReasonPrefix.INVALID)
        self.assertIsNone(parse_filter({}).search)

    def test_long_lists(self) -> None:
        """Long lists are taken, their limit is not a matter of form."""
        keys = [event_id(n).hex() for n in range(5000)]
        filter_ = parse_filter({"authors": keys})
        self.assertEqual(filter_.authors, tuple(map(event_id, range(5000))))
        self.assertEqual(filter_.longest_list, 5000)


class FilterTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.nostr.filters.Filter`."""

    def test_search(self) -> None:
        """All words must be there, in any order and case; without words all match."""
        note = make_event(content="Red wine, white bread", tags=[["t", "food"]])
        for search in ("", "red", "RED", "bread wine", "food", "wine! (red)"):
            self.assertTrue(Filter(search=search).matches(note), search)
        for search in ("beer", "red beer", "win", "...", "t"):
            self.assertFalse(Filter(search=search).matches(note), search)
        self.assertFalse(Filter(search="red", kinds=(0,)).matches(note))
        self.assertEqual(Filter(search="x").with_limit(3), Filter(search="x", limit=3))

    def test_matches_nothing(self) -> None:
        """It is known beforehand that some filters match nothing."""
        for filter_ in (
            Filter(ids=()),
            Filter(authors=()),
            Filter(kinds=()),
            Filter(tags=(("t", ("x",)), ("e", ()))),
            Filter(since=2, until=1),
        ):
            self.assertTrue(filter_.matches_nothing, filter_)
        for filter_ in (Filter(), Filter(since=1, until=1), Filter(limit=0)):
            self.assertFalse(filter_.matches_nothing, filter_)

    def test_longest_list(self) -> None:
        """The longest list may be any of them."""
        self.assertEqual(Filter().longest_list, 0)
        three = (bytes(32), b"\x01" * 32, b"\x02" * 32)
        for filter_ in (
            Filter(ids=three, kinds=(1,)),
            Filter(authors=three, ids=three[:2]),
            Filter(kinds=(1, 2, 3)),
            Filter(tags=(("t", ("a",)), ("u", ("a", "b", "c")))),
        ):
            self.assertEqual(filter_.longest_list, 3)

    def test_with_limit(self) -> None:
        """Another limit leaves all conditions as they are."""
        filter_ = Filter((_KEY_BYTES,), (ALICE,), (1,), (("t", ("x",)),), 1, 2, 3)
        for limit in (None, 0, 3, 4):
            other = filter_.with_limit(limit)
            self.assertEqual(other.limit, limit)
            self.assertEqual(other.with_limit(3), filter_)

    def test_each_condition(self) -> None:
        """An event must meet every condition."""
        event = make_event(kind=7, pubkey=ALICE, tags=[["t", "x"], ["p", BOB.hex()]])
        self.assertTrue(Filter().matches(event))
        met = {
            "ids": (bytes(32), event.id),
            "authors": (BOB, ALICE),
            "kinds": (1, 7),
            "tags": (("t", ("y", "x")), ("p", (BOB.hex(),))),
            "since": NOW,
            "until": NOW,
            "limit": 0,
        }
        self.assertTrue(Filter(**met).matches(event))  # type: ignore[arg-type]
        for name, unmet in (
            ("ids", (event_id(1, event.id[:4]),)),
            ("ids", ()),
            ("authors", (ALICES_TWIN, BOB)),
            ("authors", ()),
            ("kinds", (1, 8)),
            ("kinds", ()),
            ("tags", (("t", ("y",)),)),
            ("tags", (("T", ("x",)),)),
            ("tags", (("t", ()),)),
            ("tags", (("t", ("x",)), ("p", ("x",)))),
            ("since", NOW + 1),
            ("until", NOW - 1),
        ):
            changed = Filter(**{**met, name: unmet})  # type: ignore[arg-type]
            self.assertFalse(changed.matches(event), (name, unmet))

    def test_vectors(self) -> None:
        """The vectors' filters match the events they should."""
        vectors = load("filters")
        events = {name: parse_event(e) for name, e in vectors["events"].items()}
        for case in vectors["filters"]:
            filters = [parse_filter(members) for members in case["filters"]]
            found = {
                name
                for name, event in events.items()
                if any(filter_.matches(event) for filter_ in filters)
            }
            expected = set(case["expect"])
            if all(filter_.limit is None for filter_ in filters):
                self.assertEqual(found, expected, case["name"])
            else:
                self.assertLessEqual(expected, found, case["name"])
