# -*- test-case-name: tests.settings.test_rates -*-
"""How fast clients may ask for things: rates, and their table of settings."""

from __future__ import annotations

import re
from typing import Final

import attrs

from nostrtx.settings.checks import UNIX_PROXY, proxies, shown

#: The periods of rates: their seconds, and what people call them.
_PERIODS: Final = {
    "s": (1, "second"),
    "min": (60, "minute"),
    "h": (3600, "hour"),
    "d": (86_400, "day"),
}

_RATE: Final = re.compile(r"([0-9]{1,15})/(s|min|h|d)", re.ASCII)


@attrs.frozen
class Rate:
    """
    So much in so much time.

    Attributes:
        amount: How much; at least 1.
        seconds: In what time.
        period: What that time is called, as in "per minute".
    """

    amount: int
    seconds: int
    period: str


def parse_rate(text: str) -> Rate | None:
    """
    What a text such as ``300/min`` says; None for the empty one, which is no limit.

    Raises:
        ValueError: It is no rate; the text goes on after the setting's name.
    """
    if not text:
        return None
    found = _RATE.fullmatch(text)
    if found is None:
        raise ValueError(
            'must be a whole number and "/s", "/min", "/h" or "/d", such as "300/min",'
            f' or "" for no limit, not {shown(text)}'
        )
    amount = int(found[1])
    if not amount:
        raise ValueError('must be at least 1 in its time; "" is for no limit')
    return Rate(amount, *_PERIODS[found[2]])


def rate(_: object, __: object, value: str) -> None:
    """Check that a text is empty or a rate."""
    parse_rate(value)


@attrs.frozen
class RateSettings:
    """
    ``[rates]``: how much may come how fast; strings such as ``300/min`` or ``10/s``.

    So much may come at once, and that much again in each such time. Empty is no
    limit. All processes of a relay count together. Events are EVENT messages,
    requests are REQ, COUNT and NEG-OPEN; bytes are those of all messages.

    Attributes:
        address_events: Events from one address (IPv6: one /64).
        address_bytes: Bytes of messages from one address.
        address_requests: Requests from one address.
        address_connections: New connections from one address.
        connection_events: Events over one connection.
        connection_bytes: Bytes of messages over one connection.
        connection_requests: Requests over one connection.
        pubkey_events: Events by one author.
        pubkey_bytes: Bytes of events by one author.
        exempt: Addresses and networks to which none of this applies; ``unix`` for
            whoever connects to a UNIX socket.
        shadow: Whether all is counted and nothing refused, for trials.
    """

    address_events: str = attrs.field(default="", validator=rate)
    address_bytes: str = attrs.field(default="", validator=rate)
    address_requests: str = attrs.field(default="", validator=rate)
    address_connections: str = attrs.field(default="", validator=rate)
    connection_events: str = attrs.field(default="", validator=rate)
    connection_bytes: str = attrs.field(default="", validator=rate)
    connection_requests: str = attrs.field(default="", validator=rate)
    pubkey_events: str = attrs.field(default="", validator=rate)
    pubkey_bytes: str = attrs.field(default="", validator=rate)
    exempt: tuple[str, ...] = attrs.field(
        default=("127.0.0.0/8", "::1", UNIX_PROXY), validator=proxies
    )
    shadow: bool = False
