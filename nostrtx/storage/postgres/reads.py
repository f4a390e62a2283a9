# -*- test-case-name: tests.live.test_postgres_replica -*-
"""
Who answers a query: the replica, if there is one that has got all of it, else the
primary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from nostrtx.interfaces import StoreError
from nostrtx.storage.postgres.session import Session, TookTooLong
from nostrtx.storage.postgres.snapshot import Known, Lagging
from nostrtx.storage.postgres.workers import Work, Workers

_T = TypeVar("_T")

#: How long a replica that failed or was behind is left alone, in seconds.
_REST_SECONDS: Final = 5.0


class Reads:
    """
    The servers that answer queries.

    Args:
        primary: Where everything is.
        replica: Where nearly everything is; None if there is no such server.
        clock: Counts the time.
        heard: Tells what this process has heard of.
    """

    _log = Logger()

    def __init__(
        self,
        primary: Workers,
        replica: Workers | None,
        clock: IReactorTime,
        heard: Callable[[], Known],
    ) -> None:
        self._primary = primary
        self._replica = replica
        self._clock = clock
        self._heard = heard
        self._rests_until = 0.0

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
        if replica is not None and self._clock.seconds() >= self._rests_until:
            least = self._heard()
            try:
                result = await replica.do(
                    lambda session, seconds: work(session, seconds, least),
                    is_slow,
                    seconds,
                )
            except TookTooLong:
                raise
            except (StoreError, Lagging) as error:
                self._rests_until = self._clock.seconds() + _REST_SECONDS
                reason = "it is behind" if isinstance(error, Lagging) else error
                self._log.warn("The replica is not asked: {reason}.", reason=reason)
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
        try:
            return await server.do(work)
        except TookTooLong:
            raise
        except StoreError:
            if server is self._primary:
                raise
            return await self._primary.do(work)
