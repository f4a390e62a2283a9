# -*- test-case-name: tests.relay.test_ingest -*-
"""
The road of an event: shape, id, limits, signature, store, delivery, OK.

The order of the checks is cheap before dear, and nothing changes before the
signature is known to be good. Every EVENT message gets exactly one OK, and OK true
only once the event is durable (ephemeral ones: once they were delivered).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from nostrtx.interfaces.edge import IClient, ITurns
from nostrtx.interfaces.policies import Taken
from nostrtx.interfaces.store import IEventStore, SaveOutcome, SaveResult
from nostrtx.nostr.client_messages import EventMessage
from nostrtx.nostr.errors import ReasonPrefix, Rejected, invalid
from nostrtx.nostr.event import Event, parse_event
from nostrtx.nostr.kinds import NEVER_SERVED, is_ephemeral
from nostrtx.nostr.proof_of_work import check_proof_of_work
from nostrtx.nostr.relay_messages import notice, ok
from nostrtx.nostr.vanish import check_vanish_request, is_vanish_request
from nostrtx.relay.event_log import EventLog
from nostrtx.relay.measurements import kind_label, reason_label
from nostrtx.relay.policies.policies import Policies
from nostrtx.relay.session_auth import SessionAuth
from nostrtx.relay.signature_checks import SignatureChecks
from nostrtx.relay.statistics import Statistics
from nostrtx.relay.write_batches import WriteBatches
from nostrtx.settings.limits import LimitSettings
from nostrtx.settings.live import LiveSettings

_DUPLICATE: Final = "duplicate: this relay has the event already"

#: What an event's outcome in the store means to the client: OK's last two members.
_ANSWERS: Final = {
    SaveOutcome.STORED: (True, ""),
    SaveOutcome.DUPLICATE: (True, _DUPLICATE),
    SaveOutcome.SUPERSEDED: (False, "duplicate: have a newer version"),
    SaveOutcome.DELETED: (False, "blocked: deleted by its author"),
    SaveOutcome.VANISHED: (False, "blocked: the author requested to vanish"),
}


@attrs.define(slots=True, eq=False)
class Submission:
    """
    An event on its way in, and the client to answer.

    Attributes:
        event: Its shape and id are right.
        client: Who sent it.
        auth: Who that client has proved to be.
        arrived: When it came in.
    """

    event: Event
    client: IClient
    auth: SessionAuth
    arrived: float


def check_limits(event: Event, content: str, limits: LimitSettings, now: float) -> None:
    """
    Refuse what the settings or the event's own terms rule out.

    Raises:
        Rejected: ``invalid:`` with the limit, or ``pow:``.
    """
    if event.created_at > now + limits.created_at_upper_seconds:
        raise invalid(
            "created_at is too far in the future, "
            f"at most {limits.created_at_upper_seconds} s are taken"
        )
    lower = limits.created_at_lower_seconds
    if lower and event.created_at < now - lower:
        raise invalid(f"created_at is too far in the past, at most {lower} s are taken")
    if len(event.tags) > limits.max_event_tags:
        raise invalid(f"more than {limits.max_event_tags} tags")
    if len(content) > limits.max_content_length:
        raise invalid(f"content of more than {limits.max_content_length} characters")
    if event.kind in NEVER_SERVED:
        raise invalid(f"events of kind {event.kind} are not for publishing")
    if event.is_expired(now):
        raise invalid("event has expired")
    if is_vanish_request(event):
        # Taken from anybody, whatever others must do first (NIP-62).
        check_vanish_request(event)
    elif limits.min_pow_difficulty:
        check_proof_of_work(
            event, limits.min_pow_difficulty, limits.require_pow_commitment
        )


class Ingest:
    """
    Takes events in, for all clients of this process.

    Args:
        store: Where they are kept.
        turns: The reactor's turns, over which work is gathered.
        clock: Wall-clock time.
        settings: What is refused, and most events in one transaction.
        events: Delivers what is new, after the commit and before its OK.
        statistics: Counts outcomes.
        policies: Rules beyond the protocol.

    Attributes:
        signatures: The checks, for starting and stopping their processes.
    """

    _log = Logger()

    def __init__(
        self,
        store: IEventStore,
        turns: ITurns,
        clock: IReactorTime,
        settings: LiveSettings,
        events: EventLog,
        statistics: Statistics,
        policies: Policies | None = None,
    ) -> None:
        self._policies = Policies() if policies is None else policies
        self._waiting: set[Deferred[Taken | None]] = set()
        self._clock = clock
        self._settings = settings
        self._events = events
        self._statistics = statistics
        self._saving: dict[bytes, list[IClient]] = {}
        self._pending = 0
        self._draining = False
        self._drained: list[Deferred[None]] = []
        self.signatures: SignatureChecks[Submission] = SignatureChecks(
            turns, self._on_checked
        )
        self._batches: WriteBatches[Submission] = WriteBatches(
            store,
            turns,
            lambda: settings.now.ingest.max_batch_events,
            self._on_saved,
            self._on_failed,
            clock,
            statistics.measurements,
        )
        statistics.measurements.report(self._queues)

    def submit(self, message: EventMessage, client: IClient, auth: SessionAuth) -> None:
        """Take up an EVENT; ``client`` gets its OK now or later."""
        self._statistics.events_received += 1
        now = self._clock.seconds()
        try:
            if self._draining:
                raise Rejected(ReasonPrefix.ERROR, "shutting down")
            event = parse_event(message.members)
            content = message.members["content"]
            assert type(content) is str
            check_limits(event, content, self._settings.now.limits, now)
            self._policies.check_event(event, auth)
        except Rejected as refusal:
            if refusal.prefix is ReasonPrefix.AUTH_REQUIRED:
                auth.challenge()
            id_ = message.id
            reason = refusal.reason
            self._note_refusal(reason)
            if id_ is None:
                self._statistics.notices += 1
                client.send(notice(reason))
            else:
                client.send(ok(id_, False, reason))
            return
        if event.id in self._events.recent and auth.may_publish(event):
            self._answer(event.id, client, True, _DUPLICATE)
            return
        self._pending += 1
        self.signatures.add(Submission(event, client, auth, now))

    def drain(self) -> Deferred[None]:
        """Refuse further events; fires when all that are under way are answered."""
        self._draining = True
        if not self._pending:
            return succeed(None)
        drained: Deferred[None] = Deferred()
        self._drained.append(drained)
        return drained

    def stop(self) -> None:
        """Wait for no rule any more; what still waited is not answered."""
        for waiting in tuple(self._waiting):
            waiting.cancel()

    def _answer(self, id_: bytes, client: IClient, accepted: bool, reason: str) -> None:
        if not accepted:
            self._note_refusal(reason)
        elif reason:
            self._statistics.events_duplicate += 1
        client.send(ok(id_.hex(), accepted, reason))

    def _note_refusal(self, reason: str) -> None:
        self._statistics.events_refused += 1
        self._statistics.measurements.reasons[reason_label(reason)] += 1

    def _queues(self) -> dict[str, int]:
        """How many events are where on their way."""
        return {
            "events_pending": self._pending,
            "events_unchecked": self.signatures.unchecked,
            "events_unsaved": self._batches.unsaved,
        }

    def _on_checked(self, batch: Sequence[Submission], good: Sequence[int]) -> None:
        measured = self._statistics.measurements
        measured.verify_seconds.observe(self._clock.seconds() - batch[0].arrived)
        measured.verify_events.observe(len(batch))
        answered = 0
        for submission, is_good in zip(batch, good, strict=True):
            event, client = submission.event, submission.client
            try:
                if not is_good:
                    raise invalid("bad signature")
                submission.auth.check_event(event)
                verdict = self._policies.admit(event, submission.auth)
                if verdict is not None:
                    answered += self._put_off(submission, verdict)
                    continue
            except Rejected as refusal:
                if refusal.prefix is ReasonPrefix.AUTH_REQUIRED:
                    submission.auth.challenge()
                self._answer(event.id, client, False, refusal.reason)
                answered += 1
                continue
            answered += self._go_on(submission)
        self._settle(answered)

    def _go_on(self, submission: Submission) -> int:
        """Save or deliver what nothing stands against; how many were answered."""
        event, client = submission.event, submission.client
        if is_ephemeral(event.kind):
            self._pass_on(submission)
            return 1
        if event.id in self._saving:
            self._saving[event.id].append(client)
        else:
            self._saving[event.id] = [client]
            self._batches.add(submission)
        return 0

    def _put_off(
        self, submission: Submission, verdict: Deferred[Taken | None] | Taken
    ) -> int:
        """Answer what a rule has taken, now or later; how many were answered."""
        if type(verdict) is Taken:
            self._take(submission, verdict)
            return 1
        assert isinstance(verdict, Deferred)
        self._waiting.add(verdict)
        verdict.addCallbacks(  # type: ignore[unused-awaitable]
            self._admitted,
            self._not_admitted,
            (submission, verdict),
            {},
            (submission, verdict),
        )
        return 0

    def _admitted(
        self,
        verdict: Taken | None,
        submission: Submission,
        waiting: Deferred[Taken | None],
    ) -> None:
        self._waiting.discard(waiting)
        if verdict is None:
            self._settle(self._go_on(submission))
        else:
            self._take(submission, verdict)
            self._settle(1)

    def _not_admitted(
        self, failure: Failure, submission: Submission, waiting: Deferred[Taken | None]
    ) -> None:
        self._waiting.discard(waiting)
        refusal = failure.value
        if isinstance(refusal, CancelledError):
            return
        if isinstance(refusal, Rejected):
            reason = refusal.reason
        else:
            self._log.failure("Admitting an event failed.", failure)
            reason = "error: internal error"
        self._answer(submission.event.id, submission.client, False, reason)
        self._settle(1)

    def _take(self, submission: Submission, taken: Taken) -> None:
        self._statistics.events_taken += 1
        submission.client.send(ok(submission.event.id.hex(), True, taken.reason))

    def _pass_on(self, submission: Submission) -> None:
        """Deliver an ephemeral event, unless it was delivered a moment ago."""
        event, client = submission.event, submission.client
        if not self._events.pass_on(event):
            self._answer(event.id, client, True, _DUPLICATE)
            return
        self._statistics.events_passed_on += 1
        measured = self._statistics.measurements
        measured.kinds[kind_label(event.kind)] += 1
        measured.delivery_seconds.observe(self._clock.seconds() - submission.arrived)
        self._answer(event.id, client, True, "")

    def _on_saved(
        self, batch: Sequence[Submission], results: Sequence[SaveResult]
    ) -> None:
        stored = [
            (result.seq, submission.event)
            for submission, result in zip(batch, results, strict=True)
            if result.outcome is SaveOutcome.STORED
        ]
        self._statistics.events_stored += len(stored)
        self._events.committed(stored)
        measured = self._statistics.measurements
        measured.kinds.update([kind_label(event.kind) for _, event in stored])
        arrived = [submission.arrived for submission in batch]
        measured.delivery_seconds.observe_since(arrived, self._clock.seconds())
        answered = 0
        for submission, result in zip(batch, results, strict=True):
            event = submission.event
            accepted, reason = _ANSWERS[result.outcome]
            clients = self._saving.pop(event.id)
            for client in clients:
                self._answer(event.id, client, accepted, reason)
                if accepted:
                    reason = _DUPLICATE
            answered += len(clients)
        self._settle(answered)

    def _on_failed(self, batch: Sequence[Submission], reason: str) -> None:
        answered = 0
        for submission in batch:
            clients = self._saving.pop(submission.event.id)
            for client in clients:
                self._answer(submission.event.id, client, False, f"error: {reason}")
            answered += len(clients)
        self._settle(answered)

    def _settle(self, answered: int) -> None:
        self._pending -= answered
        if not self._pending and self._drained:
            waiting, self._drained = self._drained, []
            for drained in waiting:
                drained.callback(None)
