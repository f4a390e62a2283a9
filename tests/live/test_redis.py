"""News through a real Redis server, which may be slow, be killed, or be unknown."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from secrets import token_bytes, token_hex
from shutil import rmtree
from signal import SIGKILL
from tempfile import mkdtemp
from typing import Any

from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from nostrtx.broadcast.opening import open_broadcaster
from nostrtx.broadcast.redis import RedisBroadcaster
from nostrtx.interfaces.processes import BroadcasterUnusable
from nostrtx.settings.storing import ClusterSettings
from tests.certificates import write_certificates
from tests.live.occasion import Occasion
from tests.live.reactor import reactor
from tests.live.redis_server import REDIS_MISSING, RedisServer
from tests.live.relay_process import ROOT

SECRET = token_hex(32)

_PROCESS = """
import secrets
from twisted.internet import reactor
from nostrtx.broadcast.opening import open_broadcaster
from nostrtx.settings.storing import ClusterSettings

open_broadcaster(
    ClusterSettings(redis={redis!r}), "here", False, {facts!r}, reactor,
    secrets.token_bytes, {{"NOSTRTX_CLUSTER_SECRET": {secret!r}}}, print,
).start().addCallback(lambda _: print("joined", flush=True))
reactor.run()
"""


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


class _Process(ProcessProtocol):
    """A node in a process of its own."""

    def __init__(self) -> None:
        self.joined: Occasion[bool] = Occasion()
        self.ended: Occasion[bool] = Occasion()

    def outReceived(self, data: bytes) -> None:
        """It has joined."""
        self.joined.happens(True)

    def processEnded(self, reason: Failure) -> None:
        """It is gone."""
        self.ended.happens(True)


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

    async def test_leaves_in_good_order(self) -> None:
        """What was published right before a node stops still arrives."""
        redis = await self.start_redis()
        here = await self.start_node("here", redis.url)
        there = await self.start_node("there", redis.url)
        payloads = [token_bytes(10_000) for _ in range(200)]
        self.assertTrue(here.publish(*payloads))
        await here.broadcaster.stop()
        await self.until(lambda: len(there.heard) == len(payloads))
        self.assertEqual([payload for _, payload in there.heard], payloads)

    async def test_rotation(self) -> None:
        """Nodes with the old secret, with both and with the new one hear each other."""
        redis = await self.start_redis()
        new = token_hex(32)
        old = await self.start_node("old", redis.url)
        both = await self.start_node("both", redis.url, secret=f"{SECRET} {new}")
        self.assertTrue(old.publish(b"from old") and both.publish(b"from both"))
        await self.until(lambda: bool(old.heard and both.heard))
        self.assertEqual(old.heard, [("both", b"from both")])
        self.assertEqual(both.heard, [("old", b"from old")])


class OutageTests(RedisTestCase):
    """What happens when Redis is not there, or is and does nothing."""

    async def test_killed(self) -> None:
        """When Redis is back, all are connected again at once, and are told so."""
        redis = await self.start_redis()
        here = await self.start_node("here", redis.url)
        there = await self.start_node("there", redis.url)
        for _ in range(3):
            here.connected = there.connected = 0
            await redis.kill()
            await self.until(lambda: not here.broadcaster.is_connected)
            self.assertFalse(here.publish(b"nobody hears this"))
            await redis.restart()
            await self.until(lambda: here.connected == there.connected == 1)
            self.assertTrue(here.publish(b"heard"))
            await self.until(lambda: bool(there.heard))
            self.assertEqual(there.heard.pop(), ("here", b"heard"))
        self.assertEqual(here.broadcaster.facts()["redis_reconnections"], 3)
        self.assertEqual(here.broadcaster.facts()["news_unsent"], 3)
        self.assertIsNone(here.refused)

    async def test_paused(self) -> None:
        """A Redis that does nothing is noticed, and costs bounded memory until then."""
        redis = await self.start_redis()
        here = await self.start_node("here", redis.url)
        redis.pause()
        began = reactor.seconds()
        sent = [here.publish(bytes(1_000_000)) for _ in range(20)]
        self.assertEqual(sent.count(True), 16)
        await self.until(lambda: not here.broadcaster.is_connected)
        self.assertLess(reactor.seconds() - began, 16)
        redis.resume()
        await self.until(lambda: here.connected == 2)

    async def test_absent_at_start(self) -> None:
        """A node starts without Redis after some seconds, and joins it later."""
        redis = await self.start_redis()
        await redis.stop()
        here = self.node("here", redis.url)
        await here.broadcaster.start()
        self.assertFalse(here.broadcaster.is_connected)
        await redis.restart()
        await self.until(lambda: here.connected == 1)


class JoiningTests(RedisTestCase):
    """Who may join whom."""

    async def assert_refused(self, node: Node, words: str) -> None:
        """``node`` may not start, and says why in one line."""
        with self.assertRaises(BroadcasterUnusable) as caught:
            await node.broadcaster.start()
        self.assertIn(words, str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))

    async def test_another_secret(self) -> None:
        """A node with another secret does not start; the others go on."""
        redis = await self.start_redis()
        here = await self.start_node("here", redis.url)
        there = self.node("there", redis.url, secret=token_hex(32))
        await self.assert_refused(there, "here has another secret")
        self.assertTrue(here.broadcaster.is_connected)
        self.assertIsNone(here.refused)

    async def test_another_store(self) -> None:
        """A node with another store does not start."""
        redis = await self.start_redis()
        await self.start_node("here", redis.url)
        there = self.node("there", redis.url, facts={"store": "another"})
        await self.assert_refused(
            there, "here has another store (s) than this node (another)"
        )

    async def test_name_taken(self) -> None:
        """Two nodes with one name do not start."""
        redis = await self.start_redis()
        await self.start_node("here", redis.url)
        await self.assert_refused(
            self.node("here", redis.url), "another node is called here"
        )

    async def test_successor_of_a_killed_node(self) -> None:
        """A node that was killed can be started again within 10 seconds."""
        redis = await self.start_redis()
        predecessor = await self.start_process(redis.url, {"schema": "1"})
        os.kill(predecessor, SIGKILL)
        began = reactor.seconds()
        await self.start_node("here", redis.url, facts={"schema": "2"})
        self.assertLess(reactor.seconds() - began, 10)

    async def start_process(self, redis: str, facts: dict[str, str]) -> int:
        """The number of a process that has joined under the name ``here``."""
        process = _Process()
        code = _PROCESS.format(redis=redis, facts=facts, secret=SECRET)
        command = [sys.executable, "-c", code]
        reactor.spawnProcess(process, command[0], command, None, str(ROOT))
        self.addCleanup(process.ended.wait, 20)
        await process.joined.wait(20)
        pid: int = process.transport.pid  # type: ignore[union-attr]
        return pid

    async def test_too_late(self) -> None:
        """If it comes out late that a node may not join, it is told to end."""
        redis = await self.start_redis()
        await redis.stop()
        there = self.node("there", redis.url, facts={"store": "another"})
        await there.broadcaster.start()
        await redis.restart()
        here = await self.start_node("here", redis.url)
        await self.until(lambda: there.refused is not None)
        self.assertIsNone(here.refused)


class PlaceTests(RedisTestCase):
    """Where Redis may be, and who may use it."""

    async def test_user_and_database(self) -> None:
        """A user with no more rights than documented, and a database."""
        redis = await self.start_redis(
            "user default off\n"
            "user relay on >p%:@ss ~relay-1:* &relay-1:* +ping +select +publish "
            "+subscribe +get +set +mget +del +sadd +srem +smembers +expire +role\n"
        )
        url = f"redis://relay:p%25%3A%40ss@127.0.0.1:{redis.port}/5"
        here = await self.start_node("here", url, channel="relay-1")
        there = await self.start_node("there", url, channel="relay-1")
        self.assertTrue(here.publish(b"123"))
        await self.until(lambda: there.heard == [("here", b"123")])

    async def test_wrong_password(self) -> None:
        """A wrong password is told to the log, and no password is."""
        redis = await self.start_redis("requirepass right\n")
        here = self.node("here", f"redis://:wr0ng@127.0.0.1:{redis.port}")
        with capturedLogs() as events:
            await here.broadcaster.start()
        self.assertFalse(here.broadcaster.is_connected)
        lines = [
            formatEvent(event)
            for event in events
            if event["log_level"] != LogLevel.debug
        ]
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("WRONGPASS", lines[0])
        self.assertNotIn("wr0ng", lines[0])

    async def test_unix_socket(self) -> None:
        """Through a UNIX socket."""
        directory = Path(mkdtemp(prefix="nostrtx-"))
        self.addCleanup(rmtree, directory)
        server = await RedisServer.start(directory)
        self._servers.append(server)
        url = f"unix://{server.socket}?db=1"
        here = await self.start_node("here", url)
        there = await self.start_node("there", url)
        self.assertTrue(here.publish(b"\xff"))
        await self.until(lambda: there.heard == [("here", b"\xff")])

    async def test_tls(self) -> None:
        """Over TLS, if the server has a certificate of the authority that is named."""
        write_certificates(self.directory / "right")
        write_certificates(self.directory / "wrong")
        files = self.directory / "right"
        redis = await self.start_redis(
            f"port 0\ntls-port {{port}}\ntls-auth-clients yes\n"
            f"tls-cert-file {files}/server.pem\ntls-key-file {files}/server.key\n"
            f"tls-ca-cert-file {files}/ca.pem\n"
        )
        url = f"rediss://127.0.0.1:{redis.port}?ca_file={self.directory}"
        own = f"&cert_file={files}/server.pem&key_file={files}/server.key"
        here = await self.start_node("here", f"{url}/right/ca.pem{own}")
        there = await self.start_node("there", f"{url}/right/ca.pem{own}")
        self.assertTrue(here.publish(b"\xff"))
        await self.until(lambda: there.heard == [("here", b"\xff")])

        elsewhere = self.node("elsewhere", f"{url}/wrong/ca.pem{own}")
        with capturedLogs() as events:
            await elsewhere.broadcaster.start()
        self.assertFalse(elsewhere.broadcaster.is_connected)
        lines = [formatEvent(event) for event in events]
        self.assertTrue(any("certificate verify failed" in line for line in lines))

    async def test_sentinel(self) -> None:
        """When the master dies, all follow the Sentinels to the next one."""
        master = await self.start_redis("requirepass pw\nmasterauth pw\n")
        replica = await self.start_redis(
            f"requirepass pw\nmasterauth pw\nreplicaof 127.0.0.1 {master.port}\n"
        )
        sentinel = await self.start_redis(
            f"sentinel monitor m 127.0.0.1 {master.port} 1\n"
            "sentinel auth-pass m pw\nsentinel down-after-milliseconds m 1000\n"
            "sentinel failover-timeout m 3000\n",
            sentinel=True,
        )
        settings = {
            "sentinels": (f"127.0.0.1:{sentinel.port}",),
            "sentinel_service": "m",
        }
        here = await self.start_node("here", "redis://:pw@none/1", **settings)
        there = await self.start_node("there", "redis://:pw@none/1", **settings)
        # The Sentinel has to know the replica, which it asks the master for.
        await self.until(lambda: "+slave" in sentinel.output)
        await self.until(lambda: "MASTER <-> REPLICA sync: Finished" in replica.output)
        await master.kill()
        await self.until(lambda: here.connected == there.connected == 2, 60)
        self.assertTrue(here.publish(b"after"))
        await self.until(lambda: there.heard == [("here", b"after")])
