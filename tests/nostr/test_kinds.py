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
