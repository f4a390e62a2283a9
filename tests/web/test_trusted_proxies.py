"""Tests for :mod:`nostrtx.web.trusted_proxies`."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.settings.edge import ListenSettings
from nostrtx.web.client_address import peer_address
from nostrtx.web.trusted_proxies import MAX_HOPS, TrustedProxies

_NEAR = IPv4Address("TCP", "10.0.0.1", 4000)
_STRANGER = IPv4Address("TCP", "198.51.100.9", 4000)


def head(*headers: str) -> bytes:
    """A request's head with these lines."""
    return "\r\n".join(("GET / HTTP/1.1", *headers)).encode("latin-1")


class TrustedProxiesTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.web.trusted_proxies.TrustedProxies`."""

    def setUp(self) -> None:
        """Trust two networks."""
        named = ("10.0.0.0/8", "2001:db8:a::/48")
        self.proxies = TrustedProxies(ListenSettings(trusted_proxies=named))

    def client(self, said: str, peer: IAddress = _NEAR) -> str:
        """The client's address, of a connection of ``peer`` that says so."""
        request = head("Host: x", f"X-Forwarded-For: {said}")
        return peer_address(self.proxies.client_of(peer, request))

    def test_client(self) -> None:
        """A trusted proxy says who the client is, of either family."""
        for said, kind in (("203.0.113.7", IPv4Address), ("2001:db8::7", IPv6Address)):
            request = head(f"X-Forwarded-For: {said}")
            client = self.proxies.client_of(_NEAR, request)
            self.assertEqual(client, kind("TCP", said, 0))

    def test_stranger(self) -> None:
        """What anybody else says is ignored."""
        for peer in (_STRANGER, IPv6Address("TCP", "2001:db8:b::1", 1)):
            request = head("X-Forwarded-For: 203.0.113.7")
            self.assertIs(self.proxies.client_of(peer, request), peer)

    def test_spoofed(self) -> None:
        """A client that sends the header itself gains nothing by it."""
        for made_up in (
            "192.0.2.66",
            "10.0.0.9",
            "unknown",
            "garbage, , %",
            "10.0.0.1",
        ):
            self.assertEqual(self.client(f"{made_up}, 203.0.113.7"), "203.0.113.7")

    def test_several_proxies(self) -> None:
        """Behind several proxies the client is the first who is none of them."""
        self.assertEqual(
            self.client("192.0.2.66, 203.0.113.7, 2001:db8:a::1, 10.9.9.9"),
            "203.0.113.7",
        )

    def test_only_proxies(self) -> None:
        """If there are only proxies on the way, the farthest is the client."""
        self.assertEqual(self.client("10.0.0.7, 10.0.0.8"), "10.0.0.7")

    def test_long_way(self) -> None:
        """A way without end is followed for so many hops."""
        self.assertEqual(
            self.client("203.0.113.7" + ", 10.0.0.9" * MAX_HOPS), "10.0.0.9"
        )
        self.assertEqual(
            self.client("203.0.113.7" + ", 10.0.0.9" * (MAX_HOPS - 1)), "203.0.113.7"
        )

    def test_malformed(self) -> None:
        """If a trusted proxy says what makes no sense, or nothing, it is the client."""
        for said in ("garbage", "unknown", "_hidden", "", "203.0.113.7, x, 10.0.0.9"):
            self.assertEqual(self.client(said), "10.0.0.1", said)
        self.assertIs(self.proxies.client_of(_NEAR, head("Host: x")), _NEAR)

    def test_forwarded(self) -> None:
        """RFC 7239's header counts where it is chosen, and then no other one."""
        settings = ListenSettings(
            trusted_proxies=("10.0.0.0/8",), client_header="forwarded"
        )
        request = head(
            "X-Forwarded-For: 192.0.2.66",
            'Forwarded: for=192.0.2.67, for="[2001:db8::7]:80";proto=https',
        )
        client = TrustedProxies(settings).client_of(_NEAR, request)
        self.assertEqual(peer_address(client), "2001:db8::7")
        other = self.proxies.client_of(_NEAR, request)
        self.assertEqual(peer_address(other), "192.0.2.66")

    def test_mapped(self) -> None:
        """IPv4 in IPv6's clothes is IPv4, of peers, of proxies and of clients."""
        peer = IPv6Address("TCP", "::ffff:10.0.0.1", 1)
        self.assertEqual(self.client("::ffff:203.0.113.7", peer), "203.0.113.7")
        named = ("::ffff:10.0.0.0/104",)
        self.proxies = TrustedProxies(ListenSettings(trusted_proxies=named))
        self.assertEqual(self.client("203.0.113.7"), "203.0.113.7")

    def test_unix(self) -> None:
        """Whoever connects to a UNIX socket is trusted only if that is said."""
        peer = UNIXAddress(None)
        self.assertEqual(self.client("203.0.113.7", peer), "")
        self.proxies = TrustedProxies(ListenSettings(trusted_proxies=("unix",)))
        self.assertEqual(self.client("203.0.113.7", peer), "203.0.113.7")
        self.assertEqual(self.client("203.0.113.7"), "10.0.0.1")

    def test_single_address(self) -> None:
        """An address is a network of one."""
        self.proxies = TrustedProxies(ListenSettings(trusted_proxies=("10.0.0.1",)))
        self.assertEqual(self.client("203.0.113.7, 10.0.0.2"), "10.0.0.2")
