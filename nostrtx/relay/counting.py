# -*- test-case-name: tests.relay.test_counting -*-
"""
COUNT: how many events match, and by how many authors (NIP-45).

All counts of a process share a slice of every turn. Each has a budget of time;
when that is used up, it is answered with what was counted so far, marked as
approximate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from nostrtx.interfaces.edge import IClient, ITurns
from nostrtx.interfaces.queries import Count
from nostrtx.interfaces.store import IEventStore, StoreError
from nostrtx.nostr.client_messages import CountMessage
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.hyperloglog import Registers, offset
from nostrtx.nostr.json import dumps
from nostrtx.nostr.relay_messages import closed, count
from nostrtx.relay.asked_filters import asked_filters
from nostrtx.relay.event_log import EventLog
from nostrtx.relay.session_auth import SessionAuth
from nostrtx.relay.statistics import Statistics
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.relay.time_slices import TimeSlices
from nostrtx.relay.visibility import Visibility
from nostrtx.settings.live import LiveSettings


class Counting:
    """
    What the counts of all clients of a process share.

    Args:
        store: Where the events are.
        turns: The reactor's turns, over which long counts are spread.
        clock: Wall-clock time.
        settings: Slice and budget, and what a client may ask for.
        can_search: Whether the store finds events by words (NIP-50).
        visibility: Says what is hidden from whom.
        statistics: Counts COUNT messages.
        events: Is followed before a count starts, if what is hidden from whom depends
            on what was stored; None if not.
    """

    _log = Logger()

    def __init__(
        self,
        store: IEventStore,
        turns: ITurns,
        clock: IReactorTime,
        settings: LiveSettings,
        can_search: bool,
        visibility: Visibility,
        statistics: Statistics,
        events: EventLog | None = None,
    ) -> None:
        self._store = store
        self._events = events
        self._clock = clock
        self._slices = TimeSlices(
            turns, clock, lambda: settings.now.timing.query_slice_seconds
        )
        self._visibility = visibility
        self.settings = settings
        self.can_search = can_search
        self.statistics = statistics
        self.tasks = BackgroundTasks()

    async def answer(
        self, id_json: bytes, filters: Sequence[Filter], auth: SessionAuth
    ) -> bytes:
        """The one message that answers a COUNT whose filters have been accepted."""
        try:
            return await self._count(id_json, filters, auth)
        except CancelledError:
            raise
        except StoreError as error:
            self._log.error("Counting failed: {reason}.", reason=error)
            return closed(id_json, f"error: {error}")
        except Exception:
            self._log.failure("Counting failed.")
            return closed(id_json, "error: internal error")

    async def _count(
        self, id_json: bytes, filters: Sequence[Filter], auth: SessionAuth
    ) -> bytes:
        place = offset(filters)
        registers = None if place is None else Registers(place)
        if self._events is not None:
            await self._events.caught_up()
        deadline = await self._slices.turn()
        began = self._clock.seconds()
        counting = self._store.count(
            filters,
            began,
            self._visibility.screen(auth.pubkeys),
            None if registers is None else registers.add,
        )
        spent = 0.0
        budget = self.settings.now.timing.query_budget_seconds
        try:
            while True:
                result = counting.go_on(deadline)
                counted: Count = (
                    await result if isinstance(result, Deferred) else result
                )
                spent += self._clock.seconds() - began
                if counted.done or spent > budget:
                    break
                deadline = await self._slices.turn()
                began = self._clock.seconds()
        finally:
            counting.close()
        if registers is None or not counted.done:
            return count(id_json, counted.events, not counted.done)
        return count(id_json, counted.events, False, registers.hex())

    def stop(self) -> None:
        """Count nothing more; the clients hear nothing of it."""
        self.tasks.cancel_all()


class ClientCounts:
    """
    The counts of one client: each COUNT gets one COUNT or CLOSED.

    Args:
        client: The connection.
        auth: Who the client has proved to be.
        counting: What all clients share.
    """

    __slots__ = ("_auth", "_client", "_counting", "_running", "_shut_down")

    def __init__(self, client: IClient, auth: SessionAuth, counting: Counting) -> None:
        self._client = client
        self._auth = auth
        self._counting = counting
        self._running: dict[object, tuple[bytes, Callable[[], None]]] = {}
        self._shut_down = False

    def count(self, message: CountMessage) -> None:
        """Take up a COUNT; its answer comes when its turn has come."""
        statistics = self._counting.statistics
        statistics.counts += 1
        id_json = dumps(message.query_id)
        try:
            filters = self._accept(message)
        except Rejected as refusal:
            statistics.counts_refused += 1
            self._client.send(closed(id_json, refusal.reason))
            return
        key = object()
        answering = self._answer(key, id_json, filters)
        self._running[key] = id_json, self._counting.tasks.start(answering, "Counting")

    def end_all(self) -> None:
        """Give up all counts without a word."""
        self._shut_down = True
        running, self._running = self._running, {}
        for _, cancel in running.values():
            cancel()

    def shut_down(self, why: str = "shutting down") -> None:
        """Close all counts, and every later one."""
        waiting = [id_json for id_json, _ in self._running.values()]
        self.end_all()
        for id_json in waiting:
            self._client.send(closed(id_json, f"error: {why}"))

    def _accept(self, message: CountMessage) -> list[Filter]:
        """
        The filters of a COUNT, without limits.

        Raises:
            Rejected: The COUNT is malformed, or asks for too much.
        """
        limits = self._counting.settings.now.limits
        if self._shut_down:
            raise Rejected(ReasonPrefix.ERROR, "shutting down")
        filters = asked_filters(
            "COUNT",
            message.query_id,
            message.filters,
            limits,
            self._counting.can_search,
        )
        if len(self._running) >= limits.max_subscriptions:
            raise Rejected(
                ReasonPrefix.RATE_LIMITED,
                f"too many counts at once (max {limits.max_subscriptions})",
            )
        self._auth.check_filters("COUNT", filters)
        return [one.with_limit(None) for one in filters]

    async def _answer(
        self, key: object, id_json: bytes, filters: Sequence[Filter]
    ) -> None:
        answer = await self._counting.answer(id_json, filters, self._auth)
        del self._running[key]
        self._client.send(answer)
