"""Tests for :mod:`nostrtx.relay.own_events`."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.event import Event
from nostrtx.relay.own_events import Draft, OwnEvents
from nostrtx.relay.own_key import OwnKey
from nostrtx.storage.memory import MemoryEventStore
from tests.relay.fakes import FakeTurns, HeldStore, log_of
from tests.storage.events import NOW, public_key, signed_event

_LIST = 13534
_ROLE = 33534


class OwnEventsTests(SynchronousTestCase):
    """What the relay signs itself."""

    def setUp(self) -> None:
        """A relay's key, 7, and a store."""
        self.clock = Clock()
        self.clock.advance(NOW + 0.5)
        self.store = HeldStore(self.clock)
        key = OwnKey(None, lambda count: (7).to_bytes(count, "big"))
        key.load()
        self.delivered: list[tuple[Event, int]] = []
        events = log_of(self.store, FakeTurns(), self.clock, self.deliver)
        self.own = OwnEvents(key, self.store, self.clock, events)

    def deliver(self, event: Event, seq: int, now: float) -> None:
        """Record a delivery."""
        self.delivered.append((event, seq))

    def publish(self, *drafts: Draft) -> None:
        """Publish at once."""
        self.successResultOf(Deferred.fromCoroutine(self.own.publish(drafts)))

    def stored(self, kind: int) -> list[Event]:
        """What the relay has said of a kind."""
        return self.successResultOf(Deferred.fromCoroutine(self.own.stored(kind)))

    def test_publish(self) -> None:
        """What is published is signed, stored, and delivered under its place."""
        self.publish(Draft(8000, [["-"], ["p", "ab" * 32]]), Draft(1, (), "hello"))
        expected = [
            signed_event(7, kind=8000, tags=[["-"], ["p", "ab" * 32]]),
            signed_event(7, kind=1, content="hello"),
        ]
        self.assertEqual(
            [(event.raw, seq) for event, seq in self.delivered],
            [(event.raw, seq) for seq, event in enumerate(expected, 1)],
        )
        for event in expected:
            self.assertTrue(self.store.holds(event))

    def test_not_delivered_before_the_commit(self) -> None:
        """Nobody is sent what is not stored yet."""
        self.store.hold_saves = True
        published = Deferred.fromCoroutine(self.own.publish([Draft(1, ())]))
        self.store.saves[0].commit()
        self.assertEqual(self.delivered, [])
        self.store.saves[0].succeed()
        self.successResultOf(published)
        self.assertEqual(len(self.delivered), 1)

    def test_one_after_the_other(self) -> None:
        """Who publishes while another publication is under way waits for it."""
        self.store.hold_saves = True
        first = Deferred.fromCoroutine(self.own.publish([Draft(_LIST, ())]))
        second = Deferred.fromCoroutine(self.own.publish([Draft(_LIST, [["-"]])]))
        self.assertEqual(len(self.store.saves), 1)
        self.store.saves[0].succeed()
        self.successResultOf(first)
        self.store.saves[1].succeed()
        self.successResultOf(second)
        (event,) = self.stored(_LIST)
        self.assertEqual((event.tags, event.created_at), ([["-"]], NOW + 1))

    def test_strictly_later(self) -> None:
        """Each version is dated after the one before, however quick they follow."""
        for _ in range(3):
            self.publish(Draft(_LIST, [["-"]]))
        self.assertEqual(
            [event.created_at for event, _ in self.delivered], [NOW, NOW + 1, NOW + 2]
        )
        self.clock.advance(100)
        self.publish(Draft(_LIST, [["-"]]))
        self.assertEqual(self.delivered[-1][0].created_at, NOW + 100)

    def test_after_what_the_store_has(self) -> None:
        """It counts what is in the store, even if its date is yet to come."""
        earlier = signed_event(7, kind=_LIST, created_at=NOW + 50)
        self.successResultOf(self.store.inner.save_events([earlier]))
        self.publish(Draft(_LIST, [["-"]]))
        self.assertEqual([one.created_at for one in self.stored(_LIST)], [NOW + 51])

    def test_addresses_are_apart(self) -> None:
        """Versions of one address do not date those of another."""
        self.publish(Draft(_ROLE, [["d", "a"]]))
        self.publish(Draft(_ROLE, [["d", "a"]]), Draft(_ROLE, [["d", "b"]]))
        self.assertEqual(
            {event.tags[0][1]: event.created_at for event in self.stored(_ROLE)},
            {"a": NOW + 1, "b": NOW},
        )

    def test_after_a_deletion(self) -> None:
        """What was deleted can be said again, later than its deletion."""
        self.publish(Draft(_ROLE, [["d", "a"]]))
        where = f"{_ROLE}:{public_key(7).hex()}:a"
        self.clock.advance(3)
        self.publish(Draft(5, [["a", where]]))
        self.assertEqual(self.stored(_ROLE), [])
        self.publish(Draft(_ROLE, [["d", "a"]]))
        self.assertEqual([one.created_at for one in self.stored(_ROLE)], [NOW + 4])

    def test_not_before(self) -> None:
        """What has to follow something is dated then or later."""
        self.publish(Draft(5, [["k", "1"]], not_before=NOW + 7))
        self.assertEqual(self.delivered[-1][0].created_at, NOW + 7)

    def test_strangers_are_not_its_own(self) -> None:
        """Only what the relay's key has signed is the relay's."""
        stranger = signed_event(8, kind=_LIST, created_at=NOW + 50)
        self.successResultOf(self.store.inner.save_events([stranger]))
        self.assertEqual(self.stored(_LIST), [])

    def test_pages(self) -> None:
        """All is found, however many pages it takes."""
        drafts = [Draft(8000, [["p", str(number)]]) for number in range(5)]
        self.publish(*drafts)
        self.store.page_events = 2
        self.assertEqual(len(self.stored(8000)), 5)
        self.assertEqual(self.store.queries[-1].closed, 1)

    def test_store_fails(self) -> None:
        """A store that fails is told of, and does not stand in the way later."""
        self.store.save_error = StoreError("the disk is full")
        failing = Deferred.fromCoroutine(self.own.publish([Draft(1, ())]))
        self.failureResultOf(failing, StoreError)
        self.store.save_error = None
        self.publish(Draft(1, ()))
        self.assertEqual(len(self.delivered), 1)

    def test_no_place(self) -> None:
        """If a deletion from the far future stands above, that is a failure."""
        where = f"{_ROLE}:{public_key(7).hex()}:a"
        deletion = signed_event(7, kind=5, tags=[["a", where]], created_at=NOW + 10_000)
        self.assertIsInstance(self.store.inner, MemoryEventStore)
        self.successResultOf(self.store.inner.save_events([deletion]))
        failing = Deferred.fromCoroutine(self.own.publish([Draft(_ROLE, [["d", "a"]])]))
        self.failureResultOf(failing, StoreError)

    def test_sign(self) -> None:
        """What is only signed goes nowhere."""
        event = self.own.sign(Draft(28935, [["-"]]))
        self.assertEqual(event.raw, signed_event(7, kind=28935, tags=[["-"]]).raw)
        self.assertEqual(self.store.inner.last_seq(), 0)
        self.assertEqual(self.own.pubkey, public_key(7))
