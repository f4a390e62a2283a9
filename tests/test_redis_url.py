"""Tests for :mod:`nostrtx.redis_url`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.redis_url import (
    RedisAddress,
    RedisURLError,
    parse_redis_url,
    parse_sentinel,
)


class ParseRedisURLTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.redis_url.parse_redis_url`."""

    def assert_address(self, url: str, shown: str, **expected: object) -> None:
        """The URL means that address, which is shown without user and password."""
        address = parse_redis_url(url)
        self.assertEqual(address, RedisAddress(**expected))  # type: ignore[arg-type]
        self.assertEqual(str(address), shown)
        self.assertNotIn("secret", repr(address))

    def test_least(self) -> None:
        """A host is enough."""
        self.assert_address("redis://here", "redis://here:6379", host="here")

    def test_all(self) -> None:
        """User, password, port and database may be stated."""
        self.assert_address(
            "redis://relay:secret%40%3A%2F%C3%A4@[::1]:7000/5",
            "redis://[::1]:7000",
            host="::1",
            port=7000,
            user="relay",
            password="secret@:/ä",
            database=5,
        )

    def test_password_alone(self) -> None:
        """A password may do without a user, and a database be an option."""
        self.assert_address(
            "redis://:secret@here?db=3",
            "redis://here:6379",
            host="here",
            password="secret",
            database=3,
        )

    def test_tls(self) -> None:
        """With TLS, there may be certificates."""
        self.assert_address(
            "rediss://here/1?ca_file=/ca.pem&cert_file=/a.pem&key_file=/a.key",
            "rediss://here:6379",
            host="here",
            database=1,
            tls=True,
            ca_file="/ca.pem",
            cert_file="/a.pem",
            key_file="/a.key",
        )

    def test_unix(self) -> None:
        """A UNIX socket has a path, and may have all but a port."""
        self.assert_address(
            "unix:///run/redis%20.sock",
            "unix:///run/redis .sock",
            path="/run/redis .sock",
        )
        self.assert_address(
            "unix://relay:secret@/run/redis.sock?db=2",
            "unix:///run/redis.sock",
            path="/run/redis.sock",
            user="relay",
            password="secret",
            database=2,
        )

    def test_faults(self) -> None:
        """What is no such URL is refused with what to do, and never shown."""
        for url, words in (
            ("secret", "must begin with redis://"),
            ("http://:secret@here", "must begin with redis://"),
            ("redis://", "must name a host"),
            ("redis:///0", "must name a host"),
            ("redis://secret@here", "has a user but no password"),
            ("redis://user:sec/ret@here", "is no URL; in a password, write @"),
            ("redis://user:sec#ret@here", "is no URL; in a password, write @"),
            ("redis://user:[secret@here", "is no URL; in a password, write @"),
            ("redis://:secret@here#x", "must have # written as %23"),
            ("redis://:secret@here:70000", "is no URL"),
            ("redis://:secret@here/secret", "must have a number for the database"),
            ("redis://:secret@here/1?db=2", "must not name a database twice"),
            ("redis://:secret@here?secret=2", "may have these options, each once: db"),
            ("redis://:secret@here?ca_file=x", "each once: db"),
            ("rediss://here?ca_file=x&ca_file=y", "each once: db, ca_file"),
            ("rediss://here?key_file=secret", "has a key_file but no cert_file"),
            ("unix://", "must be unix:// and a path"),
            ("unix://run/redis.sock", "must be unix:// and a path"),
            ("unix:///run/redis.sock?db=secret", "must have a number for the database"),
        ):
            error = self.assertRaises(RedisURLError, parse_redis_url, url)
            self.assertIn(words, str(error), url)
            self.assertNotIn("secret", str(error), url)
            self.assertNotIn("ret", str(error), url)


class ParseSentinelTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.redis_url.parse_sentinel`."""

    def test_place(self) -> None:
        """A host, perhaps with a port."""
        self.assertEqual(parse_sentinel("here"), RedisAddress("here", 26379))
        self.assertEqual(parse_sentinel("here:7000"), RedisAddress("here", 7000))
        self.assertEqual(parse_sentinel("[::1]:7000"), RedisAddress("::1", 7000))

    def test_url(self) -> None:
        """A URL, where it wants a password or TLS."""
        self.assertEqual(
            parse_sentinel("rediss://user:secret@here?ca_file=/ca.pem"),
            RedisAddress(
                "here",
                26379,
                user="user",
                password="secret",
                tls=True,
                ca_file="/ca.pem",
            ),
        )

    def test_faults(self) -> None:
        """What is neither is refused."""
        for text in ("", "unix:///run/redis.sock", "here/1", "a:b", "redis://:s@h/1"):
            self.assertRaises(RedisURLError, parse_sentinel, text)
