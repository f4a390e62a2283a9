# -*- test-case-name: tests.nostr.test_relay_url -*-
"""
Relay URLs, compared as URLs and not as text (NIP-42, NIP-62, NIP-98).

A relay believes a signed event only if the event names this very relay, so what
is compared here comes from strangers: look-alike hosts, users before an ``@`` and
ports that are none must not pass.

Pure: no I/O and no clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import urlsplit

import attrs
import idna

#: Longest text that is taken for a URL, in characters.
MAX_LENGTH: Final = 2048

#: The schemes, and whether they are spoken over TLS.
_RELAY_SCHEMES: Final = {"ws": False, "wss": True}
_HTTP_SCHEMES: Final = _RELAY_SCHEMES | {"http": False, "https": True}

_DEFAULT_PORTS: Final = {False: 80, True: 443}

#: A host and perhaps a port, and nothing else: no user, no escapes.
_PLACE: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:@%\\]+))(?::([0-9]*))?")

_HOST: Final = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


class RelayURLError(ValueError):
    """The text is not a URL that a relay can have; the message says why."""


@attrs.frozen(slots=True)
class RelayURL:
    """
    A relay's URL in normal form; ``str`` gives it back as text.

    Attributes:
        secure: Whether TLS is spoken.
        host: Lower case and in ASCII (IDNA); an IPv6 address has its brackets.
        port: None where it is the default one of the scheme.
        path: Begins with a slash, and ends with one only if it is nothing else.
        query: Without its question mark; empty if there is none.
    """

    secure: bool
    host: str
    port: int | None = None
    path: str = "/"
    query: str = ""

    def __str__(self) -> str:
        scheme = "wss" if self.secure else "ws"
        port = "" if self.port is None else f":{self.port}"
        query = f"?{self.query}" if self.query else ""
        return f"{scheme}://{self.host}{port}{self.path}{query}"

    def is_same_relay(self, other: RelayURL) -> bool:
        """
        Whether both lead to one relay.

        With TLS or without does not matter, as a proxy may add it; nor does the
        query, to which a relay pays no attention.
        """
        return (self.host, self.port, self.path) == (
            other.host,
            other.port,
            other.path,
        )


def parse_relay_url(text: str) -> RelayURL:
    """
    The relay URL that ``text`` spells, with the scheme ``ws`` or ``wss``.

    Raises:
        RelayURLError: It spells none.
    """
    return _parse(text, _RELAY_SCHEMES)


def parse_http_url(text: str) -> RelayURL:
    """
    The URL that ``text`` spells, where ``https`` stands for ``wss`` as well.

    Raises:
        RelayURLError: It spells none.
    """
    return _parse(text, _HTTP_SCHEMES)


def same_relay(a: str, b: str) -> bool:
    """Whether both texts are URLs, and of one relay."""
    try:
        return parse_relay_url(a).is_same_relay(parse_relay_url(b))
    except RelayURLError:
        return False


def is_one_of(text: str, relay_urls: Iterable[str]) -> bool:
    """Whether ``text`` is a URL of the relay that has all of ``relay_urls``."""
    return any(same_relay(text, url) for url in relay_urls)


def _parse(text: str, schemes: dict[str, bool]) -> RelayURL:
    if len(text) > MAX_LENGTH:
        raise RelayURLError(f"a URL has at most {MAX_LENGTH} characters")
    # urlsplit drops some of these silently, others would end up in the host.
    if not text.isprintable() or " " in text:
        raise RelayURLError("a URL has no blanks and no control characters")
    try:
        parts = urlsplit(text)
    except ValueError:
        raise RelayURLError("the host is malformed") from None
    secure = schemes.get(parts.scheme)
    if secure is None:
        raise RelayURLError(f"a URL begins with {' or '.join(schemes)}, then ://")
    place = _PLACE.fullmatch(parts.netloc)
    if place is None:
        raise RelayURLError("after // come a host and perhaps a port, nothing else")
    ipv6, name, digits = place.groups()
    port = _port(digits) if digits else None
    return RelayURL(
        secure,
        _ipv6_host(ipv6) if name is None else _named_host(name),
        None if port == _DEFAULT_PORTS[secure] else port,
        parts.path.rstrip("/") or "/",
        parts.query,
    )


def _port(digits: str) -> int:
    port = int(digits[:6])
    if not 0 < port < 65536:
        raise RelayURLError("a port is a number from 1 to 65535")
    return port


def _ipv6_host(address: str) -> str:
    try:
        return f"[{IPv6Address(address).compressed}]"
    except ValueError:
        raise RelayURLError("not an IPv6 address") from None


def _named_host(name: str) -> str:
    host = name.lower()
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError:
            raise RelayURLError("the host is not a name (IDNA)") from None
    host = host.removesuffix(".")
    if _HOST.fullmatch(host) is None:
        raise RelayURLError("the host is not a name")
    return host
