# -*- test-case-name: tests.live.test_postgres_recovery -*-
"""
Threads that each have a connection and share one queue.

A query that is not done in a moment is begun again among the slow ones, to which one
connection is closed: so however many queries are slow, the others get on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from math import inf
from threading import Condition, Thread
from typing import Any, Final, Generic, TypeVar

import psycopg
from psycopg import errors
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from nostrtx.interfaces.store import StoreError, TooManyEvents
from nostrtx.storage.job_thread import JobThread
from nostrtx.storage.postgres.link import Link
from nostrtx.storage.postgres.session import (
    UNREACHABLE,
    Busy,
    InConflict,
    Session,
    TookTooLong,
)

_T = TypeVar("_T")

#: What is to be done: takes a session and how many seconds a statement may take.
Work = Callable[[Session, float], _T]

#: What takes longer is slow, in seconds.
_MOMENT: Final = 0.1

#: How many may wait in the queue.
_MAX_WAITING: Final = 10_000

#: How long a server may take to give up what was cancelled, in seconds.
_CANCEL_SECONDS: Final = 3.0

#: How long what is left may take once it is to end, in seconds.
_STOP_SECONDS: Final = 15.0

#: How much longer than a query's own time its answer may take.
_GRACE_SECONDS: Final = 8.0


class _Job(Generic[_T]):
    """One piece of work, and who is told of its end."""

    __slots__ = ("is_over", "is_slow", "link", "seconds", "tell", "work")

    def __init__(
        self,
        work: Work[_T],
        seconds: float,
        is_slow: bool,
        tell: Callable[[_T | Failure], None],
    ) -> None:
        self.work = work
        self.seconds = seconds
        self.is_slow = is_slow or seconds == inf
        self.tell = tell
        self.is_over = False
        self.link: Link | None = None


class Workers:
    """
    Some threads.

    Args:
        reactor: Where results are delivered.
        links: The connections, one for each thread.
        seconds: How long a statement may take; infinite for any time.
        canceller: Cancels what is not wanted any more.
        name: Of the threads.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        links: Sequence[Link],
        seconds: float,
        canceller: JobThread,
        name: str,
    ) -> None:
        self._reactor = reactor
        self._links = links
        self._seconds = seconds
        self._canceller = canceller
        self._condition = Condition()
        self._quick: deque[_Job[Any]] = deque()
        self._slow: deque[_Job[Any]] = deque()
        self._slow_running = 0
        self._is_stopping = False
        self._running = len(links)
        self._stopped: Deferred[None] = Deferred()
        self._last_call: IDelayedCall | None = None
        self._threads = [
            Thread(target=self._run, args=(link,), name=name, daemon=True)
            for link in links
        ]

    def start(self) -> None:
        """Begin with the work; called once."""
        for thread in self._threads:
            thread.start()

    def do(
        self, work: Work[_T], is_slow: bool = False, seconds: float = 0.0
    ) -> Deferred[_T]:
        """
        Do ``work`` in a thread; it may be done twice, if it takes long.

        Args:
            work: What to do.
            is_slow: Whether it will take long.
            seconds: How long a statement may take, if that is longer than usual.

        Returns:
            Fires with what it returned or raised; psycopg's errors come as
            :class:`StoreError`. May be cancelled.
        """
        call = self._reactor.callFromThread
        job: _Job[_T]
        overdue: IDelayedCall | None = None

        def finish(result: _T | Failure) -> None:
            job.is_over = True
            if overdue is not None and overdue.active():
                overdue.cancel()
            if not done.called:
                done.callback(result)

        def give_up() -> None:
            job.is_over = True
            if (link := job.link) is None:
                finish(Failure(Busy()))
            else:
                link.abort(job)
                finish(Failure(StoreError(UNREACHABLE)))

        def cancel(_: Deferred[_T]) -> None:
            nonlocal overdue
            if overdue is not None and overdue.active():
                overdue.cancel()
            self._cancel(job)
            # The thread must come back, whatever the server makes of it.
            overdue = self._reactor.callLater(_CANCEL_SECONDS, give_up)

        seconds = max(seconds, self._seconds)
        job = _Job(work, seconds, is_slow, lambda r: call(finish, r))
        done: Deferred[_T] = Deferred(cancel)
        self._put(job)
        if seconds != inf:
            overdue = self._reactor.callLater(2 * seconds + _GRACE_SECONDS, give_up)
        return done

    def call(self, work: Work[_T]) -> _T:
        """
        Do ``work`` and wait for it; from any thread but these.

        Raises:
            StoreError: The server failed, or cannot be reached.
        """
        future: Future[_T | Failure] = Future()
        job = _Job(work, self._seconds, True, future.set_result)
        self._put(job)
        patience = None
        if self._seconds != inf:
            patience = 2 * self._seconds + _GRACE_SECONDS
        try:
            result = future.result(patience)
        except TimeoutError:
            job.is_over = True
            if (link := job.link) is not None:
                link.abort(job)
            raise StoreError(UNREACHABLE) from None
        if isinstance(result, Failure):
            result.raiseException()
        return result

    def stop(self) -> Deferred[None]:
        """
        Finish the work and end; called once, and nothing is given after it.

        What takes too long is given up.
        """
        for link in self._links:
            link.finish()
        with self._condition:
            self._is_stopping = True
            self._condition.notify_all()
        if self._seconds != inf:
            self._last_call = self._reactor.callLater(_STOP_SECONDS, self._abort)
        return self._stopped

    def _abort(self) -> None:
        """Give up everything."""
        with self._condition:
            left = [*self._quick, *self._slow]
            self._quick.clear()
            self._slow.clear()
            self._condition.notify_all()
        for job in left:
            job.tell(Failure(StoreError(UNREACHABLE)))
        for link in self._links:
            link.abort()

    def _ended(self) -> None:
        if self._last_call is not None and self._last_call.active():
            self._last_call.cancel()
        self._stopped.callback(None)

    def _put(self, job: _Job[Any]) -> None:
        with self._condition:
            if len(self._quick) + len(self._slow) >= _MAX_WAITING:
                raise Busy
            (self._slow if job.is_slow else self._quick).append(job)
            # Whoever is woken may not be the one who takes slow jobs.
            self._condition.notify_all() if job.is_slow else self._condition.notify()

    def _cancel(self, job: _Job[Any]) -> None:
        job.is_over = True
        if (link := job.link) is not None:
            self._canceller.do(  # type: ignore[unused-awaitable]
                lambda: link.cancel(job)
            )

    def _run(self, link: Link) -> None:
        while (job := self._next()) is not None:
            was_slow = job.is_slow
            self._perform(link, job)
            if was_slow:
                with self._condition:
                    self._slow_running -= 1
                    self._condition.notify()
            del job
        link.drop()
        with self._condition:
            self._running -= 1
            is_last = not self._running
        if is_last:
            self._reactor.callFromThread(self._ended)

    def _next(self) -> _Job[Any] | None:
        places = max(1, len(self._links) - 1)
        with self._condition:
            while True:
                if self._slow and self._slow_running < places:
                    # In turn with the quick ones, so that neither starves.
                    if not self._quick or not self._slow_running:
                        self._slow_running += 1
                        return self._slow.popleft()
                if self._quick:
                    return self._quick.popleft()
                if self._is_stopping and not self._slow:
                    return None
                self._condition.wait()

    def _perform(self, link: Link, job: _Job[Any]) -> None:
        job.link = link
        link.begin(job)
        is_too_slow = False
        seconds = job.seconds if job.is_slow else min(_MOMENT, job.seconds)
        try:
            result = self._attempt(link, job, seconds)
        except TookTooLong:
            is_too_slow = not job.is_slow and not job.is_over
            result = Failure()
        except BaseException:
            result = Failure()
        finally:
            link.end()
            job.link = None
        if is_too_slow:
            job.is_slow = True
            with self._condition:
                self._slow.append(job)
                self._condition.notify_all()
        else:
            job.tell(result)

    def _attempt(self, link: Link, job: _Job[Any], seconds: float) -> Any:
        """Do the work, a second time if the connection has broken meanwhile."""
        again = True
        while True:
            session = None if job.is_over else link.session()
            # Meanwhile nobody may want it any more.
            if session is None or job.is_over:
                raise StoreError(UNREACHABLE)
            try:
                with session.transaction():
                    return job.work(session, seconds)
            except (StoreError, TooManyEvents):
                raise
            except errors.QueryCanceled as error:
                # Or somebody else's cancelling came late.
                if not again or job.is_over or seconds == inf:
                    raise TookTooLong from error
                if "user request" not in str(error):
                    raise TookTooLong from error
            except psycopg.Error as error:
                is_demoted = isinstance(error, _DEMOTED)
                if not (is_demoted or session.is_broken):
                    raise self._store_error(error) from error
                link.drop()
                if not again or job.is_over:
                    text = "the event store is read-only" if is_demoted else UNREACHABLE
                    raise StoreError(text) from error
            again = False

    def _store_error(self, error: psycopg.Error) -> StoreError:
        if isinstance(error, _BUSY):
            return Busy()
        if isinstance(error, _CONFLICTS):
            return InConflict()
        for kind, text in _KNOWN.items():
            if isinstance(error, kind):
                return StoreError(text)
        self._log.failure("PostgreSQL refused.")
        return StoreError("the event store failed")


#: What a server says that cannot be written any more.
_DEMOTED: Final = (errors.ReadOnlySqlTransaction, errors.FeatureNotSupported)

_BUSY: Final = (errors.LockNotAvailable, errors.TooManyConnections)

#: What a replica says when it must follow and cannot wait for a query.
_CONFLICTS: Final = (errors.SerializationFailure, errors.DeadlockDetected)

_KNOWN: Final[dict[type[psycopg.Error], str]] = {
    errors.DiskFull: "the disk of the event store is full",
    errors.OutOfMemory: "the event store is out of memory",
    errors.InsufficientPrivilege: "the event store cannot be used with these rights",
}
