"""Tests for the expiration of :class:`nostrtx.nostr.event.Event` (NIP-40)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.event import parse_event
from tests.nostr.vectors import load


class ExpirationVectorTests(SynchronousTestCase):
    """When an event expires, by the vectors."""

    def test_boundary(self) -> None:
        """An event is there until the second that it names, not in it."""
        vector = load("protected_expiration")["expiration"]
        event = parse_event(vector["event"])
        self.assertEqual(event.expiration, vector["expires_at"])
        self.assertFalse(event.is_expired(vector["expires_at"] - 0.001))
        self.assertTrue(event.is_expired(vector["expires_at"]))

    def test_odd_values(self) -> None:
        """What is not a plain decimal number does not expire, soon at least."""
        cases = load("protected_expiration")["expiration"]["odd_values"]
        self.assertEqual(len(cases), 8)
        for case in cases:
            event = parse_event(case["event"])
            self.assertEqual(event.tags, [["expiration", case["value"]]])
            self.assertFalse(event.is_expired(2**40), case["value"])
