"""Tests for :mod:`nostrtx.web.proxy_header`."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as some
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.web.proxy_header import (
    MAX_V2_BYTES,
    SIGNATURE,
    BadProxyHeader,
    ProxyHeader,
    parse_proxy_header,
)

FOUR = b"\x11", ip_address("198.51.100.4").packed + ip_address("10.0.0.1").packed
SIX = b"\x21", ip_address("2001:db8::4").packed + ip_address("2001:db8::1").packed
PORTS = b"\xc3\x50\x01\xbb"


def v2(command: bytes, family: bytes, rest: bytes) -> bytes:
    """A header of version 2."""
    return SIGNATURE + command + family + len(rest).to_bytes(2, "big") + rest


V1_FOUR = b"PROXY TCP4 198.51.100.4 10.0.0.1 50000 443\r\n"
V1_SIX = b"PROXY TCP6 2001:db8::4 2001:db8::1 50000 443\r\n"
V2_FOUR = v2(b"\x21", FOUR[0], FOUR[1] + PORTS)
V2_SIX = v2(b"\x21", SIX[0], SIX[1] + PORTS)
CLIENT_4 = IPv4Address("TCP", "198.51.100.4", 50000)
CLIENT_6 = IPv6Address("TCP", "2001:db8::4", 50000)

GOOD = {
    V1_FOUR: CLIENT_4,
    V1_SIX: CLIENT_6,
    V2_FOUR: CLIENT_4,
    V2_SIX: CLIENT_6,
    # As nginx puts it that was told of the client over IPv4.
    b"PROXY TCP6 2001:db8::4 10.0.0.1 50000 443\r\n": CLIENT_6,
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN ffff::1 ffff::2 65535 1\r\n": None,
    v2(b"\x20", b"\x00", b""): None,
    v2(b"\x20", b"\x11", FOUR[1] + PORTS): None,
    v2(b"\x21", b"\x00", b"whatever"): None,
    v2(b"\x21", FOUR[0], FOUR[1] + PORTS + b"\x04\x00\x03abc"): CLIENT_4,
    v2(b"\x21", b"\x31", bytes(216)): UNIXAddress(None),
}

BAD = [
    b"GET / HTTP/1.1\r\n",
    b"\x16\x03\x01",
    b"\r\n\r\n\0\r\nQUIT\r",
    b"PROXY TCP4 198.51.100.4 10.0.0.1 50000\r\n",
    b"PROXY TCP4 198.51.100.4 10.0.0.1 50000 443 1\r\n",
    b"PROXY TCP4  198.51.100.4 10.0.0.1 50000 443\r\n",
    b"PROXY TCP4 2001:db8::4 10.0.0.1 50000 443\r\n",
    b"PROXY TCP6 198.51.100.4 10.0.0.1 50000 443\r\n",
    b"PROXY TCP4 198.51.100.444 10.0.0.1 50000 443\r\n",
    b"PROXY TCP4 198.51.100.4 10.0.0.1 65536 443\r\n",
    b"PROXY TCP4 198.51.100.4 10.0.0.1 -1 443\r\n",
    b"PROXY TCP4 198.51.100.4 10.0.0.1 \xb2 443\r\n",
    b"PROXY TCP4 198.51.100.4 10.0.0.1  443\r\n",
    b"PROXY TCP4 198.51.100.4 10.0.0.1 999999999 443\r\n",
    b"PROXY UDP4 198.51.100.4 10.0.0.1 50000 443\r\n",
    b"PROXY \r\n",
    b"PROXY TCP4 " + b"1" * 100,
    v2(b"\x11", FOUR[0], FOUR[1] + PORTS),
    v2(b"\x22", FOUR[0], FOUR[1] + PORTS),
    v2(b"\x21", b"\x12", FOUR[1] + PORTS),
    v2(b"\x21", b"\x41", bytes(300)),
    v2(b"\x21", FOUR[0], FOUR[1]),
    v2(b"\x21", SIX[0], FOUR[1] + PORTS),
    SIGNATURE + b"\x21\x11" + (MAX_V2_BYTES + 1).to_bytes(2, "big"),
]


class ParseProxyHeaderTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.web.proxy_header.parse_proxy_header`."""

    def test_good(self) -> None:
        """Who the client is, is found in both versions; health checks have none."""
        for data, client in GOOD.items():
            header = ProxyHeader(client, len(data))
            self.assertEqual(parse_proxy_header(data), header, data)
            self.assertEqual(parse_proxy_header(data + V1_FOUR), header, data)

    def test_in_pieces(self) -> None:
        """As long as the end is missing, it is waited for."""
        for data in GOOD:
            for end in range(len(data)):
                self.assertIsNone(parse_proxy_header(data[:end]), data[:end])

    def test_bad(self) -> None:
        """What is no header is refused, as soon as that is certain."""
        for data in BAD:
            with self.assertRaises(BadProxyHeader, msg=repr(data)):
                parse_proxy_header(data)

    @given(
        some.sampled_from((b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, V2_SIX[:14])),
        some.binary(max_size=300),
    )
    def test_anything(self, start: bytes, rest: bytes) -> None:
        """Whatever arrives: a header that lies within it, none yet, or a refusal."""
        try:
            header = parse_proxy_header(start + rest)
        except BadProxyHeader:
            return
        if header is None:
            self.assertLess(len(start + rest), 16 + MAX_V2_BYTES)
        else:
            self.assertLessEqual(header.length, len(start + rest))
