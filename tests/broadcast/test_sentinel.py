"""Tests for :mod:`nostrtx.broadcast.sentinel`."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.broadcast.sentinel import NoMaster, Sentinels
from nostrtx.broadcast.servers import Found
from nostrtx.redis_url import RedisAddress
from tests.broadcast.fake_redis import FakeRedis
from tests.broadcast.redis_nodes import World


class SentinelsTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.broadcast.sentinel.Sentinels`."""

    def setUp(self) -> None:
        """Make three Sentinels and two servers, of which the first is the master."""
        self.world = World()
        names = ("s1", "s2", "s3", "redis-1", "redis-2")
        self.all = {name: FakeRedis(self.world.clock) for name in names}
        self.watching = [self.all[name] for name in names[:3]]
        for sentinel in self.watching:
            sentinel.masters = {b"m": (b"redis-1", b"7000")}
        self.sentinels = Sentinels(
            [RedisAddress(name, 26379) for name in names[:3]],
            "m",
            RedisAddress("unused", password="p"),
            lambda address: self.all[address.host],
            self.world.clock,
        )

    def run_all(self, seconds: float = 0) -> None:
        """Let time pass, and data travel meanwhile."""
        for _ in range(round(seconds / 0.05) + 1):
            for each in self.all.values():
                each.run()
            self.world.clock.advance(0.05)

    def find(self, seconds: float = 0) -> Deferred[Found]:
        """What is found within some time."""
        finding = Deferred.fromCoroutine(self.sentinels.find())
        self.run_all(seconds)
        return finding

    def test_master(self) -> None:
        """The master is found, and has to be one."""
        found = self.successResultOf(self.find())
        self.assertIs(found.endpoint, self.all["redis-1"])
        self.assertEqual(found.where, "redis://redis-1:7000")
        self.assertTrue(found.must_be_master)
        self.assertEqual(sum(each.connections for each in self.watching), 0)

    def test_absent(self) -> None:
        """As long as one Sentinel answers, the master is found."""
        self.watching[0].accepts = False
        self.watching[1].silent = True
        for _ in range(3):
            self.successResultOf(self.find(2.1))

    def test_unknown(self) -> None:
        """One that knows nothing of the service is no reason to give up."""
        self.watching[1].masters = {}
        for _ in range(3):
            self.successResultOf(self.find())

    def test_nobody_knows(self) -> None:
        """If nobody knows, it is told what each said."""
        self.watching[0].masters = {}
        self.watching[1].accepts = False
        self.watching[2].passwords = {b"default": b"p"}
        failure = self.failureResultOf(self.find(0.5), NoMaster)
        for words in ("s1:26379: knows no m", "s2:26379: Conn", "s3:26379: NOAUTH"):
            self.assertIn(words, str(failure.value))

    def test_failover(self) -> None:
        """A node leaves what has become a replica and finds the next master."""
        here = self.world.node(
            "here", address=RedisAddress("unused"), servers=self.sentinels
        )
        starting = here.broadcaster.start()
        self.run_all(0.2)
        self.successResultOf(starting)
        # The first Sentinel does not know of it yet.
        self.all["redis-1"].role = b"slave"
        self.watching[1].masters = self.watching[2].masters = {
            b"m": (b"redis-2", b"7000")
        }
        self.all["redis-1"].forget()
        self.run_all(3)
        self.assertTrue(here.broadcaster.is_connected)
        self.assertEqual(self.all["redis-2"].connections, 2)
        stopping = here.broadcaster.stop()
        self.run_all()
        self.successResultOf(stopping)

    def test_stopped(self) -> None:
        """Whoever stops while it is asking is not kept."""
        for each in self.watching:
            each.silent = True
        here = self.world.node("here", servers=self.sentinels)
        starting = here.broadcaster.start()
        self.run_all(1)
        stopping = here.broadcaster.stop()
        self.run_all()
        self.successResultOf(stopping)
        self.successResultOf(starting)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])
