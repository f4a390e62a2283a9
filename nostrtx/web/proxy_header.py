# -*- test-case-name: tests.web.test_proxy_header -*-
"""
The PROXY protocol, versions 1 and 2: what a proxy says first of a connection.

Pure: bytes in, an address out. The protocol is described in HAProxy's
``doc/proxy-protocol.txt``.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

import attrs
from twisted.internet import address
from twisted.internet.interfaces import IAddress

#: What a header of version 2 begins with.
SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"

#: What a header of version 1 begins with.
V1_START: Final = b"PROXY "

#: Longest header of version 1, with its end of line.
MAX_V1_BYTES: Final = 107

#: Longest rest of a header of version 2: addresses, and what else a proxy tells.
MAX_V2_BYTES: Final = 4096

_LOCAL, _PROXIED = 0x20, 0x21

#: Where the addresses end, by what they are. Those of UDP mean nothing here.
_V2_LENGTHS: Final = {0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216}


class BadProxyHeader(Exception):
    """A connection does not begin as the PROXY protocol demands."""


@attrs.frozen(slots=True)
class ProxyHeader:
    """
    One header.

    Attributes:
        client: Who connected to the proxy; None if the proxy does not say, as for
            its health checks: then the peer is the client.
        length: How many bytes it has; the client's own begin behind it.
    """

    client: IAddress | None
    length: int


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """
    The header that ``data`` begins with.

    Returns:
        The header; None as long as it is not complete.

    Raises:
        BadProxyHeader: There is none.
    """
    if data.startswith(SIGNATURE):
        return _parse_v2(data)
    if data.startswith(V1_START):
        return _parse_v1(data)
    if SIGNATURE.startswith(data) or V1_START.startswith(data):
        return None
    raise BadProxyHeader("there is none")


def _parse_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, MAX_V1_BYTES)
    if end < 0:
        if len(data) >= MAX_V1_BYTES:
            raise BadProxyHeader("the line is too long")
        return None
    length = end + 2
    fields = data[len(V1_START) : end].split(b" ")
    if fields[0] == b"UNKNOWN":
        return ProxyHeader(None, length)
    try:
        # Where the client connected to is not of interest, and not always right: nginx
        # tells its own address, of whatever family, if it was told of the client.
        family, source, _, port, _ = (field.decode("ascii") for field in fields)
        if family == "TCP4":
            client = _ipv4(IPv4Address(source), _port(port))
        elif family == "TCP6":
            client = _ipv6(IPv6Address(source), _port(port))
        else:
            raise BadProxyHeader("the family of addresses is not known")
    except (AddressValueError, ValueError):
        raise BadProxyHeader("the line makes no sense") from None
    return ProxyHeader(client, length)


def _port(text: str) -> int:
    if not (text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise BadProxyHeader("a port makes no sense")
    return int(text)


def _parse_v2(data: bytes) -> ProxyHeader | None:
    start = len(SIGNATURE) + 4
    if len(data) < start:
        return None
    command, family = data[12], data[13]
    rest = int.from_bytes(data[14:start], "big")
    if command not in (_LOCAL, _PROXIED):
        raise BadProxyHeader("the command is not known")
    if rest > MAX_V2_BYTES:
        raise BadProxyHeader("the header is too long")
    if command == _PROXIED:
        if family not in _V2_LENGTHS:
            raise BadProxyHeader("the family of addresses is not known")
        if rest < _V2_LENGTHS[family]:
            raise BadProxyHeader("the addresses are incomplete")
    if len(data) < start + rest:
        return None
    client: IAddress | None = None
    if command == _PROXIED and family == 0x11:
        port = int.from_bytes(data[start + 8 : start + 10], "big")
        client = _ipv4(IPv4Address(data[start : start + 4]), port)
    elif command == _PROXIED and family == 0x21:
        port = int.from_bytes(data[start + 32 : start + 34], "big")
        client = _ipv6(IPv6Address(data[start : start + 16]), port)
    elif command == _PROXIED and family == 0x31:
        client = address.UNIXAddress(None)
    return ProxyHeader(client, start + rest)


def _ipv4(host: IPv4Address, port: int) -> IAddress:
    return address.IPv4Address("TCP", str(host), port)


def _ipv6(host: IPv6Address, port: int) -> IAddress:
    return address.IPv6Address("TCP", str(host), port)
