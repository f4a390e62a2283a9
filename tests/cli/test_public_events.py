"""Tests for :mod:`nostrtx.cli.public_events`."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.cli.public_events import public_events
from nostrtx.nostr.event import Event
from nostrtx.settings.access import GroupSettings
from nostrtx.settings.tree import Settings
from nostrtx.storage.memory import MemoryEventStore
from tests.storage.events import NOW, make_event


class PublicEventsTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.cli.public_events.public_events`."""

    def setUp(self) -> None:
        """Have two groups, of which one is private."""
        self.store = MemoryEventStore()
        self.store.open()
        self.save(
            make_event(kind=39000, tags=[["d", "open"], ["name", "Open"]]),
            make_event(kind=39000, tags=[["d", "shut"], ["private"], ["closed"]]),
        )

    def save(self, *events: Event) -> None:
        """Have events in the store."""
        self.successResultOf(self.store.save_events(events))

    def public(self, settings: Settings, events: Sequence[Event]) -> list[bool]:
        """Whether each of the events is public."""
        choosing = public_events(settings, self.store, lambda: NOW)
        may_send = self.successResultOf(Deferred.fromCoroutine(choosing))
        return [may_send(event) for event in events]

    def test_private_kinds(self) -> None:
        """Direct messages and gift wraps are not, nor what has expired."""
        events = [
            make_event(kind=1),
            make_event(kind=4),
            make_event(kind=1059),
            make_event(tags=[["expiration", str(NOW)]]),
        ]
        self.assertEqual(self.public(Settings(), events), [True, False, False, False])

    def test_groups(self) -> None:
        """Nor is what is in a private group, on a relay with groups."""
        events = [
            make_event(kind=9, tags=[["h", group]]) for group in ("open", "shut", "?")
        ]
        settings = Settings(groups=GroupSettings(enabled=True))
        self.assertEqual(self.public(settings, events), [True, False, True])
        self.assertEqual(self.public(Settings(), events), [True] * 3)
