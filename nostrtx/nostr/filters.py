# -*- test-case-name: tests.nostr.test_filters -*-
"""
Filters: which events a client asks for (NIP-01, "from client to relay"; NIP-50).

Pure: no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final, TypeVar

import attrs

from nostrtx.nostr.errors import ReasonPrefix, Rejected, invalid
from nostrtx.nostr.event import Event, indexed_tags
from nostrtx.nostr.search import (
    MAX_SEARCH_LENGTH,
    search_words,
    searched_words,
    without_extensions,
)

_T = TypeVar("_T")

#: Tag names whose values are 32-byte hexadecimal (NIP-01).
_HEX_TAGS: Final = frozenset("ep")


@attrs.frozen(slots=True)
class Filter:
    """
    One filter of a REQ (NIP-01). A condition that is None was not stated.

    An empty tuple is a condition that nothing meets. Values stand once each, in
    the client's order.

    Attributes:
        ids: Event ids, 32 bytes each.
        authors: Public keys, 32 bytes each.
        kinds: Event kinds.
        tags: For each tag condition its letter and the values it allows.
        since: Earliest ``created_at`` that matches, seconds since 1970, inclusive.
        until: Latest ``created_at`` that matches, seconds since 1970, inclusive.
        limit: Most stored events to send. Never limits live ones.
        search: The text to look for, without extensions (NIP-50). Empty if the
            client sent nothing else: that is no condition.
        whole_seconds: Whether the limit is the relay's own, so that it must not
            part what was made in one second: a client goes on before that second.
    """

    ids: tuple[bytes, ...] | None = None
    authors: tuple[bytes, ...] | None = None
    kinds: tuple[int, ...] | None = None
    tags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    since: int | None = None
    until: int | None = None
    limit: int | None = None
    search: str | None = None
    whole_seconds: bool = False

    @property
    def matches_nothing(self) -> bool:
        """Whether no event can meet the filter: an empty list, or no time left."""
        return (
            self.ids == ()
            or self.authors == ()
            or self.kinds == ()
            or any(not values for _, values in self.tags)
            or (
                self.since is not None
                and self.until is not None
                and self.since > self.until
            )
        )

    def with_limit(self, limit: int | None, whole_seconds: bool = False) -> Filter:
        """The same filter with another limit."""
        if limit == self.limit and whole_seconds is self.whole_seconds:
            return self
        return Filter(
            self.ids,
            self.authors,
            self.kinds,
            self.tags,
            self.since,
            self.until,
            limit,
            self.search,
            whole_seconds,
        )

    @property
    def longest_list(self) -> int:
        """How many values the longest list of the filter has."""
        return max(
            len(self.ids or ()),
            len(self.authors or ()),
            len(self.kinds or ()),
            *(len(values) for _, values in self.tags),
            0,
        )

    def matches(self, event: Event) -> bool:
        """Whether ``event`` meets every condition; the limit is not one."""
        if self.ids is not None and event.id not in self.ids:
            return False
        if self.kinds is not None and event.kind not in self.kinds:
            return False
        if self.authors is not None and event.pubkey not in self.authors:
            return False
        if self.since is not None and event.created_at < self.since:
            return False
        if self.until is not None and event.created_at > self.until:
            return False
        if self.tags:
            pairs = indexed_tags(event)
            for letter, values in self.tags:
                if not any((letter, value) in pairs for value in values):
                    return False
        return not self.search or is_found(self.search, searched_words(event))


def is_found(search: str, words: Collection[str]) -> bool:
    """
    Whether an event of these words is found by a search: if it has all of its words.

    A search of nothing but punctuation finds nothing.
    """
    wanted = search_words(search)
    return bool(wanted) and set(wanted) <= set(words)


def parse_filter(members: object) -> Filter:
    """
    The filter that a decoded JSON value describes.

    Raises:
        Rejected: ``invalid:`` for a value of the wrong form, ``unsupported:`` for
            a member that this relay does not know. Ignoring such a member would
            answer more than was asked for.
    """
    if type(members) is not dict:
        raise invalid("a filter is a JSON object")
    ids = authors = kinds = since = until = limit = search = None
    tags = []
    for name, value in members.items():
        if name == "kinds":
            kinds = _unique(name, value, int)
        elif name == "authors":
            authors = _keys(name, value)
        elif name == "ids":
            ids = _keys(name, value)
        elif name == "since":
            since = _integer(name, value)
        elif name == "until":
            until = _integer(name, value)
        elif name == "limit":
            limit = _integer(name, value)
            if limit < 0:
                raise invalid("limit must not be negative")
        elif name == "search":
            search = _search(value)
        elif len(name) == 2 and name[0] == "#" and name[1].isascii():
            if not name[1].isalpha():
                raise _unsupported(name)
            tags.append((name[1], _tag_values(name, value)))
        else:
            raise _unsupported(name)
    return Filter(ids, authors, kinds, tuple(tags), since, until, limit, search)


def _unsupported(name: str) -> Rejected:
    shown = name[:32].encode("ascii", "replace").decode()
    return Rejected(ReasonPrefix.UNSUPPORTED, f"unknown filter member {shown!r}")


def _search(value: object) -> str:
    if type(value) is not str:
        raise invalid("search must be a string")
    if len(value) > MAX_SEARCH_LENGTH:
        raise invalid(f"search is longer than {MAX_SEARCH_LENGTH} characters")
    return without_extensions(value)


def _integer(name: str, value: object) -> int:
    if type(value) is not int:
        raise invalid(f"{name} must be an integer")
    return value


def _unique(name: str, value: object, kind_of: Callable[..., _T]) -> tuple[_T, ...]:
    if type(value) is not list:
        raise invalid(f"{name} must be an array")
    unique: Iterable[_T] = dict.fromkeys(value) if _all_are(value, kind_of) else ()
    if value and not unique:
        raise invalid(
            f"{name} must hold only {'integers' if kind_of is int else 'strings'}"
        )
    return tuple(unique)


def _all_are(values: list[object], kind_of: Callable[..., object]) -> bool:
    return not values or set(map(type, values)) == {kind_of}


def _keys(name: str, value: object) -> tuple[bytes, ...]:
    """The 32-byte values of a list of hexadecimal strings, all checked at once."""
    texts = _unique(name, value, str)
    if not texts:
        return ()
    joined = "".join(texts)
    try:
        packed = bytes.fromhex(joined)
    except ValueError:
        packed = b""
    if set(map(len, texts)) != {64} or packed.hex() != joined:
        raise invalid(f"{name} must hold 64 lower-case hexadecimal digits each")
    return tuple([packed[at : at + 32] for at in range(0, len(packed), 32)])


def _tag_values(name: str, value: object) -> tuple[str, ...]:
    texts = _unique(name, value, str)
    if name[1] in _HEX_TAGS:
        _keys(name, value)
    else:
        try:
            "".join(texts).encode()
        except UnicodeEncodeError:
            raise invalid(f"{name} holds half a surrogate pair") from None
    return texts
