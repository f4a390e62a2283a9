"""Tests for :mod:`nostrtx.relay.bans`."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import BanChange, StoreError
from nostrtx.nostr.bans import Ban, BanError, BanKind
from nostrtx.relay.bans import Bans, read_bans
from nostrtx.storage.memory import MemoryEventStore
from tests.broadcast.fakes import FakeBroadcaster
from tests.relay.fakes import HeldStore
from tests.storage.events import ALICE, ALICES_TWIN, BOB

_T = TypeVar("_T")

_OWN = ALICES_TWIN.hex()
_ALICES = Ban(BanKind.PUBKEY, ALICE.hex(), "spam", 1)
_BOBS = Ban(BanKind.PUBKEY, BOB.hex(), "", 2)
_NETWORK = Ban(BanKind.ADDRESS, "203.0.113.0/24")


class BansTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.bans.Bans`."""

    def setUp(self) -> None:
        """Two processes with one store, the first of which runs."""
        self.clock = Clock()
        self.store = HeldStore()
        self.buses: list[FakeBroadcaster] = []
        self.heard: list[tuple[BanKind, Sequence[BanChange]]] = []
        self.bans = self.make_bans("here")
        for kind in (BanKind.PUBKEY, BanKind.ADDRESS):
            self.bans.follow(kind, partial(self.hear, kind))
        self.other = self.make_bans("there")
        self.bans.following.start()

    def hear(self, kind: BanKind, changes: Sequence[BanChange]) -> None:
        """Record what a follower is told."""
        self.heard.append((kind, changes))

    def make_bans(self, name: str) -> Bans:
        """The bans as one process sees them."""
        bus = FakeBroadcaster(name, self.buses)
        bans = Bans(self.store, bus, self.clock, 1, lambda: _OWN)
        self.addCleanup(bans.following.stop)
        return bans

    def do(self, doing: Coroutine[Deferred[Any], Any, _T]) -> _T:
        """What comes of a change that is made at once."""
        return self.successResultOf(Deferred.fromCoroutine(doing))

    def stored(self, *bans: Ban) -> None:
        """Ban by way of the store, as a command does, and tell nobody."""
        self.successResultOf(self.store.put_bans(bans))

    def banned_keys(self, bans: Bans | None = None) -> list[Ban]:
        """The bans of keys that a process knows."""
        return (bans or self.bans).banned.bans(BanKind.PUBKEY)

    def test_at_the_start(self) -> None:
        """What was banned before holds when the process starts."""
        self.stored(_ALICES, _NETWORK)
        self.assertFalse(self.other.loaded.is_past)
        self.other.following.start()
        self.assertTrue(self.other.loaded.is_past)
        self.assertEqual(self.banned_keys(self.other), [_ALICES])
        self.assertEqual(self.other.banned.bans(BanKind.ADDRESS), [_NETWORK])

    def test_store_elsewhere(self) -> None:
        """With a store elsewhere, it is known when all bans have been read."""
        self.stored(_ALICES)
        self.store.hold_bans = True
        self.other.following.start()
        self.assertFalse(self.other.loaded.is_past)
        self.store.give_bans()
        self.assertTrue(self.other.loaded.is_past)
        self.assertEqual(self.banned_keys(self.other), [_ALICES])

    def test_here(self) -> None:
        """A ban holds once it was made, and followers have heard of it."""
        self.do(self.bans.put([_ALICES]))
        self.assertEqual(self.banned_keys(), [_ALICES])
        ((kind, (change,)),) = self.heard
        self.assertEqual(kind, BanKind.PUBKEY)
        self.assertEqual((change.ban, change.is_lifted), (_ALICES, False))

    def test_lifted(self) -> None:
        """A ban that is lifted holds no more, and followers hear of that as well."""
        self.do(self.bans.put([_ALICES, _BOBS]))
        self.heard.clear()
        self.assertTrue(self.do(self.bans.lift(BanKind.PUBKEY, ALICE.hex())))
        self.assertEqual(self.banned_keys(), [_BOBS])
        ((_, (change,)),) = self.heard
        self.assertTrue(change.is_lifted)
        self.assertFalse(self.do(self.bans.lift(BanKind.PUBKEY, ALICE.hex())))

    def test_opposite(self) -> None:
        """Who is banned is allowed no longer, and who is allowed not banned."""
        allowed = Ban(BanKind.ALLOWED_PUBKEY, ALICE.hex(), "a friend", 3)
        self.do(self.bans.put([allowed]))
        self.do(self.bans.put([_ALICES, _NETWORK]))
        self.assertEqual(self.bans.banned.bans(BanKind.ALLOWED_PUBKEY), [])
        self.assertEqual(self.banned_keys(), [_ALICES])
        self.do(self.bans.put([allowed]))
        self.assertEqual(self.bans.banned.bans(BanKind.ALLOWED_PUBKEY), [allowed])
        self.assertEqual(self.banned_keys(), [])
        self.assertEqual(self.bans.banned.bans(BanKind.ADDRESS), [_NETWORK])

    def test_each_hears_of_its_kind(self) -> None:
        """Followers hear of their own kind of bans, of all at once."""
        self.do(self.bans.put([_ALICES, _NETWORK, _BOBS]))
        heard = {kind: [c.ban for c in changes] for kind, changes in self.heard}
        self.assertEqual(
            heard, {BanKind.PUBKEY: [_ALICES, _BOBS], BanKind.ADDRESS: [_NETWORK]}
        )

    def test_elsewhere(self) -> None:
        """A ban made in one process holds in the others at once."""
        self.other.following.start()
        self.do(self.other.put([_ALICES]))
        self.assertEqual(self.banned_keys(), [_ALICES])
        self.do(self.bans.lift(BanKind.PUBKEY, ALICE.hex()))
        self.assertEqual(self.banned_keys(self.other), [])

    def test_news_is_lost(self) -> None:
        """A ban of which no news came holds after a second."""
        self.other.following.start()
        self.buses[0].is_connected = False
        self.do(self.other.put([_ALICES]))
        self.assertEqual(self.banned_keys(), [])
        self.clock.advance(1)
        self.assertEqual(self.banned_keys(), [_ALICES])

    def test_connected_again(self) -> None:
        """Once news arrives again, what was missed is looked up."""
        self.buses[0].is_connected = False
        self.stored(_ALICES)
        self.buses[0].reconnect()
        self.assertEqual(self.banned_keys(), [_ALICES])

    def test_command(self) -> None:
        """What a command did to the store, which told nobody, holds after a second."""
        self.stored(_ALICES)
        self.assertEqual(self.banned_keys(), [])
        self.clock.advance(1)
        self.assertEqual(self.banned_keys(), [_ALICES])
        self.successResultOf(self.store.lift_bans([(BanKind.PUBKEY, ALICE.hex())]))
        self.clock.advance(1)
        self.assertEqual(self.banned_keys(), [])

    def test_nothing_changed(self) -> None:
        """Where nothing has changed, followers are left in peace."""
        self.do(self.bans.put([_ALICES]))
        self.heard.clear()
        self.clock.pump([1] * 5)
        self.bans.following.read()
        self.assertEqual(self.heard, [])

    def test_many(self) -> None:
        """Many changes are read over several turns; followers hear of them once."""
        keys = [n.to_bytes(32, "big").hex() for n in range(1, 2501)]
        self.stored(*[Ban(BanKind.PUBKEY, key) for key in keys])
        self.bans.following.read()
        self.assertEqual(len(self.bans.banned), 250)
        self.assertEqual(len(self.heard), 0)
        self.clock.advance(0)
        self.assertEqual([b.subject for b in self.banned_keys()], keys)
        ((_, changes),) = self.heard
        self.assertEqual(len(changes), 2500)

    def test_news_while_reading(self) -> None:
        """However much news comes during a reading, one more suffices."""
        self.store.hold_bans = True
        for _ in range(5):
            self.bans.following.read()
        self.assertEqual(len(self.store.ban_parts), 1)
        self.stored(_ALICES)
        self.store.give_bans()
        self.stored(_BOBS)
        for _ in range(5):
            self.store.give_bans()
        self.assertEqual(self.store.ban_parts, [])
        self.assertEqual(self.banned_keys(), [_ALICES, _BOBS])

    def test_put_back(self) -> None:
        """After the store was put back, what it has holds, and nothing else."""
        self.stored(_ALICES, _NETWORK)
        before = MemoryEventStore()
        self.successResultOf(before.put_bans([_ALICES, _NETWORK]))
        self.do(self.bans.put([_BOBS]))
        self.do(self.bans.lift(BanKind.ADDRESS, _NETWORK.subject))
        self.heard.clear()
        self.store.inner = before
        self.stored(Ban(BanKind.EVENT, BOB.hex()))
        with capturedLogs() as events:
            self.clock.pump([1, 1])
            told = [event for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(len(told), 1)
        self.assertEqual(self.banned_keys(), [_ALICES])
        self.assertEqual(self.bans.banned.bans(BanKind.ADDRESS), [_NETWORK])
        self.assertIn(BOB, self.bans.banned.events)
        heard = [(c.ban, c.is_lifted) for _, changes in self.heard for c in changes]
        self.assertCountEqual(
            heard, [(_BOBS, True), (_ALICES, False), (_NETWORK, False)]
        )
        self.stored(_BOBS)
        self.clock.advance(1)
        self.assertEqual(self.banned_keys(), [_ALICES, _BOBS])

    def test_all_lost(self) -> None:
        """Also if it has lost all of them."""
        self.do(self.bans.put([_ALICES]))
        self.store.inner = MemoryEventStore()
        self.clock.advance(1)
        self.assertEqual(self.banned_keys(), [])
        self.stored(_BOBS)
        self.clock.advance(1)
        self.assertEqual(self.banned_keys(), [_BOBS])

    def test_own_key(self) -> None:
        """The relay's own key cannot be banned, nor does such a ban hold."""
        own = Ban(BanKind.PUBKEY, _OWN)
        refused = Deferred.fromCoroutine(self.bans.put([_ALICES, own]))
        self.failureResultOf(refused, BanError)
        self.assertEqual(self.store.ban_changes(0, 9), [])
        self.stored(own, _ALICES)
        self.clock.advance(1)
        self.assertEqual(self.banned_keys(), [_ALICES])

    def test_store_fails(self) -> None:
        """While the store fails, what was read holds; it is said once, and tried on."""
        self.do(self.bans.put([_ALICES]))
        self.store.bans_error = StoreError("down")
        with capturedLogs() as events:
            self.clock.pump([1, 1, 1])
            levels = [event["log_level"] for event in events]
        self.assertEqual(levels, [LogLevel.error])
        self.assertEqual(self.banned_keys(), [_ALICES])
        refused = Deferred.fromCoroutine(self.bans.lift(BanKind.PUBKEY, ALICE.hex()))
        self.failureResultOf(refused, StoreError)
        self.store.bans_error = None
        self.clock.advance(1)
        self.assertEqual(self.banned_keys(), [])

    def test_defect(self) -> None:
        """A reading that fails as none should is told in full, once, and tried on."""
        self.store.bans_error = ZeroDivisionError("on purpose")
        self.other.following.start()
        self.clock.pump([1, 1, 1])
        # Once by each of the two.
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertFalse(self.other.loaded.is_past)
        self.stored(_ALICES)
        self.store.bans_error = None
        self.clock.advance(1)
        self.assertTrue(self.other.loaded.is_past)
        for bans in (self.bans, self.other):
            self.assertEqual(self.banned_keys(bans), [_ALICES])

    def test_not_understood(self) -> None:
        """A ban that makes no sense is passed over, and those behind it hold."""
        nonsense = [Ban(BanKind.ADDRESS, "all"), Ban(BanKind.PUBKEY, "everybody")]
        self.stored(*nonsense, _ALICES, _NETWORK)
        with capturedLogs() as events:
            self.clock.pump([1, 1, 1])
            told = [event for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(len(told), 2)
        self.assertEqual(self.banned_keys(), [_ALICES])
        self.assertEqual(self.bans.banned.bans(BanKind.ADDRESS), [_NETWORK])
        heard = [change.ban for _, changes in self.heard for change in changes]
        self.assertCountEqual(heard, [_ALICES, _NETWORK])
        self.assertEqual(len(self.do(read_bans(self.store))), 2)

    def test_follower_raises(self) -> None:
        """A follower that fails is logged, and the others hear all the same."""
        bans = self.make_bans("third")

        def fail(changes: Sequence[BanChange]) -> None:
            raise ValueError("on purpose")

        heard: list[Sequence[BanChange]] = []
        bans.follow(BanKind.PUBKEY, fail)
        bans.follow(BanKind.PUBKEY, heard.append)
        self.stored(_ALICES)
        bans.following.start()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(len(heard), 1)
        self.assertTrue(bans.loaded.is_past)

    def test_stopped(self) -> None:
        """A process that has stopped reads nothing, whatever news comes."""
        self.bans.following.stop()
        self.stored(_ALICES)
        self.buses[1].publish("bans", b"")
        self.clock.advance(5)
        self.assertEqual(self.banned_keys(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_read_once(self) -> None:
        """What is banned at a moment can be read from the store by itself."""
        keys = [n.to_bytes(32, "big").hex() for n in range(1, 1501)]
        self.stored(*[Ban(BanKind.PUBKEY, key) for key in keys], _NETWORK)
        banned = self.do(read_bans(self.store))
        self.assertEqual(len(banned), 1501)
