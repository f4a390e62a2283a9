"""Tests for :mod:`nostrtx.relay.event_log`."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.event import Event
from nostrtx.relay.event_log import EventLog
from nostrtx.relay.log_news import PASSED, REMOVED, STORED, Run
from nostrtx.relay.statistics import Statistics
from nostrtx.storage.memory import MemoryEventStore
from tests.broadcast.fakes import FakeBroadcaster
from tests.relay.fakes import FakeTurns, HeldStore
from tests.storage.events import make_event

POLL_SECONDS = 1.0


class Process:
    """
    A process of the relay, as far as its log goes.

    Args:
        store: What all processes share.
        bus: Its broadcaster.

    Attributes:
        delivered: What was delivered here: ``seq`` and content.
        seqs: Of what was delivered and stored.
    """

    def __init__(
        self,
        store: HeldStore,
        bus: FakeBroadcaster,
    ) -> None:
        self.store = store
        self.bus = bus
        self.clock = Clock()
        self.turns = FakeTurns()
        self.statistics = Statistics()
        self.events = EventLog(
            store, bus, self.turns, self.clock, POLL_SECONDS, self.statistics
        )
        self.delivered: list[tuple[int, Event]] = []
        self.removed: list[list[bytes]] = []
        self.events.follow(lambda event, seq, now: self.delivered.append((seq, event)))
        self.events.on_removed(lambda ids: self.removed.append(list(ids)))
        self.turns.at_end(self.events.end_of_turn)
        self.events.start()

    @property
    def seqs(self) -> list[int]:
        """Of what was delivered and stored, in order of delivery."""
        return [seq for seq, _ in self.delivered if seq]

    def store_only(self, *events: Event) -> list[tuple[int, Event]]:
        """Have events in the store, of which nobody has heard."""
        saved: list[tuple[int, Event]] = []
        for event in events:
            (result,) = _now(self.store.inner.save_events([event]))
            saved.append((result.seq, event))
        return saved

    def commit(self, *events: Event) -> None:
        """Store events and say so, in one turn."""
        self.events.committed(self.store_only(*events))
        self.turns.settle()

    def poll(self) -> None:
        """Let so much time go by that the store is looked at."""
        self.clock.advance(POLL_SECONDS)
        self.turns.settle()


def _now(deferred: Deferred[list]) -> list:  # type: ignore[type-arg]
    result = deferred.result
    assert isinstance(result, list)
    return result


def notes(*contents: str) -> list[Event]:
    """An event for each of these contents."""
    return [make_event(content=content) for content in contents]


class EventLogCase(SynchronousTestCase):
    """Two processes with one store."""

    shares_store = False

    def setUp(self) -> None:
        """Both have just been started."""
        self.store = HeldStore()
        self.all: list[FakeBroadcaster] = []
        self.here = self.process("here")
        self.there = self.process("there")

    def process(self, name: str) -> Process:
        """One more process."""
        bus = FakeBroadcaster(name, self.all, self.shares_store)
        process = Process(self.store, bus)
        self.addCleanup(process.events.stop)
        return process

    def assert_seqs(self, expected: Sequence[int], *processes: Process) -> None:
        """What was delivered is this, in this order."""
        for process in processes or (self.here, self.there):
            process.turns.settle()
            self.assertEqual(process.seqs, list(expected))


class BothWaysTests:
    """What holds whether news brings the events or only says that there are some."""

    here: Process
    there: Process

    def test_own(self: EventLogCase) -> None:  # type: ignore[misc]
        """What was stored here is delivered here at once, in order."""
        self.here.events.committed(self.here.store_only(*notes("1", "2")))
        self.assertEqual(self.here.seqs, [1, 2])

    def test_others(self: EventLogCase) -> None:  # type: ignore[misc]
        """What was stored in one process is delivered in all."""
        self.here.commit(*notes("1", "2"))
        self.there.turns.settle()
        self.there.commit(*notes("3"))
        self.assert_seqs([1, 2, 3])
        self.assertEqual(
            [event.raw for _, event in self.there.delivered],
            [event.raw for event in notes("1", "2", "3")],
        )

    def test_from_the_end(self: EventLogCase) -> None:  # type: ignore[misc]
        """What was stored before a process started is not delivered there."""
        self.here.commit(*notes("1", "2"))
        late = self.process("late")
        self.here.commit(*notes("3"))
        self.assert_seqs([3], late)

    def test_lost_news(self: EventLogCase) -> None:  # type: ignore[misc]
        """What nobody told of is found in the store before long."""
        self.there.bus.is_connected = False
        self.here.commit(*notes("1"))
        self.assert_seqs([], self.there)
        self.there.poll()
        self.assert_seqs([1], self.there)

    def test_lost_and_then_not(self: EventLogCase) -> None:  # type: ignore[misc]
        """Events behind a hole wait until the hole is filled from the store."""
        self.there.bus.is_connected = False
        self.here.commit(*notes("1", "2"))
        self.there.bus.is_connected = True
        self.here.commit(*notes("3"))
        self.there.clock.advance(0.02)
        self.assert_seqs([1, 2, 3], self.there)

    def test_reconnected(self: EventLogCase) -> None:  # type: ignore[misc]
        """When the connection stands again, the store is asked at once."""
        self.there.bus.is_connected = False
        self.here.commit(*notes("1"))
        self.there.bus.reconnect()
        self.assert_seqs([1], self.there)

    def test_told_twice(self: EventLogCase) -> None:  # type: ignore[misc]
        """News that comes again, or late, delivers nothing again."""
        self.here.commit(*notes("1", "2"))
        self.here.commit(*notes("3"))
        told = self.here.bus.published
        for topic, payload in [*told, *reversed(told)]:
            self.there.bus.hear(topic, "here", payload)
        self.there.poll()
        self.assert_seqs([1, 2, 3], self.there)

    def test_own_behind_others(self: EventLogCase) -> None:  # type: ignore[misc]
        """Own events wait for those of others that come before them in the log."""
        first = self.there.store_only(*notes("1", "2"))
        self.here.commit(*notes("3"))
        self.there.events.committed(first)
        self.there.turns.settle()
        self.here.clock.advance(0.02)
        self.assert_seqs([1, 2, 3])

    def test_between(self: EventLogCase) -> None:  # type: ignore[misc]
        """Two processes that store in turns deliver the same, in the same order."""
        for number in range(20):
            process = self.here if number % 3 else self.there
            process.commit(*notes(f"{number}a", f"{number}b"))
        self.assert_seqs(range(1, 41))

    def test_removed_meanwhile(self: EventLogCase) -> None:  # type: ignore[misc]
        """A hole in the log that stays, because events are gone, holds up nobody."""
        doomed, kept = notes("doomed", "kept")
        self.there.store_only(doomed)
        self.assertEqual(
            self.successResultOf(self.store.inner.remove_events([doomed.id])), 1
        )
        self.here.commit(kept)
        self.here.clock.advance(0.02)
        self.there.clock.advance(0.02)
        self.assert_seqs([2])
        self.here.commit(*notes("more"))
        self.assert_seqs([2, 3])

    def test_ephemeral(self: EventLogCase) -> None:  # type: ignore[misc]
        """What is not stored is delivered at once in all processes, once each."""
        event = make_event(kind=20_000)
        self.assertTrue(self.here.events.pass_on(event))
        self.assertFalse(self.here.events.pass_on(event))
        self.assertFalse(self.there.events.pass_on(event))
        for process in (self.here, self.there):
            self.assertEqual(
                [(seq, one.raw) for seq, one in process.delivered], [(0, event.raw)]
            )

    def test_shown(self: EventLogCase) -> None:  # type: ignore[misc]
        """So is what an event says that stays outside the store."""
        event = make_event(kind=9008)
        self.here.events.show(event)
        for process in (self.here, self.there):
            self.assertEqual(
                [(seq, one.raw) for seq, one in process.delivered], [(0, event.raw)]
            )

    def test_duplicates_everywhere(self: EventLogCase) -> None:  # type: ignore[misc]
        """Every process knows the ids that came in lately, wherever they did."""
        event = make_event()
        self.here.commit(event)
        self.there.turns.settle()
        self.assertIn(event.id, self.there.events.recent)
        self.there.commit(make_event(kind=5, tags=[["e", event.id.hex()]]))
        self.here.turns.settle()
        for process in (self.here, self.there):
            self.assertNotIn(event.id, process.events.recent)

    def test_removal(self: EventLogCase) -> None:  # type: ignore[misc]
        """What one process removes is forgotten by all."""
        event = make_event()
        self.here.commit(event)
        self.there.turns.settle()
        self.there.events.removed([event.id])
        for process in (self.here, self.there):
            self.assertNotIn(event.id, process.events.recent)
            self.assertEqual(process.removed, [[event.id]])

    def test_caught_up(self: EventLogCase) -> None:  # type: ignore[misc]
        """Whoever waits for the end of the log has seen all that is in it."""
        self.there.bus.is_connected = False
        self.here.commit(*notes(*map(str, range(1200))))
        waiting = self.there.events.caught_up()
        self.there.turns.settle()
        self.successResultOf(waiting)
        self.assert_seqs(range(1, 1201), self.there)

    def test_alone(self: EventLogCase) -> None:  # type: ignore[misc]
        """One process at a time is alone, and then knows all that others did."""
        leave = self.successResultOf(Deferred.fromCoroutine(self.here.events.alone()))
        waiting = Deferred.fromCoroutine(self.there.events.alone())
        self.there.bus.is_connected = False
        self.here.commit(*notes("1"))
        self.assertNoResult(waiting)
        leave()
        self.successResultOf(waiting)()
        self.assert_seqs([1], self.there)

    def test_follower_fails(self: EventLogCase) -> None:  # type: ignore[misc]
        """One who fails to take note of an event stands in nobody's way."""

        def fail(event: Event, seq: int, now: float) -> None:
            raise RuntimeError("no")

        self.here.events.follow(fail)
        self.here.commit(*notes("1", "2"))
        self.assert_seqs([1, 2])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    def test_nonsense(self: EventLogCase) -> None:  # type: ignore[misc]
        """News that is not understood changes nothing."""
        for topic in (STORED, PASSED, REMOVED):
            self.there.bus.hear(topic, "here", b"nonsense")
        self.there.bus.hear(STORED, "here", Run(1, 1, [b"nonsense"]).pack())
        self.here.commit(*notes("1"))
        self.assert_seqs([1])
        self.assertEqual(self.there.removed, [])

    def test_more_promised_than_there_is(self: EventLogCase) -> None:  # type: ignore[misc]
        """News of what is not in the store does not keep a process busy."""
        self.there.bus.hear(STORED, "here", Run(1, 50).pack())
        self.there.turns.settle()
        self.assertEqual(self.there.statistics.log_lag, 0)
        self.here.commit(*notes("1"))
        self.assert_seqs([1])

    def test_store_fails(self: EventLogCase) -> None:  # type: ignore[misc]
        """While the store cannot be read nothing is lost."""
        self.there.bus.is_connected = False
        self.here.commit(*notes("1"))
        self.store.log_error = StoreError("out of order")
        waiting = self.there.events.caught_up()
        self.there.poll()
        self.failureResultOf(waiting, StoreError)
        self.assert_seqs([], self.there)
        self.store.log_error = None
        self.there.poll()
        self.assert_seqs([1], self.there)

    def test_told_at_the_end(self: EventLogCase) -> None:  # type: ignore[misc]
        """Whoever stops tells the others what it has stored last."""
        self.here.events.committed(self.here.store_only(*notes("1")))
        self.here.events.stop()
        self.assert_seqs([1], self.there)

    def test_store_breaks_a_promise(self: EventLogCase) -> None:  # type: ignore[misc]
        """Whatever reading the log fails with, nobody waits for ever."""
        self.there.bus.is_connected = False
        self.here.commit(*notes("1"))
        self.store.log_error = ZeroDivisionError()  # type: ignore[assignment]
        waiting = Deferred.fromCoroutine(self.there.events.alone())
        self.failureResultOf(waiting, StoreError)
        self.there.poll()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.store.log_error = None
        self.there.poll()
        self.assert_seqs([1], self.there)
        alone = Deferred.fromCoroutine(self.here.events.alone())
        self.successResultOf(alone)()

    def test_put_back(self: EventLogCase) -> None:  # type: ignore[misc]
        """Where the store was put back to earlier, what comes then is delivered."""
        self.here.commit(*notes("1", "2", "3"))
        self.there.turns.settle()
        earlier = MemoryEventStore()
        self.store.inner = earlier
        self.successResultOf(earlier.save_events(notes("1")))
        for process in (self.here, self.there):
            process.poll()
        self.here.commit(*notes("2 again", "3 again"))
        self.there.clock.advance(0.02)
        self.assert_seqs([1, 2, 3, 2, 3])


