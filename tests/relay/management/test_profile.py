"""Tests for :mod:`nostrtx.relay.management.profile`."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.json import dumps
from nostrtx.relay.management.kept import Keeping
from nostrtx.relay.management.profile import RECORD, Profile
from nostrtx.settings.identity import RelaySettings
from tests.broadcast.fakes import FakeBroadcaster
from tests.relay.fakes import HeldStore

_STATED = RelaySettings(name="stated", description="as stated", contact="mailto:a@b")


class ProfileTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.management.profile.Profile`."""

    def setUp(self) -> None:
        """Two processes with one store, both of which run."""
        self.clock = Clock()
        self.store = HeldStore()
        self.buses: list[FakeBroadcaster] = []
        self.here, _ = self.make_profile("here")
        self.there, self.theirs = self.make_profile("there")

    def make_profile(self, name: str) -> tuple[Profile, Keeping]:
        """What one process knows that runs, and how it keeps that."""
        bus = FakeBroadcaster(name, self.buses)
        keeping = Keeping(self.store, bus, self.clock, 1)
        profile = Profile(keeping, _STATED)
        keeping.start()
        self.addCleanup(keeping.stop)
        return profile, keeping

    def change(self, field: str, text: str) -> None:
        """Change something here."""
        changing = Deferred.fromCoroutine(self.here.change(field, text))
        self.assertIsNone(self.successResultOf(changing))

    def test_stated(self) -> None:
        """As long as nothing was changed, the settings hold."""
        self.assertEqual(self.here.relay, _STATED)

    def test_changed(self) -> None:
        """What is changed holds at once in all processes; the rest stays."""
        self.change("name", "changed")
        self.change("icon", "https://a.example/icon.png")
        for profile in (self.here, self.there):
            self.assertEqual(profile.relay.name, "changed")
            self.assertEqual(profile.relay.icon, "https://a.example/icon.png")
            self.assertEqual(profile.relay.description, "as stated")
            self.assertEqual(profile.relay.contact, "mailto:a@b")

    def test_durable(self) -> None:
        """It holds for a process that starts later."""
        self.change("description", "für alle")
        later, _ = self.make_profile("later")
        self.assertEqual(later.relay.description, "für alle")

    def test_taken_back(self) -> None:
        """After an empty text the settings hold again."""
        self.change("name", "changed")
        self.change("description", "changed")
        self.change("name", "")
        for profile in (self.here, self.there):
            self.assertEqual(profile.relay.name, "stated")
            self.assertEqual(profile.relay.description, "changed")

    def test_both_change(self) -> None:
        """A process that has not heard of a change does not undo it."""
        self.buses[0].is_deaf = True
        changing = Deferred.fromCoroutine(self.there.change("icon", "https://b/"))
        self.successResultOf(changing)
        self.assertEqual(self.here.relay.icon, "")
        self.change("name", "changed")
        self.assertEqual(self.here.relay.icon, "https://b/")
        self.assertEqual(self.there.relay.name, "changed")

    def test_news_is_lost(self) -> None:
        """What nobody told is found in the store soon after."""
        self.buses[1].is_deaf = True
        self.change("name", "changed")
        self.assertEqual(self.there.relay.name, "stated")
        self.clock.advance(1)
        self.assertEqual(self.there.relay.name, "changed")

    def test_store_fails(self) -> None:
        """A change that cannot be kept does not hold, and whoever asked is told."""
        self.store.record_error = StoreError("full")
        changing = Deferred.fromCoroutine(self.here.change("name", "changed"))
        self.failureResultOf(changing, StoreError)
        self.clock.advance(1)
        self.store.record_error = None
        self.clock.advance(1)
        self.assertEqual(self.here.relay, _STATED)
        self.change("name", "changed")
        self.assertEqual(self.there.relay.name, "changed")

    def test_loaded(self) -> None:
        """It is known when all has been read, which a store that fails delays."""
        self.assertTrue(self.theirs.loaded.is_past)
        self.store.record_error = StoreError("down")
        _, later = self.make_profile("later")
        self.assertFalse(later.loaded.is_past)
        self.store.record_error = None
        self.clock.advance(1)
        self.assertTrue(later.loaded.is_past)

    def test_later_version(self) -> None:
        """What only a later version can change is passed over, and kept."""
        record = dumps({"name": "changed", "colour": "red", "contact": "nobody"})
        self.successResultOf(self.store.change_record(RECORD, lambda there: record))
        self.clock.advance(1)
        self.assertEqual(self.here.relay.name, "changed")
        self.assertEqual(self.here.relay.contact, "mailto:a@b")
        self.change("name", "again")
        kept = self.store.record(RECORD)
        assert kept is not None
        self.assertIn(b'"colour":"red"', kept)

    def test_stopped(self) -> None:
        """Whoever has stopped reads no more."""
        self.theirs.stop()
        self.change("name", "changed")
        self.clock.advance(5)
        self.assertEqual(self.there.relay.name, "stated")
