"""Something that happens once, and that any number may wait for."""

from __future__ import annotations

from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

from tests.live.reactor import reactor

_T = TypeVar("_T")


class Occasion(Generic[_T]):
    """
    Something that happens once.

    Attributes:
        value: What came of it; None before.
        failure: Why it will not happen; None unless that is known.
    """

    def __init__(self) -> None:
        self.value: _T | None = None
        self.failure: Exception | None = None
        self._waiting: list[Deferred[None]] = []

    def happens(self, value: _T) -> None:
        """It happens now."""
        self.value = value
        self._wake()

    def fails(self, failure: Exception) -> None:
        """It cannot happen any more; harmless if it has happened."""
        if self.value is None:
            self.failure = failure
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    async def wait(self, seconds: float) -> _T:
        """
        What comes of it, once it has happened.

        Raises:
            TimeoutError: It does not happen within that time.
            Exception: It cannot happen; what :meth:`fails` was told.
        """
        if self.value is None and self.failure is None:
            waiting: Deferred[None] = Deferred()
            self._waiting.append(waiting)
            await waiting.addTimeout(seconds, reactor)
        if self.failure is not None:
            raise self.failure
        assert self.value is not None
        return self.value
