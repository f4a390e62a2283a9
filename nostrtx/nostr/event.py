# -*- test-case-name: tests.nostr.test_event -*-
"""
Events: their shape, their id, and the bytes they are stored and sent as (NIP-01).

:func:`parse_event` is the border: what comes out of it has the right shape and
the right id. The signature is a matter of :mod:`nostrtx.nostr.signing`.

Pure: no I/O and no clock. Where time matters, the caller passes ``now``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from itertools import chain
from string import ascii_letters
from typing import Any, Final

import attrs

from nostrtx.nostr.errors import invalid
from nostrtx.nostr.json import NotJSONError, dumps, loads
from nostrtx.nostr.kinds import MAX_KIND, has_address, is_addressable

#: The last second an event can be stored under, in the year 36812: five bytes.
MAX_CREATED_AT: Final = 2**40 - 2

#: Where the hexadecimal id and pubkey stand in :attr:`Event.raw`.
RAW_ID: Final = slice(7, 71)
RAW_PUBKEY: Final = slice(83, 147)

#: The names of tags that can be asked for.
_LETTERS: Final = frozenset(ascii_letters)

_MEMBERS: Final = ("id", "pubkey", "created_at", "kind", "tags", "content", "sig")


@attrs.define(eq=False, slots=True)
class Event:
    """
    One event of the right shape, whose id is the hash of its content.

    Treat it as immutable: it is only not frozen because one is made for every
    message of every client.

    Attributes:
        id: The id, 32 bytes.
        pubkey: The author's x-only public key, 32 bytes.
        created_at: Seconds since 1970.
        kind: 0 to 65535.
        tags: Lists of at least one string each.
        sig: The BIP-340 signature over ``id``, 64 bytes.
        raw: The whole event as compact JSON with its members in the fixed order
            id, pubkey, created_at, kind, tags, content, sig.
        expiration: When the event stops being served (NIP-40), seconds since 1970;
            None if it does not. The first such tag counts.
    """

    id: bytes
    pubkey: bytes
    created_at: int
    kind: int
    tags: Sequence[Sequence[str]]
    sig: bytes
    raw: bytes
    expiration: int | None = attrs.field(init=False, default=None)

    @property
    def address(self) -> Address | None:
        """What a later version replaces; None where every event is kept."""
        if not has_address(self.kind):
            return None
        return Address(
            self.kind,
            self.pubkey,
            d_value(self.tags) if is_addressable(self.kind) else "",
        )

    def __attrs_post_init__(self) -> None:
        # Looking for the name is quicker than going through the tags.
        if b'"expiration"' in self.raw:
            self.expiration = _expiration(self.tags)

    def is_expired(self, now: float) -> bool:
        """Whether the event's expiration has come, at the time ``now``."""
        return self.expiration is not None and now >= self.expiration


@attrs.frozen
class Address:
    """
    The name under which only the latest event is kept (NIP-01).

    Attributes:
        kind: A replaceable or an addressable kind.
        pubkey: The author, 32 bytes.
        d: The value of the first ``d`` tag; empty for replaceable kinds.
    """

    kind: int
    pubkey: bytes
    d: str


def d_value(tags: Sequence[Sequence[str]]) -> str:
    """The ``d`` value of an address: that of the first ``d`` tag, else empty."""
    for tag in tags:
        if tag[0] == "d":
            return tag[1] if len(tag) > 1 else ""
    return ""


def indexed_tags(event: Event) -> set[tuple[str, str]]:
    """
    The (name, value) pairs under which a filter finds the event.

    One-letter names only, and of each tag only its first value. An addressable
    event without a ``d`` value is found under an empty one, which is its address.
    """
    pairs = {
        (tag[0], tag[1]) for tag in event.tags if tag[0] in _LETTERS and len(tag) > 1
    }
    if is_addressable(event.kind) and not d_value(event.tags):
        pairs.add(("d", ""))
    return pairs


def supersedes(new: Event, created_at: int, id_: bytes) -> bool:
    """
    Whether ``new`` takes the place of the version made at ``created_at``.

    The later one wins; of two made in one second, the one with the lower id.
    """
    if new.created_at != created_at:
        return new.created_at > created_at
    return new.id < id_


