# -*- test-case-name: tests.storage.test_lmdb -*-
"""
A thread for what would hold up the reactor: it may wait for the disk, or for others.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

_T = TypeVar("_T")


class JobThread:
    """
    A thread that does one job after the other.

    Args:
        reactor: Where the results are delivered.
        name: Of the thread.
    """

    def __init__(self, reactor: IReactorFromThreads, name: str) -> None:
        self._reactor = reactor
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Deferred[Any]] | None]
        self._jobs = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._stopped: Deferred[None] = Deferred()

    def start(self) -> None:
        """Begin with the jobs; called once."""
        self._thread.start()

    def do(self, job: Callable[[], _T]) -> Deferred[_T]:
        """
        Do ``job`` after those before it; fires with what it returned or raised.

        A job whose Deferred is cancelled before its turn has come is not done.
        """
        done: Deferred[_T] = Deferred()
        self._jobs.put((job, done))
        return done

    def stop(self) -> Deferred[None]:
        """Finish the jobs and end; called once, and no job is given after it."""
        self._jobs.put(None)
        return self._stopped

    def _run(self) -> None:
        call = self._reactor.callFromThread
        while (task := self._jobs.get()) is not None:
            job, done = task
            if done.called:
                continue
            try:
                result = job()
            except BaseException:
                call(done.errback, Failure())
            else:
                call(done.callback, result)
            # Nothing of it is kept until the next job comes.
            del task, job, done
            result = None
        call(self._stopped.callback, None)
