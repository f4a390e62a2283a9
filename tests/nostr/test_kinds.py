"""Tests for :mod:`nostrtx.nostr.kinds`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.kinds import (
    MAX_KIND,
    NEVER_SERVED,
    UNDELETABLE,
    has_address,
    is_addressable,
    is_ephemeral,
    is_replaceable,
    parse_kinds,
)


class KindTests(SynchronousTestCase):
    """Tests for the ranges of kinds in NIP-01."""

    def test_ranges(self) -> None:
        """Each kind belongs to at most one of the ranges of NIP-01."""
        replaceable = {0, 3, *range(10000, 20000)}
        ephemeral = set(range(20000, 30000))
        addressable = set(range(30000, 40000))
        kinds = range(MAX_KIND + 1)
        self.assertEqual({k for k in kinds if is_replaceable(k)}, replaceable)
        self.assertEqual({k for k in kinds if is_ephemeral(k)}, ephemeral)
        self.assertEqual({k for k in kinds if is_addressable(k)}, addressable)
        self.assertEqual(
            {k for k in kinds if has_address(k)}, replaceable | addressable
        )

    def test_never_served(self) -> None:
        """Proofs of identity for one server are never passed on."""
        self.assertEqual(NEVER_SERVED, {22242, 27235})

    def test_undeletable(self) -> None:
        """Requests to delete and to vanish cannot be deleted."""
        self.assertEqual(UNDELETABLE, {5, 62})


class ParseKindsTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.kinds.parse_kinds`."""

    def test_numbers_and_ranges(self) -> None:
        """A range holds both of its ends; a number may be a string."""
        self.assertEqual(
            parse_kinds([1, "4", "30000-39999", " 5 - 6 "]),
            (range(1, 2), range(4, 5), range(30000, 40000), range(5, 7)),
        )

    def test_refused(self) -> None:
        """What is no kind, or runs backwards, is refused."""
        for stated in (-1, 65536, "", "a", "1-", "-1", "2-1", "1-65536", "1,2"):
            self.assertRaises(ValueError, parse_kinds, [stated])
