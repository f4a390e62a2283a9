"""Tests for :mod:`nostrtx.relay.sealed_sets`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.queries import IScreen
from nostrtx.interfaces.store import StoreError, TooManyEvents
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.negentropy.snapshot import Snapshot
from nostrtx.relay.sealed_sets import KEEP_SECONDS, SealedSets, SharedSet
from nostrtx.relay.visibility import Visibility
from nostrtx.settings.limits import NegentropySettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import HeldStore
from tests.storage.events import ALICE, NOW, make_event

_SETTINGS = LiveSettings(Settings(negentropy=NegentropySettings(max_events=3)))


class SealedSetsTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.sealed_sets.SealedSets`."""

    def setUp(self) -> None:
        """Three events, sets of at most three."""
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = HeldStore(self.clock)
        self.store.hold_sets = True
        self.save(*"abc")
        self.sets = SealedSets(self.store, self.clock, _SETTINGS)
        self.addCleanup(self.assert_clean)

    def assert_clean(self) -> None:
        """Nothing is left behind."""
        self.sets.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def save(self, *contents: str) -> None:
        """Store notes."""
        notes = [make_event(content=content) for content in contents]
        self.successResultOf(self.store.save_events(notes))

    def found(self, shared: SharedSet) -> Deferred[Snapshot]:
        """Wait for a set."""
        return Deferred.fromCoroutine(self.sets.found(shared))

    def take(self, filter_: Filter, screen: IScreen | None = None) -> SharedSet:
        """Use a set that the store gives at once."""
        searches = len(self.store.sets)
        shared = self.sets.use(filter_, screen)
        if len(self.store.sets) > searches:
            self.store.sets[-1].give()
        return shared

    def test_shared(self) -> None:
        """Whoever asks the same meanwhile waits for the same set."""
        first = self.sets.use(Filter(), None)
        second = self.sets.use(Filter(), None)
        waiting = [self.found(first), self.found(second)]
        self.store.sets[0].give()
        one, two = map(self.successResultOf, waiting)
        self.assertIs(one, two)
        self.assertEqual(len(one), 3)
        self.assertEqual(len(self.store.sets), 1)

    def test_kept(self) -> None:
        """A set that nobody uses any more is kept a little while."""
        first = self.take(Filter())
        self.sets.leave(first)
        self.clock.advance(KEEP_SECONDS - 1)
        self.assertIs(self.take(Filter()), first)
        self.clock.advance(KEEP_SECONDS)
        self.sets.leave(first)
        self.clock.advance(KEEP_SECONDS)
        self.assertIsNot(self.take(Filter()), first)

    def test_not_shared(self) -> None:
        """Another filter, another reader or a new event make another set."""
        visibility = Visibility([4])
        sets = [
            self.take(Filter()),
            self.take(Filter(limit=2)),
            self.take(Filter(), visibility.screen(())),
            self.take(Filter(), visibility.screen((ALICE,))),
            self.take(Filter(), visibility.screen((ALICE,))),
        ]
        self.assertIs(self.take(Filter(), visibility.screen(())), sets[2])
        self.save("d")
        self.store.sets.clear()
        sets.append(self.take(Filter(limit=1)))
        self.assertEqual(len({id(one) for one in sets}), len(sets))

    def test_too_many(self) -> None:
        """All who wait learn that the set would be too large, later ones too."""
        self.save("d")
        shared = self.sets.use(Filter(), None)
        waiting = self.found(shared)
        self.store.sets[0].give()
        self.failureResultOf(waiting, TooManyEvents)
        self.failureResultOf(self.found(shared), TooManyEvents)
        self.assertIsNot(self.take(Filter()), shared)

    def test_store_fails(self) -> None:
        """A store that fails is not asked again for those who wait."""
        shared = self.sets.use(Filter(), None)
        waiting = self.found(shared)
        self.store.sets[0].answer.errback(StoreError("broken"))
        self.failureResultOf(waiting, StoreError)

    def test_nobody_waits(self) -> None:
        """A search is given up when the last one who waits for it leaves."""
        shared = self.sets.use(Filter(), None)
        self.sets.use(Filter(), None)
        waiting = self.found(shared)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.sets.leave(shared)
        search = self.store.sets[0].answer
        self.assertNoResult(search)
        self.sets.leave(shared)
        self.assertTrue(search.called)
        self.assertIsNot(self.sets.use(Filter(), None), shared)

    def test_memory_is_bounded(self) -> None:
        """What adds up to too much is refused; what is merely kept makes room."""
        used = [self.take(Filter(limit=3, until=NOW + n)) for n in range(4)]
        refused = self.take(Filter(limit=1))
        failure = self.failureResultOf(self.found(refused), Rejected)
        self.assertEqual(failure.value.prefix, ReasonPrefix.RATE_LIMITED)
        self.sets.leave(used[0])
        fitting = self.take(Filter(limit=1))
        self.assertEqual(len(self.successResultOf(self.found(fitting))), 1)
        self.assertIsNot(self.take(Filter(limit=3, until=NOW)), used[0])

    def test_searches_are_bounded(self) -> None:
        """So many may wait for the store, and no more."""
        for n in range(64):
            self.sets.use(Filter(until=n), None)
        error = self.assertRaises(Rejected, self.sets.use, Filter(), None)
        self.assertEqual(error.prefix, ReasonPrefix.RATE_LIMITED)
        self.store.sets[0].give()
        self.assertIsNotNone(self.sets.use(Filter(), None))
