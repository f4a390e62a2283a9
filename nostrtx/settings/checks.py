# -*- test-case-name: tests.settings.test_file -*-
"""
What single settings may be: the checks that the tables of settings name.

Each raises ValueError with a text that goes on after the setting's name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final

from nostrtx.nostr.bech32 import Bech32Error, parse_pubkey
from nostrtx.nostr.relay_url import parse_relay_url
from nostrtx.redis_url import parse_redis_url, parse_sentinel

_Validator = Callable[[Any, Any, Any], None]

#: Names whoever connects to a UNIX socket among trusted proxies.
UNIX_PROXY: Final = "unix"

_MAPPED: Final = IPv6Network("::ffff:0:0/96")

_NAME: Final = re.compile(r"[a-z0-9_.-]{1,64}")
_NODE: Final = re.compile(r"[A-Za-z0-9_.-]{0,64}")
_CHANNEL: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_HEX_KEY: Final = re.compile(r"[0-9a-f]{64}")
_ORIGIN: Final = re.compile(
    r"null|[a-z][a-z0-9+.-]*://(?:[^\s/?#@:\[\]*]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?",
    re.IGNORECASE,
)
_BECH32: Final = re.compile(r"(?:nostr:)?n[a-z]+1", re.IGNORECASE)


def at_least(least: float, most: float | None = None) -> _Validator:
    """A check that a number is at least ``least``, and at most ``most``."""

    def check(_: object, __: object, value: float) -> None:
        if value < least:
            raise ValueError(f"must be at least {least}, not {value}")
        if most is not None and value > most:
            raise ValueError(f"must be at most {most}, not {value}")

    return check


def one_of(*values: str) -> _Validator:
    """A check that a text is one of ``values``."""

    def check(_: object, __: object, value: str) -> None:
        if value not in values:
            known = ", ".join(map(shown, values))
            raise ValueError(f"must be one of {known}, not {shown(value)}")

    return check


def positive(_: object, __: object, value: float) -> None:
    """Check that a number is above 0."""
    if value <= 0:
        raise ValueError(f"must be more than 0, not {value}")


def not_empty(_: object, __: object, value: tuple[str, ...]) -> None:
    """Check that a list names something."""
    if not value:
        raise ValueError("must name at least one")


def empty_or_url(_: object, __: object, value: str) -> None:
    """Check that a text is empty or a relay's URL."""
    if value:
        parse_relay_url(value)


def urls(_: object, __: object, value: tuple[str, ...]) -> None:
    """Check that each text is a relay's URL."""
    for url in value:
        parse_relay_url(url)


def origins(_: object, __: object, value: tuple[str, ...]) -> None:
    """Check that each text is where a web page may come from."""
    for origin in value:
        if _ORIGIN.fullmatch(origin) is None:
            raise ValueError(
                'must hold origins such as "https://example.com", without a path,'
                f" not {shown(origin)}"
            )


def node_name(_: object, __: object, value: str) -> None:
    """Check that a text can be what a node is called; empty is fine."""
    if _NODE.fullmatch(value) is None:
        raise ValueError(
            f"must be up to 64 of a-z, A-Z, 0-9, -, _ and ., not {shown(value)}"
        )


def channel(_: object, __: object, value: str) -> None:
    """Check that a text can begin names in Redis."""
    if _CHANNEL.fullmatch(value) is None:
        raise ValueError(
            f"must be 1 to 64 of a-z, A-Z, 0-9, -, _, . and :, not {shown(value)}"
        )


def empty_or_redis_url(_: object, __: object, value: str) -> None:
    """Check that a text is empty or says where Redis is; it may hold a password."""
    if value:
        parse_redis_url(value)


def sentinels(_: object, __: object, value: tuple[str, ...]) -> None:
    """Check that each text says where a Sentinel is; it may hold a password."""
    for sentinel in value:
        parse_sentinel(sentinel)


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """
    A network such as ``10.0.0.0/8``, or a single address; of IPv4 never as IPv6.

    Raises:
        ValueError: It is none; the text goes on after the setting's name.
    """
    try:
        network = ip_network(text)
    except ValueError as error:
        raise ValueError(f"must hold networks such as 10.0.0.0/8: {error}") from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        return IPv4Network(f"{mapped}/{network.prefixlen - 96}")
    return network


def proxies(_: object, __: object, value: tuple[str, ...]) -> None:
    """Check that each text names proxies."""
    for text in value:
        if text != UNIX_PROXY:
            parse_network(text)


def empty_or_key(_: object, __: object, value: str) -> None:
    """Check that a text is empty or a public key."""
    if not value or _HEX_KEY.fullmatch(value):
        return
    if _BECH32.match(value):
        # What it says of a secret key does not hold the key.
        parse_pubkey(value)
    else:
        raise ValueError(
            f"must be 64 lower-case hexadecimal digits, not {shown(value)}"
        )


def named_keys(_: object, __: object, value: dict[str, str]) -> None:
    """Check that names are fit for NIP-05 and lead to public keys."""
    for name, key in value.items():
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{shown(name)} is not made of a-z, 0-9, -, _ and .")
        try:
            parse_pubkey(key)
        except Bech32Error as error:
            raise ValueError(f"{name}: {error}") from None


def hex_key(value: str) -> str:
    """The key in hexadecimal; what is none is left for the validator."""
    if _BECH32.match(value):
        try:
            return parse_pubkey(value).hex()
        except Bech32Error:
            pass
    return value


def keys(_: object, __: object, value: tuple[str, ...]) -> None:
    """Check that each text is a public key."""
    for key in value:
        empty_or_key(_, __, key)
        if not key:
            raise ValueError("must not hold an empty string")


def hex_keys(value: tuple[str, ...]) -> tuple[str, ...]:
    """The keys in hexadecimal; what is none is left for the validator."""
    return tuple(map(hex_key, value))


def shown(value: object) -> str:
    """A value nearly as the file spells it."""
    return json.dumps(value, ensure_ascii=False, default=str)
