"""
How long an event takes from one node to a client of another.

Publishes notes to the first port at a steady pace, and subscribes to them at the
second. Prints what it found as JSON.
"""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
)
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import deferLater, react

reactor: Any = _reactor


class _Client(WebSocketClientProtocol):
    """One connection; tells of each message."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: Deferred[None] = Deferred()
        self.heard: Any = None

    def onOpen(self) -> None:
        """Messages can be sent."""
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Tell of it."""
        self.heard(payload)


async def _connect(port: int, heard: Any) -> _Client:
    factory = WebSocketClientFactory(f"ws://127.0.0.1:{port}/")
    factory.protocol = _Client
    factory.noisy = False
    client: Any = await TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(factory)
    client.heard = heard
    await client.opened
    assert isinstance(client, _Client)
    return client


async def _measure(events: list[bytes], here: int, there: int, rate: float) -> None:
    sent: dict[bytes, float] = {}
    arrived: dict[bytes, float] = {}
    answered: dict[bytes, float] = {}
    doubled = 0
    subscribed: Deferred[None] = Deferred()

    def hear(message: bytes) -> None:
        nonlocal doubled
        if message.startswith(b'["EOSE"'):
            subscribed.callback(None)
            return
        id_ = message[message.index(b'"id":"') + 6 :][:64]
        if id_ in arrived:
            doubled += 1
        arrived.setdefault(id_, reactor.seconds())

    def hear_answer(message: bytes) -> None:
        answered[message[7:71]] = reactor.seconds()

    subscriber = await _connect(there, hear)
    subscriber.sendMessage(b'["REQ","s",{"kinds":[1],"limit":0}]')
    await subscribed
    publisher = await _connect(here, hear_answer)
    begin = reactor.seconds() + 0.1
    for number, event in enumerate(events):
        due = begin + number / rate
        wait = due - reactor.seconds()
        if wait > 0:
            await deferLater(reactor, wait)
        sent[event[event.index(b'"id":"') + 6 :][:64]] = due
        publisher.sendMessage(b'["EVENT",%b]' % event)
    for _ in range(100):
        if len(arrived) == len(answered) == len(events):
            break
        await deferLater(reactor, 0.1)
    delays = sorted(1000 * (at - sent[id_]) for id_, at in arrived.items())
    oks = sorted(1000 * (at - sent[id_]) for id_, at in answered.items())
    lost = len(events) - len(arrived)
    found = {
        "delivery_ms": _percentiles(delays),
        "ack_ms": _percentiles(oks),
        "problems": [f"{lost} events lost"] * bool(lost)
        + [f"{doubled} events twice"] * bool(doubled),
    }
    print(json.dumps(found))


def _percentiles(values: list[float]) -> dict[str, float]:
    return {
        f"p{of}": values[min(len(values) * of // 100, len(values) - 1)]
        for of in (50, 90, 99)
    }


def _main(_: object, corpus: str, here: str, there: str, rate: str) -> Deferred[None]:
    with Path(corpus).open("rb") as lines:
        events = [line.strip() for line in islice(lines, 100, 4100)]
    return Deferred.fromCoroutine(_measure(events, int(here), int(there), float(rate)))


if __name__ == "__main__":
    react(_main, sys.argv[1:])
