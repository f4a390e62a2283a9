# -*- test-case-name: tests.relay.policies.test_policies -*-
"""All policies of a relay, asked in order; an event may have to wait for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any

from twisted.internet.defer import Deferred
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
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.relay.policies.observed import TIMED, Asked, Observed
from nostrtx.relay.policies.verdicts import Step, Verdicts

#: The policies at one step in their order: how each is asked, where it is counted that
#: it accepts, who hears of any other answer, and the row of those behind it.
_Row = tuple[tuple[Callable[..., Any], Verdicts, Asked, "_Row"], ...]


@implementer(IEventCheck, IEventPolicy, IRequestPolicy, IConnectionPolicy)
class Policies:
    """
    The policies of a relay, in the order in which they are asked.

    The first that refuses decides, and so does the first that takes an event. One that
    fails refuses with ``error: internal error``, and the log has the traceback.

    Args:
        checks: Asked about events before the signature is checked.
        events: Asked once it is known to be good, and the client may publish.
        requests: Asked what clients may ask for.
        connections: Asked who may connect.
    """

    _checks: Iterator[_Row]
    _events: Iterator[_Row]
    _requests: Iterator[_Row]
    _connections: Iterator[_Row]

    def __init__(
        self,
        checks: Sequence[Observed] = (),
        events: Sequence[Observed] = (),
        requests: Sequence[Observed] = (),
        connections: Sequence[Observed] = (),
    ) -> None:
        self.replace(checks, events, requests, connections)

    def replace(
        self,
        checks: Sequence[Observed] = (),
        events: Sequence[Observed] = (),
        requests: Sequence[Observed] = (),
        connections: Sequence[Observed] = (),
    ) -> None:
        """Ask these from the next message on; the arguments are as above."""
        self._checks = _rows("check", checks)
        self._events = _rows("admit", events)
        self._requests = _rows("request", requests)
        self._connections = _rows("connect", connections)

    def check_event(self, event: Event, source: Source) -> None:
        """Ask all checks; the result is that of :meth:`IEventCheck.check_event`."""
        for ask, verdicts, asked, _ in next(self._checks):
            try:
                ask(event, source)
            except Exception as error:
                asked.failed(error)
            else:
                verdicts.accepted += 1

    def admit(
        self, event: Event, source: Source
    ) -> Deferred[Taken | None] | Taken | None:
        """
        What becomes of an event; the result is that of :meth:`IEventPolicy.admit`.

        Raises:
            Rejected: It is refused.
        """
        return self._admit(event, source, next(self._events))

    def check_request(
        self, verb: Verb, filters: Sequence[Filter], source: Source
    ) -> None:
        """Ask all that look at requests, as :meth:`IRequestPolicy.check_request`."""
        for ask, verdicts, asked, _ in next(self._requests):
            try:
                ask(verb, filters, source)
            except Exception as error:
                asked.failed(error)
            else:
                verdicts.accepted += 1

    def check_connection(self, address: str) -> None:
        """Ask about a connection, as :meth:`IConnectionPolicy.check_connection`."""
        for ask, verdicts, asked, _ in next(self._connections):
            try:
                ask(address)
            except Exception as error:
                asked.failed(error)
            else:
                verdicts.accepted += 1

    def _admit(
        self, event: Event, source: Source, row: _Row
    ) -> Deferred[Taken | None] | Taken | None:
        for ask, verdicts, asked, rest in row:
            try:
                verdict = ask(event, source)
            except Exception as error:
                asked.failed(error)
                continue
            if verdict is None:
                verdicts.accepted += 1
                continue
            verdict = asked.told(verdict)
            if isinstance(verdict, Deferred) and rest:
                # Callbacks, for a coroutine costs more than the rest of the way.
                waiting: Deferred[Taken | None] = verdict
                waiting.addCallback(  # type: ignore[unused-awaitable]
                    self._go_on, event, source, rest
                )
            if verdict is not None:
                return verdict  # type: ignore[no-any-return]
        return None

    def _go_on(
        self, verdict: Taken | None, event: Event, source: Source, rest: _Row
    ) -> Deferred[Taken | None] | Taken | None:
        """Ask those that come behind one that took its time."""
        return self._admit(event, source, rest) if verdict is None else verdict


def _rows(step: Step, policies: Sequence[Observed]) -> Iterator[_Row]:
    """How the policies are asked the next time, and the time after that, for ever."""
    all_asked = [one.at(step) for one in policies]
    timed = _row([(asked.timed, asked) for asked in all_asked])
    untimed = _row([(asked.ask, asked) for asked in all_asked])
    return cycle([timed, *[untimed] * (TIMED - 1)])


def _row(asks: Sequence[tuple[Callable[..., Any], Asked]]) -> _Row:
    row: _Row = ()
    for ask, asked in reversed(asks):
        row = ((ask, asked.verdicts, asked, row), *row)
    return row
