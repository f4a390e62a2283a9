# -*- test-case-name: tests.storage.test_query_plan -*-
"""
Which index answers a filter (NIP-01) with the least to look at.

Pure: a store says how much each index holds, and is asked only if there is a choice.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

import attrs

from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import MAX_KIND, is_addressable

#: At most so many events are given beyond a limit that parts no second.
MAX_SURPLUS: Final = 1000

#: Up to so many addresses are looked up one by one.
_MAX_ADDRESSES: Final = 256


class Way(Enum):
    """
    Where to find the events of a filter; what is not named is checked on each.

    Attributes:
        IDS: Look up each id.
        ADDRESSES: Look up each author, kind and ``d``.
        TAG: The values of one tag condition, by kind where kinds are given.
        AUTHORS: The authors, by kind where kinds are given.
        KINDS: The kinds.
        EVERYTHING: All events.
    """

    IDS = "ids"
    ADDRESSES = "addresses"
    TAG = "tag"
    AUTHORS = "authors"
    KINDS = "kinds"
    EVERYTHING = "everything"


@attrs.frozen(slots=True)
class Plan:
    """
    How to answer one filter.

    Attributes:
        way: Where to look.
        tag: Which of the filter's tag conditions, for :attr:`Way.TAG` and
            :attr:`Way.ADDRESSES`.
        kinds: The filter's kinds that an event can have; None for any.
        left_out: Kinds that are not wanted where ``kinds`` is None.
        check_kinds: Whether what is found may be of another kind.
        check_authors: Whether what is found may be of another author.
        check_times: Whether what is found may be of another time.
        check_tags: Which of the tag conditions must be checked.
    """

    way: Way
    tag: int
    kinds: tuple[int, ...] | None
    left_out: frozenset[int]
    check_kinds: bool
    check_authors: bool
    check_times: bool
    check_tags: tuple[int, ...]

    @property
    def is_exact(self) -> bool:
        """Whether everything that is found matches."""
        return not (
            self.check_kinds
            or self.check_authors
            or self.check_times
            or self.check_tags
        )


def plan_query(
    asked: Filter,
    size: Callable[[Way, int], int],
    hidden: frozenset[int] = frozenset(),
) -> Plan:
    """
    The best way to answer ``asked``, which must not match nothing.

    Args:
        asked: What is asked for.
        size: About how many events a way leads to; takes the way and the number
            of the tag condition.
        hidden: Kinds that are not to be found, whatever the filter asks for.
    """
    kinds = asked.kinds
    if kinds is not None:
        if not (0 <= min(kinds) and max(kinds) <= MAX_KIND):
            kinds = tuple([kind for kind in kinds if 0 <= kind <= MAX_KIND])
        if not hidden.isdisjoint(kinds):
            kinds = tuple([kind for kind in kinds if kind not in hidden])
        hidden = frozenset()
    tags = asked.tags
    tag = -1
    if asked.ids is not None:
        way = Way.IDS
    else:
        way, tag = _index(asked, kinds, size)
    return Plan(
        way,
        tag,
        kinds,
        hidden,
        (way is Way.IDS and kinds is not None)
        or (way in (Way.IDS, Way.EVERYTHING) and bool(hidden)),
        asked.authors is not None and way not in (Way.AUTHORS, Way.ADDRESSES),
        way in (Way.IDS, Way.ADDRESSES)
        and not (asked.since is None and asked.until is None),
        tuple([at for at in range(len(tags)) if at != tag]) if tags else (),
    )


def _index(
    asked: Filter, kinds: tuple[int, ...] | None, size: Callable[[Way, int], int]
) -> tuple[Way, int]:
    if not asked.tags:
        if asked.authors is not None:
            return Way.AUTHORS, -1
        return (Way.EVERYTHING if kinds is None else Way.KINDS), -1
    if asked.authors is not None:
        if kinds and all(map(is_addressable, kinds)):
            for at, (letter, values) in enumerate(asked.tags):
                addresses = len(asked.authors) * len(kinds) * len(values)
                if letter == "d" and addresses <= _MAX_ADDRESSES:
                    return Way.ADDRESSES, at
    elif len(asked.tags) == 1:
        return Way.TAG, 0
    choices = []
    if asked.authors is not None:
        choices.append((Way.AUTHORS, -1, len(asked.authors)))
    choices += [(Way.TAG, at, len(tag[1])) for at, tag in enumerate(asked.tags)]
    # Of two that hold as much, the one with fewer lists to merge.
    way, at, _ = min(choices, key=lambda choice: (size(*choice[:2]), choice[2]))
    return way, at
