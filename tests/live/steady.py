"""Clients that stay with a relay while one process takes over from another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred

from tests.live.authors import Author
from tests.live.client import Closing, LiveClient, Reachable, connect
from tests.live.reactor import reactor


class _Steady:
    """
    Connects again whenever its connection ends.

    Attributes:
        closings: How its connections ended, one after the other.
        trouble: What kept it from connecting; None if nothing did.
    """

    def __init__(self, relay: Reachable) -> None:
        self.closings: list[Closing] = []
        self.trouble: Exception | None = None
        self.client: LiveClient | None = None
        self._relay = relay
        self._is_over = False

    def start(self) -> Deferred[None]:
        """Begin; fires when it is connected, and goes on by itself."""
        return Deferred.fromCoroutine(self._connect())

    async def stop(self) -> None:
        """End for good."""
        self._is_over = True
        if self.client is not None:
            await self.client.leave()

    async def _connect(self) -> None:
        try:
            self.client = client = await connect(self._relay)
        except Exception as error:
            self.trouble = error
            return
        client.watch = self.take
        self.begin(client)
        stays = Deferred.fromCoroutine(self._stay(client))
        stays.addErrback(self._fails)  # type: ignore[unused-awaitable]

    async def _stay(self, client: LiveClient) -> None:
        closing = await client.closed.wait(300)
        if not self._is_over:
            self.closings.append(closing)
            await self._connect()

    def _fails(self, failure: Any) -> None:
        self.trouble = failure.value

    def begin(self, client: LiveClient) -> None:
        """There is a new connection."""
        raise NotImplementedError

    def take(self, message: list[Any]) -> None:
        """Something has come."""
        raise NotImplementedError


class SteadyPublisher(_Steady):
    """
    Publishes, some at a time, and once more what was not answered.

    Attributes:
        accepted: Ids of the events answered with OK true, in order.
        refused: Other answers.
        longest_gap: The longest time between two answers, in seconds.
    """

    def __init__(self, relay: Reachable, name: str, window: int = 8) -> None:
        super().__init__(relay)
        self.accepted: dict[str, None] = {}
        self.refused: list[list[Any]] = []
        self.longest_gap = 0.0
        self._last: float | None = None
        self._window = window
        self._waiting: dict[str, dict[str, Any]] = {}
        self._events = self._notes(name)
        self._is_enough = False
        self._done: Deferred[None] = Deferred()

    def _notes(self, name: str) -> Iterator[dict[str, Any]]:
        author = Author(name)
        for number in count():
            yield author.sign(f"{name} {number}")

    async def finish(self) -> None:
        """Publish nothing new, and wait until all is answered."""
        self._is_enough = True
        if self._waiting:
            await self._done.addTimeout(20, reactor)
        await self.stop()

    def begin(self, client: LiveClient) -> None:
        """Publish what is not answered, and more."""
        for event in self._waiting.values():
            client.send("EVENT", event)
        self._fill(client)

    def take(self, message: list[Any]) -> None:
        """Take note of an answer."""
        if message[0] != "OK":
            return
        now = reactor.seconds()
        if self._last is not None:
            self.longest_gap = max(self.longest_gap, now - self._last)
        self._last = now
        if self._waiting.pop(message[1], None) is None:
            return
        if message[2]:
            self.accepted[message[1]] = None
        else:
            self.refused.append(message)
        assert self.client is not None
        self._fill(self.client)
        if self._is_enough and not self._waiting and not self._done.called:
            self._done.callback(None)

    def _fill(self, client: LiveClient) -> None:
        while len(self._waiting) < self._window and not self._is_enough:
            event = next(self._events)
            self._waiting[event["id"]] = event
            client.send("EVENT", event)


class SteadySubscriber(_Steady):
    """
    Subscribes to all notes; after a reconnection from a moment before the last one.

    Attributes:
        seen: Ids of all that came.
        closed: What it was told of its subscriptions' ends.
    """

    def __init__(self, relay: Reachable) -> None:
        super().__init__(relay)
        self.seen: set[str] = set()
        self.closed: list[str] = []
        self.ready: Deferred[None] = Deferred()
        self._newest = 0

    def begin(self, client: LiveClient) -> None:
        """Subscribe."""
        if self._newest:
            client.send("REQ", "all", {"kinds": [1], "since": self._newest - 3})
        else:
            client.send("REQ", "all", {"kinds": [1], "limit": 0})

    def take(self, message: list[Any]) -> None:
        """Take note of an event, and that stored ones are at an end."""
        if message[0] == "EVENT":
            self.seen.add(message[2]["id"])
            self._newest = max(self._newest, message[2]["created_at"])
        elif message[0] == "CLOSED":
            self.closed.append(message[2])
        elif message[0] == "EOSE" and not self.ready.called:
            self.ready.callback(None)
