# -*- test-case-name: tests.live.test_postgres_nodes -*-
"""
A lock between all processes that share the store, held in a transaction of its own.

PostgreSQL gives it back when the connection ends, and so when its holder does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
import psycopg
from psycopg import errors
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from nostrtx.interfaces.store import StoreError
from nostrtx.storage.job_thread import JobThread
from nostrtx.storage.postgres.exchange import Ask
from nostrtx.storage.postgres.link import Link
from nostrtx.storage.postgres.session import UNREACHABLE, Session

#: Names the lock.
_LOCK: Final = int.from_bytes(b"nostrtx1", "big")

#: How long a server may take for an answer, in seconds: it waits for the lock less
#: long than that.
_PATIENCE: Final = 10.0

#: How often to try again what was lost with its connection.
_TRIES: Final = 3

_BEGIN: Final[tuple[Ask, ...]] = (
    ("BEGIN", {}),
    (
        # Now and then the server has to show that it is there. A holder that is gone
        # without a word is missed after half a minute.
        "SELECT set_config('lock_timeout', '5000', true),"
        " set_config('statement_timeout', '0', true),"
        " set_config('idle_in_transaction_session_timeout', '0', true),"
        " set_config('tcp_keepalives_idle', '10', true),"
        " set_config('tcp_keepalives_interval', '5', true),"
        " set_config('tcp_keepalives_count', '4', true)",
        {},
    ),
    ("SELECT pg_advisory_xact_lock(%(lock)s)", {"lock": _LOCK}),
)


@attrs.define(eq=False)
class _Wish:
    """Somebody wants to be alone; ``is_over`` if no longer."""

    is_over: bool = False


class AloneLock:
    """
    Who is alone: one process at a time, and in it one call at a time.

    Args:
        jobs: A thread that does nothing else.
        canceller: A thread that cancels what is not wanted any more.
        link: The way to the server; only that thread uses it.
    """

    _log = Logger()

    def __init__(self, jobs: JobThread, canceller: JobThread, link: Link) -> None:
        self._jobs = jobs
        self._canceller = canceller
        self._link = link
        self._here = DeferredLock()
        self._wish: _Wish | None = None

    def acquire(self) -> Deferred[Callable[[], None]]:
        """
        Wait for the lock.

        Returns:
            Fires with what gives it back; may be cancelled. Fails with
            :class:`StoreError` if the server cannot be reached.
        """
        return Deferred.fromCoroutine(self._acquire())

    async def _acquire(self) -> Callable[[], None]:
        await self._here.acquire()
        wish = self._wish = _Wish()

        def release() -> None:
            self._give_up(wish)
            self._jobs.do(self._unlock)  # type: ignore[unused-awaitable]
            self._here.release()

        try:
            await self._jobs.do(lambda: self._lock(wish))
        except BaseException:
            release()
            raise
        return release

    def stop(self) -> None:
        """Have nobody wait any more; called before the threads are stopped."""
        self._link.finish()
        if self._wish is not None:
            self._give_up(self._wish)

    def _give_up(self, wish: _Wish) -> None:
        wish.is_over = True
        self._canceller.do(  # type: ignore[unused-awaitable]
            lambda: self._link.cancel(wish)
        )

    def _lock(self, wish: _Wish) -> None:
        self._link.begin(wish)
        try:
            self._wait_for_lock(wish)
        finally:
            self._link.end()

    def _wait_for_lock(self, wish: _Wish) -> None:
        tries = 0
        while not wish.is_over:
            session = self._link.session()
            try:
                with session.time_limit(_PATIENCE):
                    session.ask(*_BEGIN)
            except (errors.LockNotAvailable, errors.QueryCanceled):
                self._unlock()
            except psycopg.Error as error:
                if wish.is_over:
                    self._link.drop()
                    break
                self._log.error("Waiting to be alone failed: {e}", e=error)
                self._link.drop()
                tries += 1
                if tries == _TRIES:
                    raise StoreError(UNREACHABLE) from error
            else:
                return

    def _unlock(self) -> None:
        session: Session | None = self._link.current
        if session is None:
            return
        try:
            with session.time_limit(_PATIENCE):
                session.ask(("ROLLBACK", {}))
        except psycopg.Error:
            # The lock has gone with the connection.
            self._link.drop()
