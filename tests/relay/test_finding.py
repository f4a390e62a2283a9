"""Tests for :mod:`nostrtx.relay.finding`."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.filters import Filter
from nostrtx.relay.finding import find_events
from nostrtx.storage.memory import MemoryEventStore
from tests.storage.events import make_event


class FindEventsTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.relay.finding.find_events`."""

    def test_all(self) -> None:
        """All that match any of the filters are found, newest first."""
        store = MemoryEventStore()
        events = [
            make_event(
                content="x" * 300_000, kind=kind, created_at=1_700_000_000 + kind
            )
            for kind in range(1, 8)
        ]
        self.successResultOf(store.save_events(events))
        filters = [Filter(kinds=(1, 2, 3, 4, 5)), Filter(kinds=(7,))]
        found = self.successResultOf(
            Deferred.fromCoroutine(find_events(store, filters, 1_700_000_100))
        )
        self.assertEqual([event.kind for event in found], [7, 5, 4, 3, 2, 1])

    def test_none(self) -> None:
        """Where nothing matches, nothing is found."""
        finding = find_events(MemoryEventStore(), [Filter(kinds=(1,))], 0)
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(finding)), [])
