"""Tests for :mod:`nostrtx.relay.management.used_once`."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.event import Event
from nostrtx.nostr.json import loads
from nostrtx.relay.management import used_once
from nostrtx.relay.management.used_once import KEPT_SECONDS, RECORD, UsedOnce
from tests.relay.fakes import HeldStore
from tests.storage.events import NOW, make_event


class UsedOnceTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.management.used_once.UsedOnce`."""

    def setUp(self) -> None:
        """Two processes with one store."""
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = HeldStore()
        self.here = UsedOnce(self.store, self.clock)
        self.there = UsedOnce(self.store, self.clock)

    def use(self, event: Event, process: UsedOnce | None = None) -> bool:
        """Use an authorization."""
        process = process or self.here
        return self.successResultOf(Deferred.fromCoroutine(process.use(event)))

    def authorization(self, content: str = "") -> Event:
        """One made now."""
        now = int(self.clock.seconds())
        return make_event(kind=27235, content=content, created_at=now)

    def test_once(self) -> None:
        """An authorization is good once, whichever process is asked."""
        event = self.authorization()
        self.assertTrue(self.use(event))
        self.assertFalse(self.use(event))
        self.assertFalse(self.use(event, self.there))
        self.assertFalse(self.use(event, UsedOnce(self.store, self.clock)))

    def test_each(self) -> None:
        """Others are good by themselves."""
        first, second = self.authorization("1"), self.authorization("2")
        self.assertTrue(self.use(first))
        self.assertTrue(self.use(second, self.there))
        self.assertFalse(self.use(first, self.there))

    def test_forgotten(self) -> None:
        """What is too old to be good is not remembered any longer."""
        old = self.authorization("old")
        self.use(old)
        self.clock.advance(KEPT_SECONDS - 1)
        self.assertFalse(self.use(old))
        self.clock.advance(1)
        new = self.authorization("new")
        self.assertTrue(self.use(new))
        kept = self.store.record(RECORD)
        assert kept is not None
        self.assertEqual(loads(kept), {new.id.hex(): new.created_at})

    def test_too_many(self) -> None:
        """Nothing is forgotten to make room: who calls too often has to wait."""
        self.patch(used_once, "MOST", 3)
        events = [self.authorization(str(n)) for n in range(4)]
        for event in events[:3]:
            self.assertTrue(self.use(event))
        failed = Deferred.fromCoroutine(self.here.use(events[3]))
        self.failureResultOf(failed, StoreError)
        self.assertFalse(self.use(events[0]))
        self.clock.advance(KEPT_SECONDS)
        self.assertTrue(self.use(self.authorization("later")))

    def test_store_fails(self) -> None:
        """An authorization is not good if it cannot be remembered."""
        self.store.record_error = StoreError("full")
        failed = Deferred.fromCoroutine(self.here.use(self.authorization()))
        self.failureResultOf(failed, StoreError)
