# -*- test-case-name: tests.relay.policies.test_trust -*-
"""Reading many people's follow lists from the store, in short pieces of time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.event import RAW_PUBKEY
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import FOLLOW_LIST
from nostrtx.nostr.lists import listed_pubkeys

#: How many people's lists are asked for at once.
_TOGETHER: Final = 100

#: About how many bytes of lists are read at once; one of them may be larger.
_PAGE_BYTES: Final = 64 * 1024

#: How long a piece of work takes, in seconds, and how long others work in between.
_WORK: Final = 0.003
_REST: Final = 0.006


class Pieces:
    """
    Work in pieces, with time for others in between.

    Args:
        clock: Wall-clock time.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self.ends = clock.seconds() + _WORK

    async def rest_if_due(self) -> None:
        """Let others work if this piece has taken its time."""
        if self._clock.seconds() >= self.ends:
            await deferLater(self._clock, _REST)
            self.ends = self._clock.seconds() + _WORK


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
        query = store.query(
            [Filter(authors=some, kinds=(FOLLOW_LIST,))], clock.seconds()
        )
        try:
            is_done = False
            while not is_done:
                await pieces.rest_if_due()
                page = query.next_page(_PAGE_BYTES, pieces.ends)
                if isinstance(page, Deferred):
                    page = await page
                for raw in page.events:
                    author = bytes.fromhex(raw[RAW_PUBKEY].decode())
                    yield author, listed_pubkeys(raw)
                    await pieces.rest_if_due()
                is_done = page.done
        finally:
            query.close()
