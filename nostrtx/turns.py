# -*- test-case-name: tests.test_turns -*-
"""
The end of a reactor's turn: where gathered work is done in bulk.

On Twisted's epoll reactor the calls run right before it polls. So they see what
arrived on sockets and what other threads queued, and nothing waits a turn longer.
On any other reactor, and on a fake clock, a call without delay does nearly the same.
"""

from __future__ import annotations

from collections.abc import Callable
from select import EPOLLIN
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from nostrtx.interfaces.edge import ITurns


class _Turns:
    _log = Logger()

    def __init__(self) -> None:
        self._calls: list[Callable[[], bool]] = []

    def at_end(self, call: Callable[[], bool]) -> None:
        self._calls.append(call)

    def end(self) -> bool:
        """Make the calls; True if one of them has left work."""
        more = False
        for call in self._calls:
            try:
                more = call() or more
            except Exception:
                self._log.failure("Work at the end of a turn failed.")
        return more


@implementer(ITurns)
class ScheduledTurns(_Turns):
    """
    Turns on any reactor: the calls are made by a delayed call without delay.

    Args:
        clock: The reactor, or a fake clock.
    """

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()
        self._clock = clock
        self._scheduled = False

    def needed(self) -> None:
        """Schedule the calls, unless they are."""
        if not self._scheduled:
            self._scheduled = True
            self._clock.callLater(0, self._run)

    def _run(self) -> None:
        self._scheduled = False
        if self.end():
            self.needed()


@implementer(ITurns)
class EpollTurns(_Turns):
    """
    Turns of Twisted's epoll reactor, taken over while it runs.

    Also reads from plain sockets without the logging context that the reactor
    sets up around each of them (some 10 microseconds per wake-up).

    Args:
        reactor: An ``EPollReactor``.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor
        self._poll = reactor._poller.poll
        self._selectables = reactor._selectables
        reactor.doIteration = self._iterate

    def needed(self) -> None:
        """Nothing to do: the calls are made in every turn."""

    def _iterate(self, timeout: float | None) -> None:
        reactor = self._reactor
        # The calls may have scheduled others: what the reactor found is out of date.
        if self.end():
            timeout = 0
        elif timeout != 0:
            timeout = reactor.timeout()
        selectables = self._selectables
        try:
            ready = self._poll(-1 if timeout is None else timeout, len(selectables))
        except InterruptedError:
            return
        for fd, event in ready:
            selectable = selectables.get(fd)
            if selectable is None:
                continue
            if event != EPOLLIN or selectable.fileno() != fd:
                reactor._doReadOrWrite(selectable, fd, event)
                continue
            try:
                why = selectable.doRead()
            except BaseException as error:
                self._log.failure("Reading from a connection failed.")
                why = error
            if why:
                reactor._disconnectSelectable(selectable, why, True)


def turns_of(reactor: Any) -> ITurns:
    """The best :class:`ITurns` that ``reactor`` allows."""
    try:
        from twisted.internet.epollreactor import EPollReactor
    except ImportError:
        return ScheduledTurns(reactor)
    if type(reactor) is EPollReactor:
        return EpollTurns(reactor)
    return ScheduledTurns(reactor)
