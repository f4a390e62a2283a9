# -*- test-case-name: tests.live.test_postgres_replica -*-
"""
Who answers a query: the replica, if there is one that has got all of it, else the
primary.

A replica that says nothing holds up few queries, and not for long: it is probed then,
and if the probe is not answered at once either, the primary answers what waits. No
query waits for a replica that failed until another probe has been answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from nostrtx.interfaces.store import StoreError
from nostrtx.storage.postgres.session import Busy, InConflict, Session, TookTooLong
from nostrtx.storage.postgres.snapshot import Known, Lagging, Snapshot
from nostrtx.storage.postgres.workers import Work, Workers

_T = TypeVar("_T")

#: How long a replica that failed or was behind is left alone, in seconds.
_REST_SECONDS: Final = 5.0

#: How long a query waits before it is looked whether the replica is there, in seconds,
#: and how long that may take.
PROBE_SECONDS: Final = 1.0


@attrs.define(eq=False)
class _Attempt:
    """A query that the replica has; ``is_given_up`` if the primary is to have it."""

    answer: Deferred[object]
    is_given_up: bool = False


class Reads:
    """
    The servers that answer queries.

    Args:
        primary: Where everything is.
        replica: Where nearly everything is; None if there is no such server.
        probe: A thread to look whether the replica is there; None without one.
        clock: Counts the time.
        heard: Tells what this process has heard of.
    """

    _log = Logger()

    def __init__(
        self,
        primary: Workers,
        replica: Workers | None,
        probe: Workers | None,
        clock: IReactorTime,
        heard: Callable[[], Known],
    ) -> None:
        self._primary = primary
        self._replica = replica
        self._probe = probe
        self._clock = clock
        self._heard = heard
        self._rests = False
        self._rests_until = 0.0
        self._is_probing = False
        self._attempts: set[_Attempt] = set()

    async def do(
        self,
        work: Callable[[Session, float, Known], _T],
        is_slow: bool = False,
        seconds: float = 0.0,
    ) -> tuple[_T, Workers]:
        """
        Have a query answered from a snapshot that holds all this process knows of.

        Args:
            work: Takes a session, how many seconds a statement may take, and what
                the snapshot must hold.
            is_slow: Whether it will take long.
            seconds: How long a statement may take, if that is longer than usual.

        Returns:
            What it returned, and who has done it and can go on with it.

        Raises:
            StoreError: No server can do it.
        """
        replica = self._replica
        if replica is not None and self._is_well():
            least = self._heard()
            try:
                result = await self._attempt(
                    lambda: replica.do(
                        lambda session, seconds: work(session, seconds, least),
                        is_slow,
                        seconds,
                    )
                )
            except _PrimaryMust:
                pass
            else:
                return result, replica
        result = await self._primary.do(
            lambda session, seconds: work(session, seconds, Known()), is_slow, seconds
        )
        return result, self._primary

    async def go_on(self, server: Workers, work: Work[_T]) -> _T:
        """
        Have a query continued by who began it, or by the primary.

        Args:
            server: Who began it.
            work: Takes a session and how many seconds a statement may take.

        Raises:
            StoreError: No server can do it.
        """
        if server is not self._primary and self._is_well():
            try:
                return await self._attempt(lambda: server.do(work))
            except _PrimaryMust:
                pass
        return await self._primary.do(work)

    async def _attempt(self, ask: Callable[[], Deferred[_T]]) -> _T:
        """
        What the replica answers.

        Raises:
            _PrimaryMust: Nothing of use.
            StoreError: The primary would not answer either.
        """
        answer = ask()
        attempt = _Attempt(answer)  # type: ignore[arg-type]
        self._attempts.add(attempt)
        next_look = self._clock.callLater(PROBE_SECONDS, lambda: look())

        def look() -> None:
            nonlocal next_look
            next_look = self._clock.callLater(PROBE_SECONDS, look)
            self._look()

        try:
            return await answer
        except (TookTooLong, Busy):
            raise
        except InConflict:
            raise _PrimaryMust from None
        except CancelledError:
            if attempt.is_given_up:
                raise _PrimaryMust from None
            raise
        except (StoreError, Lagging) as error:
            self._rest(error)
            raise _PrimaryMust from None
        finally:
            self._attempts.discard(attempt)
            if next_look.active():
                next_look.cancel()

    def _is_well(self) -> bool:
        """Whether to ask the replica; if it has rested long enough, it is probed."""
        if self._rests and self._clock.seconds() >= self._rests_until:
            self._look()
        return not self._rests

    def _look(self) -> None:
        """Begin to find out whether the replica is there."""
        if not self._is_probing:
            self._is_probing = True
            _ = Deferred.fromCoroutine(self._probed())

    async def _probed(self) -> None:
        assert self._probe is not None
        least = self._heard()
        try:
            answer = self._probe.do(
                lambda session, seconds: Snapshot(session, seconds, least).finish(),
                is_slow=True,
            )
            end = self._clock.callLater(PROBE_SECONDS, answer.cancel)
            try:
                await answer
            finally:
                if end.active():
                    end.cancel()
        except Lagging as error:
            self._rest(error)
        except (StoreError, CancelledError):
            self._rest("it does not answer")
            for attempt in list(self._attempts):
                attempt.is_given_up = True
                attempt.answer.cancel()
        else:
            self._rests = False
        finally:
            self._is_probing = False

    def _rest(self, reason: object) -> None:
        """Do not ask the replica for a while."""
        if not self._rests:
            if isinstance(reason, Lagging):
                reason = "it is behind"
            self._log.warn("The replica is not asked: {reason}.", reason=reason)
        self._rests = True
        self._rests_until = self._clock.seconds() + _REST_SECONDS


class _PrimaryMust(Exception):
    """The replica did not answer a query."""
