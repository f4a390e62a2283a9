"""Tests for :mod:`nostrtx.key_service`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.key_service import KeyService
from nostrtx.relay.own_key import OwnKey
from nostrtx.settings.file import ConfigError
from nostrtx.settings.identity import DiscoverySettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import RandomBytes

_SIGNS = Settings(discovery=DiscoverySettings(announce=True))


class KeyServiceTests(SynchronousTestCase):
    """The relay's own key, among what all of its processes agree in."""

    def facts(self, path: str | None) -> dict[str, str]:
        """What a process says of itself once it has started with the key there."""
        facts = {"store": "x"}
        service = KeyService(OwnKey(path, RandomBytes()), facts, LiveSettings(_SIGNS))
        self.assertEqual(facts, {"store": "x"})
        service.startService()
        self.assertTrue(service.running)
        return facts

    def test_told(self) -> None:
        """Processes tell one another which key they have, not the key itself."""
        paths = [self.mktemp() for _ in range(3)]
        for path, key in zip(paths, ("77", "77", "88"), strict=True):
            Path(path).write_text(key * 32)
        one, same, other = map(self.facts, paths)
        self.assertEqual(one.keys(), {"store", "key"})
        self.assertEqual(one, same)
        self.assertNotEqual(one, other)
        self.assertNotIn("77" * 32, one.values())

    def test_made(self) -> None:
        """A key that is missing is made, and is there for the next process."""
        path = self.mktemp()
        self.assertEqual(self.facts(path), self.facts(path))

    def test_unusable(self) -> None:
        """Without a key the process ends, with one line why."""
        path = self.mktemp()
        Path(path).write_text("no key")
        service = KeyService(OwnKey(path, RandomBytes()), {}, LiveSettings(_SIGNS))
        end = self.assertRaises(SystemExit, service.startService)
        self.assertTrue(str(end.code).startswith("nostr-relay: the relay's key in"))
        self.assertNotIn("\n", str(end.code))

    def test_later(self) -> None:
        """A key is read when the settings first ask for it, and told as long as so."""
        path = self.mktemp()
        facts: dict[str, str] = {}
        live = LiveSettings(Settings())
        key = OwnKey(path, RandomBytes())
        KeyService(key, facts, live).startService()
        self.assertFalse(Path(path).exists())
        # Whoever follows the settings finds the key.
        found: list[bool] = []
        live.follow(lambda settings: found.append(key.is_loaded))
        live.change(_SIGNS)
        self.assertEqual((found, facts), ([False, True], {"key": key.public}))
        live.change(Settings())
        self.assertEqual(facts, {})
        live.change(_SIGNS)
        self.assertEqual(facts, {"key": key.public})

    def test_later_unusable(self) -> None:
        """If it cannot be had then, the settings stay as they are."""
        path = self.mktemp()
        Path(path).write_text("no key")
        live = LiveSettings(Settings())
        KeyService(OwnKey(path, RandomBytes()), {}, live).startService()
        fault = self.assertRaises(ConfigError, live.change, _SIGNS)
        self.assertTrue(str(fault).startswith("relay.key_file: the relay's key in"))
        self.assertEqual(live.now, Settings())
