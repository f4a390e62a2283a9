# -*- test-case-name: tests.relay.policies.test_observed -*-
"""
Policies under observation: what they say is counted, and may count for nothing.

In shadow (not enforced), a policy is asked as ever, but nothing is refused and no
event waits. So an operator sees what it would do before it does it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
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
from nostrtx.nostr.vanish import is_vanish_request
from nostrtx.relay.measurements import Measurements

_ACCEPTED: Final = "accepted"
_REJECTED: Final = "rejected"
_TAKEN: Final = "taken"
_FAILED: Final = "failed"


class NoVerdict(Exception):
    """A policy cannot tell now; the text says why, and the log knows already."""


@attrs.frozen(slots=True)
class Observation:
    """
    How a policy is observed.

    Attributes:
        name: What it is called in the log and in metrics.
        enforced: Whether what it says is done; False for shadow.
        fails_open: Whether events go on that it can say nothing of.
    """

    name: str
    enforced: bool = True
    fails_open: bool = False


@implementer(IEventCheck, IEventPolicy, IRequestPolicy, IConnectionPolicy)
class Observed:
    """
    A policy that is observed; only what it provides may be asked.

    A request to vanish (NIP-62) is not its business: that is taken from anybody.

    Args:
        policy: Provides one or several of the interfaces of policies.
        observation: Its name, and whether it is enforced.
        measurements: Where verdicts and seconds are counted.
        clock: Counts the seconds.
    """

    _log = Logger()

    def __init__(
        self,
        policy: Any,
        observation: Observation,
        measurements: Measurements,
        clock: IReactorTime,
    ) -> None:
        self._policy = policy
        self._observation = observation
        self._verdicts: Counter[str] = measurements.verdicts_of(
            observation.name, observation.enforced
        )
        self._seconds = measurements.policy_seconds_of(observation.name)
        self._clock = clock

    def check_event(self, event: Event, source: Source) -> None:
        """Ask about an event; see :meth:`IEventCheck.check_event`."""
        if not is_vanish_request(event):
            self._ask(self._policy.check_event, event, source)

    def admit(
        self, event: Event, source: Source
    ) -> Deferred[Taken | None] | Taken | None:
        """Ask about an event; see :meth:`IEventPolicy.admit`."""
        if is_vanish_request(event):
            return None
        begun = self._clock.seconds()
        try:
            verdict = self._policy.admit(event, source)
        except Exception as error:
            self._failed(begun, error)
            return None
        if not isinstance(verdict, Deferred):
            self._told(begun, _ACCEPTED if verdict is None else _TAKEN)
            taken: Taken | None = verdict
            return taken if self._observation.enforced else None
        watched: Deferred[Taken | None] = verdict
        watched.addCallbacks(  # type: ignore[unused-awaitable]
            self._answered, self._answered_badly, (begun,), {}, (begun,)
        )
        return watched if self._observation.enforced else None

    def check_request(
        self, verb: Verb, filters: Sequence[Filter], source: Source
    ) -> None:
        """Ask about a request; see :meth:`IRequestPolicy.check_request`."""
        self._ask(self._policy.check_request, verb, filters, source)

    def check_connection(self, address: str) -> None:
        """Ask about a connection; see :meth:`IConnectionPolicy.check_connection`."""
        self._ask(self._policy.check_connection, address)

    def _ask(self, ask: Callable[..., None], *about: object) -> None:
        begun = self._clock.seconds()
        try:
            ask(*about)
        except Exception as error:
            self._failed(begun, error)
        else:
            self._told(begun, _ACCEPTED)

    def _answered(self, verdict: Taken | None, begun: float) -> Taken | None:
        self._told(begun, _ACCEPTED if verdict is None else _TAKEN)
        return verdict

    def _answered_badly(self, failure: Failure, begun: float) -> None:
        error = failure.value
        if isinstance(error, CancelledError):
            raise error
        assert isinstance(error, Exception)
        self._failed(begun, error, failure)

    def _failed(
        self, begun: float, error: Exception, failure: Failure | None = None
    ) -> None:
        """
        Take note that a policy has refused, or failed.

        Raises:
            Exception: What is to be told of it; nothing if that does not count.
        """
        enforced = self._observation.enforced
        if isinstance(error, Rejected):
            self._told(begun, _REJECTED)
            if enforced:
                raise error
            return
        self._told(begun, _FAILED)
        if isinstance(error, NoVerdict):
            if enforced and not self._observation.fails_open:
                raise Rejected(ReasonPrefix.ERROR, "internal error") from None
        elif enforced:
            raise error
        else:
            self._log.failure(
                "The policy {name} failed, in shadow.",
                failure=failure,
                name=self._observation.name,
            )

    def _told(self, begun: float, verdict: str) -> None:
        self._verdicts[verdict] += 1
        self._seconds.observe(self._clock.seconds() - begun)
