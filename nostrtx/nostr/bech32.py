# -*- test-case-name: tests.nostr.test_bech32 -*-
"""
Keys and ids as people pass them on: npub, nsec, note, nprofile, … (NIP-19).

For settings and commands only; in messages everything is hexadecimal.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import attrs
from bech32 import bech32_decode, bech32_encode, convertbits

from nostrtx.nostr.kinds import MAX_KIND

#: Longest text that is decoded, in characters.
MAX_LENGTH: Final = 5000

# Types of the parts of a shareable identifier.
_SPECIAL: Final = 0
_RELAY: Final = 1
_AUTHOR: Final = 2
_KIND: Final = 3


class Bech32Error(ValueError):
    """
    The text is not what was asked for; the message says why.

    The message never holds the text, which may be a secret key.
    """


@attrs.frozen(slots=True)
class Npub:
    """A public key, 32 bytes."""

    pubkey: bytes


@attrs.frozen(slots=True)
class Nsec:
    """A secret key, 32 bytes; ``repr`` does not show it."""

    secret: bytes = attrs.field(repr=False)


@attrs.frozen(slots=True)
class Note:
    """An event's id, 32 bytes."""

    id: bytes


@attrs.frozen(slots=True)
class Nprofile:
    """
    A public key and where its events are found.

    Attributes:
        pubkey: 32 bytes.
        relays: URLs as they were written.
    """

    pubkey: bytes
    relays: tuple[str, ...] = ()


@attrs.frozen(slots=True)
class Nevent:
    """
    An event's id, and where and what it is.

    Attributes:
        id: 32 bytes.
        relays: URLs as they were written.
        author: The author's public key, 32 bytes; None if it is not stated.
        kind: None if it is not stated.
    """

    id: bytes
    relays: tuple[str, ...] = ()
    author: bytes | None = None
    kind: int | None = None


@attrs.frozen(slots=True)
class Naddr:
    """
    The address of a replaceable or addressable event, and where it is found.

    Attributes:
        d: The value of its ``d`` tag; empty for replaceable events.
        pubkey: The author, 32 bytes.
        kind: The kind.
        relays: URLs as they were written.
    """

    d: str
    pubkey: bytes
    kind: int
    relays: tuple[str, ...] = ()


Entity: TypeAlias = Npub | Nsec | Note | Nprofile | Nevent | Naddr


def encode(entity: Entity) -> str:
    """
    The text that stands for ``entity``.

    Raises:
        ValueError: A relay or a ``d`` value is longer than 255 bytes.
    """
    match entity:
        case Npub():
            return _to_text("npub", entity.pubkey)
        case Nsec():
            return _to_text("nsec", entity.secret)
        case Note():
            return _to_text("note", entity.id)
        case Nprofile():
            return _to_text("nprofile", _joined(entity.pubkey, entity.relays))
        case Nevent():
            return _to_text(
                "nevent",
                _joined(entity.id, entity.relays, entity.author, entity.kind),
            )
        case Naddr():
            return _to_text(
                "naddr",
                _joined(entity.d.encode(), entity.relays, entity.pubkey, entity.kind),
            )


def decode(text: str) -> Entity:
    """
    What ``text`` stands for. Parts of an unknown type are passed over.

    Raises:
        Bech32Error: It stands for nothing, or a part of it is malformed.
    """
    prefix, data = _from_text(text)
    match prefix:
        case "npub":
            return Npub(_sized(data, 32))
        case "nsec":
            return Nsec(_sized(data, 32))
        case "note":
            return Note(_sized(data, 32))
        case "nprofile" | "nevent" | "naddr":
            return _shareable(prefix, data)
    raise Bech32Error("it does not begin with npub, note, nprofile, nevent or naddr")


def parse_pubkey(text: str) -> bytes:
    """
    The public key, 32 bytes, that an operator wrote: hexadecimal, npub or nprofile.

    Blanks around it and ``nostr:`` before it (NIP-21) do not matter.

    Raises:
        Bech32Error: It is none; the message says what it is instead.
    """
    entity = _parse(text, "a public key", "npub")
    match entity:
        case bytes():
            return entity
        case Npub(pubkey=pubkey) | Nprofile(pubkey=pubkey):
            return pubkey
        case Nsec():
            raise Bech32Error(
                "this is a secret key (nsec), which nobody else should see; "
                "a public key (npub) is needed"
            )
    raise Bech32Error("this stands for an event; a public key (npub) is needed")


