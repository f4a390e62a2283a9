# -*- test-case-name: tests.live.test_postgres_recovery -*-
"""
A connection that is made anew when it has broken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event, Lock
from time import monotonic
from typing import Any, Final, Protocol

import psycopg
from twisted.logger import Logger

from nostrtx.interfaces.store import StoreError
from nostrtx.storage.postgres.session import UNREACHABLE, Session, one_line

#: How long to wait after a vain attempt before the next one, in seconds: at first,
#: and at most.
_FIRST_DELAY: Final = 0.05
_LONGEST_DELAY: Final = 2.0


class User(Protocol):
    """Who uses a connection; ``is_over`` once nobody waits for the result."""

    is_over: bool


class Link:
    """
    The way to a server, for one thread; some methods are for all threads.

    Args:
        parameters: How to connect.
        patience: How long a server may be away before there are errors, in seconds:
            a restart is waited for, and whoever comes later learns at once that
            there is no server.
        check: Asks a new connection whether it is to the right server, and raises
            psycopg's errors if not; None if every server is.
        seconds: Tells the time.
    """

    _log = Logger()

    def __init__(
        self,
        parameters: Mapping[str, Any],
        patience: float,
        check: Callable[[Session], None] | None = None,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self._parameters = parameters
        self._patience = patience
        self._check = check
        self._seconds = seconds
        self._session: Session | None = None
        self._is_over = Event()
        self._away_since: float | None = None
        self._delay = _FIRST_DELAY
        self._next_try = 0.0
        self._user: User | None = None
        self._cancelling = Lock()

    def session(self) -> Session:
        """
        The connection, made if need be.

        Raises:
            StoreError: There is none, and there has been none for a while.
        """
        session = self._session
        if session is not None and not session.is_broken:
            return session
        self.drop()
        if self._away_since is None:
            self._away_since = self._seconds()
        while True:
            self._wait_for_next_try(self._away_since + self._patience)
            try:
                session = Session.connect(self._parameters, self._check)
            except psycopg.Error as error:
                if self._delay == _FIRST_DELAY:
                    reason = one_line(error)
                    self._log.error("No connection: {reason}", reason=reason)
                self._next_try = self._seconds() + self._delay
                self._delay = min(2 * self._delay, _LONGEST_DELAY)
            else:
                self._session = session
                self._away_since = None
                self._delay = _FIRST_DELAY
                self._next_try = 0.0
                return session

    @property
    def current(self) -> Session | None:
        """The connection, if there is one."""
        return self._session

    def _wait_for_next_try(self, deadline: float) -> None:
        now = self._seconds()
        if self._next_try > now:
            if self._next_try > deadline or self._is_over.is_set():
                raise StoreError(UNREACHABLE)
            self._is_over.wait(self._next_try - now)

    def drop(self) -> None:
        """Close the connection; the next one is a new one."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def begin(self, user: User) -> None:
        """Note who uses the connection now."""
        with self._cancelling:
            self._user = user

    def end(self) -> None:
        """Nobody uses it any more, and nobody's cancelling is under way."""
        with self._cancelling:
            self._user = None

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits any more for what the connection is used for."""
        user = self._user
        return user is not None and user.is_over

    def cancel(self, user: object) -> None:
        """
        Have the server give up what it does for ``user``; from any thread.

        If it takes no notice, the connection is broken.
        """
        with self._cancelling:
            if self._user is user and (session := self._session) is not None:
                if not session.cancel():
                    session.abort()

    def abort(self, user: object = None) -> None:
        """
        Break the connection if ``user`` waits for it; from any thread.

        Args:
            user: Who; None for whoever it is.
        """
        is_used = user is None or self._user is user
        if is_used and (session := self._session) is not None:
            session.abort()

    def finish(self) -> None:
        """Wait for no server any more; from any thread."""
        self._is_over.set()
