"""Tests for :mod:`nostrtx.broadcast.connection` and :mod:`nostrtx.broadcast.link`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from txredisapi import ResponseError

from nostrtx.broadcast.connection import LinkLost, RedisConnection, connect
from nostrtx.broadcast.link import Link, NotMaster
from nostrtx.broadcast.servers import Found
from nostrtx.redis_url import RedisAddress
from tests.broadcast.redis_nodes import World


class ConnectionTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.broadcast.connection.connect`."""

    def setUp(self) -> None:
        """Make a server."""
        self.world = World()
        self.redis = self.world.redis

    def connecting(self, **address: Any) -> Deferred[RedisConnection]:
        """A connection that is being made."""
        connecting = Deferred.fromCoroutine(
            connect(RedisConnection, self.redis, RedisAddress("here", **address))
        )
        self.redis.run()
        return connecting

    def test_login(self) -> None:
        """The user logs in with any password, or the default user does."""
        self.redis.passwords = {b"default": b"p", "ä".encode(): b"12%:@/\xc3\xbc"}
        for user, password in (("", "p"), ("ä", "12%:@/ü")):
            connection = self.successResultOf(
                self.connecting(user=user, password=password)
            )
            connection.close()
            self.redis.run()
            self.assertEqual(
                self.successResultOf(connection.lost), "Connection was closed cleanly"
            )

    def test_refused_login(self) -> None:
        """A wrong password is refused, the connection ended, the password not told."""
        self.redis.passwords = {b"default": b"p"}
        failure = self.failureResultOf(self.connecting(password="wrong"), ResponseError)
        self.assertNotIn("wrong ", str(failure.value))
        self.assertEqual(self.redis.connections, 0)

    def test_database(self) -> None:
        """The database is selected."""
        self.successResultOf(self.connecting(database=7))
        self.assertEqual(self.redis.databases, {b"7"})

    def test_lost(self) -> None:
        """If the connection is lost meanwhile, it is told why."""
        self.redis.ends_after = 0
        failure = self.failureResultOf(self.connecting(database=7), LinkLost)
        self.assertIn("non-clean", str(failure.value))

    def test_no_redis(self) -> None:
        """What does not speak as Redis does is left."""
        connection = self.successResultOf(self.connecting())
        connection.dataReceived(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.redis.run()
        self.assertEqual(
            self.successResultOf(connection.lost), "it does not speak as Redis does"
        )
        self.assertEqual(len(self.flushLoggedErrors()), 1)


class LinkTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.broadcast.link.Link`."""

    def setUp(self) -> None:
        """Make a server."""
        self.world = World()
        self.redis = self.world.redis

    def link(self, **address: Any) -> Link:
        """A link that was not opened."""
        found = Found(self.redis, "there", must_be_master=True)
        return Link(
            found, RedisAddress("there", **address), self.world.clock, lambda: None
        )

    def test_both(self) -> None:
        """When one connection is lost, so is the other, and that is told once."""
        link = self.link()
        for opening in (link.open(), link.hear(b"channel", lambda _: None)):
            opened = Deferred.fromCoroutine(opening)
            self.redis.run()
            self.successResultOf(opened)
        self.assertEqual(self.redis.connections, 2)
        self.assertTrue(link.is_answered)
        link.saying.abort("for a test")
        self.redis.run()
        self.assertEqual(self.redis.connections, 0)
        self.assertEqual(self.successResultOf(link.ended), "for a test")
        self.assertFalse(link.say(b"channel", b"lost"))

    def test_replica(self) -> None:
        """Where a master is to be, a replica will not do."""
        self.redis.role = b"slave"
        opening = Deferred.fromCoroutine(self.link().open())
        self.redis.run()
        failure = self.failureResultOf(opening, NotMaster)
        self.assertEqual(str(failure.value), "there is no master")

    def test_unanswered(self) -> None:
        """A server that takes the connection and does not answer is given up soon."""
        self.redis.silent = True
        opening = Deferred.fromCoroutine(self.link(password="p").open())
        self.world.run(5.1)
        failure = self.failureResultOf(opening, LinkLost)
        self.assertEqual(str(failure.value), "it does not answer")
