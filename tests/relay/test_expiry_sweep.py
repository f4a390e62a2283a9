"""Tests for :mod:`nostrtx.relay.expiry_sweep`."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import StoreError
from nostrtx.relay.expiry_sweep import ExpirySweep
from nostrtx.relay.statistics import Statistics
from nostrtx.settings.limits import TimingSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import HeldStore
from tests.storage.events import NOW, make_event


class CountingStore(HeldStore):
    """A store that says what it is told to say of expired events."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float] = []
        self.answers: list[Deferred[int]] = []

    def delete_expired(self, now: float) -> Deferred[int]:
        """The next answer; 0 when there is none left."""
        self.asked.append(now)
        return self.answers.pop(0) if self.answers else succeed(0)


class ExpirySweepTests(SynchronousTestCase):
    """Removing expired events now and then (NIP-40)."""

    def setUp(self) -> None:
        """A sweep over a store that is told what to say."""
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = CountingStore()
        self.statistics = Statistics()
        timing = TimingSettings(expiry_sweep_seconds=5)
        self.settings = LiveSettings(Settings(timing=timing))
        self.sweep = ExpirySweep(self.store, self.clock, self.statistics, self.settings)

    def test_removes(self) -> None:
        """An event is gone from the store at the first sweep after its time."""
        store = HeldStore()
        event = make_event(tags=[["expiration", str(NOW + 7)]])
        self.successResultOf(store.save_events([event]))
        sweep = ExpirySweep(store, self.clock, self.statistics, self.settings)
        sweep.start()
        self.clock.advance(5)
        self.assertTrue(store.holds(event))
        self.clock.advance(5)
        self.assertFalse(store.holds(event))
        self.assertEqual(self.statistics.events_expired, 1)
        sweep.stop()

    def test_until_nothing_is_left(self) -> None:
        """One sweep asks again and again until all is removed, and counts it."""
        self.store.answers = [succeed(1000), succeed(1000), succeed(3)]
        self.sweep.start()
        self.assertEqual(len(self.store.asked), 4)
        self.assertEqual(self.statistics.events_expired, 2003)
        self.sweep.stop()

    def test_regularly(self) -> None:
        """It sweeps at the start and then once per interval, with the time of day."""
        self.sweep.start()
        self.clock.pump([2.5] * 4)
        self.assertEqual(self.store.asked, [NOW, NOW + 5, NOW + 10])
        self.sweep.stop()

    def test_one_of_several(self) -> None:
        """Of several processes one sweeps, and another one as soon as that is gone."""
        is_mine = False
        sweep = ExpirySweep(
            self.store, self.clock, self.statistics, self.settings, lambda: is_mine
        )
        sweep.start()
        self.clock.advance(5)
        self.assertEqual(self.store.asked, [])
        is_mine = True
        self.clock.advance(5)
        self.assertEqual(self.store.asked, [NOW + 10])
        sweep.stop()

    def test_survives_failure(self) -> None:
        """A failing store is asked again at the next interval."""
        self.store.answers = [fail(StoreError("disk full")), succeed(2)]
        self.sweep.start()
        self.assertEqual(self.statistics.events_expired, 0)
        self.clock.advance(5)
        self.assertEqual(self.statistics.events_expired, 2)
        self.sweep.stop()

    def test_survives_defect(self) -> None:
        """So is one that raises what it should not, which is logged in full."""
        self.store.answers = [fail(ZeroDivisionError()), succeed(2)]
        self.sweep.start()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.advance(5)
        self.assertEqual(self.statistics.events_expired, 2)
        self.sweep.stop()

    def test_stop(self) -> None:
        """After it was stopped the store is left alone, and no call is pending."""
        self.sweep.start()
        self.sweep.stop()
        self.clock.advance(50)
        self.assertEqual(self.store.asked, [NOW])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_during_a_sweep(self) -> None:
        """Stopping while the store is at work ends it there."""
        self.store.answers = [Deferred()]
        self.sweep.start()
        self.sweep.stop()
        self.clock.advance(50)
        self.assertEqual(self.store.asked, [NOW])
        self.assertEqual(self.flushLoggedErrors(), [])
