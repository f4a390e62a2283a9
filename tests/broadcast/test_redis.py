"""Tests for :mod:`nostrtx.broadcast.redis`."""

from __future__ import annotations

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.interfaces.processes import IBroadcaster
from tests.broadcast.redis_nodes import OTHER_SECRET, SECRET, Node, World

PAYLOADS = [
    b"",
    b"123",
    b"-1.5",
    "äöü ☃".encode(),
    b"\0\r\n$3\r\n\xff+OK\r\n",
    bytes(range(256)),
    b"message",
    b"QUEUED",
]


class NewsTests(SynchronousTestCase):
    """What nodes hear of one another."""

    def setUp(self) -> None:
        """Start two nodes."""
        self.world = World()
        self.here = self.world.started("here")
        self.there = self.world.started("there")
        self.addCleanup(self.world.stop, self.here, self.there)

    def test_interface(self) -> None:
        """It is a broadcaster."""
        self.assertTrue(verifyObject(IBroadcaster, self.here.broadcaster))

    def test_any_bytes(self) -> None:
        """Any bytes arrive as they were sent, in order, and not at the sender."""
        for payload in PAYLOADS:
            self.assertTrue(self.here.publish(payload))
        self.world.run()
        self.assertEqual(self.there.heard, [("here", each) for each in PAYLOADS])
        self.assertEqual(self.here.heard, [])

    def test_byte_by_byte(self) -> None:
        """That they come in the smallest parts changes nothing."""
        self.world.redis.fragment = 1
        for payload in PAYLOADS:
            self.here.publish(payload)
        self.world.run()
        self.assertEqual(self.there.heard, [("here", each) for each in PAYLOADS])

    def test_long(self) -> None:
        """Payloads of a MiB arrive, in parts."""
        self.world.redis.fragment = 1499
        payload = bytes(range(256)) * 4096
        self.here.publish(payload)
        self.here.publish(b"next")
        self.world.run()
        self.assertEqual(self.there.heard, [("here", payload), ("here", b"next")])

    def test_topics(self) -> None:
        """Each topic has its listeners, and others are nobody's business."""
        heard: list[bytes] = []
        self.there.broadcaster.listen("u", lambda _, payload: heard.append(payload))
        for topic in ("t", "u", "unknown", "u"):
            self.here.broadcaster.publish(topic, topic.encode())
        self.world.run()
        self.assertEqual(self.there.heard, [("here", b"t")])
        self.assertEqual(heard, [b"u", b"u"])

    def test_listener_with_a_fault(self) -> None:
        """A listener that fails does not keep others from hearing, then or later."""
        heard: list[bytes] = []

        def fail(sender: str, payload: bytes) -> None:
            raise ZeroDivisionError

        self.there.broadcaster.listen("u", fail)
        self.there.broadcaster.listen("u", lambda _, payload: heard.append(payload))
        self.here.broadcaster.publish("u", b"1")
        self.here.broadcaster.publish("u", b"2")
        self.world.run()
        self.assertEqual(heard, [b"1", b"2"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_counts(self) -> None:
        """What is said and heard is counted."""
        self.here.publish(b"1")
        self.here.publish(b"2")
        self.world.run()
        self.assertEqual(
            self.here.broadcaster.facts(),
            {
                "news_published": 2,
                "news_received": 0,
                "news_unsent": 0,
                "news_foreign": 0,
                "news_forged": 0,
                "news_replayed": 0,
                "redis_reconnections": 0,
            },
        )
        self.assertEqual(self.there.broadcaster.facts()["news_received"], 2)

    def test_strangers(self) -> None:
        """What strangers say is not heard, but counted, and there is a warning."""
        self.here.publish(b"news")
        self.world.run()
        sealed = self.world.redis.seen[-1]
        with capturedLogs() as events:
            self.world.redis.say(b"relay:news", b"123")
            self.world.redis.say(b"relay:news", sealed[:-1] + b"?")
            self.world.redis.say(b"relay:news", sealed)
            self.world.run(2)
        facts = self.there.broadcaster.facts()
        self.assertEqual(
            [facts[f"news_{kind}"] for kind in ("foreign", "forged", "replayed")],
            [1, 1, 1],
        )
        self.assertEqual(self.there.heard, [("here", b"news")])
        lines = " ".join(formatEvent(event) for event in events)
        self.assertIn("1 messages between nodes were forged", lines)

    def test_rotation(self) -> None:
        """Nodes that have the old secret only hear those that have the new one too."""
        both = self.world.started("both", SECRET, OTHER_SECRET)
        self.addCleanup(self.world.stop, both)
        both.publish(b"from both")
        self.here.publish(b"from here")
        self.world.run()
        self.assertIn(("both", b"from both"), self.here.heard)
        self.assertEqual(both.heard, [("here", b"from here")])

    def test_names_none_of_it(self) -> None:
        """Neither names nor payloads can be read at the server."""
        self.here.publish(b"payload")
        self.world.run()
        for seen in self.world.redis.seen:
            self.assertNotIn(b"payload", seen)
            self.assertNotIn(b"here", seen)


class ConnectionTests(SynchronousTestCase):
    """How a node connects, and what it does when it is not connected."""

    def setUp(self) -> None:
        """Make a server without nodes."""
        self.world = World()
        self.redis = self.world.redis

    def started(self, name: str) -> Node:
        """A node that has joined, and that stops with the test."""
        node = self.world.started(name)
        self.addCleanup(self.world.stop, node)
        return node

    def lose_all(self) -> None:
        """Have the server lose everything, and stay away."""
        self.redis.accepts = False
        self.redis.forget()

    def test_again(self) -> None:
        """Once the server is back, all are connected and hear one another."""
        here, there = self.started("here"), self.started("there")
        self.lose_all()
        self.assertFalse(here.broadcaster.is_connected)
        self.assertFalse(here.publish(b"lost"))
        self.world.run(60)
        self.assertEqual(here.connected, 1)
        self.redis.accepts = True
        self.world.run(6)
        self.assertEqual((here.connected, there.connected), (2, 2))
        self.assertTrue(here.publish(b"heard"))
        self.world.run()
        self.assertEqual(there.heard, [("here", b"heard")])
        facts = here.broadcaster.facts()
        self.assertEqual((facts["news_unsent"], facts["redis_reconnections"]), (1, 1))

    def test_back_off(self) -> None:
        """At first it tries again soon, and then every few seconds, for ever."""
        self.started("here")
        self.lose_all()
        self.redis.attempts.clear()
        self.world.run(1)
        self.assertGreaterEqual(len(self.redis.attempts), 3)
        self.world.run(3600)
        pauses = [
            later - earlier
            for earlier, later in zip(
                self.redis.attempts, self.redis.attempts[1:], strict=False
            )
        ]
        self.assertLessEqual(max(pauses), 5.1)
        self.assertGreaterEqual(min(pauses[10:]), 2.5)
        self.redis.accepts = True
        self.world.run(6)

    def test_loss_at_every_step(self) -> None:
        """Wherever the connection breaks on the way, in the end it stands."""
        there = self.started("there")
        for step in range(20):
            there.heard.clear()
            node = self.world.node("here")
            self.redis.ends_after = step
            _ = node.broadcaster.start()
            self.world.run(8)
            self.assertTrue(node.broadcaster.is_connected, step)
            self.assertTrue(there.broadcaster.is_connected, step)
            node.publish(b"news")
            self.world.run()
            self.assertEqual(there.heard, [("here", b"news")], step)
            self.world.stop(node)
            self.redis.ends_after = None

    def test_connected_when_heard(self) -> None:
        """Nobody is told of a connection before the server has all it needs."""
        node = self.world.node("here")
        _ = node.broadcaster.start()
        self.addCleanup(self.world.stop, node)
        published: list[bool] = []

        def on_connected() -> None:
            published.append(node.broadcaster.publish("t", b"first"))

        node.broadcaster.on_connected(on_connected)
        self.assertFalse(node.broadcaster.is_connected)
        self.world.run()
        self.assertEqual(published, [True])
        self.assertIn(b"SUBSCRIBE", self.redis.commands)

    def test_fault_when_connected(self) -> None:
        """That one listener fails when it is told keeps nobody else from it."""
        node = self.world.node("here")

        def fail() -> None:
            raise ZeroDivisionError

        told: list[bool] = []
        node.broadcaster.on_connected(fail)
        node.broadcaster.on_connected(lambda: told.append(True))
        starting = node.broadcaster.start()
        self.world.run()
        self.successResultOf(starting)
        self.assertEqual(told, [True])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.world.stop(node)

    def test_refused_command(self) -> None:
        """A user that may not do all that is needed is never connected."""
        for command in (b"PUBLISH", b"SUBSCRIBE", b"SET", b"MGET"):
            self.redis.refuses = {command}
            node = self.world.node("here")
            _ = node.broadcaster.start()
            with capturedLogs() as events:
                self.world.run(7)
            self.assertFalse(node.broadcaster.is_connected, command)
            lines = [formatEvent(event) for event in events]
            self.assertEqual(len(lines), 1, lines)
            self.assertIn(f"no permission to run {command.decode()}", lines[0])
            self.redis.refuses = set()
            self.world.stop(node)

    def test_dead_server(self) -> None:
        """A server that says nothing any more is noticed within 15 seconds."""
        here = self.started("here")
        self.world.run(120)
        self.assertEqual(here.connected, 1)
        self.redis.silent = True
        self.world.run(9)
        self.assertTrue(here.broadcaster.is_connected)
        self.world.run(6.1)
        self.assertFalse(here.broadcaster.is_connected)
        self.redis.silent = False
        self.world.run(6)
        self.assertEqual(here.connected, 2)

    def test_slow_server(self) -> None:
        """What a server does not take is lost beyond 16 MiB, and counted."""
        here = self.started("here")
        self.redis.silent = True
        sent = [here.publish(bytes(2**20)) for _ in range(20)]
        self.assertEqual(sent, [True] * 15 + [False] * 5)
        self.assertEqual(here.broadcaster.facts()["news_unsent"], 5)
        self.redis.silent = False
        self.world.run()
        self.assertTrue(here.publish(bytes(2**20)))
        self.world.run()

    def test_lost_on_the_way(self) -> None:
        """What was sent and never taken counts as unsent."""
        here = self.started("here")
        self.redis.silent = True
        self.assertTrue(here.publish(b"news"))
        self.redis.forget()
        self.redis.silent = False
        self.assertEqual(here.broadcaster.facts()["news_unsent"], 1)
        self.world.run(6)

    def test_log(self) -> None:
        """The log tells of a loss and of its end, once each."""
        with capturedLogs() as events:
            self.started("here")
            self.lose_all()
            self.world.run(120)
            self.redis.accepts = True
            self.world.run(6)
        lines = [formatEvent(event) for event in events]
        self.assertEqual(len(lines), 4, lines)
        self.assertEqual(lines[0], "Connected to Redis at redis://here.")
        self.assertIn("No connection to Redis: Connection to the other side", lines[1])
        self.assertIn("No connection to Redis: Connection was refused", lines[2])
        self.assertEqual(lines[3], lines[0])

    def test_start_without_server(self) -> None:
        """A node starts without a server after 5 seconds, and joins it later."""
        self.redis.accepts = False
        node = self.world.node("here")
        starting = node.broadcaster.start()
        self.world.run(4.9)
        self.assertNoResult(starting)
        self.world.run(0.2)
        self.successResultOf(starting)
        self.assertFalse(node.broadcaster.is_connected)
        self.redis.accepts = True
        self.world.run(6)
        self.assertTrue(node.broadcaster.is_connected)
        self.world.stop(node)

    def test_start_with_dead_server(self) -> None:
        """That a server takes connections and nothing else does not keep it longer."""
        self.redis.silent = True
        node = self.world.node("here")
        starting = node.broadcaster.start()
        self.world.run(5.2)
        self.successResultOf(starting)
        self.world.stop(node)


class StopTests(SynchronousTestCase):
    """How a node leaves; each test ends without anything left to be done."""

    def setUp(self) -> None:
        """Start a node."""
        self.world = World()
        self.redis = self.world.redis
        self.here = self.world.started("here")

    def assert_stopped(self) -> None:
        """Nothing is left, here or at the server."""
        self.assertEqual(self.redis.connections, 0)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])
        self.assertFalse(self.here.broadcaster.is_connected)

    def test_sends_what_was_published(self) -> None:
        """All that was published is sent first, and the name given up."""
        there = self.world.started("there")
        for number in range(100):
            self.here.publish(b"%d" % number)
        self.world.stop(self.here)
        self.assertEqual(len(there.heard), 100)
        self.assertIsNone(self.redis.value(b"relay:member:here"))
        self.world.stop(there)
        self.assert_stopped()

    def test_while_refreshing(self) -> None:
        """The name is given up although it was being refreshed."""
        self.world.clock.advance(1.25)
        self.world.stop(self.here)
        self.assertIsNone(self.redis.value(b"relay:member:here"))
        self.assert_stopped()

    def test_dead_server(self) -> None:
        """A server that says nothing keeps nobody for long."""
        self.redis.silent = True
        stopping = self.here.broadcaster.stop()
        self.world.run(5.1)
        self.successResultOf(stopping)
        self.assert_stopped()

    def test_without_server(self) -> None:
        """Without a connection it stops at once."""
        self.redis.accepts = False
        self.redis.forget()
        self.here.publish(b"lost")
        self.successResultOf(self.here.broadcaster.stop())
        self.assert_stopped()

    def test_at_every_step(self) -> None:
        """It stops wherever it is on the way to being connected."""
        for step in range(20):
            node = self.world.node("there")
            self.redis.ends_after = step
            starting = node.broadcaster.start()
            self.redis.run()
            self.redis.ends_after = None
            stopping = node.broadcaster.stop()
            self.world.run()
            self.successResultOf(stopping)
            self.successResultOf(starting)
        self.world.stop(self.here)
        self.assert_stopped()

    def test_never_started(self) -> None:
        """What was not started can be stopped."""
        node = self.world.node("there")
        self.successResultOf(node.broadcaster.stop())
        self.world.stop(self.here)
