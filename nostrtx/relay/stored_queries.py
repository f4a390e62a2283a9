# -*- test-case-name: tests.relay.test_stored_queries -*-
"""
The stored half of a REQ: pages from the store, at the pace of the client.

All queries of a process share its time in slices. A new query starts at once, in
the turn in which it arrived, and most end there; what is longer waits for its turn
behind the new ones, pauses while its client's socket is full, and has a budget of
time after which it ends with a CLOSED that says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from nostrtx.interfaces.edge import ITurns
from nostrtx.interfaces.queries import IStoredQuery, Page
from nostrtx.interfaces.store import IEventStore, StoreError
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.relay_messages import eose
from nostrtx.relay.event_log import EventLog
from nostrtx.relay.slow_queries import SlowQueries
from nostrtx.relay.statistics import Statistics
from nostrtx.relay.subscription import Subscription
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.relay.visibility import Visibility
from nostrtx.settings.live import LiveSettings

#: How much is sent before the relay looks at the client's socket again, in bytes.
PAGE_BYTES: Final = 128 * 1024

#: How often a query is begun anew because something was stored meanwhile.
_MOST_TRIES: Final = 20


@attrs.define(slots=True, eq=False)
class _Course:
    """
    What a query that did not end at once has come to.

    Attributes:
        filters: What was asked for.
        began: When.
        spent: How long it has kept this process busy.
        worked: How long the store has worked for it, here or elsewhere.
        waited: How long it has waited for its client.
        events: How many it has sent.
    """

    filters: Sequence[Filter]
    began: float
    spent: float = 0.0
    worked: float = 0.0
    waited: float = 0.0
    events: int = 0


class StoredQueries:
    """
    Answers the stored part of every subscription of this process.

    Args:
        store: Where the events are.
        turns: The reactor's turns, over which long queries are spread.
        clock: Wall-clock time.
        settings: Slice and budget, and whether EOSE tells if there is more (NIP-67).
        visibility: Says what is hidden from whom.
        statistics: Counts what is sent.
        slow: Tells of queries that take long.
        events: Is followed before a query starts, if what is hidden from whom depends
            on what was stored; None if not.
    """

    _log = Logger()

    def __init__(
        self,
        store: IEventStore,
        turns: ITurns,
        clock: IReactorTime,
        settings: LiveSettings,
        visibility: Visibility,
        statistics: Statistics,
        slow: SlowQueries,
        events: EventLog | None = None,
    ) -> None:
        self._events = events
        self._store = store
        self._turns = turns
        self._clock = clock
        self._settings = settings
        self._visibility = visibility
        self._statistics = statistics
        self._slow = slow
        self._took = statistics.measurements.query_seconds
        self._unfinished = statistics.measurements.unfinished
        statistics.measurements.report(lambda: {"queries_waiting": len(self._waiting)})
        self._tasks = BackgroundTasks()
        self._slice_ends: float | None = None
        self._waiting: list[Deferred[None]] = []
        turns.at_end(self._end_of_turn)

    def start(self, subscription: Subscription, filters: Sequence[Filter]) -> None:
        """
        Send what the store has for ``filters``, then EOSE, then go live.

        The subscription must be in the live index already. Call
        ``subscription.cancel_query`` to end early; nothing is sent after that.
        """
        if self._events is not None:
            subscription.cancel_query = self._tasks.start(
                self._follow_first(subscription, filters, self._events),
                "Answering a query",
            )
            return
        now = self._clock.seconds()
        try:
            query = self._query(subscription, filters, now)
        except Exception as error:
            self._fail(subscription, error)
            return
        subscription.floor = query.floor or 0
        deadline = self._slice_ends
        if deadline is None:
            deadline = self._begin_slice(now)
        if now < deadline and not subscription.client.is_full():
            try:
                page = query.next_page(PAGE_BYTES, deadline)
            except Exception as error:
                query.close()
                self._fail(subscription, error)
                return
            if type(page) is Page and page.done:
                query.close()
                self._send(subscription, page.events)
                took = self._clock.seconds() - now
                self._took.observe(took)
                self._slow.note(filters, took, len(page.events), "done")
                self._finish(subscription, page.more)
                return
            spent = self._clock.seconds() - now
        else:
            page, spent = Page((), False), 0.0
        course = _Course(filters, now, spent, spent)
        subscription.cancel_query = self._tasks.start(
            self._go_on(subscription, query, page, course), "Answering a query"
        )

    def _query(
        self, subscription: Subscription, filters: Sequence[Filter], now: float
    ) -> IStoredQuery:
        screen = self._visibility.screen(subscription.auth.pubkeys)
        return self._store.query(filters, now, screen)

    async def _follow_first(
        self, subscription: Subscription, filters: Sequence[Filter], events: EventLog
    ) -> None:
        """Start a query whose snapshot holds nothing that was not followed here."""
        began = self._clock.seconds()
        try:
            query, page = await self._followed(subscription, filters, events)
        except CancelledError:
            self._unfinished["given_up"] += 1
            raise
        except Exception as error:
            self._fail(subscription, error)
            return
        subscription.floor = query.floor or 0
        await self._go_on(subscription, query, page, _Course(filters, began))

    async def _followed(
        self, subscription: Subscription, filters: Sequence[Filter], events: EventLog
    ) -> tuple[IStoredQuery, Page]:
        for _ in range(_MOST_TRIES):
            await events.caught_up()
            query = self._query(subscription, filters, self._clock.seconds())
            page = Page((), False)
            try:
                if query.floor is None:
                    first = query.next_page(PAGE_BYTES, inf)
                    page = await first if isinstance(first, Deferred) else first
            except BaseException:
                query.close()
                raise
            if events.is_followed_to(query.floor or 0):
                return query, page
            query.close()
        raise StoreError("too much is stored at this moment; try again")

    async def _go_on(
        self,
        subscription: Subscription,
        query: IStoredQuery,
        page: Page | Deferred[Page],
        course: _Course,
    ) -> None:
        """Send the rest, a page a turn."""
        client = subscription.client
        seconds = self._clock.seconds
        ended = "failed"
        try:
            while True:
                if isinstance(page, Deferred):
                    asked_at = seconds()
                    page = await page
                    course.worked += seconds() - asked_at
                    subscription.floor = query.floor or 0
                if page.events:
                    self._send(subscription, page.events)
                    course.events += len(page.events)
                if page.done:
                    break
                if course.spent > self._settings.now.timing.query_budget_seconds:
                    raise Rejected(
                        ReasonPrefix.ERROR,
                        "the query took too long; name ids, authors, kinds or tags,"
                        " or a shorter time",
                    )
                await self._turn()
                # Looked at when it is this query's turn: others of this client
                # may have filled it meanwhile.
                if client.is_full():
                    full_at = seconds()
                    while client.is_full():
                        await client.when_ready()
                        await self._turn()
                    course.waited += seconds() - full_at
                now = seconds()
                deadline = max(self._slice_ends or self._begin_slice(now), now + 0.001)
                page = query.next_page(PAGE_BYTES, deadline)
                busy = seconds() - now
                course.spent += busy
                course.worked += busy
        except CancelledError:
            ended = "given up"
            self._unfinished["given_up"] += 1
            raise
        except Rejected as refusal:
            ended = "out of time"
            self._unfinished["out_of_time"] += 1
            subscription.cancel_query = None
            subscription.refuse(refusal)
        except Exception as error:
            self._fail(subscription, error)
        else:
            ended = "done"
            self._took.observe(seconds() - course.began - course.waited)
            self._finish(subscription, page.more)
        finally:
            self._slow.note(course.filters, course.worked, course.events, ended)
            query.close()

    def _send(self, subscription: Subscription, events: Sequence[bytes]) -> None:
        subscription.client.send_events(subscription.prefix, events)
        self._statistics.events_sent += len(events)

    def _finish(self, subscription: Subscription, more: bool | None) -> None:
        subscription.cancel_query = None
        hint = more if self._settings.now.limits.eose_hints else None
        subscription.client.send(eose(subscription.id_json, hint))
        self._statistics.events_delivered += subscription.go_live()

    def _fail(self, subscription: Subscription, error: Exception) -> None:
        self._unfinished["failed"] += 1
        subscription.cancel_query = None
        if isinstance(error, StoreError):
            self._log.error("Answering a query failed: {reason}.", reason=error)
            reason = str(error)
        else:
            self._log.failure("Answering a query failed.")
            reason = "internal error"
        subscription.refuse(Rejected(ReasonPrefix.ERROR, reason))

    def _begin_slice(self, now: float) -> float:
        self._slice_ends = ends = now + self._settings.now.timing.query_slice_seconds
        self._turns.needed()
        return ends

    def _turn(self) -> Deferred[None]:
        """Fires when this query may go on."""
        turn: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(turn)
        self._turns.needed()
        return turn

    def _end_of_turn(self) -> bool:
        """Let waiting queries use what is left of the slice, in their order."""
        if self._waiting:
            queries = len(self._waiting)
            while queries and self._waiting:
                queries -= 1
                self._waiting.pop(0).callback(None)
                ends = self._slice_ends
                if ends is not None and self._clock.seconds() >= ends:
                    break
        self._slice_ends = None
        return bool(self._waiting)

    def stop(self) -> None:
        """End every query; their subscriptions stay as they are."""
        self._tasks.cancel_all()
