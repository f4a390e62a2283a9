# -*- test-case-name: tests.nostr.test_identifiers -*-
"""
Internet identifiers of keys: ``alice@example.com`` (NIP-05).

Pure: no I/O and no clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import idna

from nostrtx.nostr.event import Event
from nostrtx.nostr.json import NotJSONError, loads

#: Longest text that is taken for an identifier, in characters.
MAX_LENGTH: Final = 320

_NAME: Final = re.compile(r"[a-z0-9_.-]{1,64}")
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")


@attrs.frozen(slots=True)
class Identifier:
    """
    A name at a domain.

    Attributes:
        name: Before the ``@``, in lower case.
        host: The domain in lower case and in ASCII (IDNA), or an address.
        port: Where it is asked, if not at the usual port.
    """

    name: str
    host: str
    port: int | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.place}"

    @property
    def place(self) -> str:
        """Host and port as they stand in a URL."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """What is asked for the keys of the domain's names."""
        return f"https://{self.place}/.well-known/nostr.json?name={self.name}"

    def is_in(self, domains: Sequence[str]) -> bool:
        """Whether its domain is one of ``domains``, or below one."""
        return any(
            self.host == domain or self.host.endswith(f".{domain}")
            for domain in domains
        )


def parse_identifier(text: object) -> Identifier | None:
    """
    The identifier that a profile states; None if it is none.

    A domain alone stands for its root name, ``_``.
    """
    if type(text) is not str or len(text) > MAX_LENGTH:
        return None
    name, at, place = text.strip().lower().rpartition("@")
    if not at:
        name = "_"
    host, colon, digits = place.partition(":")
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError:
            return None
    if not _NAME.fullmatch(name) or not _HOST.fullmatch(host):
        return None
    if not colon:
        return Identifier(name, host)
    if not (digits.isascii() and digits.isdigit() and 0 < int(digits[:6]) < 65536):
        return None
    return Identifier(name, host, int(digits[:6]))


def stated_identifier(profile: Event) -> Identifier | None:
    """The identifier in the content of a kind 0; None if there is none."""
    members: Any = loads(profile.raw)
    try:
        stated = loads(members["content"])
    except NotJSONError:
        return None
    return parse_identifier(stated.get("nip05")) if type(stated) is dict else None


def confirms(document: bytes, identifier: Identifier, pubkey: bytes) -> bool:
    """Whether a domain's document says that the name is that key's."""
    try:
        members = loads(document)
    except NotJSONError:
        return False
    names = members.get("names") if type(members) is dict else None
    return type(names) is dict and names.get(identifier.name) == pubkey.hex()


def well_known_document(
    names: Mapping[str, str], name: str, relay_url: str = ""
) -> dict[str, Any]:
    """
    What a domain answers when it is asked for ``name``.

    Args:
        names: All names of the domain with their keys in hexadecimal.
        name: The one that is asked for.
        relay_url: Where events of these keys are found; may be empty.
    """
    key = names.get(name.lower())
    document: dict[str, Any] = {"names": {} if key is None else {name.lower(): key}}
    if key is not None and relay_url:
        document["relays"] = {key: [relay_url]}
    return document
