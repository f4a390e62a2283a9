# -*- test-case-name: tests.relay.test_event_log -*-
"""
The one road of delivery: along the store's log, whoever has stored an event.

What this process has stored, what others say on the bus that they have, and what is
read from the store because nobody said so, all goes out in the order of ``seq``, each
event once. The log is the truth and the bus is the fast path: a lost message, a bus
that is down or a process that was stopped for a while delays events and loses none.

Ephemeral events are in no log. They go out at once and to the others on the bus;
while that is down, the others do not get them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from nostrtx.interfaces.edge import ITurns
from nostrtx.interfaces.processes import IBroadcaster
from nostrtx.interfaces.store import IEventStore, LogPart, StoreError
from nostrtx.nostr.event import Event, stored_event
from nostrtx.relay.complaint import Complaint
from nostrtx.relay.log_news import (
    PASSED,
    REMOVED,
    STORED,
    NewsError,
    Run,
    pack_ids,
    runs,
    unpack_ids,
    unpack_run,
)
from nostrtx.relay.recent_ids import RecentIds
from nostrtx.relay.statistics import Statistics
from nostrtx.relay.tasks import BackgroundTasks

#: Called with each event, its ``seq`` (0 if it is ephemeral) and the time.
Follower = Callable[[Event, int, float], None]

#: How many events are read from the log, and delivered, in one turn.
_PART: Final = 500

#: About so many bytes at most.
_PART_BYTES: Final = 4 * 1024 * 1024

#: How long to wait for a message that another one has overtaken, in seconds.
_OVERTAKEN_SECONDS: Final = 0.01

#: What may wait for the events before it, in bytes; what is more is read later.
_MOST_WAITING: Final = 16 * 1024 * 1024


class EventLog:
    """
    Delivers the log of the store from where it ends when this process starts.

    Args:
        store: Whose log it is.
        broadcaster: Hears from other processes with the same store, and tells them.
        turns: The reactor's turns; whoever makes the log has :meth:`end_of_turn`
            called at their end.
        clock: Wall-clock time.
        poll_seconds: How often the store is asked for what nobody told.
        statistics: Learns how far this process is behind.

    Attributes:
        recent: The ids of events that went along the log lately.
    """

    _log = Logger()

    def __init__(
        self,
        store: IEventStore,
        broadcaster: IBroadcaster,
        turns: ITurns,
        clock: IReactorTime,
        poll_seconds: float,
        statistics: Statistics,
    ) -> None:
        self.recent = RecentIds()
        self._store = store
        self._bus = broadcaster
        self._turns = turns
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._statistics = statistics
        self._followers: list[Follower] = []
        self._forgetters: list[Callable[[Iterable[bytes]], None]] = []
        self._upto = 0
        self._known = 0
        self._waiting: dict[int, Event] = {}
        self._waiting_bytes = 0
        self._untold: list[tuple[int, Event]] = []
        self._is_behind = False
        self._is_reading = False
        self._part = _PART
        self._later: IDelayedCall | None = None
        self._readers: list[Deferred[None]] = []
        self._complaint = Complaint(self._log, "Reading the log")
        self._tasks = BackgroundTasks()
        broadcaster.listen(STORED, self._heard_stored)
        broadcaster.listen(PASSED, self._heard_passed)
        broadcaster.listen(REMOVED, self._heard_removed)
        broadcaster.on_connected(self.read)

    def follow(self, follower: Follower) -> None:
        """Have ``follower`` called with each event, after those who came before."""
        self._followers.append(follower)

    def on_removed(self, forget: Callable[[Iterable[bytes]], None]) -> None:
        """Have ``forget`` called with the ids of events that any process removes."""
        self._forgetters.append(forget)

    def start(self) -> None:
        """Begin where the log ends now; the store is open."""
        self._upto = self._known = self._store.last_seq()
        self._tasks.start(self._poll(), "Following the log")

    def stop(self) -> None:
        """Tell others what they have not been told, and deliver no more."""
        self._tell()
        self._tasks.cancel_all()
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def committed(self, stored: Sequence[tuple[int, Event]]) -> None:
        """
        Deliver what this process has stored, and tell others.

        They are delivered before this returns, unless events of other processes
        come before them in the log and have yet to be read.

        Args:
            stored: Events with their ``seq``, in order.
        """
        if not stored:
            return
        if not self._untold:
            self._turns.needed()
        self._untold += stored
        now = self._clock.seconds()
        if not self._waiting and stored[0][0] == self._upto + 1:
            for seq, event in stored:
                if seq != self._upto + 1:
                    self._wait_with(stored)
                    break
                self._deliver(event, seq, now)
        else:
            self._wait_with(stored)
        if self._upto > self._known:
            self._known = self._upto

    def pass_on(self, event: Event) -> bool:
        """
        Deliver an ephemeral event here and everywhere.

        Returns:
            False if that was done a moment ago.
        """
        if not self._pass(event):
            return False
        self._bus.publish(PASSED, event.raw)
        return True

    def show(self, event: Event) -> None:
        """Deliver an event that is not in the store, here and everywhere."""
        self.recent.add(event.id)
        self._follow(event, 0, self._clock.seconds())
        self._bus.publish(PASSED, event.raw)

    def removed(self, ids: Iterable[bytes]) -> None:
        """Tell everybody that events are gone: a later copy is no duplicate."""
        ids = list(ids)
        self.forget(ids)
        self._bus.publish(REMOVED, pack_ids(ids))

    def forget(self, ids: Iterable[bytes]) -> None:
        """Take note that events are gone, which others find out by themselves."""
        ids = list(ids)
        for id_ in ids:
            self.recent.discard(id_)
        for forget in self._forgetters:
            forget(ids)

    def is_followed_to(self, seq: int) -> bool:
        """Whether everything up to ``seq`` has been delivered here."""
        return seq <= self._upto

    def read(self) -> None:
        """Look into the store for what has not been delivered here, soon."""
        self._is_behind = True
        self._turns.needed()

    def read_at_once(self) -> None:
        """Look into the store for it now, which an embedded one answers at once."""
        self._is_behind = True
        self._read_on()

    def caught_up(self) -> Deferred[None]:
        """Fires when all that was in the log by now has been delivered here."""
        done: Deferred[None] = Deferred()
        self._readers.append(done)
        self.read_at_once()
        return done

    async def alone(self) -> Callable[[], None]:
        """
        Wait until no process of the relay is alone, and until all is delivered here.

        Returns:
            What is to be called at the end.

        Raises:
            StoreError: The store failed.
        """
        leave = await self._store.alone()
        try:
            await self.caught_up()
        except BaseException:
            leave()
            raise
        return leave

    def end_of_turn(self) -> bool:
        """Tell others what was stored, and read on if there may be more."""
        self._tell()
        self._read_on()
        self._statistics.log_lag = max(self._known - self._upto, 0)
        return self._is_behind and not self._is_reading

    def _deliver(self, event: Event, seq: int, now: float) -> None:
        """Take the next step along the log."""
        self._upto = seq
        self.recent.note(event)
        self._follow(event, seq, now)

    def _follow(self, event: Event, seq: int, now: float) -> None:
        for follower in self._followers:
            try:
                follower(event, seq, now)
            except Exception:
                self._log.failure("Delivering an event failed.")

    def _pass(self, event: Event) -> bool:
        if event.id in self.recent:
            return False
        self.recent.add(event.id)
        self._follow(event, 0, self._clock.seconds())
        return True

    def _wait_with(self, events: Iterable[tuple[int, Event]]) -> None:
        """Deliver events in their turn; what is missing before them is looked for."""
        for seq, event in events:
            if seq > self._upto and seq not in self._waiting:
                if self._waiting_bytes < _MOST_WAITING:
                    self._waiting[seq] = event
                    self._waiting_bytes += len(event.raw)
                self._known = max(self._known, seq)
        self._go_on()
        if self._upto < self._known:
            self._find_missing()

    def _go_on(self) -> None:
        """Deliver what waits, as far as nothing is missing."""
        waiting = self._waiting
        if not waiting:
            return
        now = self._clock.seconds()
        while (event := waiting.pop(self._upto + 1, None)) is not None:
            self._waiting_bytes -= len(event.raw)
            self._deliver(event, self._upto + 1, now)

    def _find_missing(self) -> None:
        """Look for the events before those that wait."""
        if self._bus.shares_store:
            self.read_at_once()
        else:
            # They are on their way, as a rule.
            self._read_later()

    def _read_later(self) -> None:
        if self._later is None and not self._is_reading:
            self._later = self._clock.callLater(_OVERTAKEN_SECONDS, self._not_come)

    def _not_come(self) -> None:
        self._later = None
        if self._upto < self._known:
            self.read()

    def _read_on(self) -> None:
        """Read the next part of the log, if it is due and none is being read."""
        if not self._is_behind or self._is_reading:
            return
        self._is_behind = False
        readers, self._readers = self._readers, []
        self._is_reading = True
        self._tasks.start(self._read(readers), "Reading the log")

    async def _read(self, readers: list[Deferred[None]]) -> None:
        after = self._upto
        try:
            part = self._store.log_after(after, self._part)
            if isinstance(part, Deferred):
                part = await part
            self._is_reading = False
            self._take(part, after, readers)
        except CancelledError:
            raise
        except Exception as error:
            self._is_reading = False
            if not isinstance(error, StoreError):
                self._log.failure("Reading the log failed.")
                error = StoreError("internal error")
            self._complaint.fails(error)
            for reader in readers:
                if not reader.called:
                    reader.errback(error)
        if self._is_behind:
            self._turns.needed()

    def _take(self, part: LogPart, after: int, readers: list[Deferred[None]]) -> None:
        """Deliver the part of the log ``after`` some event, and what waited for it."""
        self._complaint.works()
        if part.last < after:
            self._go_back(part.last)
        self._measure(part)
        now = self._clock.seconds()
        for seq, raw in part.events:
            if seq <= self._upto:
                continue
            event = self._waiting.get(seq)
            if event is None:
                event = stored_event(raw)
                self._statistics.events_read += 1
            self._deliver(event, seq, now)
        self._upto = max(self._upto, min(part.to, part.last))
        self._drop_delivered()
        self._go_on()
        if self._upto < part.last:
            self._known = max(self._known, part.last)
            self._readers += readers
            self.read()
            return
        # Whoever said that there is more was wrong, or has it for us waiting.
        self._known = max(self._upto, *self._waiting, 0)
        if self._waiting:
            self._read_later()
        for reader in readers:
            if not reader.called:
                reader.callback(None)

    def _go_back(self, last: int) -> None:
        """Begin anew at ``last``: the store has lost what was stored after it."""
        self._log.warn(
            "The store's log ends at {last} and no longer at {upto}: it was put back to"
            " an earlier state. What is stored after that is delivered from there on.",
            last=last,
            upto=self._upto,
        )
        self._upto = self._known = last
        self._store.heard_of(last)
        self._waiting.clear()
        self._waiting_bytes = 0
        self.recent.clear()

    def _measure(self, part: LogPart) -> None:
        """Let the next part be about as large as may be held in memory."""
        size = sum(len(raw) for _, raw in part.events)
        if size:
            fitting = _PART_BYTES * len(part.events) // size
            self._part = max(1, min(_PART, fitting))

    def _drop_delivered(self) -> None:
        for seq in [seq for seq in self._waiting if seq <= self._upto]:
            self._waiting_bytes -= len(self._waiting.pop(seq).raw)

    async def _poll(self) -> None:
        while True:
            await deferLater(self._clock, self._poll_seconds)
            self.read()

    def _tell(self) -> None:
        """Tell the others what this process has stored."""
        if not self._untold:
            return
        untold, self._untold = self._untold, []
        if self._bus.shares_store:
            news = Run(untold[0][0], untold[-1][0]).pack()
            self._bus.publish(STORED, news)
            return
        for run in runs([(seq, event.raw) for seq, event in untold]):
            self._bus.publish(STORED, run.pack())

    def _heard_stored(self, sender: str, message: bytes) -> None:
        try:
            run = unpack_run(message)
            fresh = [
                (seq, stored_event(raw))
                for seq, raw in enumerate(run.events, run.first)
                if seq > self._upto
            ]
        except (NewsError, ValueError) as error:
            self._not_understood(sender, error)
            return
        if run.last > self._known:
            self._store.heard_of(run.last)
        if fresh:
            self._statistics.events_heard += len(fresh)
            self._wait_with(fresh)
        elif run.last > self._upto:
            self._known = max(self._known, run.last)
            self.read()

    def _heard_passed(self, sender: str, raw: bytes) -> None:
        try:
            event = stored_event(raw)
        except ValueError as error:
            self._not_understood(sender, error)
            return
        self._statistics.events_heard += 1
        self._pass(event)

    def _heard_removed(self, sender: str, message: bytes) -> None:
        try:
            ids = unpack_ids(message)
        except NewsError as error:
            self._not_understood(sender, error)
            return
        self.forget(ids)

    def _not_understood(self, sender: str, error: Exception) -> None:
        self._log.warn(
            "{sender} sent news that is not understood: {reason}.",
            sender=sender,
            reason=error,
        )
