"""Tests for :mod:`nostrtx.broadcast.servers`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.broadcast.servers import FixedServer, Found, endpoint_of
from nostrtx.redis_url import RedisAddress, parse_redis_url
from nostrtx.settings.file import ConfigError
from tests.certificates import write_certificates


class EndpointOfTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.broadcast.servers.endpoint_of`."""

    def setUp(self) -> None:
        """Make a reactor and certificates."""
        self.reactor = MemoryReactorClock()
        self.directory = Path(self.mktemp())
        write_certificates(self.directory)

    def test_host(self) -> None:
        """A host is connected to by name."""
        endpoint = endpoint_of(RedisAddress("here", 7000), self.reactor)
        self.assertIsInstance(endpoint, HostnameEndpoint)

    def test_unix(self) -> None:
        """A path is that of a UNIX socket."""
        endpoint = endpoint_of(RedisAddress(path="/run/redis.sock"), self.reactor)
        self.assertIsInstance(endpoint, UNIXClientEndpoint)

    def test_certificates(self) -> None:
        """Certificates and keys are taken from files, together or apart."""
        ca, certificate, key = (
            str(self.directory / name)
            for name in ("ca.pem", "server.pem", "server.key")
        )
        both = self.directory / "both.pem"
        both.write_bytes(Path(certificate).read_bytes() + Path(key).read_bytes())
        for files in (
            {},
            {"ca_file": ca},
            {"cert_file": certificate, "key_file": key},
            {"cert_file": str(both), "ca_file": ca},
        ):
            address = parse_redis_url(f"rediss://here?{urlencode(files)}")
            self.assertNotIsInstance(
                endpoint_of(address, self.reactor), HostnameEndpoint
            )

    def test_unusable_files(self) -> None:
        """A file that is missing or holds something else is named."""
        junk = self.directory / "junk.pem"
        junk.write_text("junk")
        for files, words in (
            ({"ca_file": "/nowhere"}, "cluster.redis: /nowhere: No such file"),
            ({"cert_file": "/nowhere"}, "cluster.redis: /nowhere: No such file"),
            ({"ca_file": str(junk)}, "junk.pem: is not PEM as needed"),
            ({"cert_file": str(junk)}, "junk.pem: is not PEM as needed"),
        ):
            address = parse_redis_url(f"rediss://here?{urlencode(files)}")
            error = self.assertRaises(ConfigError, endpoint_of, address, self.reactor)
            self.assertIn(words, str(error))

    def test_fixed(self) -> None:
        """A server that is always the same is found at once."""
        found = Found(endpoint_of(RedisAddress("here"), self.reactor), "here")
        finding = Deferred.fromCoroutine(FixedServer(found).find())
        self.assertIs(self.successResultOf(finding), found)
