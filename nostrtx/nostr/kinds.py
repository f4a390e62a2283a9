# -*- test-case-name: tests.nostr.test_kinds -*-
"""
Kinds: how long an event of each kind lives, and what replaces it (NIP-01, "Kinds").

Pure: no I/O and no clock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

METADATA: Final = 0
FOLLOW_LIST: Final = 3
PRIVATE_MESSAGE: Final = 4
DELETION_REQUEST: Final = 5
REQUEST_TO_VANISH: Final = 62
GIFT_WRAP: Final = 1059
REPORT: Final = 1984
EPHEMERAL_GIFT_WRAP: Final = 21059
CLIENT_AUTHENTICATION: Final = 22242
HTTP_AUTHENTICATION: Final = 27235

MAX_KIND: Final = 65535

#: Kinds that speak to one relay or server only: never passed on (NIP-42, NIP-98).
NEVER_SERVED: Final = frozenset({CLIENT_AUTHENTICATION, HTTP_AUTHENTICATION})

#: Kinds signed with a key that is made for one event and thrown away (NIP-59).
GIFT_WRAPS: Final = frozenset({GIFT_WRAP, EPHEMERAL_GIFT_WRAP})

_RANGE: Final = re.compile(r" *([0-9]{1,5})(?: *- *([0-9]{1,5}))? *", re.ASCII)

#: Kinds that a deletion request cannot delete (NIP-09, NIP-62).
UNDELETABLE: Final = frozenset({DELETION_REQUEST, REQUEST_TO_VANISH})


def is_replaceable(kind: int) -> bool:
    """Only the latest of a pubkey and this kind is kept."""
    return 10000 <= kind < 20000 or kind == METADATA or kind == FOLLOW_LIST


def is_ephemeral(kind: int) -> bool:
    """Delivered to open subscriptions, never stored."""
    return 20000 <= kind < 30000


def is_addressable(kind: int) -> bool:
    """Only the latest of a pubkey, this kind and a ``d`` value is kept."""
    return 30000 <= kind < 40000


def has_address(kind: int) -> bool:
    """Replaceable or addressable: a later version takes the place of an earlier."""
    return (
        10000 <= kind < 20000
        or 30000 <= kind < 40000
        or kind == METADATA
        or kind == FOLLOW_LIST
    )


def parse_kinds(stated: Sequence[int | str]) -> tuple[range, ...]:
    """
    The kinds that an operator wrote: numbers, and ranges such as ``"30000-39999"``.

    Raises:
        ValueError: One is neither, or no kind at all.
    """
    return tuple([_kind_range(one) for one in stated])


def _kind_range(stated: int | str) -> range:
    if isinstance(stated, int):
        first = last = stated
    else:
        match = _RANGE.fullmatch(stated)
        if match is None:
            raise ValueError(
                'must hold kinds such as 1 and ranges such as "30000-39999",'
                f' not "{stated}"'
            )
        first, last = int(match[1]), int(match[2] or match[1])
    if not 0 <= first <= last <= MAX_KIND:
        raise ValueError(f"must hold kinds from 0 to {MAX_KIND}, not {stated}")
    return range(first, last + 1)
