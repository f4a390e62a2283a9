"""Tests for :mod:`nostrtx.relay.networks`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.networks import Networks, address_group, packed_address


class PackedAddressTests(SynchronousTestCase):
    """How an address is read."""

    def test_forms(self) -> None:
        """IPv4 has four bytes, also if mapped into IPv6, which otherwise has 16."""
        self.assertEqual(packed_address("203.0.113.7"), bytes((203, 0, 113, 7)))
        self.assertEqual(packed_address("::ffff:203.0.113.7"), bytes((203, 0, 113, 7)))
        plain = packed_address("fe80::1")
        assert plain is not None
        self.assertEqual(len(plain), 16)
        self.assertEqual(packed_address("fe80::1%eth0"), plain)

    def test_nobodys(self) -> None:
        """Behind loopback addresses anybody may be, and some peers have none."""
        for text in (
            "127.0.0.1",
            "127.1.2.3",
            "::1",
            "::ffff:127.0.0.1",
            "",
            "example.com",
            "203.0.113",
            "1\x00",
        ):
            self.assertIsNone(packed_address(text), text)


class AddressGroupTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.relay.networks.address_group`."""

    def test_ipv4(self) -> None:
        """IPv4 addresses count on their own, also when mapped into IPv6."""
        self.assertEqual(address_group("192.0.2.1"), "192.0.2.1")
        self.assertEqual(address_group("::ffff:192.0.2.1"), "192.0.2.1")
        self.assertNotEqual(address_group("192.0.2.1"), address_group("192.0.2.2"))

    def test_ipv6(self) -> None:
        """IPv6 addresses of one /64 count together."""
        one = address_group("2001:db8:0:1::1")
        self.assertEqual(one, address_group("2001:db8:0:1:ffff::2"))
        self.assertNotEqual(one, address_group("2001:db8:0:2::1"))
        self.assertEqual(address_group("fe80::1%eth0"), address_group("fe80::2%eth1"))

    def test_loopback(self) -> None:
        """Loopback addresses and UNIX sockets are not counted."""
        for address in ("127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", ""):
            self.assertEqual(address_group(address), "", address)


class NetworksTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.networks.Networks`."""

    def setUp(self) -> None:
        """None at first."""
        self.networks: Networks[str] = Networks()

    def test_single_addresses(self) -> None:
        """A single address is found by itself, however it is written."""
        self.networks.put("203.0.113.7", "four")
        self.networks.put("2001:db8::1", "six")
        self.assertEqual(self.networks.find("203.0.113.7"), "four")
        self.assertEqual(self.networks.find("::ffff:203.0.113.7"), "four")
        self.assertEqual(self.networks.find("2001:0db8:0::1"), "six")
        for other in ("203.0.113.8", "2001:db8::2", "", "127.0.0.1"):
            self.assertIsNone(self.networks.find(other), other)

    def test_loopback(self) -> None:
        """Loopback addresses are found where they count."""
        networks: Networks[str] = Networks(loopback=True)
        networks.put("127.0.0.0/8", "four")
        networks.put("::1", "six")
        self.assertEqual(networks.find("127.0.0.1"), "four")
        self.assertEqual(networks.find("::1"), "six")
        self.assertIsNone(networks.find(""))

    def test_networks(self) -> None:
        """Every address in a network is found, and none beside it."""
        self.networks.put("203.0.113.0/24", "four")
        self.networks.put("2001:db8:a::/48", "six")
        self.assertEqual(self.networks.find("203.0.113.255"), "four")
        self.assertEqual(self.networks.find("2001:db8:a:ffff::1"), "six")
        self.assertIsNone(self.networks.find("203.0.114.0"))
        self.assertIsNone(self.networks.find("2001:db8:b::"))

    def test_everything(self) -> None:
        """A network may be all of one family; loopback is not found in it."""
        self.networks.put("0.0.0.0/0", "four")
        self.assertEqual(self.networks.find("8.8.8.8"), "four")
        self.assertIsNone(self.networks.find("127.0.0.1"))
        self.assertIsNone(self.networks.find("2001:db8::1"))

    def test_removed(self) -> None:
        """What was removed is not found, what lies in or around it still is."""
        self.networks.put("203.0.113.0/24", "around")
        self.networks.put("203.0.113.7", "in")
        self.networks.put("203.0.113.8", "beside")
        self.networks.remove("203.0.113.7")
        self.networks.remove("203.0.113.99")
        self.assertEqual(self.networks.find("203.0.113.7"), "around")
        self.networks.remove("203.0.113.0/24")
        self.assertIsNone(self.networks.find("203.0.113.7"))
        self.assertEqual(self.networks.find("203.0.113.8"), "beside")

    @given(
        st.ip_addresses(v=4) | st.ip_addresses(v=6),
        st.ip_addresses(v=4) | st.ip_addresses(v=6),
        st.data(),
    )
    def test_as_the_standard_library_has_it(self, base, address, data) -> None:  # type: ignore[no-untyped-def]
        """An address is found exactly if it is in the network."""
        import ipaddress

        length = data.draw(st.integers(0, base.max_prefixlen))
        network = ipaddress.ip_network(f"{base}/{length}", strict=False)
        networks: Networks[str] = Networks()
        networks.put(str(network), "it")
        for one in (base, address):
            mapped = getattr(one, "ipv4_mapped", None)
            if one.is_loopback or mapped is not None:
                continue
            expected = "it" if one in network else None
            self.assertEqual(networks.find(str(one)), expected)
