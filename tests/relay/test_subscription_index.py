"""Tests for :mod:`nostrtx.relay.subscription_index`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.relay.subscription_index import SubscriptionIndex
from tests.storage.events import ALICE, ALICES_TWIN, BOB, NOW, event_id, make_event

#: Few values of each sort, so that filters and events meet often.
_IDS = [event_id(number) for number in range(3)]
_AUTHORS = [ALICE, ALICES_TWIN, BOB]
_KINDS = [0, 1, 7, 30023]
_LETTERS = ["e", "t", "T", "d"]
_VALUES = ["", "a", "b", "A"]
_TIMES = [0, NOW - 1, NOW, NOW + 1]
_SEARCHES = ["", "Red", "red wine", "?", "a"]
_CONTENTS = ["", "red wine", "Wine.", '{"name":"red"}']


def _some(values: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), unique=True, max_size=4).map(tuple)


@st.composite
def filters(draw: DrawFn) -> Filter:
    """Any filter over the few values."""

    def maybe(values: list[object]) -> tuple[object, ...] | None:
        several = st.lists(st.sampled_from(values), unique=True, max_size=4)
        return draw(st.none() | several.map(tuple))

    letters = draw(st.lists(st.sampled_from(_LETTERS), unique=True, max_size=3))
    time = st.none() | st.sampled_from(_TIMES)
    return Filter(
        ids=maybe([*_IDS]),  # type: ignore[arg-type]
        authors=maybe([*_AUTHORS]),  # type: ignore[arg-type]
        kinds=maybe([*_KINDS]),  # type: ignore[arg-type]
        tags=tuple((letter, draw(_some(_VALUES))) for letter in letters),
        since=draw(time),
        until=draw(time),
        limit=draw(st.none() | st.just(0)),
        search=draw(st.none() | st.sampled_from(_SEARCHES)),
    )


@st.composite
def events(draw: DrawFn) -> Event:
    """Any event over the few values, with tags that a filter must not find, too."""
    tag = st.lists(
        st.sampled_from([*_LETTERS, "ee", *_VALUES[1:]]), min_size=1, max_size=3
    )
    return make_event(
        id=draw(st.sampled_from(_IDS)),
        pubkey=draw(st.sampled_from(_AUTHORS)),
        created_at=draw(st.sampled_from(_TIMES)),
        kind=draw(st.sampled_from(_KINDS)),
        tags=draw(st.lists(tag, max_size=4)),
        content=draw(st.sampled_from(_CONTENTS)),
    )


_SUBSCRIPTIONS = st.lists(st.lists(filters(), max_size=3), max_size=8)


def tables_of(index: SubscriptionIndex[int]) -> list[object]:
    """What an index holds at all; all of it is empty or 0 in an empty one."""
    return [value for value in vars(index).values() if value]


class SubscriptionIndexTests(SynchronousTestCase):
    """The index finds what the filters say, and forgets what is removed."""

    @settings(max_examples=60, deadline=None)
    @given(_SUBSCRIPTIONS, st.lists(events(), min_size=1, max_size=6), st.randoms())
    def test_same_as_filters(
        self, wanted: list[list[Filter]], some: list[Event], random: object
    ) -> None:
        """
        Whatever is added and removed in whatever order, an event finds exactly the
        subscriptions of which a filter matches it, each once.
        """
        index: SubscriptionIndex[int] = SubscriptionIndex()
        open_: dict[int, tuple[object, ...]] = {}
        steps = [*range(len(wanted))] * 2
        random.shuffle(steps)  # type: ignore[attr-defined]
        for number in steps:
            if number in open_:
                index.remove(open_.pop(number))  # type: ignore[arg-type]
            else:
                open_[number] = index.add(number, wanted[number])
            for event in some:
                found = index.matching(event)
                self.assertEqual(
                    sorted(found),
                    sorted(
                        number
                        for number in open_
                        if any(one.matches(event) for one in wanted[number])
                    ),
                )
        self.assertEqual(open_, {})
        self.assertEqual(tables_of(index), [])

    def test_many_of_one_value(self) -> None:
        """Subscriptions to one value are told apart, and each can leave."""
        index: SubscriptionIndex[int] = SubscriptionIndex()
        one = Filter(authors=(ALICE,))
        entries = [index.add(number, [one]) for number in range(4)]
        event = make_event(pubkey=ALICE)
        for number in (1, 3, 0, 2):
            self.assertIn(number, index.matching(event))
            index.remove(entries[number])
            self.assertNotIn(number, index.matching(event))
        self.assertEqual(tables_of(index), [])

    def test_two_matching_filters(self) -> None:
        """A subscription of which several filters match is found once."""
        index: SubscriptionIndex[int] = SubscriptionIndex()
        index.add(
            1,
            [
                Filter(),
                Filter(kinds=(1,)),
                Filter(authors=(ALICE,)),
                Filter(tags=(("t", ("a", "b")),)),
            ],
        )
        event = make_event(tags=[["t", "a"], ["t", "b"]])
        self.assertEqual(list(index.matching(event)), [1])

    def test_filter_for_nothing(self) -> None:
        """A filter with an empty list takes no place; another still works."""
        index: SubscriptionIndex[int] = SubscriptionIndex()
        entries = index.add(1, [Filter(kinds=()), Filter(kinds=(7,))])
        self.assertEqual(list(index.matching(make_event(kind=1))), [])
        self.assertEqual(list(index.matching(make_event(kind=7))), [1])
        index.remove(entries)
        self.assertEqual(tables_of(index), [])

    def test_empty_address(self) -> None:
        """An addressable event without a d value is found under the empty one."""
        index: SubscriptionIndex[int] = SubscriptionIndex()
        index.add(1, [Filter(tags=(("d", ("",)),))])
        self.assertEqual(list(index.matching(make_event(kind=30023))), [1])
        self.assertEqual(list(index.matching(make_event(kind=1))), [])

    def test_tag_and_kinds(self) -> None:
        """The commonest filter of clients, replies of some kinds, asks for both."""
        index: SubscriptionIndex[int] = SubscriptionIndex()
        index.add(1, [Filter(kinds=(1, 7), tags=(("t", ("a",)),))])
        tags = [["t", "a"]]
        for kind, found in ((1, [1]), (7, [1]), (6, [])):
            event = make_event(kind=kind, tags=tags)
            self.assertEqual(list(index.matching(event)), found)
        self.assertEqual(list(index.matching(make_event(kind=1))), [])

    def test_search(self) -> None:
        """A search is one more condition, also where nothing else is asked for."""
        index: SubscriptionIndex[int] = SubscriptionIndex()
        index.add(1, [Filter(search="red wine")])
        index.add(2, [Filter(search="wine", kinds=(7, 30023))])
        index.add(3, [Filter(search="wine", since=NOW + 1)])
        note = make_event(content="Wine is red")
        self.assertEqual(list(index.matching(note)), [1])
        later = make_event(kind=30023, created_at=NOW + 1, content="white wine")
        self.assertEqual(sorted(index.matching(later)), [2, 3])

    def test_long_lists(self) -> None:
        """Conditions with very many values are checked, too."""
        index: SubscriptionIndex[int] = SubscriptionIndex()
        kinds = tuple(range(1000, 6000))
        index.add(1, [Filter(authors=(ALICE,), kinds=kinds, since=NOW)])
        self.assertEqual(list(index.matching(make_event(kind=5999))), [1])
        self.assertEqual(list(index.matching(make_event(kind=6000))), [])