class SharedStoreTests(BothWaysTests, EventLogCase):
    """Workers of one machine: news only says that there is something to read."""

    shares_store = True

    def test_short_news(self) -> None:
        """A batch costs one short message, however large it is."""
        self.here.commit(*notes(*map(str, range(100))))
        ((topic, payload),) = self.here.bus.published
        self.assertEqual((topic, len(payload)), (STORED, 16))
        self.assert_seqs(range(1, 101))

    def test_own_at_once(self) -> None:
        """What others have stored before is read and delivered in the same turn."""
        self.there.store_only(*notes("1", "2"))
        self.here.events.committed(self.here.store_only(*notes("3")))
        self.assertEqual(self.here.seqs, [1, 2, 3])
        self.assertEqual(self.here.statistics.events_read, 2)

    def test_large_events(self) -> None:
        """Of large events few are read at a time."""
        self.here.bus.is_connected = False
        large = [make_event(content=f"{at}" + "x" * 100_000) for at in range(600)]
        self.here.commit(*large)
        self.there.clock.advance(POLL_SECONDS)
        self.there.turns.take()
        self.there.turns.take()
        self.assertLess(len(self.there.seqs), 550)
        self.assert_seqs(range(1, 601), self.there)

    def test_long_lag(self) -> None:
        """Long parts of the log are delivered over several turns."""
        self.here.bus.is_connected = False
        self.here.commit(*notes(*map(str, range(1200))))
        self.there.clock.advance(POLL_SECONDS)
        self.there.turns.take()
        self.assertEqual(len(self.there.seqs), 500)
        self.assertEqual(self.there.statistics.log_lag, 700)
        self.assert_seqs(range(1, 1201), self.there)
        self.assertEqual(self.there.statistics.log_lag, 0)


