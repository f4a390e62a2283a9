"""A relay of several processes: everything that clients and operators may rely on."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater

from tests.live.authors import Author
from tests.live.client import LiveClient
from tests.live.live_case import LiveTestCase
from tests.live.occasion import Occasion
from tests.live.reactor import reactor
from tests.live.relay_process import RelayProcess

_TWO = "[cluster]\nworkers = 2\n"


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()]


def connections(pid: int) -> int:
    """How many TCP connections a process has, as the system sees it."""
    inodes = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "01":
            inodes[f"socket:[{fields[9]}]"] = True
    found = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += os.readlink(descriptor) in inodes
        except FileNotFoundError:
            pass
    return found


class Gathered:
    """
    What a subscriber has got.

    Args:
        client: Subscribes to everything.
        expected: How many events are worth waiting for.
    """

    def __init__(self, client: LiveClient, expected: int) -> None:
        self.counts: Counter[str] = Counter()
        self.all: Occasion[bool] = Occasion()
        self.ready: Occasion[bool] = Occasion()
        self._expected = expected
        client.watch = self._take
        client.send("REQ", "all", {"kinds": [1], "limit": 0})

    def _take(self, message: list[Any]) -> None:
        if message[0] == "EOSE":
            self.ready.happens(True)
        elif message[0] == "EVENT":
            self.counts[message[2]["id"]] += 1
            if len(self.counts) == self._expected:
                self.all.happens(True)


class WorkersTests(LiveTestCase):
    """Two workers over one store."""

    async def spread(self, relay: RelayProcess, count: int) -> list[LiveClient]:
        """Connect clients, until every worker has some."""
        clients = [await self.connect(relay) for _ in range(count)]
        for worker in children(relay.pid):
            self.assertGreater(connections(worker), 0)
        return clients

    async def test_delivered_once(self) -> None:
        """
        What is published through any worker reaches every subscriber of every
        worker, exactly once.
        """
        relay = await self.start_relay(_TWO)
        self.assertEqual(len(children(relay.pid)), 2)
        (*publishers,) = clients = await self.spread(relay, 24)
        publishers, subscribers = clients[:4], clients[4:]
        gathered = [Gathered(client, 2000) for client in subscribers]
        for each in gathered:
            await each.ready.wait(20)
        sent = []
        for number, publisher in enumerate(publishers):
            author = Author(f"publisher {number}")
            events = [author.sign(f"{n}") for n in range(500)]
            sent += [event["id"] for event in events]
            publisher.watch = None
            for event in events:
                publisher.send("EVENT", event)
        for each in gathered:
            await each.all.wait(60)
        await deferLater(reactor, 0.5)
        for each in gathered:
            self.assertEqual(each.counts, Counter(sent))
