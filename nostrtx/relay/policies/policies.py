# -*- test-case-name: tests.relay.policies.test_policies -*-
"""All policies of a relay, asked in order; an event may have to wait for one."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from nostrtx.interfaces.policies import (
    IConnectionPolicy,
    IEventCheck,
    IEventPolicy,
    IRequestPolicy,
    Source,
    Taken,
    Verb,
)
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter


@implementer(IEventCheck, IEventPolicy, IRequestPolicy, IConnectionPolicy)
@attrs.define(slots=True, eq=False)
class Policies:
    """
    The policies of a relay, in the order in which they are asked.

    The first that refuses decides, and so does the first that takes an event. What is
    assigned to an attribute holds from the next message on.

    Attributes:
        checks: Asked about events before the signature is checked.
        events: Asked once it is known to be good, and the client may publish.
        requests: Asked what clients may ask for.
        connections: Asked who may connect.
    """

    checks: Sequence[IEventCheck] = ()
    events: Sequence[IEventPolicy] = ()
    requests: Sequence[IRequestPolicy] = ()
    connections: Sequence[IConnectionPolicy] = ()

    _log = Logger()

    def check_event(self, event: Event, source: Source) -> None:
        """Ask all checks; the result is that of :meth:`IEventCheck.check_event`."""
        try:
            for check in self.checks:
                check.check_event(event, source)
        except Rejected:
            raise
        except Exception:
            raise self._failed() from None

    def admit(
        self, event: Event, source: Source
    ) -> Deferred[Taken | None] | Taken | None:
        """
        What becomes of an event; the result is that of :meth:`IEventPolicy.admit`.

        Raises:
            Rejected: It is refused.
        """
        return self._admit(event, source, self.events)

    def check_request(
        self, verb: Verb, filters: Sequence[Filter], source: Source
    ) -> None:
        """Ask all that look at requests, as :meth:`IRequestPolicy.check_request`."""
        try:
            for policy in self.requests:
                policy.check_request(verb, filters, source)
        except Rejected:
            raise
        except Exception:
            raise self._failed() from None

    def check_connection(self, address: str) -> None:
        """Ask about a connection, as :meth:`IConnectionPolicy.check_connection`."""
        try:
            for policy in self.connections:
                policy.check_connection(address)
        except Rejected:
            raise
        except Exception:
            raise self._failed() from None

    def _admit(
        self, event: Event, source: Source, policies: Sequence[IEventPolicy]
    ) -> Deferred[Taken | None] | Taken | None:
        verdict: Deferred[Taken | None] | Taken | None = None
        asked = 0
        try:
            for policy in policies:
                asked += 1
                verdict = policy.admit(event, source)
                if verdict is not None:
                    break
        except Rejected:
            raise
        except Exception:
            raise self._failed() from None
        if isinstance(verdict, Deferred):
            # Callbacks, for a coroutine costs more than the rest of the way.
            waiting: Deferred[Taken | None] = verdict.addErrback(self._failed_later)
            if rest := policies[asked:]:
                waiting.addCallback(  # type: ignore[unused-awaitable]
                    self._go_on, event, source, rest
                )
            return waiting
        return verdict

    def _go_on(
        self,
        verdict: Taken | None,
        event: Event,
        source: Source,
        rest: Sequence[IEventPolicy],
    ) -> Deferred[Taken | None] | Taken | None:
        """Ask those that come behind one that took its time."""
        return self._admit(event, source, rest) if verdict is None else verdict

    def _failed_later(self, failure: Failure) -> Failure:
        """Let through what a policy may say after a while, and nothing else."""
        if failure.check(Rejected, CancelledError):
            return failure
        self._log.failure("A policy failed.", failure=failure)
        return Failure(Rejected(ReasonPrefix.ERROR, "internal error"))

    def _failed(self) -> Rejected:
        """What a policy that failed is taken to say."""
        self._log.failure("A policy failed.")
        return Rejected(ReasonPrefix.ERROR, "internal error")