class DistantStoreTests(BothWaysTests, EventLogCase):
    """Nodes of a cluster: news brings the events, and the store takes its time."""

    def test_not_read(self) -> None:
        """What news brings is not read from the store again."""
        self.here.commit(*notes("1", "2"))
        self.assert_seqs([1, 2])
        self.assertEqual(self.there.statistics.events_heard, 2)
        self.assertEqual(self.there.statistics.events_read, 0)

    def test_store_is_told(self) -> None:
        """The store hears how far the log goes, before anything of it is delivered."""
        self.there.events.follow(
            lambda event, seq, now: self.assertLessEqual(seq, max(self.store.heard))
        )
        self.here.commit(*notes("1", "2"))
        self.here.commit(*notes("3"))
        self.assertEqual(self.store.heard, [2, 3])

    def test_overtaken(self) -> None:
        """News that another has overtaken is waited for, and the store left alone."""
        first = self.here.store_only(*notes("1"))
        second = self.there.store_only(*notes("2"))
        self.store.hold_log = True
        self.there.events.committed(second)
        self.there.turns.settle()
        self.here.events.committed(first)
        self.here.turns.settle()
        self.assert_seqs([1, 2])
        self.assertEqual(self.store.log_parts, [])

    def test_read_later(self) -> None:
        """What arrives while the store is asked is delivered once."""
        self.there.bus.is_connected = False
        self.here.commit(*notes("1", "2"))
        self.store.hold_log = True
        self.there.poll()
        self.there.bus.is_connected = True
        self.here.commit(*notes("3"))
        self.assert_seqs([], self.there)
        self.store.give_log()
        self.assert_seqs([1, 2, 3], self.there)

    def test_old_reading(self) -> None:
        """An answer of the store that is out of date takes nothing back."""
        self.store.hold_log = True
        self.there.poll()
        self.here.commit(*notes("1", "2"))
        self.assert_seqs([1, 2], self.there)
        self.store.give_log()
        self.here.commit(*notes("3"))
        self.assert_seqs([1, 2, 3], self.there)

    def test_waits_for_a_reading_of_its_own(self) -> None:
        """Who asks for the end of the log is not served by an earlier reading."""
        self.store.hold_log = True
        self.there.poll()
        waiting = self.there.events.caught_up()
        self.there.bus.is_connected = False
        self.here.commit(*notes("1"))
        self.store.give_log()
        self.assertNoResult(waiting)
        self.there.turns.settle()
        self.store.give_log()
        self.successResultOf(waiting)
        self.assertEqual(self.there.seqs, [1])

    def test_bounded(self) -> None:
        """What waits for a hole to be filled is bounded, and still nothing is lost."""
        self.there.bus.is_connected = False
        self.here.commit(*notes("first"))
        self.there.bus.is_connected = True
        self.store.hold_log = True
        for number in range(5):
            self.here.commit(
                *[
                    make_event(content=f"{number} {at}" + "x" * 400_000)
                    for at in range(10)
                ]
            )
        self.there.clock.advance(0.02)
        self.there.turns.settle()
        self.store.hold_log = False
        self.store.give_log()
        self.there.clock.advance(0.02)
        self.assert_seqs(range(1, 52), self.there)
        self.assertGreater(self.there.statistics.events_read, 1)


