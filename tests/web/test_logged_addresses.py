"""Tests for :mod:`nostrtx.web.logged_addresses`."""

from __future__ import annotations

from itertools import count

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.settings.edge import LogSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.logged_addresses import LoggedAddresses


def naming(how: str) -> LiveSettings:
    """Settings that say how addresses are named."""
    return LiveSettings(Settings(log=LogSettings(addresses=how)))


class LoggedAddressesTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.web.logged_addresses.LoggedAddresses`."""

    def addresses(self, how: str) -> LoggedAddresses:
        """A log that names addresses in this way, at midnight."""
        self.clock = Clock()
        self.clock.advance(86_400 * 20_000)
        self.settings = naming(how)
        keys = count()
        return LoggedAddresses(
            self.settings, self.clock, lambda size: next(keys).to_bytes(size, "big")
        )

    def test_none(self) -> None:
        """Addresses are not named."""
        self.assertEqual(self.addresses("none").name_of("203.0.113.7"), "")

    def test_plain(self) -> None:
        """Addresses are named as they are; a UNIX socket has none."""
        addresses = self.addresses("plain")
        self.assertEqual(addresses.name_of("203.0.113.7"), "203.0.113.7")
        self.assertEqual(addresses.name_of(""), "")

    def test_hashed(self) -> None:
        """An address has one name all day, which is not that of another one."""
        addresses = self.addresses("hashed")
        name = addresses.name_of("203.0.113.7")
        self.assertRegex(name, "^[0-9a-f]{16}$")
        self.clock.advance(86_399)
        self.assertEqual(addresses.name_of("203.0.113.7"), name)
        self.assertNotEqual(addresses.name_of("203.0.113.8"), name)
        self.assertEqual(addresses.name_of(""), "")

    def test_next_day(self) -> None:
        """The next day it has another one."""
        addresses = self.addresses("hashed")
        name = addresses.name_of("203.0.113.7")
        self.clock.advance(86_400)
        self.assertNotEqual(addresses.name_of("203.0.113.7"), name)

    def test_changed(self) -> None:
        """Another way of naming them holds from then on."""
        addresses = self.addresses("none")
        self.settings.change(naming("plain").now)
        self.assertEqual(addresses.name_of("203.0.113.7"), "203.0.113.7")

    def test_another_process(self) -> None:
        """Nobody who does not have the key can tell which address it is."""
        clock = Clock()
        one, other = (
            LoggedAddresses(naming("hashed"), clock, fill.__mul__)
            for fill in (b"a", b"b")
        )
        self.assertNotEqual(one.name_of("203.0.113.7"), other.name_of("203.0.113.7"))
