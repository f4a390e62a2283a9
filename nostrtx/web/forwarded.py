# -*- test-case-name: tests.web.test_forwarded -*-
"""
Whom an HTTP proxy speaks for: ``Forwarded`` (RFC 7239) and ``X-Forwarded-For``.

Pure: the head of a request in, addresses out. Each proxy on the way adds one entry at
the end, and what stands before it may have been made up by the client. So entries are
read from the last one on, and nothing further to the front changes how one is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

Address = IPv4Address | IPv6Address

#: The header of RFC 7239; entries of any other one are bare addresses.
FORWARDED: Final = "forwarded"

_FOLDED: Final = re.compile(r"\r\n[ \t]+")

# Addresses with a colon should be in quotes, but not every proxy knows.
_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED: Final = r'"(?:[^"\\]|\\.)*+"'
_PAIR: Final = rf"""({_NAME})=([^\s",;]++|{_QUOTED})"""
_ELEMENT: Final = re.compile(
    rf"(?:{_PAIR})?+[ \t]*+(?:;[ \t]*+(?:{_PAIR})?+[ \t]*+)*+", re.DOTALL
)
_PAIRS: Final = re.compile(_PAIR, re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)

_IPV4: Final = re.compile(r"([0-9.]+)(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?")
_IN_BRACKETS: Final = re.compile(
    r"\[([0-9A-Fa-f:.]+)\](?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?"
)
_BARE_IPV6: Final = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


def hops(head: str, header: str) -> Iterator[Address | None]:
    """
    Where a request came from, the nearest hop first.

    Args:
        head: The request's head, without its last empty line.
        header: The name of the header that tells, in lower case.

    Returns:
        For each hop its address, IPv4 ones never as IPv6. None if the entry is
        malformed, or names nobody, such as ``unknown`` or ``_hidden``.
    """
    value = _value(head, header)
    if header == FORWARDED:
        return map(_forwarded_for, _entries(value))
    return map(parse_node, _bare_entries(value))


def parse_node(text: str) -> Address | None:
    """
    The address of a node: IPv4, or IPv6 with or without brackets, perhaps with a port.

    Returns:
        The address, an IPv4 one never as IPv6; None if ``text`` is none.
    """
    kind: type[Address]
    if match := _IN_BRACKETS.fullmatch(text):
        kind, host = IPv6Address, match[1]
    elif match := _IPV4.fullmatch(text):
        kind, host = IPv4Address, match[1]
    elif _BARE_IPV6.fullmatch(text):
        kind, host = IPv6Address, text
    else:
        return None
    try:
        return as_ipv4(kind(host))
    except ValueError:
        return None


def as_ipv4(address: Address) -> Address:
    """The same address, as IPv4 if it is one in IPv6's clothes."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def parse_peer(host: str) -> Address | None:
    """The address of a peer as Twisted gives it; None if it has none."""
    try:
        return as_ipv4(ip_address(host.partition("%")[0]))
    except ValueError:
        return None


def _value(head: str, header: str) -> str:
    """All that the header says; several of one name are one list."""
    lines = _FOLDED.sub(" ", head).split("\r\n")[1:]
    named = (line.partition(":") for line in lines)
    return ",".join(value for name, _, value in named if name.lower() == header)


def _bare_entries(value: str) -> Iterator[str]:
    stripped = (entry.strip(" \t") for entry in reversed(value.split(",")))
    return filter(None, stripped)


def _entries(value: str) -> Iterator[str]:
    """What commas separate, from the last one on; those in quotes separate nothing."""
    end = at = len(value)
    in_quotes = False
    while at:
        at -= 1
        character = value[at]
        if character == '"':
            in_quotes = not in_quotes or _is_escaped(value, at)
        elif character == "," and not in_quotes:
            if entry := value[at + 1 : end].strip(" \t"):
                yield entry
            end = at
    if entry := value[:end].strip(" \t"):
        yield entry


def _is_escaped(value: str, at: int) -> bool:
    """Whether a quote is part of what is quoted: after an odd number of backslashes."""
    start = at
    while start and value[start - 1] == "\\":
        start -= 1
    return (at - start) % 2 == 1


def _forwarded_for(entry: str) -> Address | None:
    if _ELEMENT.fullmatch(entry) is None:
        return None
    found = [value for name, value in _PAIRS.findall(entry) if name.lower() == "for"]
    if len(found) != 1:
        return None
    (node,) = found
    if node.startswith('"'):
        node = _ESCAPED.sub(r"\1", node[1:-1])
    return parse_node(node)
