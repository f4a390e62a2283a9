# -*- test-case-name: tests.relay.test_reconciliation -*-
"""
Reconciliation with clients: who holds which events that the other lacks (NIP-77).

A client opens a session with a filter and a Negentropy message. What matches is
sealed once, off the reactor, and used until the session ends; every message then
gets one answer, computed in slices of time, in the order of arrival. Events
themselves travel as with every other client, by EVENT and by REQ.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import attrs
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from nostrtx.interfaces.edge import IClient, ITurns
from nostrtx.interfaces.store import IEventStore, StoreError, TooManyEvents
from nostrtx.nostr.client_messages import (
    MAX_SUBSCRIPTION_ID,
    NegCloseMessage,
    NegMsgMessage,
    NegOpenMessage,
)
from nostrtx.nostr.errors import ReasonPrefix, Rejected, invalid
from nostrtx.nostr.filters import Filter, parse_filter
from nostrtx.nostr.json import dumps
from nostrtx.nostr.negentropy.messages import message_from_hex
from nostrtx.nostr.negentropy.reconciliation import Reconciliation
from nostrtx.nostr.relay_messages import neg_err, neg_msg
from nostrtx.relay.event_log import EventLog
from nostrtx.relay.sealed_sets import SealedSets, SharedSet
from nostrtx.relay.session_auth import SessionAuth
from nostrtx.relay.statistics import Statistics
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.relay.time_slices import TimeSlices
from nostrtx.relay.visibility import Visibility
from nostrtx.settings.live import LiveSettings

#: How many messages of a session may wait. Each waits for an answer, says NIP-77, so
#: even one is more than a client needs.
_MAX_WAITING: Final = 4

#: How long all answers together may be computed in one turn, in seconds.
_SLICE_SECONDS: Final = 0.004


class Reconciliations:
    """
    What the reconciliations of all clients of a process share.

    Args:
        store: Where the events are.
        turns: The reactor's turns.
        clock: Wall-clock time.
        settings: ``negentropy``, and what a filter may ask for.
        visibility: Says what is hidden from whom.
        statistics: Counts sessions.
        events: Is followed before a set is sought, if what is hidden from whom depends
            on what was stored; None if not.
    """

    def __init__(
        self,
        store: IEventStore,
        turns: ITurns,
        clock: IReactorTime,
        settings: LiveSettings,
        visibility: Visibility,
        statistics: Statistics,
        events: EventLog | None = None,
    ) -> None:
        self._events = events
        self.settings = settings
        self.visibility = visibility
        self.statistics = statistics
        self.clock = clock
        self.sets = SealedSets(store, clock, settings)
        self.slices = TimeSlices(turns, clock, lambda: _SLICE_SECONDS)
        self.tasks = BackgroundTasks()

    async def use(self, filter_: Filter, auth: SessionAuth) -> SharedSet:
        """
        The set that a client is to reconcile with; see :meth:`SealedSets.use`.

        Raises:
            Rejected: Too much is in use.
            StoreError: The store failed.
        """
        if self._events is not None:
            await self._events.caught_up()
        return self.sets.use(filter_, self.visibility.screen(auth.pubkeys))

    def stop(self) -> None:
        """Compute nothing more; the sessions stay as they are."""
        self.tasks.cancel_all()
        self.sets.stop()


@attrs.define(eq=False)
class _Session:
    """
    One reconciliation.

    Attributes:
        id: The client's name for it.
        id_json: That, as JSON.
        filter: What it is about.
        shared: The set that this is, once it is sought.
        reconciliation: Answers, once the set is found.
        waiting: Messages that are not answered yet, but for the one in work.
        cancel: Ends the work on an answer; None while the client is to speak.
        silence: Ends the session; None while the relay is to speak.
    """

    id: str
    id_json: bytes
    filter: Filter
    shared: SharedSet | None = None
    reconciliation: Reconciliation | None = None
    waiting: deque[bytes] = attrs.field(factory=deque)
    cancel: Callable[[], None] | None = None
    silence: IDelayedCall | None = None


class ClientReconciliations:
    """
    The reconciliations of one client; the only place that sends NEG-ERR.

    Args:
        client: The connection.
        auth: Who the client has proved to be.
        shared: What all clients share.
    """

    __slots__ = ("_auth", "_client", "_ended", "_sessions", "_shared")

    _log = Logger()

    def __init__(
        self, client: IClient, auth: SessionAuth, shared: Reconciliations
    ) -> None:
        self._client = client
        self._auth = auth
        self._shared = shared
        self._sessions: dict[str, _Session] = {}
        self._ended = False

    def open(self, message: NegOpenMessage) -> None:
        """Begin a session in place of the one of that name, if there is one."""
        statistics = self._shared.statistics
        statistics.reconciliations += 1
        id_ = message.session_id
        self._end(id_)
        try:
            filter_ = self._accept(message)
            first = _decoded(message.message)
        except Exception as error:
            statistics.reconciliations_refused += 1
            self._refuse(id_, error)
            return
        session = _Session(id_, dumps(id_), filter_)
        self._sessions[id_] = session
        self._take_up(session, first)

    def go_on(self, message: NegMsgMessage) -> None:
        """Take the next message of a session."""
        id_ = message.session_id
        session = self._sessions.get(id_)
        try:
            if session is None:
                raise Rejected(ReasonPrefix.CLOSED, "there is no such reconciliation")
            text = _decoded(message.message)
            if len(session.waiting) >= _MAX_WAITING:
                raise Rejected(
                    ReasonPrefix.RATE_LIMITED, "wait for the answer to each message"
                )
        except Rejected as refusal:
            self._refuse(id_, refusal)
            return
        self._take_up(session, text)

    def close(self, message: NegCloseMessage) -> None:
        """End a session, if it is open."""
        self._end(message.session_id)

    def end_all(self) -> None:
        """End all sessions without a word."""
        self._ended = True
        for id_ in list(self._sessions):
            self._end(id_)

    def shut_down(self, why: str = "shutting down") -> None:
        """End all sessions, and every later one, and tell the client."""
        self._ended = True
        for id_ in list(self._sessions):
            self._refuse(id_, _shutting_down(why))

    def _accept(self, message: NegOpenMessage) -> Filter:
        """
        The filter of a NEG-OPEN.

        Raises:
            Rejected: The client may not reconcile, or not this.
        """
        settings = self._shared.settings.now.negentropy
        if self._ended:
            raise _shutting_down()
        if not settings.enabled:
            raise Rejected(
                ReasonPrefix.UNSUPPORTED, "negentropy is switched off on this relay"
            )
        if not 0 < len(message.session_id) <= MAX_SUBSCRIPTION_ID:
            raise invalid(f"the session id has 1 to {MAX_SUBSCRIPTION_ID} characters")
        members = message.filter_members
        if type(members) is list and len(members) == 1:
            # Some clients wrap the filter.
            members = members[0]
        if type(members) is dict and "search" in members:
            raise Rejected(
                ReasonPrefix.UNSUPPORTED, "what is searched for cannot be reconciled"
            )
        filter_ = parse_filter(members)
        longest = self._shared.settings.now.limits.max_filter_values
        if filter_.longest_list > longest:
            raise invalid(f"more than {longest} values in one list of the filter")
        if len(self._sessions) >= settings.max_sessions:
            raise Rejected(
                ReasonPrefix.RATE_LIMITED,
                f"too many reconciliations (max {settings.max_sessions})",
            )
        self._auth.check_filters("NEG-OPEN", [filter_])
        return filter_

    def _take_up(self, session: _Session, message: bytes) -> None:
        """Answer ``message`` when it is its turn."""
        session.waiting.append(message)
        if session.silence is not None:
            session.silence.cancel()
            session.silence = None
        if session.cancel is None:
            session.cancel = self._shared.tasks.start(
                self._answer(session), "Reconciling"
            )

    async def _answer(self, session: _Session) -> None:
        """Answer all that waits, then give the client time to speak."""
        client = self._client
        try:
            if session.reconciliation is None:
                session.reconciliation = await self._begun(session)
            while session.waiting:
                # Answers are long: none is made before the last one is taken.
                while client.is_full():
                    await client.when_ready()
                message = session.waiting.popleft()
                answer = await self._computed(session.reconciliation, message)
                client.send(neg_msg(session.id_json, answer))
        except CancelledError:
            raise
        except Exception as error:
            session.cancel = None
            if session.reconciliation is None:
                self._shared.statistics.reconciliations_refused += 1
            self._refuse(session.id, error)
        else:
            session.cancel = None
            session.silence = self._shared.clock.callLater(
                self._shared.settings.now.negentropy.idle_seconds,
                self._fall_silent,
                session,
            )

    async def _begun(self, session: _Session) -> Reconciliation:
        shared = self._shared
        session.shared = await shared.use(session.filter, self._auth)
        return Reconciliation(
            await shared.sets.found(session.shared),
            shared.settings.now.negentropy.max_frame_bytes,
        )

    async def _computed(self, reconciliation: Reconciliation, message: bytes) -> bytes:
        steps = reconciliation.answer_in_steps(message)
        seconds = self._shared.clock.seconds
        until = await self._shared.slices.turn()
        while True:
            try:
                next(steps)
            except StopIteration as finished:
                answer: bytes = finished.value
                return answer
            if seconds() >= until:
                until = await self._shared.slices.turn()

    def _fall_silent(self, session: _Session) -> None:
        session.silence = None
        seconds = self._shared.settings.now.negentropy.idle_seconds
        self._refuse(
            session.id,
            Rejected(ReasonPrefix.CLOSED, f"nothing was heard for {seconds:g} s"),
        )

    def _refuse(self, id_: str, error: Exception) -> None:
        """End a session, if it is open, and tell the client why."""
        self._end(id_)
        most: int | None = None
        if isinstance(error, Rejected):
            reason = error.reason
        elif isinstance(error, TooManyEvents):
            most = error.most
            reason = "blocked: this query is too big"
        elif isinstance(error, StoreError):
            self._log.error("Reconciling failed: {reason}.", reason=error)
            reason = f"error: {error}"
        else:
            self._log.failure("Reconciling failed.")
            reason = "error: internal error"
        self._client.send(neg_err(dumps(id_), reason, most))

    def _end(self, id_: str) -> None:
        session = self._sessions.pop(id_, None)
        if session is None:
            return
        if session.cancel is not None:
            session.cancel()
        if session.silence is not None:
            session.silence.cancel()
        if session.shared is not None:
            self._shared.sets.leave(session.shared)


def _decoded(message: object) -> bytes:
    if type(message) is not str or not message:
        raise invalid("a negentropy message in hexadecimal is missing")
    return message_from_hex(message)


def _shutting_down(why: str = "shutting down") -> Rejected:
    return Rejected(ReasonPrefix.CLOSED, why)
