"""Nodes that meet at a fake Redis server, in a time that the test makes pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from nostrtx.broadcast.redis import RedisBroadcaster
from nostrtx.broadcast.servers import FixedServer, Found, Servers
from nostrtx.interfaces.processes import BroadcasterUnusable
from nostrtx.redis_url import RedisAddress
from tests.broadcast.fake_redis import FakeRedis

NOW: Final = 1_700_000_000

SECRET: Final = b"s" * 32
OTHER_SECRET: Final = b"o" * 32


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
        self,
        world: World,
        name: str,
        servers: Servers,
        address: RedisAddress,
        secrets: tuple[bytes, ...],
        facts: Mapping[str, str],
    ) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.connected = 0
        self.refused: BroadcasterUnusable | None = None
        self.broadcaster = RedisBroadcaster(
            name,
            False,
            servers,
            address,
            "relay",
            secrets,
            facts,
            world.random_bytes(16),
            world.clock,
            world.random_bytes,
            self._refuse,
        )
        self.broadcaster.listen("t", lambda *news: self.heard.append(news))
        self.broadcaster.on_connected(self._count)

    def _refuse(self, why: BroadcasterUnusable) -> None:
        self.refused = why

    def _count(self) -> None:
        self.connected += 1

    def publish(self, payload: bytes) -> bool:
        """Tell the others."""
        return self.broadcaster.publish("t", payload)


class World:
    """
    A Redis server, nodes, and time.

    Attributes:
        clock: The time.
        redis: The server.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.redis = FakeRedis(self.clock)
        self._drawn = 0

    def random_bytes(self, count: int) -> bytes:
        """Bytes that are not drawn twice."""
        self._drawn += 1
        return self._drawn.to_bytes(count, "big") if count > 1 else b"\x80"

    def node(
        self,
        name: str,
        *secrets: bytes,
        facts: Mapping[str, str] | None = None,
        address: RedisAddress | None = None,
        servers: Servers | None = None,
    ) -> Node:
        """A node that was not started."""
        return Node(
            self,
            name,
            servers or FixedServer(Found(self.redis, "redis://here")),
            address or RedisAddress("here"),
            secrets or (SECRET,),
            {"store": "s"} if facts is None else facts,
        )

    def started(self, name: str, *secrets: bytes) -> Node:
        """A node that has joined."""
        node = self.node(name, *secrets)
        _ = node.broadcaster.start()
        self.run()
        assert node.broadcaster.is_connected
        return node

    def run(self, seconds: float = 0) -> None:
        """Let time pass, and data travel meanwhile."""
        self.redis.run()
        self.clock.advance(0)
        self.redis.run()
        for _ in range(round(seconds / 0.05)):
            self.clock.advance(0.05)
            self.redis.run()

    def stop(self, *nodes: Node) -> None:
        """Stop nodes; all of them have stopped in the end."""
        for node in nodes:
            stopping: Deferred[None] = node.broadcaster.stop()
            self.run(0 if self.redis.accepts and not self.redis.silent else 10)
            assert stopping.called, "it does not stop"
