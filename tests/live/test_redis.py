"""News through a real Redis server, which may be slow, be killed, or be unknown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from secrets import token_bytes, token_hex
from typing import Any

from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from nostrtx.broadcast.opening import open_broadcaster
from nostrtx.broadcast.redis import RedisBroadcaster
from nostrtx.config import ClusterSettings
from nostrtx.interfaces import BroadcasterUnusable
from tests.live.reactor import reactor
from tests.live.redis_server import REDIS_MISSING, RedisServer

SECRET = token_hex(32)


class Node:
    """
    A broadcaster, and what came of it.

    Attributes:
        broadcaster: It.
        heard: All that it heard on the topic ``t``: sender and payload.
        connected: How often it was told that it is connected.
        refused: Why it may not join, if that came out after the start.
    """

    def __init__(
        self, name: str, redis: str, secret: str, facts: dict[str, str], **settings: Any
    ) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.connected = 0
        self.refused: BroadcasterUnusable | None = None
        broadcaster = open_broadcaster(
            ClusterSettings(redis=redis, **settings),
            name,
            False,
            facts,
            reactor,
            token_bytes,
            {"NOSTRTX_CLUSTER_SECRET": secret},
            self._refuse,
        )
        assert isinstance(broadcaster, RedisBroadcaster)
        self.broadcaster = broadcaster
        broadcaster.listen("t", lambda *news: self.heard.append(news))
        broadcaster.on_connected(self._count)

    def _refuse(self, why: BroadcasterUnusable) -> None:
        self.refused = why

    def _count(self) -> None:
        self.connected += 1

    def publish(self, *payloads: bytes) -> bool:
        """Tell the others; whether all of it was sent."""
        sent = [self.broadcaster.publish("t", each) for each in payloads]
        return all(sent)


class RedisTestCase(TestCase):
    """A test with Redis servers and broadcasters that end with it."""

    skip = REDIS_MISSING
    timeout = 90

    def setUp(self) -> None:
        """Make a directory."""
        self.directory = Path(self.mktemp()).absolute()
        self._servers: list[RedisServer] = []
        self._nodes: list[Node] = []
        self.addCleanup(self._end)

    async def _end(self) -> None:
        for node in self._nodes:
            await node.broadcaster.stop()
        for server in self._servers:
            await server.kill()

    async def start_redis(
        self, settings: str = "", sentinel: bool = False
    ) -> RedisServer:
        """Another Redis server."""
        directory = self.directory / str(len(self._servers))
        server = await RedisServer.start(directory, settings, sentinel)
        self._servers.append(server)
        return server

    def node(
        self,
        name: str,
        redis: str,
        secret: str = SECRET,
        facts: dict[str, str] | None = None,
        **settings: Any,
    ) -> Node:
        """A node that was not started."""
        node = Node(name, redis, secret, facts or {"store": "s"}, **settings)
        self._nodes.append(node)
        return node

    async def start_node(self, name: str, redis: str, **more: Any) -> Node:
        """A node that has joined."""
        node = self.node(name, redis, **more)
        await node.broadcaster.start()
        self.assertTrue(node.broadcaster.is_connected)
        return node

    async def until(self, true: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until something is true."""
        end = reactor.seconds() + seconds
        while not true():
            self.assertLess(reactor.seconds(), end, "it does not come true")
            await deferLater(reactor, 0.01)


class NewsTests(RedisTestCase):
    """What nodes hear of one another."""

    async def test_any_bytes(self) -> None:
        """Any bytes arrive as they were sent, in order, and not at the sender."""
        redis = await self.start_redis()
        here = await self.start_node("here", redis.url)
        there = await self.start_node("there", redis.url)
        payloads = [
            b"",
            b"123",
            b"-1.5",
            "äöü ☃".encode(),
            b"\0\r\n$3\r\n\xff",
            bytes(range(256)) * 4096,
            b"QUEUED",
        ]
        self.assertTrue(here.publish(*payloads))
        await self.until(lambda: len(there.heard) == len(payloads))
        self.assertEqual(there.heard, [("here", payload) for payload in payloads])
        self.assertEqual(here.heard, [])
        self.assertEqual(here.broadcaster.facts()["news_published"], len(payloads))
        self.assertEqual(there.broadcaster.facts()["news_received"], len(payloads))
