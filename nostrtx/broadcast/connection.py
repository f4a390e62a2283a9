# -*- test-case-name: tests.broadcast.test_connection -*-
"""Connections to a Redis server: binary safe, and never silently dead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from txredisapi import RedisError, RedisProtocol, SubscriberProtocol

from nostrtx.redis_url import RedisAddress

#: How often the server is asked whether it is there.
PING_SECONDS: Final = 5.0

#: How many pings in a row it may leave unanswered while it sends nothing else.
_MOST_UNANSWERED: Final = 2


class LinkLost(Exception):
    """The connection was lost while it was needed; the text says why."""


_T = TypeVar("_T", bound="RedisConnection")


class RedisConnection(RedisProtocol):
    """
    A connection that gives bytes as they came, and that says when it ends.

    Attributes:
        lost: Fires when the connection is lost, with why.
        why: Why it was lost, or will be in a moment; None before.
        is_answered: Whether the server ever said anything.
    """

    _log = Logger()

    def __init__(self) -> None:
        super().__init__(charset=None, convertNumbers=False)
        self.lost: Deferred[str] = Deferred()
        self.why: str | None = None
        self.is_answered = False
        self._unanswered = 0
        self._pings: LoopingCall | None = None

    def connectionMade(self) -> Any:
        """Small messages are not to wait for others."""
        if hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(True)
        return super().connectionMade()

    def ping_every(self, seconds: float, clock: IReactorTime) -> None:
        """Ask every so often whether the server is there; end it if it is not."""
        self._pings = LoopingCall(self._ping)
        self._pings.clock = clock
        _ = self._pings.start(seconds, now=False)

    def _ping(self) -> None:
        if self._unanswered == _MOST_UNANSWERED:
            self.abort("it does not answer")
            return
        self._unanswered += 1
        self.ping().addErrback(lambda _: None)

    def dataReceived(self, data: bytes, unpause: bool = False) -> None:
        """Take in a part of what the server says."""
        self._unanswered = 0
        self.is_answered = True
        try:
            super().dataReceived(data, unpause)
        except Exception:
            self._log.failure("Could not understand what Redis says.")
            self.abort("it does not speak as Redis does")

    def abort(self, why: str) -> None:
        """End the connection now, whatever is unsent."""
        if self.why is None:
            self.why = why
        self.transport.abortConnection()

    def close(self) -> None:
        """End the connection once everything is sent."""
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure) -> None:
        """All that waits for an answer fails, and whoever waits for the end is told."""
        if self._pings is not None:
            self._pings.stop()
            self._pings = None
        if self.why is None:
            self.why = reason.getErrorMessage().rstrip(".")
        super().connectionLost(reason)
        self.lost.callback(self.why)


class HearingConnection(RedisConnection, SubscriberProtocol):
    """
    A connection that subscribes to channels, and is good for nothing else.

    Attributes:
        heard: Called with each message on any of them.
    """

    heard: Callable[[bytes], None] | None = None

    def messageReceived(self, pattern: object, channel: bytes, message: bytes) -> None:
        """Hand on a message on a channel."""
        if self.heard is not None:
            self.heard(message)


async def connect(
    kind: type[_T], endpoint: IStreamClientEndpoint, address: RedisAddress
) -> _T:
    """
    A connection on which the user has logged in and the database is selected.

    Args:
        kind: What it is to be good for.
        endpoint: Where the server is.
        address: Tells user, password and database.

    Raises:
        Exception: There is no connection, or the server refuses; no text of it holds
            a password.
    """
    factory = Factory.forProtocol(kind)
    factory.noisy = False
    connection = await endpoint.connect(factory)
    assert isinstance(connection, kind)
    try:
        if address.password:
            await connection.auth(address.password, address.user)
        if address.database:
            await connection.select(address.database)
    except BaseException as error:
        why = connection.why
        connection.abort("it cannot be used")
        if why is not None and isinstance(error, RedisError):
            raise LinkLost(why) from error
        raise
    return connection
