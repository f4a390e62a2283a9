"""Members of a relay of two nodes, with PostgreSQL and Redis between them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest

from tests.live.authors import Author
from tests.live.client import Json, LiveClient
from tests.live.live_case import LiveTestCase
from tests.live.postgres_server import shared_server
from tests.live.reactor import reactor
from tests.live.redis_server import REDIS_MISSING, RedisServer
from tests.live.relay_process import BIN, FREE_PORT, RelayDied, RelayProcess

_SETTINGS = """
relay.url = "wss://relay.example.com"
relay.key_file = "{key}"
store.url = "{store}"
membership.enabled = true
cluster.redis = "{redis}"
cluster.node = "{node}"
"""


class SharedMembershipTests(LiveTestCase):
    """Two nodes, each with its own directory, and ``nostrtx`` on a third machine."""

    async def setUp(self) -> None:  # type: ignore[override]
        """Start what is between them."""
        if REDIS_MISSING:
            raise SkipTest(REDIS_MISSING)
        server = shared_server()
        name = server.make_database()
        self.store = server.url(name)
        # What is begun last is ended first: the nodes, before what they need.
        self.addCleanup(server.drop_database, name)
        self.addCleanup(lambda: self.redis.stop())
        super().setUp()
        self.redis = await RedisServer.start(self.directory / "redis")
        self.secret = "ab" * 32

    async def start_node(self, name: str, key: str = "77" * 32) -> RelayProcess:
        """A node whose key is in a file of its own."""
        directory = self.directory / name
        directory.mkdir()
        (directory / "key").write_text(key)
        (directory / "key").chmod(0o600)
        (directory / "settings.toml").write_text(
            _SETTINGS.format(
                key=directory / "key", store=self.store, redis=self.redis.url, node=name
            )
        )
        arguments = ["nostr-relay", "--config", "settings.toml", "--listen", FREE_PORT]
        secret = {"NOSTRTX_CLUSTER_SECRET": self.secret}
        return self.ends(await RelayProcess.spawn(directory, arguments, **secret))

    async def command(self, *arguments: str) -> str:
        """What ``nostrtx`` prints when it is run on the store."""
        out, errors, code = await getProcessOutputAndValue(
            str(BIN / "nostrtx"),
            [*arguments, "--store", self.store],
            {"PATH": "/usr/bin:/bin", "HOME": str(self.directory)},
            str(self.directory),
            reactor,
        )
        self.assertEqual(code, 0, errors.decode())
        return str(out.decode()).strip()

    async def answer(self, client: LiveClient, event: Json) -> Any:
        """What the OK for an event says; challenges are answered by nobody."""
        client.send("EVENT", event)
        while (message := await client.receive())[0] != "OK":
            pass
        self.assertEqual(message[1], event["id"])
        return message[2:]

    async def test_join(self) -> None:
        """Who joins at one node with a code is a member at the other in a second."""
        nodes = [await self.start_node(name) for name in ("a", "b")]
        code = await self.command("invite", "create")
        alice, bob = Author("alice"), Author("bob")
        one, other = [await self.connect(node) for node in nodes]
        other.send("REQ", "news", {"kinds": [8000, 13534], "since": 1})
        while (await other.receive())[0] != "EOSE":
            pass
        join = alice.sign(kind=28934, tags=[["claim", code]])
        self.assertEqual(
            await self.answer(one, join),
            [True, "info: welcome to wss://relay.example.com!"],
        )
        news = [await other.receive() for _ in range(2)]
        self.assertEqual(sorted(message[2]["kind"] for message in news), [8000, 13534])
        join = bob.sign(kind=28934, tags=[["claim", code]])
        self.assertEqual(
            await self.answer(other, join),
            [False, "restricted: that is an invalid invite code"],
        )
        self.assertIn("npub1", await self.command("members", "list"))
        self.assertEqual(
            {event["pubkey"] for event in await one.query({"kinds": [13534]})},
            {news[0][2]["pubkey"]},
        )

    async def test_another_key(self) -> None:
        """A node that has another key says so in one line, and serves nobody."""
        await self.start_node("a")
        died = await self.assertFailure(
            Deferred.fromCoroutine(self.start_node("b", "88" * 32)), RelayDied
        )
        self.assertIn("nostr-relay: a has another key (", str(died))
