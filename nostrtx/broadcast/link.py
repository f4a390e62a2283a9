# -*- test-case-name: tests.broadcast.test_connection -*-
"""Two connections to one Redis server: one to say things, one to hear them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from nostrtx.broadcast.connection import (
    PING_SECONDS,
    HearingConnection,
    LinkLost,
    RedisConnection,
    connect,
)
from nostrtx.broadcast.servers import CONNECT_SECONDS, Found
from nostrtx.redis_url import RedisAddress

#: How much may be on its way to the server; beyond that, messages are lost.
MOST_UNSENT_BYTES: Final = 16 * 1024 * 1024

_T = TypeVar("_T", bound=RedisConnection)


class NotMaster(Exception):
    """The server is not what it is said to be."""


class Link:
    """
    What connects to one server. If one of the connections is lost, so is the other.

    Args:
        found: The server.
        address: Tells user, password and database.
        clock: For pings.
        lost: Called for each message that was said and may not have arrived.

    Attributes:
        ended: Fires when the first connection is lost, with why.
    """

    def __init__(
        self,
        found: Found,
        address: RedisAddress,
        clock: IReactorTime,
        lost: Callable[[], None],
    ) -> None:
        self.ended: Deferred[str] = Deferred()
        self._found = found
        self._address = address
        self._clock = clock
        self._lost = lost
        self._saying: RedisConnection | None = None
        self._connections: list[RedisConnection] = []
        self._unsent_bytes = 0
        self._why: str | None = None

    @property
    def saying(self) -> RedisConnection:
        """The connection to say things on, once it was opened; for other commands."""
        assert self._saying is not None
        return self._saying

    @property
    def is_answered(self) -> bool:
        """Whether the server ever said anything."""
        return any(connection.is_answered for connection in self._connections)

    @property
    def why(self) -> str | None:
        """Why the first connection that was lost was lost; None if none was."""
        whys = [self._why, *(connection.why for connection in self._connections)]
        return next((why for why in whys if why is not None), None)

    async def open(self) -> RedisConnection:
        """
        Connect to say things.

        Returns:
            The connection, for other commands.

        Raises:
            Exception: There is no connection, or the server refuses.
        """
        self._saying = await self._connect(RedisConnection)
        return self._saying

    async def hear(self, channel: bytes, heard: Callable[[bytes], None]) -> None:
        """
        Connect to hear what is said on ``channel``, with the next thing said on.

        Raises:
            Exception: There is no connection, or the server refuses.
        """
        connection = await self._connect(HearingConnection)
        connection.heard = heard
        await connection.subscribe([channel])

    async def say_surely(self, channel: bytes, message: bytes) -> None:
        """
        Say something, and wait until the server has it.

        Raises:
            Exception: The server refuses, or the connection is lost.
        """
        await self.saying.publish(channel, message)

    def say(self, channel: bytes, message: bytes) -> bool:
        """Say something; False if too much is on its way already, or all is over."""
        size = len(message)
        saying = self._saying
        if saying is None or not saying.connected:
            return False
        if self._unsent_bytes + size > MOST_UNSENT_BYTES:
            return False
        self._unsent_bytes += size

        def answered(_: object) -> None:
            self._unsent_bytes -= size

        def failed(_: Failure) -> None:
            self._unsent_bytes -= size
            self._lost()

        saying.publish(channel, message).addCallbacks(answered, failed)
        return True

    def abort(self, why: str) -> None:
        """End all connections now, whatever is unsent."""
        for connection in self._connections:
            connection.abort(why)

    async def close(self) -> None:
        """End all connections once everything is sent; may be cancelled."""
        for connection in list(self._connections):
            connection.close()
            await connection.lost

    async def _connect(self, kind: type[_T]) -> _T:
        connecting = Deferred.fromCoroutine(
            connect(kind, self._found.endpoint, self._address)
        )
        try:
            connection = await connecting.addTimeout(CONNECT_SECONDS, self._clock)
        except TimeoutError:
            raise LinkLost("it does not answer") from None
        self._connections.append(connection)
        _ = connection.lost.addCallback(self._ended, connection)
        connection.ping_every(PING_SECONDS, self._clock)
        if self._found.must_be_master:
            role = await connection.role()
            if role[0] not in (b"master", "master"):
                raise NotMaster(f"{self._found.where} is no master")
        return connection

    def _ended(self, why: str, connection: RedisConnection) -> None:
        """A connection is lost: end the other one, and tell."""
        self._connections.remove(connection)
        self._why = self._why or why
        self.abort(why)
        if not self.ended.called:
            self.ended.callback(why)
