# -*- test-case-name: tests.relay.test_networks -*-
"""Network addresses, and networks of them, to be found by any address within."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_network
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final, Generic, TypeVar

_T = TypeVar("_T")

_MAPPED: Final = bytes(10) + b"\xff\xff"
_LOOPBACK: Final = bytes(15) + b"\1"


def packed_address(address: str, *, loopback: bool = False) -> bytes | None:
    """
    An IPv4 address in four bytes, also if mapped into IPv6, or an IPv6 one in 16.

    Args:
        address: As text.
        loopback: Whether loopback addresses count, behind which anybody may be.

    Returns:
        None for those that do not count, and for what is no address.
    """
    try:
        if ":" not in address:
            packed = inet_pton(AF_INET, address)
        else:
            packed = inet_pton(AF_INET6, address.partition("%")[0])
            if packed.startswith(_MAPPED):
                packed = packed[12:]
    except (OSError, ValueError):
        return None
    if loopback:
        return packed
    if packed == _LOOPBACK or (len(packed) == 4 and packed[0] == 127):
        return None
    return packed


def address_group(address: str) -> str:
    """
    What comes from ``address`` is counted under; empty if they are not.

    That is an IPv4 address itself, also when it is mapped into IPv6, and the /64 of
    any other IPv6 address, for that is what one subscriber line is given. Loopback
    addresses are not counted, nor is what has no address (a UNIX socket).
    """
    if ":" in address:
        try:
            parsed = IPv6Address(address.partition("%")[0])
        except ValueError:
            return address
        if parsed.ipv4_mapped is None:
            return "" if parsed.is_loopback else parsed.packed[:8].hex()
        address = str(parsed.ipv4_mapped)
    return "" if address.startswith("127.") else address


class Networks(Generic[_T]):
    """
    What is kept under networks.

    Finding out what an address is in takes one look for every length of prefix that
    is there, however many networks there are.

    Args:
        loopback: Whether loopback addresses are found, too.
    """

    def __init__(self, *, loopback: bool = False) -> None:
        self._loopback = loopback
        # By the bytes of an address, then by the bits that do not matter.
        self._kept: dict[int, dict[int, dict[int, _T]]] = {4: {}, 16: {}}

    def put(self, network: str, what: _T) -> None:
        """
        Keep ``what`` under a network or a single address.

        Raises:
            ValueError: It is neither.
        """
        size, shift, prefix = _parts(network)
        self._kept[size].setdefault(shift, {})[prefix] = what

    def remove(self, network: str) -> None:
        """Keep nothing under a network any more."""
        size, shift, prefix = _parts(network)
        at_length = self._kept[size].get(shift, {})
        at_length.pop(prefix, None)
        if not at_length:
            self._kept[size].pop(shift, None)

    def find(self, address: str) -> _T | None:
        """What is kept under one of the networks that ``address`` is in."""
        packed = packed_address(address, loopback=self._loopback)
        if packed is None:
            return None
        number = int.from_bytes(packed, "big")
        for shift, at_length in self._kept[len(packed)].items():
            found = at_length.get(number >> shift)
            if found is not None:
                return found
        return None


def _parts(text: str) -> tuple[int, int, int]:
    """Bytes of the addresses in a network, bits that do not matter, the others."""
    network = ip_network(text)
    shift = network.max_prefixlen - network.prefixlen
    return network.max_prefixlen // 8, shift, int(network.network_address) >> shift
