"""Tests for :mod:`nostrtx.web.client_address`."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.settings.limits import LimitSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.client_address import ConnectionLimits, peer_address
from tests.web.fakes import nobody_else


class PeerAddressTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.web.client_address.peer_address`."""

    def test_ip(self) -> None:
        """An IP peer has its address."""
        self.assertEqual(peer_address(IPv4Address("TCP", "192.0.2.1", 1)), "192.0.2.1")
        self.assertEqual(
            peer_address(IPv6Address("TCP", "2001:db8::1", 1)), "2001:db8::1"
        )

    def test_none(self) -> None:
        """A peer on a UNIX socket has none."""
        self.assertEqual(peer_address(UNIXAddress(None)), "")


def limits_of(settings: LimitSettings) -> ConnectionLimits:
    """Limits of a relay of one process."""
    clock = Clock()
    return ConnectionLimits(
        LiveSettings(Settings(limits=settings)), nobody_else(clock), clock
    )


class ConnectionLimitsTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.web.client_address.ConnectionLimits`."""

    def test_per_address(self) -> None:
        """One address may hold so many connections, and more when some have ended."""
        limits = limits_of(LimitSettings(max_connections_per_address=2))
        for _ in range(2):
            self.assertIsNone(limits.refusal("192.0.2.1"))
            limits.opened("192.0.2.1")
        refusal = limits.refusal("192.0.2.1")
        assert refusal is not None
        self.assertEqual(refusal[0], 429)
        self.assertIsNone(limits.refusal("192.0.2.2"))
        limits.closed("192.0.2.1")
        self.assertIsNone(limits.refusal("192.0.2.1"))

    def test_in_all(self) -> None:
        """So many connections may be open in all, wherever they come from."""
        limits = limits_of(LimitSettings(max_connections=2))
        limits.opened("192.0.2.1")
        limits.opened("127.0.0.1")
        refusal = limits.refusal("192.0.2.3")
        assert refusal is not None
        self.assertEqual(refusal[0], 503)
        limits.closed("127.0.0.1")
        self.assertIsNone(limits.refusal("192.0.2.3"))

    def test_loopback(self) -> None:
        """Loopback addresses have no limit of their own: a proxy sits there."""
        limits = limits_of(LimitSettings(max_connections_per_address=1))
        for _ in range(5):
            limits.opened("127.0.0.1")
        self.assertIsNone(limits.refusal("127.0.0.1"))

    def test_no_limits(self) -> None:
        """A limit of 0 is none."""
        limits = limits_of(LimitSettings(max_connections_per_address=0))
        for _ in range(500):
            limits.opened("192.0.2.1")
        self.assertIsNone(limits.refusal("192.0.2.1"))

    def test_forgets(self) -> None:
        """Addresses without connections take no memory."""
        limits = limits_of(LimitSettings())
        limits.opened("192.0.2.1")
        limits.refusal("192.0.2.9")
        limits.closed("192.0.2.1")
        self.assertEqual(len(limits._by_group), 0)
