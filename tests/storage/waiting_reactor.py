"""A reactor for tests of what answers from another thread."""

from __future__ import annotations

from collections.abc import Callable
from queue import Queue
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

_T = TypeVar("_T")

#: When to give up on a thread that does not answer, in seconds.
_TIMEOUT_SECONDS: Final = 60


@implementer(IReactorFromThreads)
class WaitingReactor(Clock):
    """A clock that queues calls from threads until somebody waits for a result."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: Queue[Callable[[], object]] = Queue()

    def callFromThread(
        self, callable: Callable[..., object], *args: Any, **kwargs: Any
    ) -> None:
        """Queue a call; may be called from any thread."""
        self._calls.put(lambda: callable(*args, **kwargs))

    def result_of(self, deferred: Deferred[_T]) -> _T:
        """
        Make the calls that threads ask for until ``deferred`` fires.

        Returns:
            What it fires with.

        Raises:
            Exception: What it fails with.
            queue.Empty: No thread asked for anything for a long time.
        """
        results: list[_T | Failure] = []
        _ = deferred.addBoth(results.append)
        while not results:
            self._calls.get(timeout=_TIMEOUT_SECONDS)()
        [result] = results
        if isinstance(result, Failure):
            result.raiseException()
        return result
