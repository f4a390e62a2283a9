"""The cluster of deploy/compose, as far as it goes without containers."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from nostrtx.settings.file import load_settings
from tests.deployment import prepared
from tests.live.authors import Author
from tests.live.client import LiveClient
from tests.live.haproxy import HAPROXY_MISSING, HAProxy
from tests.live.live_case import LiveTestCase
from tests.live.postgres_server import shared_server
from tests.live.redis_server import REDIS_MISSING, RedisServer
from tests.live.relay_process import FREE_PORT, PROXIED, RelayProcess

_NAMES = ("node1", "node2", "node3")


class ComposeTests(LiveTestCase):
    """Three nodes with the settings, secrets and Redis user of deploy/compose."""

    redis: RedisServer | None = None
    database = ""

    def setUp(self) -> None:
        """Have what they share end behind the nodes."""
        self.addCleanup(self._end_shared)
        super().setUp()

    async def _end_shared(self) -> None:
        if self.redis is not None:
            await self.redis.stop()
        if self.database:
            await deferToThread(shared_server().drop_database, self.database)

    async def start_all(self) -> None:
        """Start everything but the containers."""
        missing = HAPROXY_MISSING or REDIS_MISSING
        if missing:
            raise SkipTest(missing)
        server = await deferToThread(shared_server)
        self.database = await deferToThread(server.make_database)
        self.compose = prepared(self.directory)
        users = (self.compose / "secrets" / "redis.acl").read_text()
        self.redis = await RedisServer.start(self.directory / "redis", users)
        self.nodes = [await self.start_node(name) for name in _NAMES]
        self.proxy = await HAProxy.start([node.node for node in self.nodes])
        self.addCleanup(self.proxy.stop)

    async def start_node(self, name: str) -> RelayProcess:
        """A node with the settings of all; its name stands in for the host's."""
        assert self.redis is not None
        secrets = self.compose / "secrets"
        text = (secrets / "relay.toml").read_text()
        store = load_settings(str(secrets / "relay.toml")).store.url
        for old, new in (
            (store, shared_server().url(self.database)),
            ("@redis:6379", f"@127.0.0.1:{self.redis.port}"),
            ("/run/secrets/", f"{secrets}/"),
            ("[cluster]\n", f'[cluster]\nnode = "{name}"\n'),
            ('"tcp:7448"', f'"{FREE_PORT}"'),
        ):
            self.assertIn(old, text)
            text = text.replace(old, new)
        directory = Path(self.directory / name)
        directory.mkdir()
        (directory / "settings.toml").write_text(text)
        arguments = ["nostr-relay", "--config", "settings.toml", "--listen", PROXIED]
        return self.ends(await RelayProcess.spawn(directory, arguments))

    async def heard(self, client: LiveClient, count: int) -> list[str]:
        """The ids of so many live events."""
        return [(await client.receive())[2]["id"] for _ in range(count)]

    async def test_one_relay(self) -> None:
        """Clients of all nodes hear what is published on any, each event once."""
        await self.start_all()
        clients = [await self.connect(self.proxy) for _ in range(6)]
        for client in clients:
            client.send("REQ", "all", {"limit": 0})
            self.assertEqual(await client.receive(), ["EOSE", "all"])
        writers = [await self.connect(self.proxy) for _ in range(3)]
        published = []
        for number, writer in enumerate(writers):
            author = Author(f"author {number}")
            notes = [author.sign(f"note {each}") for each in range(50)]
            # Ephemeral events only travel over Redis.
            notes += [author.sign(f"gone {each}", kind=20001) for each in range(50)]
            answers = await writer.publish(notes)
            self.assertEqual({ok for ok, _ in answers.values()}, {True})
            published += [note["id"] for note in notes]
        for client in clients:
            heard = await self.heard(client, len(published))
            self.assertEqual(sorted(heard), sorted(published))
            self.assertEqual(list(client.messages), [])

    async def test_node_dies(self) -> None:
        """A client whose node dies goes on with another one, by ``since``."""
        await self.start_all()
        client = await self.connect(self.proxy)
        writer = await self.connect(self.proxy)
        author = Author("somebody")
        first = author.sign("while all is well")
        await writer.publish([first])
        await self.nodes[0].stop("KILL")
        await client.closed.wait(20)
        second = author.sign("meanwhile")
        self.assertEqual(await writer.publish([second]), {second["id"]: (True, "")})
        again = await self.connect(self.proxy)
        found = await again.query({"since": first["created_at"]})
        self.assertEqual({each["id"] for each in found}, {first["id"], second["id"]})
