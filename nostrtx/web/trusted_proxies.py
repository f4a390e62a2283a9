# -*- test-case-name: tests.web.test_trusted_proxies -*-
"""
Whose a connection is that came through HTTP proxies.

Only what proxies say that the operator has named counts: a header of anybody else is
not looked at, and the first hop that is none of these proxies is the client.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from nostrtx.settings.checks import UNIX_PROXY, parse_network
from nostrtx.settings.edge import ListenSettings
from nostrtx.web.client_address import peer_address
from nostrtx.web.forwarded import Address, hops, parse_peer

#: Longest way that is followed.
MAX_HOPS: Final = 64


class TrustedProxies:
    """
    The proxies whose word counts.

    Args:
        settings: ``trusted_proxies`` and ``client_header``.
    """

    def __init__(self, settings: ListenSettings) -> None:
        named = settings.trusted_proxies
        self._networks = [parse_network(text) for text in named if text != UNIX_PROXY]
        self._trusts_unix = UNIX_PROXY in named
        self._header = settings.client_header

    def client_of(self, peer: IAddress, head: bytes) -> IAddress:
        """
        Whose connection it is.

        Args:
            peer: Who it comes from.
            head: The head of the first request, without its last empty line.

        Returns:
            The client as the proxies tell, with 0 for its port; ``peer`` if it is
            none of them, or if what they tell makes no sense or names nobody.
        """
        if not self._trusts_peer(peer):
            return peer
        client = None
        for hop in islice(hops(head.decode("latin-1"), self._header), MAX_HOPS):
            if hop is None:
                return peer
            client = hop
            if not self._trusts(hop):
                break
        if client is None:
            return peer
        kind = IPv4Address if client.version == 4 else IPv6Address
        return kind("TCP", str(client), 0)

    def _trusts_peer(self, peer: IAddress) -> bool:
        if isinstance(peer, UNIXAddress):
            return self._trusts_unix
        address = parse_peer(peer_address(peer))
        return address is not None and self._trusts(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)
