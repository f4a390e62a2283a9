"""Tests for :mod:`nostrtx.nostr.groups`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.groups import (
    CHANGES,
    MAX_PINS,
    RELAY_SIGNED,
    Profile,
    codes_of,
    group_ids,
    invite_code,
    named_events,
    named_users,
    pins_of,
    powers,
    profile_of,
    profile_tags,
    references,
    the_group_id,
)
from tests.storage.events import ALICE, BOB, make_event

_ID = "0123456789abcdef" * 4


def event(*tags: Sequence[str]) -> Event:
    """An event with these tags."""
    return make_event(kind=9000, tags=tags)


class GroupTests(SynchronousTestCase):
    """What the tags of events for groups say."""

    def assert_invalid(self, read: Callable[[Any], object], what: Any) -> None:
        """Assert that ``read`` refuses this as malformed."""
        refusal = self.assertRaises(Rejected, read, what)
        self.assertIs(refusal.prefix, ReasonPrefix.INVALID)

    def test_kinds(self) -> None:
        """Kinds that change groups, and kinds with which the relay tells of them."""
        self.assertEqual(min(CHANGES), 9000)
        self.assertEqual(CHANGES - set(range(9000, 9021)), {9021, 9022})
        self.assertEqual(RELAY_SIGNED, set(range(39000, 39006)))

    def test_group_ids(self) -> None:
        """Every h tag with a value names a group."""
        tags = [["h", "a", "wss://x"], ["h"], ["h", "b"], ["h", "a"], ["H", "c"]]
        self.assertEqual(group_ids(tags), {"a", "b"})

    def test_the_group_id(self) -> None:
        """What changes a group names exactly one, at moderate length."""
        self.assertEqual(the_group_id(event(["p", "x"], ["h", "a"])), "a")
        self.assertEqual(the_group_id(event(["h", "é" * 256])), "é" * 256)
        for tags in ([], [["h"]], [["h", ""]], [["h", "a"], ["h", "b"]]):
            self.assert_invalid(the_group_id, event(*tags))
        self.assert_invalid(the_group_id, event(["h", "x" * 257]))

    def test_powers(self) -> None:
        """Roles add up; unknown ones give nothing."""
        self.assertIn(9008, powers(["baker", "admin"]))
        self.assertEqual(powers(["moderator", "x"]), {9001, 9005, 9010})
        self.assertEqual(powers(["Admin", ""]), frozenset())

    def test_named_users(self) -> None:
        """Users are named by p tags, roles stand once each behind the key."""
        tags = [["p", ALICE.hex(), "a", "b", "a"], ["p", BOB.hex()]]
        self.assertEqual(named_users(event(*tags)), {ALICE: ("a", "b"), BOB: ()})
        for tag in (["e", ALICE.hex()], ["p"], ["p", "x"], ["p", ALICE.hex().upper()]):
            self.assert_invalid(named_users, event(tag))

    def test_named_events(self) -> None:
        """Events are named by e tags."""
        self.assertEqual(named_events(event(["e", _ID])), [bytes.fromhex(_ID)])
        for tag in (["a", _ID], ["e"], ["e", _ID[:-1] + "g"]):
            self.assert_invalid(named_events, event(tag))

    def test_pins(self) -> None:
        """Pins keep their order; there may be none."""
        address = f"30023:{_ID}:x:y"
        tags = [["e", _ID, "wss://x"], ["x"], ["a", address], ["e", _ID]]
        pins = (("e", _ID), ("a", address), ("e", _ID))
        self.assertEqual(pins_of(event(*tags)), pins)
        self.assertEqual(pins_of(event()), ())
        for tag in (["a"], ["a", "30023:" + _ID], ["a", f"70000:{_ID}:"]):
            self.assert_invalid(pins_of, event(tag))
        self.assertEqual(len(pins_of(event(*[["e", _ID]] * MAX_PINS))), MAX_PINS)
        self.assert_invalid(pins_of, event(*[["e", _ID]] * (MAX_PINS + 1)))

    def test_codes(self) -> None:
        """An invitation has one code."""
        self.assertEqual(invite_code(event(["code", "a b"])), "a b")
        self.assertEqual(codes_of(event(["code"], ["code", "a"])), ["a"])
        for tags in ([], [["code"]], [["code", "a"], ["code", "b"]]):
            self.assert_invalid(invite_code, event(*tags))
        self.assert_invalid(invite_code, event(["code", "x" * 257]))

    def test_references(self) -> None:
        """Values of all previous tags count."""
        tags = [["previous", "00000000", "abcdef01"], ["previous", "11111111"]]
        expected = {"00000000", "abcdef01", "11111111"}
        self.assertEqual(references(event(*tags)), expected)
        self.assertEqual(references(event(["previous"])), set())
        for value in ("", "0" * 7, "0" * 9, "ABCDEF01", "0000000g"):
            self.assert_invalid(references, event(["previous", value]))

    def test_profile(self) -> None:
        """The first of several values counts, as does a flag with anything behind."""
        tags = [["name", "a"], ["name", "b"], ["private", "no"], ["x"], ["about"]]
        self.assertEqual(profile_of(tags), Profile(name="a", private=True))
        self.assertEqual(profile_of([]), Profile())
        self.assertEqual(profile_of([["supported_kinds"]]).supported_kinds, frozenset())

    @given(
        st.builds(
            Profile,
            *[st.text(max_size=5)] * 4,
            *[st.booleans()] * 4,
            st.none() | st.frozensets(st.integers(0, 65535), max_size=3),
        )
    )
    def test_profile_tags(self, profile: Profile) -> None:
        """What is written of a profile is read again."""
        self.assertEqual(profile_of(profile_tags(profile)), profile)