class _Unreliable(FakeBroadcaster):
    """Delivers late, in any order between senders, or not at all; as chance has it."""

    def __init__(
        self, name: str, others: list[FakeBroadcaster], shares: bool, chance: Random
    ) -> None:
        super().__init__(name, others, shares)
        self._chance = chance
        self.on_their_way: dict[str, list[tuple[str, bytes]]] = {}

    def hear(self, topic: str, sender: str, payload: bytes) -> None:
        """Keep what is said for later, unless it gets lost."""
        if self._chance.random() < 0.8:
            self.on_their_way.setdefault(sender, []).append((topic, payload))

    def arrive(self) -> None:
        """Let the oldest message of some sender arrive."""
        senders = [name for name, waiting in self.on_their_way.items() if waiting]
        if senders:
            sender = self._chance.choice(senders)
            topic, payload = self.on_their_way[sender].pop(0)
            super().hear(topic, sender, payload)


class HistoryTests(SynchronousTestCase):
    """Whatever happens in whatever order, each event is delivered once, in order."""

    @given(st.booleans(), st.randoms(use_true_random=False))
    def test_any_history(self, shares_store: bool, chance: Random) -> None:
        """Three processes store, hear, miss, read late, and remove events."""
        store = HeldStore()
        all_of_them: list[FakeBroadcaster] = []
        buses = [_Unreliable(n, all_of_them, shares_store, chance) for n in "abc"]
        processes = [Process(store, bus) for bus in buses]
        unannounced: list[list[list[tuple[int, Event]]]] = [[], [], []]
        removed: set[int] = set()
        ids: list[bytes] = []
        for step in range(60):
            number = chance.randrange(3)
            process, pending = processes[number], unannounced[number]
            what = chance.random()
            if what < 0.3:
                events = notes(*(f"{step}-{at}" for at in range(chance.randint(1, 3))))
                ids += [event.id for event in events]
                pending.append(process.store_only(*events))
            elif what < 0.5:
                if pending:
                    process.events.committed(pending.pop(0))
            elif what < 0.55:
                if ids:
                    at = chance.randrange(len(ids))
                    removed.add(at + 1)
                    self.successResultOf(store.inner.remove_events([ids[at]]))
            elif what < 0.75:
                buses[number].arrive()
            elif what < 0.85:
                store.hold_log = not shares_store and chance.random() < 0.5
            elif what < 0.9:
                store.give_log()
            elif what < 0.95:
                process.clock.advance(chance.choice([0.005, 0.02, POLL_SECONDS]))
            else:
                process.turns.settle()
        store.hold_log = False
        store.give_log()
        for process, pending in zip(processes, unannounced, strict=True):
            for saved in pending:
                process.events.committed(saved)
        for process in processes:
            for _ in range(4):
                process.poll()
            self.assertEqual(process.seqs, sorted(set(process.seqs)))
            missing = set(range(1, len(ids) + 1)) - set(process.seqs)
            self.assertLessEqual(missing, removed)
            self.assertEqual(process.statistics.log_lag, 0)
            process.events.stop()
