"""Tests for :mod:`nostrtx.relay.recent_ids`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.recent_ids import RecentIds
from tests.storage.events import event_id


class RecentIdsTests(SynchronousTestCase):
    """What is remembered, and for how long."""

    def test_empty(self) -> None:
        """An id that was never added is not there."""
        self.assertNotIn(event_id(1), RecentIds())

    def test_kept_for_a_generation(self) -> None:
        """Every id outlives as many later ones as a generation has."""
        recent = RecentIds(generation=4)
        for number in range(40):
            recent.add(event_id(number))
            for earlier in range(max(0, number - 4), number + 1):
                self.assertIn(event_id(earlier), recent)

    def test_bounded(self) -> None:
        """Two generations later an id is forgotten, so memory is bounded."""
        recent = RecentIds(generation=4)
        for number in range(40):
            recent.add(event_id(number))
        remembered = [number for number in range(40) if event_id(number) in recent]
        self.assertEqual(len(remembered), 8)

    def test_discard(self) -> None:
        """A discarded id is forgotten at once, in either half."""
        recent = RecentIds(generation=2)
        for number in range(3):
            recent.add(event_id(number))
        for number in range(3):
            recent.discard(event_id(number))
            self.assertNotIn(event_id(number), recent)

    def test_clear(self) -> None:
        """All ids can be forgotten at once."""
        recent = RecentIds(generation=2)
        for number in range(3):
            recent.add(event_id(number))
        recent.clear()
        for number in range(3):
            self.assertNotIn(event_id(number), recent)

    def test_discard_unknown(self) -> None:
        """Discarding what was never added changes nothing."""
        recent = RecentIds()
        recent.add(event_id(1))
        recent.discard(event_id(2))
        self.assertIn(event_id(1), recent)
