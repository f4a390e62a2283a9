"""Tests for :mod:`nostrtx.consistency`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.consistency import check_consistency
from nostrtx.settings.access import GroupSettings, MembershipSettings
from nostrtx.settings.edge import ListenSettings
from nostrtx.settings.file import ConfigError
from nostrtx.settings.identity import DiscoverySettings, RelaySettings
from nostrtx.settings.storing import StoreSettings
from nostrtx.settings.tree import Settings

_SHARED = StoreSettings(url="postgresql://relay:secret@host/nostr")


class ConsistencyTests(SynchronousTestCase):
    """Settings that need one another."""

    def refusal(self, settings: Settings) -> str:
        """The line with which settings are refused."""
        fault = str(self.assertRaises(ConfigError, check_consistency, settings))
        self.assertNotIn("\n", fault)
        self.assertNotIn("secret", fault)
        return fault

    def test_defaults(self) -> None:
        """Where nothing is set, nothing is missing."""
        check_consistency(Settings())

    def test_announced_nowhere(self) -> None:
        """Without its URL a relay cannot be announced."""
        settings = Settings(discovery=DiscoverySettings(announce=True))
        self.assertTrue(self.refusal(settings).startswith("relay.url: needed"))

    def test_takeover(self) -> None:
        """A store that is in one process's memory is not handed over to another."""
        listen = ListenSettings(takeover="/run/takeover")
        settings = Settings(listen=listen, store=StoreSettings(url="memory:"))
        self.assertTrue(self.refusal(settings).startswith("listen.takeover: "))
        check_consistency(Settings(listen=listen))

    def test_shared_key(self) -> None:
        """Nodes that share a store and sign need a file with the key they share."""
        announced = RelaySettings(url="wss://relay.example.com")
        for settings in (
            Settings(store=_SHARED, membership=MembershipSettings(enabled=True)),
            Settings(store=_SHARED, groups=GroupSettings(enabled=True)),
            Settings(relay=announced, store=_SHARED, discovery=DiscoverySettings(True)),
        ):
            fault = self.refusal(settings)
            self.assertTrue(fault.startswith("relay.key_file: needed"), fault)
            self.assertIn("same key on every node", fault)

    def test_key_file(self) -> None:
        """With the file named all is well, and so it is where nothing is signed."""
        members = MembershipSettings(enabled=True)
        named = RelaySettings(key_file="/etc/nostrtx/relay.key")
        for settings in (
            Settings(relay=named, store=_SHARED, membership=members),
            Settings(store=_SHARED),
            Settings(store=StoreSettings(url="lmdb:data"), membership=members),
            Settings(store=StoreSettings(url="memory:"), membership=members),
        ):
            check_consistency(settings)