def parse_event(members: object) -> Event:
    """
    The event that a decoded JSON value describes.

    Unknown members are dropped. The signature is not checked here.

    Raises:
        Rejected: ``invalid:``; the shape is wrong, or the id is not the hash.
    """
    if type(members) is not dict:
        raise invalid("an event is a JSON object")
    try:
        id_ = members["id"]
        pubkey = members["pubkey"]
        created_at = members["created_at"]
        kind = members["kind"]
        tags = members["tags"]
        content = members["content"]
        sig = members["sig"]
    except KeyError:
        missing = next(name for name in _MEMBERS if name not in members)
        raise invalid(f"the event has no {missing}") from None
    pubkey_bytes = _hex("pubkey", pubkey, 32)
    sig_bytes = _hex("sig", sig, 64)
    if type(created_at) is not int:
        raise invalid("created_at must be an integer")
    if not 0 <= created_at <= MAX_CREATED_AT:
        raise invalid(f"created_at must be from 0 to {MAX_CREATED_AT}")
    if type(kind) is not int:
        raise invalid("kind must be an integer")
    if not 0 <= kind <= MAX_KIND:
        raise invalid(f"kind must be from 0 to {MAX_KIND}")
    if type(content) is not str:
        raise invalid("content must be a string")
    _check_tags(tags)
    try:
        tags_json = dumps(tags) if tags else b"[]"
        content_json = dumps(content)
    except UnicodeEncodeError:
        raise invalid("the event holds half a surrogate pair") from None
    head = f'[0,"{pubkey}",{created_at},{kind},'.encode()
    digest = sha256(b"%b%b,%b]" % (head, tags_json, content_json))
    if digest.hexdigest() != id_:
        _hex("id", id_, 32)
        _check_verbatim_id(id_, head, tags_json, content_json)
    return Event(
        bytes.fromhex(id_),
        pubkey_bytes,
        created_at,
        kind,
        tags,
        sig_bytes,
        b'{"id":"%b","pubkey":"%b","created_at":%d,"kind":%d,"tags":%b,"content":%b,'
        b'"sig":"%b"}'
        % (
            id_.encode(),
            pubkey.encode(),
            created_at,
            kind,
            tags_json,
            content_json,
            sig.encode(),
        ),
    )


def stored_event(raw: bytes) -> Event:
    """
    The event whose :attr:`Event.raw` a store kept; its id is not checked again.

    Raises:
        ValueError: The bytes are not those of an event.
    """
    try:
        members: Any = loads(raw)
        return Event(
            bytes.fromhex(members["id"]),
            bytes.fromhex(members["pubkey"]),
            members["created_at"],
            members["kind"],
            members["tags"],
            bytes.fromhex(members["sig"]),
            raw,
        )
    except (NotJSONError, KeyError, TypeError) as error:
        raise ValueError("not a stored event") from error


def _hex(name: str, text: object, size: int) -> bytes:
    """The ``size`` bytes that lower-case hexadecimal ``text`` spells."""
    if type(text) is str:
        try:
            value = bytes.fromhex(text)
        except ValueError:
            value = b""
        # fromhex takes upper case and blanks; the way back shows them.
        if len(value) == size and value.hex() == text:
            return value
    raise invalid(f"{name} must be {2 * size} lower-case hexadecimal digits")


def _check_tags(tags: object) -> None:
    if type(tags) is not list:
        raise invalid("tags must be an array")
    if not tags:
        return
    if set(map(type, tags)) != {list}:
        raise invalid("every tag must be an array")
    if not all(tags):
        raise invalid("a tag must have at least one string")
    try:
        # Joining asks each element for its type, quicker than anything else does.
        "".join(chain.from_iterable(tags))
    except TypeError:
        raise invalid("every element of a tag must be a string") from None


_CONTROL_ESCAPE: Final = re.compile(rb"\\(?:\\|\"|[nrtbf]|u00([01][0-9a-f]))")


def _verbatim(match: re.Match[bytes]) -> bytes:
    digits = match[1]
    return match[0] if digits is None else bytes.fromhex(digits.decode())


def _check_verbatim_id(
    id_: str, head: bytes, tags_json: bytes, content_json: bytes
) -> None:
    r"""
    Refuse unless the id is the hash with rare control characters verbatim.

    NIP-01's text asks for those verbatim, its implementations escape them as
    ``\u00xx``: both are found, so both are taken.
    """
    text = b"%b%b,%b]" % (head, tags_json, content_json)
    if b"\\u00" in text:
        plain = _CONTROL_ESCAPE.sub(_verbatim, text)
        if sha256(plain).hexdigest() == id_:
            return
    raise invalid("the id is not the hash of the event")


def _expiration(tags: Sequence[Sequence[str]]) -> int | None:
    for tag in tags:
        if tag[0] == "expiration":
            if len(tag) > 1:
                digits = tag[1]
                if len(digits) <= 20 and digits.isascii() and digits.isdigit():
                    return int(digits)
            return None
    return None
