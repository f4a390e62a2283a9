"""Tests for :mod:`nostrtx.relay.policies.trust` and the reading of follow lists."""

from __future__ import annotations

from functools import partial
from typing import Any

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.event import Event
from nostrtx.relay.policies.trust import TOPIC, Trust
from nostrtx.relay.policies.trust_record import CLAIM, RECORD
from nostrtx.settings.policies import TrustSettings
from tests.broadcast.fakes import FakeBroadcaster
from tests.relay.fakes import HeldStore, RandomBytes
from tests.storage.events import NOW, make_event


def key(number: int) -> bytes:
    """Somebody's public key."""
    return number.to_bytes(32, "big")


def follows(who: int, *whom: int, at: int = NOW) -> Event:
    """Somebody's follow list."""
    tags = [["p", key(one).hex()] for one in whom]
    return make_event(kind=3, pubkey=key(who), tags=tags, created_at=at)


def _replaced(new: bytes, there: bytes | None) -> bytes:
    """A record in the place of the one that is there."""
    return new


class TrustTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.trust.Trust`; 1 is the root."""

    def setUp(self) -> None:
        """A store with nothing in it."""
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = HeldStore(self.clock)
        self.processes: list[FakeBroadcaster] = []
        self.random_bytes = RandomBytes()
        self.settings = TrustSettings((key(1).hex(),), refresh_seconds=3600.0)

    def save(self, *events: Event) -> None:
        """Have events in the store."""
        self.successResultOf(self.store.inner.save_events(events))

    def process(self, **changes: Any) -> Trust:
        """A process of the relay that has started."""
        bus = FakeBroadcaster(f"p{len(self.processes)}", self.processes)
        settings = attrs.evolve(self.settings, **changes)
        trust = Trust(settings, self.store, bus, self.clock, self.random_bytes)
        bus.listen(TOPIC, lambda sender, message: trust.heard())
        trust.start()
        self.addCleanup(trust.stop)
        return trust

    def arrives(self, event: Event, *processes: Trust) -> None:
        """Let an event come along the log."""
        self.save(event)
        for trust in processes:
            trust.note(event, 1, self.clock.seconds())

    def assert_depths(self, trust: Trust, *expected: int | None) -> None:
        """Assert how far everybody from 1 on is from the root."""
        found = [trust.depth(key(at)) for at in range(1, len(expected) + 1)]
        self.assertEqual(found, list(expected))

    def test_nobody(self) -> None:
        """Without roots nobody is trusted, and nothing is asked of the store."""
        self.save(follows(1, 2))
        trust = self.process(roots=())
        self.assert_depths(trust, None, None)
        self.assertEqual(self.store.queries, [])

    def test_depths(self) -> None:
        """The shortest way counts, as far as the settings say."""
        self.save(follows(1, 2, 3), follows(2, 3, 4, 1), follows(3, 5), follows(5, 6))
        self.assert_depths(self.process(), 0, 1, 1, 2, 2, None)
        self.assert_depths(self.process(depth=1), 0, 1, 1, None, None, None)
        self.assert_depths(self.process(depth=3), 0, 1, 1, 2, 2, 3)

    def test_several_roots(self) -> None:
        """Everybody is as far as from the nearest root."""
        self.save(follows(1, 2), follows(2, 3), follows(4, 3))
        trust = self.process(roots=(key(1).hex(), key(4).hex()))
        self.assert_depths(trust, 0, 1, 1, 0)

    def test_nearest(self) -> None:
        """Some of all who are trusted are the nearest."""
        self.save(follows(1, 2, 3), follows(2, 4, 5, 6))
        trust = self.process()
        self.assertEqual(trust.nearest(1), [key(1)])
        self.assertEqual(set(trust.nearest(3)), {key(1), key(2), key(3)})
        self.assertEqual(len(trust.nearest(100)), 6)

    def test_most(self) -> None:
        """There is an end to it, and the nearest are in."""
        self.save(follows(1, 2), follows(2, 3, 4, 5))
        trust = self.process(max_pubkeys=3)
        self.assertEqual(len(trust), 3)
        self.assert_depths(trust, 0, 1, 2, None)
        self.arrives(follows(1, 2, 6, 3, at=NOW + 1), trust)
        self.assertEqual(len(trust), 3)
        self.assert_depths(trust, 0, 1, 1, None)

    def test_followed_newly(self) -> None:
        """Whom somebody follows newly is trusted at once, and whom they follow."""
        self.save(follows(1, 2), follows(3, 4))
        trust = self.process()
        self.assert_depths(trust, 0, 1, None, None)
        self.arrives(follows(9, 8), trust)
        self.arrives(follows(2, 3, at=NOW + 1), trust)
        self.assert_depths(trust, 0, 1, 2, None)
        self.arrives(follows(1, 2, 3, at=NOW + 1), trust)
        self.assert_depths(trust, 0, 1, 1, 2)
        self.assertIsNone(trust.depth(key(8)))

    def test_followed_no_more(self) -> None:
        """Whom a root follows no more is trusted for another minute."""
        self.save(follows(1, 2, 3), follows(3, 4))
        trust = self.process()
        self.arrives(follows(1, 2, at=NOW + 1), trust)
        self.assert_depths(trust, 0, 1, 1, 2)
        self.clock.pump([1.0] * 61)
        self.assert_depths(trust, 0, 1, None, None)

    def test_refresh(self) -> None:
        """What others follow no more is seen the next time."""
        self.save(follows(1, 2), follows(2, 3))
        trust = self.process()
        self.arrives(follows(2, 4, at=NOW + 1), trust)
        self.clock.pump([15.0] * 239)
        self.assert_depths(trust, 0, 1, 2, 2)
        self.clock.pump([15.0] * 2)
        self.assert_depths(trust, 0, 1, None, 2)

    def test_restart(self) -> None:
        """The next start knows at once, and finds out what else has come."""
        self.save(follows(1, 2), follows(2, 3))
        trust = self.process()
        self.arrives(follows(1, 2, 4, at=NOW + 1), trust)
        trust.stop()
        self.clock.advance(600)
        self.store.hold_pages = True
        trust = self.process()
        self.assert_depths(trust, 0, 1, 2, None)
        self.store.hold_pages = False
        self.store.queries[-1].answer()
        self.assert_depths(trust, 0, 1, 2, 1)

    def test_quick_restart(self) -> None:
        """What was found a moment ago is not found anew, but for the roots' lists."""
        self.save(follows(1, 2), follows(2, 3))
        trust = self.process()
        self.arrives(follows(1, 2, 4, at=NOW + 1), trust)
        trust.stop()
        asked = len(self.store.queries)
        self.assert_depths(self.process(), 0, 1, 2, 1)
        self.assertEqual(len(self.store.queries), asked + 2)

    def test_other_settings(self) -> None:
        """What was found for other roots is of no use."""
        self.save(follows(1, 2), follows(4, 3))
        self.process().stop()
        self.assert_depths(self.process(roots=(key(4).hex(),)), None, None, 1, 0)

    def test_broken_record(self) -> None:
        """If what was kept is broken, all is found anew."""
        self.save(follows(1, 2))
        self.successResultOf(self.store.change_record(RECORD, lambda there: b"x"))
        self.assert_depths(self.process(), 0, 1)

    def test_one_process_for_all(self) -> None:
        """One process finds it, and the others take it from the store."""
        self.save(follows(1, 2))
        one, other = self.process(), self.process()
        self.arrives(follows(2, 3, at=NOW + 1), one, other)
        self.save(follows(2, 4, at=NOW + 2))
        asked = len(self.store.queries)
        self.clock.pump([15.0] * 242)
        self.assertEqual(len(self.store.queries), asked + 2)
        for trust in (one, other):
            self.assert_depths(trust, 0, 1, None, 2)

    def test_cut_short(self) -> None:
        """If a process ends while it finds it, another does within a minute."""
        self.save(follows(1, 2), follows(2, 3))
        self.store.page_seconds = 0.01
        first = self.process()
        self.assert_depths(first, 0, 1, None)
        first.stop()
        later = self.process()
        self.assert_depths(later, 0, None, None)
        self.clock.pump([1.0] * 60)
        self.assert_depths(later, 0, 1, 2)

    def test_takes_long(self) -> None:
        """However long it takes, one process alone finds it."""
        self.save(*[follows(at, at + 1) for at in range(1, 5)])
        self.store.page_seconds = 20.0
        one = self.process(depth=4)
        self.clock.pump([0.01] * 2)
        other = self.process(depth=4)
        self.store.page_seconds = 0.0
        self.assert_depths(other, 0, None)
        self.clock.pump([0.01] * 10)
        self.assert_depths(one, 0, 1, 2, 3, 4)
        self.assert_depths(other, 0, 1, 2, 3, 4)
        self.assertEqual(len(self.store.queries), 4)

    def test_broken_claim(self) -> None:
        """What another process cannot have written keeps nobody from finding it."""
        self.save(follows(1, 2))
        for claim in (b"[]", b"{", b'{"until":"x"}', b'{"until":null}'):
            for name, there in ((CLAIM, claim), (RECORD, b"x")):
                change = partial(_replaced, there)
                self.successResultOf(self.store.change_record(name, change))
            self.assert_depths(self.process(), 0, 1)

    def test_arrives_meanwhile(self) -> None:
        """What arrives while it is found is not lost with it."""
        self.save(follows(1, 2))
        self.store.hold_pages = True
        trust = self.process()
        self.arrives(follows(1, 2, 3, at=NOW + 1), trust)
        self.store.hold_pages = False
        for query in list(self.store.queries):
            if not query.closed:
                query.answer()
        self.assert_depths(trust, 0, 1, 1)

    def test_pieces(self) -> None:
        """It is found in pieces of time, between which others work."""
        self.save(follows(1, 2), follows(2, 3))
        self.store.page_seconds = 0.01
        trust = self.process()
        self.assert_depths(trust, 0, 1, None)
        self.clock.pump([0.01] * 10)
        self.assert_depths(trust, 0, 1, 2)

    def test_failing_store(self) -> None:
        """A store that fails is asked again; the roots are trusted meanwhile."""
        self.save(follows(1, 2))
        self.store.record_error = StoreError("away")
        trust = self.process()
        self.assert_depths(trust, 0, None)
        self.store.record_error = None
        self.store.query_error = StoreError("away")
        self.clock.advance(5)
        self.assert_depths(trust, 0, None)
        self.store.query_error = None
        self.clock.advance(5)
        self.assert_depths(trust, 0, 1)
