# -*- test-case-name: tests.relay.policies.test_observed -*-
"""
Policies under observation: what they say is counted, and may count for nothing.

In shadow (not enforced), a policy is asked as ever, but nothing is refused and no
event waits. So an operator sees what it would do before it does it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from nostrtx.interfaces.policies import Source, Taken
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.vanish import is_vanish_request
from nostrtx.relay.measurements import Measurements
from nostrtx.relay.policies.verdicts import FAILED, REFUSED, TAKEN, Step, Verdicts

#: Of the relay's own policies, whose answer takes less time than to look at the clock,
#: one answer in so many is timed, and stands for all. It is a prime, so that it is not
#: always the same that is timed of what comes in some rhythm.
TIMED: Final = 31

#: The method that is called at each step.
_METHODS: Final[dict[Step, str]] = {
    "check": "check_event",
    "admit": "admit",
    "request": "check_request",
    "connect": "check_connection",
}

_Ask = Callable[..., Any]


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
        is_own: Whether it is one of the relay's own: quick, with rules by name, and
            with its own mind about requests to vanish (NIP-62), which are not the
            business of any other.
    """

    name: str
    enforced: bool = True
    fails_open: bool = False
    is_own: bool = False


class Observed:
    """
    A policy that is observed, to be asked by :class:`Policies`.

    Args:
        policy: Provides one or several of the interfaces of policies.
        observation: Its name, and whether it is enforced.
        measurements: Where verdicts and seconds are counted.
        clock: Counts the seconds.
    """

    def __init__(
        self,
        policy: Any,
        observation: Observation,
        measurements: Measurements,
        clock: IReactorTime,
    ) -> None:
        self._policy = policy
        self._observation = observation
        self._record = measurements.policies
        self._clock = clock

    def at(self, step: Step) -> Asked:
        """What is asked at a step; the policy must provide its interface."""
        observation = self._observation
        verdicts = self._record.of(observation.name, step, observation.enforced)
        tell = self._record.seconds_of(observation.name, step).observe
        ask: _Ask = getattr(self._policy, _METHODS[step])
        if observation.is_own:
            timed = _Stopwatch(ask, self._clock, tell, TIMED).ask
            return Asked(ask, timed, verdicts, observation)
        if step in ("check", "admit"):
            ask = _unless_to_vanish(ask)
        timed = _Stopwatch(ask, self._clock, tell, 1).ask
        return Asked(timed, timed, verdicts, observation)


class _Stopwatch:
    """Asks a policy, and tells how long it took to answer."""

    def __init__(
        self,
        ask: _Ask,
        clock: IReactorTime,
        tell: Callable[[float, int], None],
        weight: int,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._tell = tell
        self._weight = weight

    def ask(self, *about: Any) -> Any:
        """What the policy answers; what it raises is an answer, too."""
        begun = self._clock.seconds()
        verdict = None
        try:
            verdict = self._ask(*about)
        finally:
            if not isinstance(verdict, Deferred):
                self._tell(self._clock.seconds() - begun, self._weight)
        if isinstance(verdict, Deferred):
            verdict.addBoth(self._answered, begun)  # type: ignore[unused-awaitable]
        return verdict

    def _answered(self, verdict: Any, begun: float) -> Any:
        if not (isinstance(verdict, Failure) and verdict.check(CancelledError)):
            self._tell(self._clock.seconds() - begun, self._weight)
        return verdict


def _unless_to_vanish(ask: _Ask) -> _Ask:
    """Ask about events, but not about requests to vanish: all of these are taken."""

    def asked(event: Event, source: Source) -> Any:
        return None if is_vanish_request(event) else ask(event, source)

    return asked


class Asked:
    """
    One policy at one step, and what is made of what it says.

    Args:
        ask: Asks the policy.
        timed: Does so, and takes the time.
        verdicts: Where its verdicts are counted.
        observation: Whether they are enforced.

    Attributes:
        ask: As above; whoever calls it hands over what comes of it: to ``failed`` if
            that is an exception, to ``told`` if it is not None, and if it is None,
            counts it in ``verdicts.accepted``.
        timed: Likewise.
        verdicts: Likewise.
    """

    __slots__ = ("_observation", "ask", "timed", "verdicts")

    _log = Logger()

    def __init__(
        self, ask: _Ask, timed: _Ask, verdicts: Verdicts, observation: Observation
    ) -> None:
        self.ask = ask
        self.timed = timed
        self.verdicts = verdicts
        self._observation = observation

    def failed(self, error: Exception, failure: Failure | None = None) -> None:
        """
        Take note that the policy has refused, or failed.

        Args:
            error: What it has raised.
            failure: The same, if that was not just now.

        Raises:
            Rejected: What is to be told of it; nothing if that does not count.
        """
        observation = self._observation
        if isinstance(error, Rejected):
            self.verdicts.count(REFUSED, error.rule if observation.is_own else "")
            if observation.enforced:
                # Some are raised again and again, and would remember all those calls.
                raise error.with_traceback(None)
            return
        self.verdicts.count(FAILED)
        if not isinstance(error, NoVerdict):
            self._log.failure(
                "The policy {name} failed{how}.",
                failure=failure,
                name=observation.name,
                how="" if observation.enforced else ", in shadow",
            )
        elif observation.fails_open:
            return
        if observation.enforced:
            raise Rejected(ReasonPrefix.ERROR, "internal error") from None

    def told(
        self, verdict: Deferred[Taken | None] | Taken
    ) -> Deferred[Taken | None] | Taken | None:
        """
        Take note of what the policy has said, or will say.

        Returns:
            What becomes of the event, as from :meth:`IEventPolicy.admit`.
        """
        if isinstance(verdict, Deferred):
            watched: Deferred[Taken | None] = verdict
            watched.addCallbacks(  # type: ignore[unused-awaitable]
                self._answered, self._answered_badly
            )
        else:
            self.verdicts.count(TAKEN)
        return verdict if self._observation.enforced else None

    def _answered(self, verdict: Taken | None) -> Taken | None:
        if verdict is None:
            self.verdicts.accepted += 1
        else:
            self.verdicts.count(TAKEN)
        return verdict

    def _answered_badly(self, failure: Failure) -> Failure | None:
        error = failure.value
        if isinstance(error, CancelledError):
            return failure
        assert isinstance(error, Exception)
        self.failed(error, failure)
        return None
