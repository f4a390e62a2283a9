"""Several nodes, and what becomes of events when something of it dies."""

from __future__ import annotations

import os
import time
from signal import SIGCONT, SIGKILL, SIGSTOP

from twisted.internet.task import deferLater

from tests.live.authors import Author
from tests.live.cluster_case import CONNECTED, SOON, ClusterTestCase
from tests.live.reactor import reactor
from tests.live.relay_process import run_to_end
from tests.live.traffic import until


async def pause(seconds: float) -> None:
    """Let the load go on for a while."""
    await deferLater(reactor, seconds)


class ThreeNodesTests(ClusterTestCase):
    """Three nodes behind HAProxy are one relay."""

    async def test_one_relay(self) -> None:
        """What is published through one reaches subscribers of all, each once."""
        await self.start_nodes(3)
        proxy = await self.start_haproxy()
        subscribers = [await self.subscribe(node) for node in self.nodes]
        subscribers += [await self.subscribe(proxy) for _ in range(3)]
        ephemeral = [await self.subscribe(node, kind=20_001) for node in self.nodes]
        publishers = [self.publish(node, f"at {node.url}") for node in self.nodes]
        passing = self.publish(proxy, "passing", ephemeral=True)
        publishers.append(self.publish(proxy, "by the balancer"))
        await pause(3)
        ids = await self.finish(*publishers)
        self.assertGreater(len(ids), 300)
        await self.assert_all_heard(ids, *subscribers)
        await self.assert_all_heard(await self.finish(passing), *ephemeral)

    async def test_elsewhere(self) -> None:
        """A subscriber who goes on at another node, with ``since``, misses nothing."""
        nodes = await self.start_nodes(2)
        wanderer = await self.subscribe(nodes[0])
        publishers = [self.publish(node, f"at {node.url}") for node in nodes]
        for turn in range(1, 5):
            await pause(0.7)
            wanderer.where = nodes[turn % 2]
            assert wanderer.client is not None
            wanderer.client.dropConnection(abort=True)
        ids = await self.finish(*publishers)
        await self.assert_all_heard(ids, wanderer)
        self.assertGreater(wanderer.connections, 3)


class RedisGoneTests(ClusterTestCase):
    """The bus is the fast path, and not the truth."""

    async def test_gone_for_half_a_minute(self) -> None:
        """
        While Redis is down stored events are late, and every subscriber gets each
        once. Of ephemeral events those are lost that other nodes took meanwhile.
        """
        nodes = await self.start_nodes(3)
        subscribers = [await self.subscribe(node) for node in nodes]
        ephemeral = [await self.subscribe(node, kind=20_001) for node in nodes]
        publishers = [self.publish(node, f"at {node.url}") for node in nodes]
        passing = self.publish(nodes[0], "passing", per_second=20, ephemeral=True)
        await pause(3)
        before = set(passing.accepted)
        await pause(1)
        await self.redis.kill()
        await pause(30)
        self.assertLess(len(ephemeral[1].heard), len(passing.accepted))
        await self.redis.restart()
        for node in nodes:
            await until(
                lambda n=node: n.output.count(CONNECTED) >= 2,  # type: ignore[misc]
                15,
                "a node does not find back to Redis",
            )
        again = set(passing.accepted)
        await pause(2)
        ids = await self.finish(*publishers)
        self.assertGreater(len(ids), 3000)
        await self.assert_all_heard(ids, *subscribers)
        all_passed = await self.finish(passing)
        await self.assert_all_heard(all_passed, ephemeral[0])
        for there in ephemeral[1:]:
            # Those before and after arrived; of the rest none came twice.
            self.assertEqual(there.lacks(before), set())
            late = {id_ for id_ in all_passed - again if passing.sent[id_]}
            await self.assert_all_heard(late, there)


