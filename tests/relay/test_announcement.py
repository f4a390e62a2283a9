"""Tests for :mod:`nostrtx.relay.announcement`."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.event import Event
from nostrtx.nostr.json import loads
from nostrtx.relay.announcement import Announcement
from nostrtx.relay.own_events import OwnEvents
from nostrtx.relay.own_key import OwnKey
from nostrtx.settings.identity import DiscoverySettings, RelaySettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import FakeTurns, HeldStore, log_of
from tests.storage.events import NOW


class AnnouncementTests(SynchronousTestCase):
    """The relay tells about itself."""

    def setUp(self) -> None:
        """A relay that announces itself every hour."""
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = HeldStore()
        self.delivered: list[Event] = []
        self.information: dict[str, Any] = {
            "name": "x",
            "supported_nips": [1],
            "limitation": {"auth_required": False},
        }
        self.settings = LiveSettings(
            Settings(
                relay=RelaySettings(url="wss://relay.example.com"),
                discovery=DiscoverySettings(
                    announce=True, refresh_seconds=3600, topics=("cats",)
                ),
            )
        )
        self.announcement = self.make_announcement()

    def make_announcement(self) -> Announcement:
        """The announcement as one process of the relay makes it."""
        key = OwnKey(None, lambda count: (7).to_bytes(count, "big"))
        key.load()
        events = log_of(
            self.store,
            FakeTurns(),
            self.clock,
            lambda event, seq, now: self.delivered.append(event),
        )
        announcement = Announcement(
            OwnEvents(key, self.store, self.clock, events),
            self.clock,
            lambda: self.information,
            self.settings,
        )
        self.addCleanup(announcement.stop)
        return announcement

    def test_other_settings(self) -> None:
        """Once the settings say something else, that is announced at once."""
        self.announcement.start()
        now = self.settings.now
        discovery = attrs.evolve(now.discovery, topics=("dogs",))
        self.clock.advance(1)
        self.settings.change(attrs.evolve(now, discovery=discovery))
        event = self.delivered[-1]
        self.assertEqual(len(self.delivered), 2)
        self.assertIn(["t", "dogs"], event.tags)
        self.announcement.stop()
        self.settings.change(now)
        self.assertEqual(len(self.delivered), 2)

    def test_turned_on(self) -> None:
        """It may be turned on and off while the relay runs."""
        now = self.settings.now
        off = attrs.evolve(now, discovery=attrs.evolve(now.discovery, announce=False))
        self.settings.change(off)
        self.announcement.start()
        self.assertEqual(self.delivered, [])
        self.settings.change(now)
        self.assertEqual(len(self.delivered), 1)
        self.settings.change(off)
        self.clock.advance(7200)
        self.assertEqual(len(self.delivered), 1)

    def test_at_the_start(self) -> None:
        """It is stored and delivered at once, with the information document."""
        self.announcement.start()
        (event,) = self.delivered
        self.assertTrue(self.store.holds(event))
        self.assertEqual((event.kind, event.created_at), (30166, NOW))
        self.assertIn(["d", "wss://relay.example.com/"], event.tags)
        self.assertIn(["t", "cats"], event.tags)
        members: Any = loads(event.raw)
        self.assertEqual(loads(members["content"]), self.information)

    def test_renewed(self) -> None:
        """It is renewed every so often, and tells what holds by then."""
        self.announcement.start()
        self.information["limitation"] = {"auth_required": True}
        self.clock.advance(3599)
        self.assertEqual(len(self.delivered), 1)
        self.clock.advance(1)
        before, after = self.delivered
        self.assertIn(["R", "!auth"], before.tags)
        self.assertIn(["R", "auth"], after.tags)
        self.assertFalse(self.store.holds(before))

    def test_restarted(self) -> None:
        """What was told lately, and holds still, is not told again after a restart."""
        self.announcement.start()
        self.clock.advance(1000)
        self.announcement.stop()
        self.settings = LiveSettings(
            Settings(
                relay=RelaySettings(url="wss://relay.example.com"),
                discovery=DiscoverySettings(
                    announce=True, refresh_seconds=3600, topics=("cats",)
                ),
            )
        )
        self.announcement = self.make_announcement()
        self.announcement.start()
        self.clock.advance(2599)
        self.assertEqual(self.store.last_seq(), 1)
        self.clock.advance(1)
        self.assertEqual(self.store.last_seq(), 2)

    def test_restarted_with_other_settings(self) -> None:
        """What holds no longer is told anew at once."""
        self.announcement.start()
        self.announcement.stop()
        self.information["name"] = "y"
        self.make_announcement().start()
        self.assertEqual(self.store.last_seq(), 2)

    def test_several_processes(self) -> None:
        """Of several processes one announces the relay, and another if that ends."""
        self.announcement.start()
        self.clock.advance(600)
        others = [self.make_announcement() for _ in range(3)]
        for other in others:
            other.start()
        self.assertEqual(self.store.last_seq(), 1)
        self.clock.advance(3000)
        self.assertEqual(self.store.last_seq(), 2)
        self.announcement.stop()
        others[0].stop()
        self.clock.advance(3600)
        self.assertEqual(self.store.last_seq(), 3)

    def test_at_the_same_time(self) -> None:
        """So it is with processes that look at the same moment."""
        leave = self.successResultOf(self.store.alone())
        for _ in range(3):
            self.make_announcement().start()
        self.assertEqual(self.store.last_seq(), 0)
        leave()
        self.assertEqual(self.store.last_seq(), 1)

    def test_store_fails(self) -> None:
        """If it cannot be stored that is logged, and tried again the next time."""
        self.store.save_error = StoreError("full")
        self.announcement.start()
        self.assertEqual(len(self.flushLoggedErrors(StoreError)), 1)
        self.store.save_error = None
        self.clock.advance(3600)
        self.assertEqual(len(self.delivered), 1)

    def test_stop(self) -> None:
        """After the stop there is no more of it."""
        self.announcement.start()
        self.announcement.stop()
        self.clock.advance(10_000)
        self.assertEqual(len(self.delivered), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
