"""A Nostr client over a real socket, on Autobahn."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs
from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
)
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate, optionsForClientTLS
from zope.interface import implementer

from tests.live.occasion import Occasion
from tests.live.reactor import reactor

Json = dict[str, Any]
Answer = tuple[bool, str]
"""What an OK says: whether the event was accepted, and the text."""

_SECONDS = 20


class ConnectionEnded(Exception):
    """The relay ended the connection while something was awaited from it."""


@attrs.frozen
class Closing:
    """
    How a connection ended.

    Attributes:
        clean: Whether both sides sent a close frame.
        code: The relay's code; None if it sent none.
        reason: Its words.
    """

    clean: bool
    code: int | None
    reason: str | None


class Reachable(Protocol):
    """What one can connect to."""

    @property
    def url(self) -> str:
        """Its URL, as a client is told."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port where it listens."""


class LiveClient(WebSocketClientProtocol):
    """
    One connection; what arrives waits until it is asked for.

    Attributes:
        before: Sent before anything else, even before TLS.
        messages: What has arrived and was not yet received, as parsed JSON.
        opened: That the handshake is done.
        closed: That the connection has ended.
        watch: Called with each message on arrival, in place of keeping it.
    """

    before = b""
    transport: Any

    def __init__(self) -> None:
        super().__init__()
        self.messages: deque[list[Any]] = deque()
        self.opened: Occasion[bool] = Occasion()
        self.closed: Occasion[Closing] = Occasion()
        self.watch: Any = None
        self._waiting: Deferred[None] | None = None

    def connectionMade(self) -> None:
        """Say first what is to be said first."""
        if self.before:
            self.transport.write(self.before)
        super().connectionMade()

    def onOpen(self) -> None:
        """Messages can be sent."""
        self.opened.happens(True)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Keep a message, or have it watched."""
        message = json.loads(payload)
        if self.watch is not None:
            self.watch(message)
            return
        self.messages.append(message)
        self._wake()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Tell whoever waits."""
        closing = Closing(wasClean, code, reason)
        self.opened.fails(ConnectionEnded(closing))
        self.closed.happens(closing)
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def send(self, *message: Any) -> None:
        """Send one message, a JSON array of these."""
        self.send_text(json.dumps(message, ensure_ascii=False))

    def send_text(self, text: str) -> None:
        """Send one text frame as it is."""
        self.sendMessage(text.encode(), isBinary=False)

    async def receive(self) -> list[Any]:
        """
        The next message.

        Raises:
            ConnectionEnded: None comes any more.
        """
        while not self.messages:
            if self.closed.value is not None:
                raise ConnectionEnded(self.closed.value)
            self._waiting = Deferred()
            await self._waiting.addTimeout(_SECONDS, reactor)
        return self.messages.popleft()

    async def publish(
        self, events: Iterable[Json], window: int = 200
    ) -> dict[str, Answer]:
        """
        Publish events in order, at most ``window`` at once without an answer.

        Returns:
            The answer to each, by event id; to the last of them if one id was
            published repeatedly.

        Raises:
            ConnectionEnded: Not all were answered.
        """
        answers: dict[str, Answer] = {}
        waiting = 0
        for event in events:
            self.send("EVENT", event)
            waiting += 1
            while waiting >= window:
                waiting -= await self._take_answer(answers)
        while waiting:
            waiting -= await self._take_answer(answers)
        return answers

    async def _take_answer(self, answers: dict[str, Answer]) -> int:
        message = await self.receive()
        if message[0] != "OK":
            return 0
        answers[message[1]] = (message[2], message[3])
        return 1

    async def query(self, *filters: Json) -> list[Json]:
        """
        The stored events that match, in the order in which the relay sends them.

        Raises:
            AssertionError: The relay refused the request.
        """
        self.send("REQ", "query", *filters)
        events: list[Json] = []
        while True:
            message = await self.receive()
            if message[1:2] != ["query"]:
                continue
            if message[0] == "EOSE":
                self.send("CLOSE", "query")
                return events
            if message[0] == "CLOSED":
                raise AssertionError(message)
            events.append(message[2])

    async def by_id(self, ids: Sequence[str]) -> dict[str, Json]:
        """Those of the events that the relay serves, by id."""
        found: dict[str, Json] = {}
        for start in range(0, len(ids), 500):
            wanted = list(ids[start : start + 500])
            for event in await self.query({"ids": wanted, "limit": 500}):
                if event["id"] in found:
                    raise AssertionError(f"sent twice: {event['id']}")
                found[event["id"]] = event
        return found

    async def leave(self) -> Closing:
        """Close the connection if it is open; how it ended, once it has."""
        if self.closed.value is None:
            self.sendClose(1000)
        return await self.closed.wait(_SECONDS)


@implementer(IStreamClientEndpoint)
class _Announced:
    """An endpoint of connections that begin with something."""

    def __init__(self, endpoint: Any, before: bytes) -> None:
        self._endpoint = endpoint
        self._before = before

    def connect(self, protocolFactory: Any) -> Any:
        build = protocolFactory.buildProtocol

        def announced(address: object) -> Any:
            protocol = build(address)
            make = protocol.makeConnection

            def begin(transport: Any) -> None:
                transport.write(self._before)
                make(transport)

            protocol.makeConnection = begin
            return protocol

        protocolFactory.buildProtocol = announced
        return self._endpoint.connect(protocolFactory)


async def connect(
    relay: Reachable,
    certificate: Path | None = None,
    before: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> LiveClient:
    """
    Connect to ``relay``, or to a proxy in front of it.

    Args:
        relay: Where to connect.
        certificate: What the other side has to show, if its URL asks for TLS.
        before: Sent before anything else.
        headers: Sent with the handshake.

    Raises:
        ConnectionEnded: It was refused.
    """
    factory = WebSocketClientFactory(relay.url, headers=dict(headers or {}))
    first = b"" if factory.isSecure else before
    protocol: Any = type("LiveClient", (LiveClient,), {"before": first})
    factory.protocol = protocol
    factory.noisy = False
    host, port = relay.address
    endpoint: Any = TCP4ClientEndpoint(reactor, host, port)
    if factory.isSecure:
        assert certificate is not None
        trusted = Certificate.loadPEM(certificate.read_bytes())
        options = optionsForClientTLS(factory.host, trusted)
        endpoint = wrapClientTLS(options, _Announced(endpoint, before))
    client: Any = await endpoint.connect(factory)
    client = getattr(client, "wrappedProtocol", client)
    assert isinstance(client, LiveClient)
    await client.opened.wait(_SECONDS)
    return client
