"""Tests for :mod:`nostrtx.storage.postgres.keys`."""

from __future__ import annotations

from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.event import MAX_CREATED_AT
from nostrtx.storage.postgres.keys import (
    AFTER_PLACES,
    FIRST_PLACE,
    address_key,
    address_of,
    created_at_of,
    end_of_places,
    first_place,
    own_d_key,
    place_of,
    tag_key,
    tag_keys,
)
from tests.storage.events import ALICE, BOB, NOW, make_event


class PlaceTests(SynchronousTestCase):
    """Where events stand."""

    def test_order(self) -> None:
        """Backwards, places are newest first, and then by id, lowest first."""
        times = (0, 1, 255, 256, NOW, 2**32 - 1, 2**32, MAX_CREATED_AT)
        ids = (bytes(32), b"\x00" * 10 + b"\x01" * 22, b"\x7f" * 32, b"\xff" * 32)
        ordered = [place_of(time, id_) for time in reversed(times) for id_ in ids]
        for one, following in pairwise(ordered):
            self.assertGreater(one, following)
        for place in ordered:
            self.assertEqual(len(place), 16)
            self.assertTrue(FIRST_PLACE <= place < AFTER_PLACES)
        self.assertEqual(created_at_of(place_of(NOW, ids[2])), NOW)

    def test_bounds(self) -> None:
        """All events of a second are within its bounds, and no others."""
        for time in (0, 1, NOW, MAX_CREATED_AT):
            first, end = first_place(time), end_of_places(time)
            assert first is not None
            assert end is not None
            for id_ in (bytes(32), b"\xff" * 32):
                self.assertTrue(first <= place_of(time, id_) < end)
                if time:
                    self.assertLess(place_of(time - 1, id_), first)
                if time < MAX_CREATED_AT:
                    self.assertGreaterEqual(place_of(time + 1, id_), end)

    def test_beyond(self) -> None:
        """Any number is a bound; beyond all times there is nothing."""
        for since in (None, -(2**70), -1, 0):
            self.assertEqual(first_place(since), FIRST_PLACE)
        for since in (MAX_CREATED_AT + 1, 2**70):
            self.assertIsNone(first_place(since))
        for until in (None, MAX_CREATED_AT, 2**70):
            self.assertEqual(end_of_places(until), AFTER_PLACES)
        for until in (-1, -(2**70)):
            self.assertIsNone(end_of_places(until))


class HashTests(SynchronousTestCase):
    """What stands for tags and addresses."""

    def test_told_apart(self) -> None:
        """Different tags and addresses have different keys, of 16 bytes each."""
        keys = [
            tag_key("t", "a"),
            tag_key("T", "a"),
            tag_key("t", ""),
            tag_key("t", "a\x00"),
            tag_key("t", "\x00a"),
            own_d_key(ALICE, "a"),
            own_d_key(BOB, "a"),
            own_d_key(ALICE, ""),
            address_key(ALICE, 0, ""),
            address_key(ALICE, 1, ""),
            address_key(ALICE, 256, ""),
            address_key(BOB, 0, ""),
            address_key(ALICE, 30000, "x"),
        ]
        self.assertEqual(len(set(keys)), len(keys))
        self.assertEqual({len(key) for key in keys}, {16})

    def test_addresses(self) -> None:
        """Replaceable events have an address without ``d``, notes have none."""
        self.assertIsNone(address_of(make_event(tags=[["d", "x"]])))
        profile = make_event(kind=0, tags=[["d", "x"]])
        self.assertEqual(address_of(profile), address_key(ALICE, 0, ""))
        article = make_event(kind=30023, tags=[["d", "x"], ["d", "y"]])
        self.assertEqual(address_of(article), address_key(ALICE, 30023, "x"))

    def test_tags(self) -> None:
        """Of an addressable event each ``d`` is found under its author as well."""
        tags = [["d", "x"], ["d", "y"], ["t", "x"], ["long", "x"]]
        common = {tag_key("d", "x"), tag_key("d", "y"), tag_key("t", "x")}
        self.assertEqual(tag_keys(make_event(tags=tags)), common)
        own = {own_d_key(ALICE, "x"), own_d_key(ALICE, "y")}
        self.assertEqual(tag_keys(make_event(kind=30023, tags=tags)), common | own)
        bare = {tag_key("d", ""), own_d_key(ALICE, "")}
        self.assertEqual(tag_keys(make_event(kind=30023)), bare)
