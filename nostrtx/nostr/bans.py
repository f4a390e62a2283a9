# -*- test-case-name: tests.nostr.test_bans -*-
"""
Bans: the keys, events and network addresses that an operator will not have (NIP-86).

What was allowed by name is the opposite, and kept in the same way, among the bans.

Pure: no I/O and no clock.
"""

from __future__ import annotations

import re
from enum import Enum
from ipaddress import IPv6Network, ip_network
from typing import Final

import attrs

from nostrtx.nostr.bech32 import Bech32Error, parse_event_id, parse_pubkey

#: Longest reason that is kept, in characters; what is more is cut off.
MAX_REASON: Final = 200

#: The IPv4 addresses as they stand in IPv6.
_MAPPED: Final = IPv6Network("::ffff:0:0/96")

_NOT_SHOWN: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class BanError(ValueError):
    """This cannot be banned; the text is one line that says why."""


class BanKind(Enum):
    """
    What is banned, or was allowed.

    Attributes:
        PUBKEY: A key, and so whoever owns it.
        EVENT: One event.
        ADDRESS: A network address, or all that begin alike.
        ALLOWED_PUBKEY: No ban: a key that was allowed by name.
        ALLOWED_EVENT: No ban: an event that a moderator has nothing against, whoever
            reports it.
    """

    PUBKEY = "pubkey"
    EVENT = "event"
    ADDRESS = "address"
    ALLOWED_PUBKEY = "allowed pubkey"
    ALLOWED_EVENT = "allowed event"


#: What keeps somebody or something out.
BANS: Final = (BanKind.PUBKEY, BanKind.EVENT, BanKind.ADDRESS)

#: What ends when the same subject is banned or allowed.
_OPPOSITES: Final = {
    BanKind.PUBKEY: BanKind.ALLOWED_PUBKEY,
    BanKind.ALLOWED_PUBKEY: BanKind.PUBKEY,
    BanKind.EVENT: BanKind.ALLOWED_EVENT,
    BanKind.ALLOWED_EVENT: BanKind.EVENT,
}


def one_line(reason: str) -> str:
    """A reason as it is kept: one line, without control characters, not too long."""
    return _NOT_SHOWN.sub(" ", reason).strip()[:MAX_REASON]


@attrs.frozen(slots=True)
class Ban:
    """
    A ban, or what takes its place where something was allowed.

    Attributes:
        kind: What is banned or allowed.
        subject: Which one, as :func:`ban_subject` writes it: 64 hexadecimal digits,
            or an address or network such as ``203.0.113.7`` or ``2001:db8::/32``.
        reason: Why, for people, among them those who are banned; may be empty.
        made_at: Since when, seconds since 1970.
    """

    kind: BanKind
    subject: str
    reason: str = attrs.field(default="", converter=one_line)
    made_at: int = 0

    @property
    def because(self) -> str:
        """What whoever is banned is told."""
        said = f"this {_CALLED[self.kind]} is banned"
        return f"{said}: {self.reason}" if self.reason else said

    @property
    def opposite(self) -> tuple[BanKind, str] | None:
        """Kind and subject of the ban that ends with this one; None if none does."""
        kind = _OPPOSITES.get(self.kind)
        return None if kind is None else (kind, self.subject)


_CALLED: Final = {
    BanKind.PUBKEY: "key",
    BanKind.EVENT: "event",
    BanKind.ADDRESS: "address",
}


def ban_subject(kind: BanKind, text: str) -> str:
    """
    What ``text`` names, in the one way in which it is kept.

    Args:
        kind: What is to be banned or allowed.
        text: A key in hexadecimal, as npub or nprofile; an event's id in hexadecimal,
            as note or nevent; or an IPv4 or IPv6 address, or a network of them such
            as ``203.0.113.0/24``.

    Raises:
        BanError: It names nothing of that kind that could be banned.
    """
    if kind is BanKind.ADDRESS:
        return _network(text)
    is_event = kind in (BanKind.EVENT, BanKind.ALLOWED_EVENT)
    parse = parse_event_id if is_event else parse_pubkey
    try:
        return parse(text).hex()
    except Bech32Error as error:
        raise BanError(str(error)) from None


def _network(text: str) -> str:
    try:
        network = ip_network(text.strip(), strict=False)
    except ValueError:
        raise BanError(
            f"{text!r} is neither an address nor a network such as 203.0.113.0/24"
        ) from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        network = ip_network(f"{mapped}/{network.prefixlen - 96}")
    if network.is_loopback:
        raise BanError("loopback addresses cannot be banned: a proxy sits there")
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return str(network)
