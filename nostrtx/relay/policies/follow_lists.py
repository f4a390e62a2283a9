# -*- test-case-name: tests.relay.policies.test_trust -*-
"""Reading many people's follow lists from the store, in short pieces of time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Final

from twisted.internet.interfaces import IReactorTime

from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.event import RAW_PUBKEY
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import FOLLOW_LIST
from nostrtx.nostr.lists import listed_pubkeys
from nostrtx.relay.pieces import Pieces

#: How many people's lists are asked for at once.
_TOGETHER: Final = 100


async def follow_lists(
    store: IEventStore, clock: IReactorTime, authors: Sequence[bytes]
) -> AsyncIterator[tuple[bytes, list[bytes]]]:
    """
    Each author who has a follow list, and whom it names.

    Raises:
        StoreError: The store failed.
    """
    pieces = Pieces(clock)
    for at in range(0, len(authors), _TOGETHER):
        some = tuple(authors[at : at + _TOGETHER])
        lists = pieces.read(store, [Filter(authors=some, kinds=(FOLLOW_LIST,))])
        async with aclosing(lists) as found:
            async for raw in found:
                author = bytes.fromhex(raw[RAW_PUBKEY].decode())
                yield author, listed_pubkeys(raw)
