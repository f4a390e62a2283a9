"""Clients that go on whatever happens, and keep account of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater

from tests.live.authors import Author
from tests.live.client import ConnectionEnded, LiveClient, Reachable, connect
from tests.live.reactor import reactor

_RETRY_SECONDS = 0.1
_ANSWER_SECONDS = 20


class _Restless:
    """
    A client that connects again whenever its connection ends.

    Attributes:
        where: Where it connects, this time and the next.
        connections: How often it was connected.
    """

    def __init__(self, where: Reachable) -> None:
        self.where = where
        self.connections = 0
        self.client: LiveClient | None = None
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(lambda failure: failure.trap(CancelledError))  # type: ignore[unused-awaitable]

    async def _run(self) -> None:
        while True:
            try:
                client = await connect(self.where)
            except (ConnectError, ConnectionEnded, TimeoutError):
                await deferLater(reactor, _RETRY_SECONDS)
                continue
            self.client = client
            self.connections += 1
            try:
                await self.serve(client)
            except ConnectionEnded:
                await deferLater(reactor, _RETRY_SECONDS)
            except CancelledError:
                client.dropConnection(abort=True)
                await client.closed.wait(_ANSWER_SECONDS)
                raise

    async def serve(self, client: LiveClient) -> None:
        """Use one connection until it ends."""
        raise NotImplementedError

    async def end(self) -> None:
        """Disconnect for good."""
        self._running.cancel()
        client = self.client
        if client is not None and client.closed.value is None:
            client.dropConnection(abort=True)
            await client.closed.wait(_ANSWER_SECONDS)


class Publisher(_Restless):
    """
    Publishes notes at a steady pace, each until it is accepted.

    Args:
        where: Where to.
        name: Of the author.
        per_second: How many notes.
        ephemeral: Whether they are not to be stored.

    Attributes:
        accepted: By id, when OK true came.
        sent: By id, when an event was first sent.
        errors: The texts of answers with OK false.
        ended: Whether nothing new is published any more.
    """

    def __init__(
        self,
        where: Reachable,
        name: str,
        per_second: float = 50,
        ephemeral: bool = False,
    ) -> None:
        self.accepted: dict[str, float] = {}
        self.sent: dict[str, float] = {}
        self.errors: Counter[str] = Counter()
        self.ended = False
        self._kind = 20_001 if ephemeral else 1
        self._author = Author(name)
        self._numbers = count()
        self._open: dict[str, dict[str, Any]] = {}
        self._pause = 1 / per_second
        super().__init__(where)

    async def serve(self, client: LiveClient) -> None:
        """Send what has no answer yet, then what is new."""
        client.watch = self._take
        for event in list(self._open.values()):
            client.send("EVENT", event)
        due = reactor.seconds()
        while client.closed.value is None:
            if not self.ended and len(self._open) < 500:
                self._publish(client)
            due = max(due + self._pause, reactor.seconds() - 1)
            await deferLater(reactor, max(due - reactor.seconds(), 0))
        raise ConnectionEnded(client.closed.value)

    def _publish(self, client: LiveClient) -> None:
        text = f"{next(self._numbers)} nul \0 umlaut ü emoji 🫂"
        event = self._author.sign(text, kind=self._kind, tags=[["t", "load"]])
        self._open[event["id"]] = event
        self.sent[event["id"]] = time.monotonic()
        client.send("EVENT", event)

    def _take(self, message: list[Any]) -> None:
        if message[0] != "OK":
            return
        _, id_, is_accepted, text = message
        if is_accepted:
            if self._open.pop(id_, None) is not None:
                self.accepted[id_] = time.monotonic()
            return
        self.errors[text] += 1
        client, event = self.client, self._open.get(id_)
        if event is not None and client is not None:
            reactor.callLater(0.2, self._again, client, event)

    def _again(self, client: LiveClient, event: dict[str, Any]) -> None:
        if client.closed.value is None:
            client.send("EVENT", event)

    async def finish(self, seconds: float) -> None:
        """
        Publish nothing new, and wait until all is accepted.

        Raises:
            AssertionError: It is not within that time.
        """
        self.ended = True
        await until(lambda: not self._open, seconds, "an event is never accepted")


class Subscriber(_Restless):
    """
    Follows all notes of the load, and goes on where it was after a disconnection.

    Args:
        where: Where to subscribe.
        kind: The kind of event to follow.

    Attributes:
        heard: By id, how often an event came on one and the same connection, at
            most.
        heard_at: By id, when an event came first.
        ready: Whether EOSE came on the present connection.
    """

    def __init__(self, where: Reachable, kind: int = 1) -> None:
        self.heard: Counter[str] = Counter()
        self.heard_at: dict[str, float] = {}
        self.ready = False
        self._kind = kind
        self._latest = int(time.time()) - 1
        self._here: Counter[str] = Counter()
        super().__init__(where)

    async def serve(self, client: LiveClient) -> None:
        """Subscribe with the time of the last event, as clients do."""
        self.ready = False
        self._here = Counter()
        client.watch = self._take
        since = self._latest - 2
        client.send(
            "REQ",
            "load",
            {"kinds": [self._kind], "#t": ["load"], "since": since, "limit": 5000},
        )
        raise ConnectionEnded(await client.closed.wait(10_000))

    def _take(self, message: list[Any]) -> None:
        if message[0] == "EOSE":
            self.ready = True
        elif message[0] == "EVENT":
            event = message[2]
            self._latest = max(self._latest, event["created_at"])
            id_ = event["id"]
            self._here[id_] += 1
            self.heard[id_] = max(self.heard[id_], self._here[id_])
            self.heard_at.setdefault(id_, time.monotonic())
        elif message[0] == "CLOSED" and self.client is not None:
            # As when the store cannot be reached: try again, on a new connection.
            self.client.dropConnection(abort=True)

    def lacks(self, ids: set[str]) -> set[str]:
        """Which of these events did not come."""
        return ids - self.heard.keys()

    @property
    def doubled(self) -> list[str]:
        """Which events came more than once on one connection."""
        return [id_ for id_, times in self.heard.items() if times > 1]


async def until(is_so: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """
    Wait until something is so.

    Raises:
        AssertionError: It is not so within that time.
    """
    ends = reactor.seconds() + seconds
    while not is_so():
        if reactor.seconds() > ends:
            raise AssertionError(otherwise)
        await deferLater(reactor, 0.05)
