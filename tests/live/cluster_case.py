"""Nodes that share PostgreSQL and Redis, behind HAProxy, as an operator runs them."""

from __future__ import annotations

import os
from pathlib import Path

from tests.live.haproxy import HAPROXY_MISSING, HAProxy
from tests.live.live_case import LiveTestCase
from tests.live.postgres_server import PostgresServer
from tests.live.redis_server import REDIS_MISSING, RedisServer
from tests.live.relay_process import FREE_PORT, PROXIED, RelayProcess
from tests.live.traffic import Publisher, Subscriber, until

#: How long events may take to arrive once everything is well again, in seconds.
SOON = 20

#: What a node writes when it hears from the others.
CONNECTED = "Connected to Redis"

SETTINGS = """
[store]
url = "{store}"

[cluster]
node = "{name}"
redis = "{redis}"
secret_file = "{secret}"
workers = {workers}

[ingest]
verifier_processes = 0
"""


class ClusterTestCase(LiveTestCase):
    """
    A test with a Redis, a PostgreSQL and nodes of its own.

    Attributes:
        nodes: Those that were started, in order.
        publishers: All of them, to be ended.
        subscribers: All of them, to be ended.
    """

    timeout = 240
    skip = REDIS_MISSING or HAPROXY_MISSING

    async def setUp(self) -> None:  # type: ignore[override]
        """Start Redis and PostgreSQL."""
        super().setUp()
        self.nodes: list[RelayProcess] = []
        self.publishers: list[Publisher] = []
        self.subscribers: list[Subscriber] = []
        self.postgres = PostgresServer.start()
        self.addCleanup(self.postgres.remove)
        self.redis = await RedisServer.start(self.directory / "redis")
        self.addCleanup(self.redis.stop)
        self.secret = self.directory / "secret"
        self.secret.write_text(os.urandom(32).hex() + "\n")
        self.secret.chmod(0o600)
        # Before the relays, so that what comes of the end is no fault of theirs.
        self.addCleanup(self.end_traffic)

    async def end_traffic(self) -> None:
        """End all clients, and then the nodes."""
        for client in (*self.publishers, *self.subscribers):
            await client.end()
        for node in self.nodes:
            await node.stop()

    def settings(
        self, name: str, more: str = "", workers: int = 1, secret: Path | None = None
    ) -> str:
        """The settings of a node."""
        text = SETTINGS.format(
            store=self.postgres.url(),
            name=name,
            redis=self.redis.url,
            secret=secret or self.secret,
            workers=workers,
        )
        return text + more

    async def start_node(self, name: str = "", settings: str = "") -> RelayProcess:
        """
        Start one more node, with a port for clients and one for HAProxy.

        Args:
            name: What it is called among the others.
            settings: Its settings, if not those of :meth:`settings`.
        """
        name = name or f"node{len(self.nodes) + 1}"
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        (directory / "settings.toml").write_text(settings or self.settings(name))
        arguments = ["nostr-relay", "--config", "settings.toml"]
        arguments += ["--listen", FREE_PORT, "--listen", PROXIED]
        arguments += ["--admin", FREE_PORT]
        node = self.ends(await RelayProcess.spawn(directory, arguments))
        self.nodes.append(node)
        await until(lambda: len(node.addresses) == 2, 20, "one port only is open")
        return node

    async def start_nodes(self, count: int) -> list[RelayProcess]:
        """Start nodes that clients can connect to, and wait until all know Redis."""
        nodes = [await self.start_node() for _ in range(count)]
        for node in nodes:
            await until(lambda n=node: CONNECTED in n.output, 20, node.output)  # type: ignore[misc]
        return nodes

    async def start_haproxy(self) -> HAProxy:
        """Put HAProxy in front of all nodes."""
        nodes = [(*node.addresses[1], node.node[2]) for node in self.nodes]
        proxy = await HAProxy.start(nodes)
        self.addCleanup(proxy.stop)
        return proxy

    def publish(self, *args: object, **more: object) -> Publisher:
        """Begin to publish."""
        publisher = Publisher(*args, **more)  # type: ignore[arg-type]
        self.publishers.append(publisher)
        return publisher

    async def subscribe(self, *args: object, **more: object) -> Subscriber:
        """Begin to follow; fires when the subscription is live."""
        subscriber = Subscriber(*args, **more)  # type: ignore[arg-type]
        self.subscribers.append(subscriber)
        await until(lambda: subscriber.ready, 20, "no EOSE")
        return subscriber

    async def finish(self, *publishers: Publisher) -> set[str]:
        """Let publishers come to their end; the ids of all that was accepted."""
        ids: set[str] = set()
        for publisher in publishers:
            await publisher.finish(60)
            ids |= publisher.accepted.keys()
        return ids

    async def assert_all_heard(
        self, ids: set[str], *subscribers: Subscriber, seconds: float = SOON
    ) -> None:
        """Every subscriber gets every event, and none twice on one connection."""
        for number, one in enumerate(subscribers):
            await until(
                lambda one=one: not one.lacks(ids),  # type: ignore[misc]
                seconds,
                f"subscriber {number} lacks {len(one.lacks(ids))} of {len(ids)}",
            )
            self.assertEqual(one.doubled, [])
