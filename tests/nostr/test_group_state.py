"""Tests for :mod:`nostrtx.nostr.group_state`."""

from __future__ import annotations

from random import Random

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.event import Event
from nostrtx.nostr.group_state import Group, recorded, records, replayed
from nostrtx.nostr.groups import Profile
from tests.storage.events import ALICE, BOB, NOW, event_id, make_event

_USERS = [ALICE, BOB, event_id(1, b"c"), event_id(2, b"d")]
_ROLES = st.lists(
    st.sampled_from(["admin", "moderator", "baker"]), unique=True, max_size=3
)


def _users() -> st.SearchStrategy[list[str]]:
    return st.tuples(st.sampled_from(_USERS), _ROLES).map(
        lambda pair: ["p", pair[0].hex(), *pair[1]]
    )


def _changes() -> st.SearchStrategy[tuple[int, list[list[str]]]]:
    """Kinds and tags of changes."""
    flags = st.sampled_from([["private"], ["closed"], ["hidden"], ["name", "x"]])
    pins = st.sampled_from([["e", "11" * 32], ["a", f"30023:{'22' * 32}:x"]])
    people = st.lists(_users(), min_size=1, max_size=3)
    return st.one_of(
        st.tuples(st.sampled_from([9000, 9001]), people),
        st.tuples(st.just(9002), st.lists(flags, max_size=3)),
        st.tuples(st.just(9010), st.lists(pins, max_size=3)),
        st.tuples(st.sampled_from([9005, 9009, 9021, 9022]), st.just([])),
    )


class GroupStateTests(SynchronousTestCase):
    """Three ways to the same group."""

    @given(st.lists(_changes(), max_size=12), st.integers())
    def test_three_ways(
        self, changes: list[tuple[int, list[list[str]]]], seed: int
    ) -> None:
        """Live changes, a replay in any order and the relay's own words agree."""
        group = Group("g")
        events = [make_event(kind=9007, tags=[["h", "g"]])]
        for number, (kind, tags) in enumerate(changes, 1):
            event = make_event(
                kind=kind, tags=[["h", "g"], *tags], created_at=NOW + number
            )
            events.append(event)
            group = group.after(event)
        Random(seed).shuffle(events)
        self.assertEqual(replayed("g", events), group)
        told = records(group)
        again = recorded("g", told)
        self.assertEqual(again, group)
        self.assertEqual(records(again), told)

    def test_never_made(self) -> None:
        """There is no group without its beginning, nor after its end."""
        put = make_event(kind=9000, tags=[["p", ALICE.hex()]])
        begin = make_event(kind=9007)
        end = make_event(kind=9008, created_at=NOW + 9)
        self.assertIsNone(replayed("g", [put]))
        self.assertIsNone(replayed("g", [begin, put, end]))
        self.assertEqual(replayed("g", [put, begin]), Group("g", {ALICE: ()}))

    def test_told(self) -> None:
        """Admins are those whose roles mean something; all are members."""
        members = {BOB: ("baker",), ALICE: ("moderator", "x")}
        group = Group("g", members, Profile(name="n"), (("e", "11" * 32),))
        told = records(group)
        d = ["d", "g"]
        alice = ["p", ALICE.hex()]
        self.assertEqual(told[39000], [d, ["name", "n"]])
        self.assertEqual(told[39001], [d, [*alice, "moderator", "x"]])
        self.assertEqual(told[39002], [d, alice, ["p", BOB.hex(), "baker"]])
        self.assertEqual(
            [tag[:2] for tag in told[39003]][1:],
            [
                ["role", "admin"],
                ["role", "moderator"],
            ],
        )
        self.assertEqual(told[39005], [d, ["e", "11" * 32]])

    def test_membership(self) -> None:
        """Rights and membership are asked by key."""
        group = Group("g", {ALICE: ("admin",), BOB: ()})
        self.assertTrue(group.may(ALICE, 9008))
        self.assertFalse(group.may(BOB, 9000))
        self.assertFalse(group.may(_USERS[2], 9000))
        self.assertTrue(group.has_any([_USERS[2], BOB]))
        self.assertFalse(group.has_any([]))

    def test_frozen(self) -> None:
        """A change makes another group and leaves the first as it was."""
        before = Group("g", {BOB: ()})
        event: Event = make_event(kind=9001, tags=[["p", BOB.hex()]])
        self.assertEqual(before.after(event).members, {})
        self.assertEqual(before.members, {BOB: ()})
        with self.assertRaises(attrs.exceptions.FrozenInstanceError):
            before.id = "x"  # type: ignore[misc]
