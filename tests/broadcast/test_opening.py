"""Tests for :mod:`nostrtx.broadcast.opening`."""

from __future__ import annotations

from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.broadcast.local import LocalBroadcaster
from nostrtx.broadcast.opening import open_broadcaster
from nostrtx.broadcast.redis import RedisBroadcaster
from nostrtx.interfaces.processes import IBroadcaster
from nostrtx.settings.file import ConfigError
from nostrtx.settings.storing import ClusterSettings

SECRETS = {"NOSTRTX_CLUSTER_SECRET": "ab" * 32}


class OpenBroadcasterTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.broadcast.opening.open_broadcaster`."""

    def setUp(self) -> None:
        """Make a reactor that connects to nothing."""
        self.reactor: Any = MemoryReactorClock()

    def open(self, environment: dict[str, str], **settings: Any) -> IBroadcaster:
        """What the settings ask for."""
        return open_broadcaster(
            ClusterSettings(**settings),
            "node/1",
            True,
            {},
            self.reactor,
            bytes,
            environment,
            lambda why: None,
        )

    def test_local(self) -> None:
        """Without Redis, nobody is told, and no secret is needed."""
        broadcaster = self.open({})
        self.assertIsInstance(broadcaster, LocalBroadcaster)
        self.assertEqual(broadcaster.name, "node/1")

    def test_redis(self) -> None:
        """With Redis, that is where it connects to once it is started."""
        broadcaster = self.open(SECRETS, redis="unix:///run/redis.sock")
        self.assertIsInstance(broadcaster, RedisBroadcaster)
        self.assertEqual((broadcaster.name, broadcaster.shares_store), ("node/1", True))
        self.assertEqual(self.reactor.unixClients, [])
        _ = broadcaster.start()
        self.assertEqual(self.reactor.unixClients[0][0], "/run/redis.sock")
        self.successResultOf(broadcaster.stop())

    def test_sentinels(self) -> None:
        """With Sentinels, it is they that are connected to at first."""
        broadcaster = self.open(
            SECRETS, redis="redis://127.0.0.1:1", sentinels=("127.0.0.2:2",)
        )
        _ = broadcaster.start()
        self.reactor.advance(0)
        self.assertEqual([client[1] for client in self.reactor.tcpClients], [2])
        self.successResultOf(broadcaster.stop())

    def test_no_secret(self) -> None:
        """With Redis, there must be a secret."""
        error = self.assertRaises(ConfigError, self.open, {}, redis="redis://here")
        self.assertIn("a secret that all nodes share", str(error))

    def test_no_certificate(self) -> None:
        """Certificates that are missing are found out before the start."""
        ca_file = "rediss://here?ca_file=/nowhere"
        for settings in (
            {"redis": ca_file},
            {"redis": "rediss://here", "sentinels": (ca_file,)},
        ):
            error = self.assertRaises(ConfigError, self.open, SECRETS, **settings)
            self.assertIn("/nowhere", str(error))