def parse_event_id(text: str) -> bytes:
    """
    The event id, 32 bytes, that an operator wrote: hexadecimal, note or nevent.

    Blanks around it and ``nostr:`` before it (NIP-21) do not matter.

    Raises:
        Bech32Error: It is none; the message says what it is instead.
    """
    entity = _parse(text, "an event id", "note")
    match entity:
        case bytes():
            return entity
        case Note(id=id_) | Nevent(id=id_):
            return id_
        case Nsec():
            raise Bech32Error(
                "this is a secret key (nsec), which nobody else should see; "
                "an event id (note) is needed"
            )
        case Naddr():
            raise Bech32Error(
                "this is an address (naddr), under which events replace each other; "
                "an event id (note) is needed"
            )
    raise Bech32Error("this is a public key; an event id (note) is needed")


def _parse(text: str, what: str, prefix: str) -> bytes | Entity:
    text = text.strip()
    if text[:6].lower() == "nostr:":
        text = text[6:]
    if text[:1] in ("n", "N"):
        return decode(text)
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(text) != 64 or len(value) != 32:
        raise Bech32Error(
            f"{what} has 64 hexadecimal digits or begins with {prefix}1; "
            f"this has {len(text)} characters"
        )
    return value


def _joined(
    special: bytes,
    relays: tuple[str, ...],
    author: bytes | None = None,
    kind: int | None = None,
) -> bytes:
    """The data of a shareable identifier, its parts in the order of their types."""
    parts = [(_SPECIAL, special)]
    parts += [(_RELAY, relay.encode()) for relay in relays]
    if author is not None:
        parts.append((_AUTHOR, author))
    if kind is not None:
        parts.append((_KIND, kind.to_bytes(4, "big")))
    return b"".join([bytes((type_, len(part))) + part for type_, part in parts])


def _shareable(prefix: str, data: bytes) -> Nprofile | Nevent | Naddr:
    parts: dict[int, list[bytes]] = {}
    for type_, value in _parts(data):
        parts.setdefault(type_, []).append(value)
    if _SPECIAL not in parts:
        raise Bech32Error(f"it does not say which {prefix} it is")
    special = parts[_SPECIAL][0]
    relays = tuple([_text(relay) for relay in parts.get(_RELAY, ())])
    if prefix == "nprofile":
        return Nprofile(_sized(special, 32), relays)
    author = _sized(parts[_AUTHOR][0], 32) if _AUTHOR in parts else None
    kind = _kind(parts[_KIND][0]) if _KIND in parts else None
    if prefix == "nevent":
        return Nevent(_sized(special, 32), relays, author, kind)
    if author is None or kind is None:
        raise Bech32Error("an naddr must state an author and a kind")
    return Naddr(_text(special), author, kind, relays)


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The types and values in ``data``: a byte each for type and length, the value."""
    at = 0
    while at < len(data):
        type_, *rest = data[at : at + 2]
        end = at + 2 + rest[0] if rest else at + 2
        if end > len(data):
            raise Bech32Error("it is cut off")
        yield type_, data[at + 2 : end]
        at = end


def _sized(value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise Bech32Error(f"it has {len(value)} bytes where {size} belong")
    return value


def _kind(value: bytes) -> int:
    kind = int.from_bytes(_sized(value, 4), "big")
    if kind > MAX_KIND:
        raise Bech32Error(f"a kind is at most {MAX_KIND}")
    return kind


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Bech32Error("it holds text that is not UTF-8") from None


def _to_text(prefix: str, data: bytes) -> str:
    digits = convertbits(data, 8, 5)
    assert digits is not None
    return bech32_encode(prefix, digits)


def _from_text(text: str) -> tuple[str, bytes]:
    if len(text) > MAX_LENGTH:
        raise Bech32Error(f"it has more than {MAX_LENGTH} characters")
    prefix, digits = bech32_decode(text)
    if prefix is None or digits is None:
        raise Bech32Error("a character is wrong or missing (the checksum fails)")
    data = convertbits(digits, 5, 8, pad=False)
    if data is None:
        raise Bech32Error("its last character is wrong")
    return prefix, bytes(data)