class NodeGoneTests(ClusterTestCase):
    """Nodes come and go."""

    async def test_killed(self) -> None:
        """
        ``kill -9`` loses nothing that was acknowledged; clients go on elsewhere, and
        subscribers of the other nodes miss nothing.
        """
        nodes = await self.start_nodes(3)
        proxy = await self.start_haproxy()
        subscribers = [await self.subscribe(nodes[0]), await self.subscribe(nodes[1])]
        subscribers += [await self.subscribe(proxy) for _ in range(3)]
        publishers = [
            self.publish(proxy, f"by the balancer {number}", per_second=100)
            for number in range(4)
        ]
        publishers.append(self.publish(nodes[0], "at the first"))
        await pause(3)
        self.assertEqual(await nodes[2].stop("KILL"), -SIGKILL)
        await pause(4)
        ids = await self.finish(*publishers)
        await self.assert_all_heard(ids, *subscribers)
        stored = await (await self.connect(nodes[0])).by_id(sorted(ids))
        self.assertEqual(set(stored), ids)
        # Whoever was killed may be started again at once, under the same name.
        node = await self.start_node("node3")
        late = await self.subscribe(node)
        publisher = self.publish(nodes[1], "afterwards")
        await pause(1)
        await self.assert_all_heard(await self.finish(publisher), late)

    async def test_sweeping_goes_on(self) -> None:
        """What has expired is removed by one node, and by another when that is gone."""
        more = "\n[timing]\nexpiry_sweep_seconds = 0.2\n"
        first, second = [
            await self.start_node(name, self.settings(name, more))
            for name in ("node1", "node2")
        ]
        client = await self.connect(second)
        for turn in range(2):
            ends = ["expiration", str(int(time.time()) + 5)]
            passing = Author("passing").sign(f"{turn}", tags=[ends])
            answers = await client.publish([passing])
            self.assertEqual(answers[passing["id"]], (True, ""))
            self.assertEqual(self.stored(), 1)
            await until(lambda: self.stored() == 0, SOON, "it was not removed")
            if not first.has_ended:
                await first.stop("KILL")

    def stored(self) -> int:
        """How many events there are in the database, expired or not."""
        [(count,)] = self.postgres.execute("SELECT count(*) FROM nostrtx.events")
        return int(count)

    async def test_stopped_for_a_while(self) -> None:
        """A node that stood still for 20 s catches up, with each event once."""
        nodes = await self.start_nodes(2)
        subscribers = [await self.subscribe(node) for node in nodes]
        publisher = self.publish(nodes[0], "at the first", per_second=100)
        await pause(1)
        os.kill(nodes[1].pid, SIGSTOP)
        try:
            await pause(20)
        finally:
            os.kill(nodes[1].pid, SIGCONT)
        await pause(1)
        ids = await self.finish(publisher)
        self.assertGreater(len(ids), 1500)
        await self.assert_all_heard(ids, *subscribers)
        self.assertEqual(subscribers[1].connections, 1)


class PostgresGoneTests(ClusterTestCase):
    """The store is the truth; without it there is no OK."""

    async def test_restarted(self) -> None:
        """
        While PostgreSQL restarts events get ``error:``; none that was acknowledged
        is lost, and nodes go on by themselves.
        """
        nodes = await self.start_nodes(2)
        subscribers = [await self.subscribe(node) for node in nodes]
        publishers = [
            self.publish(node, f"at {node.url}", per_second=100) for node in nodes
        ]
        await pause(2)
        self.postgres.stop()
        # Longer than nodes wait for it.
        await pause(8)
        self.postgres.begin()
        await pause(3)
        self.postgres.kill()
        await pause(1)
        self.postgres.begin()
        await pause(3)
        ids = await self.finish(*publishers)
        for publisher in publishers:
            self.assertNotEqual(publisher.errors, {})
            for text in publisher.errors:
                self.assertTrue(text.startswith("error: "), text)
        await self.assert_all_heard(ids, *subscribers)
        stored = await (await self.connect(nodes[0])).by_id(sorted(ids))
        self.assertEqual(set(stored), ids)


class JoiningTests(ClusterTestCase):
    """Who may join the others, and who may not."""

    async def refused(self, settings: str) -> str:
        """What a node says that may not join."""
        directory = self.directory / "refused"
        directory.mkdir()
        (directory / "settings.toml").write_text(settings)
        arguments = ["nostr-relay", "--config", "settings.toml"]
        arguments += ["--listen", "tcp:0:interface=127.0.0.1"]
        code, output = await run_to_end(directory, arguments)
        self.assertNotIn("Traceback", output)
        self.assertNotEqual(code, 0)
        return output

    async def test_another_secret(self) -> None:
        """A node with another secret ends with a line that says so."""
        await self.start_nodes(1)
        other = self.directory / "other"
        other.write_text(os.urandom(32).hex())
        other.chmod(0o600)
        output = await self.refused(self.settings("stranger", secret=other))
        self.assertIn("secret", output)

    async def test_another_store(self) -> None:
        """A node whose events are elsewhere ends with a line that says so."""
        await self.start_nodes(1)
        settings = self.settings("stranger").replace(
            self.postgres.url(), self.postgres.url(self.postgres.make_database())
        )
        self.assertIn("store", await self.refused(settings))

    async def test_same_name(self) -> None:
        """A second node of the same name ends with a line that says so."""
        await self.start_nodes(1)
        self.assertIn("node1", await self.refused(self.settings("node1")))

    async def test_secret_is_rotated(self) -> None:
        """Nodes that know both secrets hear those with the old one and the new."""
        old = self.secret.read_text()
        await self.start_nodes(1)
        new = os.urandom(32).hex() + "\n"
        self.secret.write_text(old + new)
        second = await self.start_node()
        subscriber = await self.subscribe(second, kind=20_001)
        author = Author("rotation")
        client = await self.connect(self.nodes[0])
        event = author.sign("x", kind=20_001, tags=[["t", "load"]])
        await until(lambda: CONNECTED in second.output, 20, second.output)
        self.assertEqual(await client.publish([event]), {event["id"]: (True, "")})
        await self.assert_all_heard({event["id"]}, subscriber)
