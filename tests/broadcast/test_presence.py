"""Tests for :mod:`nostrtx.broadcast.presence`: who may join whom."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.broadcast.envelope import Seal
from nostrtx.interfaces.processes import BroadcasterUnusable
from tests.broadcast.redis_nodes import OTHER_SECRET, SECRET, Node, World

KEY = b"relay:member:here"


class JoiningTests(SynchronousTestCase):
    """Who may join whom."""

    def setUp(self) -> None:
        """Make a server without nodes."""
        self.world = World()
        self.redis = self.world.redis

    def started(self, name: str, *secrets: bytes) -> Node:
        """A node that has joined, and that stops with the test."""
        node = self.world.started(name, *secrets)
        self.addCleanup(self.world.stop, node)
        return node

    def kill(self, node: Node) -> bytes:
        """End a node so that its name stays; what it has set is returned."""
        value = self.redis.value(b"relay:member:" + node.broadcaster.name.encode())
        assert value is not None
        self.world.stop(node)
        self.redis.set_value(
            b"relay:member:" + node.broadcaster.name.encode(), value, 5
        )
        return value

    def assert_refused(
        self,
        words: str,
        name: str = "there",
        *secrets: bytes,
        facts: Mapping[str, str] | None = None,
        seconds: float = 3,
    ) -> None:
        """A node may not start; it says why in one line, and leaves nothing behind."""
        node = self.world.node(name, *secrets, facts=facts)
        starting = node.broadcaster.start()
        self.world.run(seconds)
        failure = self.failureResultOf(starting, BroadcasterUnusable)
        self.assertEqual(str(failure.value), words)
        self.assertFalse(node.broadcaster.is_connected)
        self.world.stop(node)

    def test_leaves(self) -> None:
        """A name is free as soon as its node has stopped, and only that one."""
        self.started("there")
        for _ in range(3):
            here = self.world.started("here")
            self.assertIsNotNone(self.redis.value(KEY))
            self.world.stop(here)
            self.assertIsNone(self.redis.value(KEY))
        self.assertIsNotNone(self.redis.value(b"relay:member:there"))

    def test_names(self) -> None:
        """Any name will do, also one that a library might take for something else."""
        names = ("message", "subscribe", "1", "knoten-ä", "node/1")
        nodes = [self.started(name) for name in names]
        self.world.run(1.5)
        for name, node in zip(names, nodes, strict=True):
            self.assertTrue(node.broadcaster.is_connected)
            self.assert_refused(f"another node is called {name}", name)

    def test_holds_its_name(self) -> None:
        """A name is held for as long as the node is there."""
        self.started("here")
        for _ in range(100):
            self.world.run(1)
            self.assertIsNotNone(self.redis.value(KEY))

    def test_another_secret(self) -> None:
        """A node does not join a live one that has another secret."""
        here = self.started("here")
        self.assert_refused(
            "here has another secret than this node", "there", OTHER_SECRET
        )
        self.world.run(1.5)
        self.assertIsNone(self.redis.value(b"relay:member:there"))
        self.assertTrue(here.broadcaster.is_connected)
        self.assertIsNone(here.refused)

    def test_another_fact(self) -> None:
        """A node does not join a live one in whose facts it does not agree."""
        self.started("here")
        self.assert_refused(
            "here has another store (s) than this node (z)", facts={"store": "z"}
        )
        self.assert_refused(
            "here has another store (s) than this node (none)", facts={}
        )
        self.assert_refused(
            "here has another schema (none) than this node (3)",
            facts={"store": "s", "schema": "3"},
        )

    def test_another_version(self) -> None:
        """A node does not join a live one of another version of the relay."""
        here = self.started("here")
        self.world.stop(here)
        node = self.world.node("there")
        starting = node.broadcaster.start()
        for number in range(5):
            self.redis.set_value(KEY, b"\2%d" % number)
            self.world.run(0.5)
        failure = self.failureResultOf(starting, BroadcasterUnusable)
        self.assertEqual(str(failure.value), "here is of another version of the relay")
        self.world.stop(node)

    def test_name_taken(self) -> None:
        """Two live nodes cannot have one name; that comes out soon."""
        self.started("here")
        self.assert_refused("another node is called here", "here")

    def test_name_taken_meanwhile(self) -> None:
        """Of two that claim a free name at the same time, the second has to wait."""
        self.redis.rival = Seal((SECRET,), "relay presence", b"i" * 16).seal(b"{}")
        node = self.world.node("here")
        starting = node.broadcaster.start()
        self.world.run(4)
        self.assertNoResult(starting)
        # The other one is gone by now.
        self.world.run(2)
        self.successResultOf(starting)
        self.world.stop(node)

    def test_successor(self) -> None:
        """A node that was killed can be started again, and has to wait a little."""
        killed = self.world.started("here")
        self.kill(killed)
        node = self.world.node("here")
        starting = node.broadcaster.start()
        self.world.run(4)
        self.assertNoResult(starting)
        self.world.run(2)
        self.successResultOf(starting)
        self.assertTrue(node.broadcaster.is_connected)
        self.world.stop(node)

    def test_successors_with_other_facts(self) -> None:
        """All nodes can be killed and started again with another secret or schema."""
        self.kill(self.world.started("there"))
        node = self.world.node("here", OTHER_SECRET, facts={"schema": "2"})
        starting = node.broadcaster.start()
        self.world.run(8)
        self.successResultOf(starting)
        self.assertTrue(node.broadcaster.is_connected)
        self.world.stop(node)

    def test_key_that_stays(self) -> None:
        """A key that somebody has set by hand does not keep a node waiting for ever."""
        self.redis.set_value(KEY, b"set by hand", 1000)
        self.assert_refused("another node is called here", "here", seconds=9)

    def test_passed_off(self) -> None:
        """What one node has set is not believed of another one."""
        here = self.started("here")
        value = self.redis.value(KEY)
        assert value is not None
        self.redis.set_value(b"relay:member:fake", value, 1000)
        self.assert_refused("fake has another secret than this node", seconds=9)
        self.assertIsNone(here.refused)

    def test_malformed(self) -> None:
        """What has our secret and makes no sense is not joined."""
        seal = Seal((SECRET,), "relay presence", bytes(16))
        for content in (b"", b"1", b"{}", b'{"name":"fake"}'):
            self.redis.set_value(b"relay:member:fake", seal.seal(content), 1000)
            self.assert_refused("fake has another secret than this node", seconds=9)

    def test_two_at_a_time(self) -> None:
        """Of two that come at the same time and do not agree, one gives way."""
        nodes = [
            self.world.node("here", facts={"store": "a"}),
            self.world.node("there", facts={"store": "b"}),
        ]
        results: list[list[object]] = [[], []]
        for node, result in zip(nodes, results, strict=True):
            _ = node.broadcaster.start().addBoth(result.append)
        self.world.run(4)
        self.assertEqual(sorted(n.broadcaster.is_connected for n in nodes), [0, 1])
        [refused] = [r[0] for r in results if isinstance(r[0], Failure)]
        self.assertIsInstance(refused, Failure)
        self.world.stop(*nodes)

    def test_too_late(self) -> None:
        """A node of which it comes out late that it may not join is told to end."""
        self.redis.accepts = False
        there = self.world.node("there", facts={"store": "z"})
        starting = there.broadcaster.start()
        self.world.run(6)
        self.successResultOf(starting)
        self.redis.accepts = True
        here = self.started("here")
        with capturedLogs() as events:
            self.world.run(10)
        self.assertEqual(
            str(there.refused), "here has another store (s) than this node (z)"
        )
        critical = [each for each in events if each["log_level"] is LogLevel.critical]
        self.assertEqual(len(critical), 1)
        self.assertIsNone(here.refused)
        self.world.stop(there)

    def test_name_lost(self) -> None:
        """A node that was away for so long that another has its name has to end."""
        here = self.started("here")
        other = Seal((SECRET,), "relay presence", b"i" * 16)
        for _ in range(8):
            self.redis.set_value(KEY, other.seal(b"{}"))
            self.world.run(0.5)
        self.assertEqual(str(here.refused), "another node is called here")
        self.assertFalse(here.broadcaster.is_connected)

    def test_name_lost_while_away(self) -> None:
        """So has one that comes back and finds its name taken."""
        here = self.started("here")
        self.redis.accepts = False
        self.redis.forget()
        self.world.run(1)
        self.redis.accepts = True
        other = Seal((SECRET,), "relay presence", b"i" * 16)
        for _ in range(12):
            self.redis.set_value(KEY, other.seal(b"{}"))
            self.world.run(0.5)
        self.assertEqual(str(here.refused), "another node is called here")

    def test_joined_once(self) -> None:
        """Who has joined stays, whatever others come up with while it is away."""
        here = self.started("here")
        self.redis.forget()
        self.redis.set_value(b"relay:member:fake", b"junk", 1000)
        self.world.run(6)
        self.assertTrue(here.broadcaster.is_connected)
        self.assertIsNone(here.refused)

    def test_replica(self) -> None:
        """A server that has become a replica is left."""
        here = self.started("here")
        self.redis.role = b"slave"
        with capturedLogs() as events:
            self.world.run(2)
        self.assertFalse(here.broadcaster.is_connected)
        self.assertIn("READONLY", str(events[0]["why"]))
        self.redis.role = b"master"
        self.world.run(6)
        self.assertEqual(here.connected, 2)
