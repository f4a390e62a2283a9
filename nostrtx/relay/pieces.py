# -*- test-case-name: tests.relay.test_pieces -*-
"""Long work of the relay itself in short pieces, so that clients do not wait for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.filters import Filter

#: About how many bytes of events are read at once; one of them may be larger.
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
        self._ends = clock.seconds() + _WORK

    async def rest_if_due(self) -> None:
        """Let others work if this piece has taken its time."""
        if self._clock.seconds() >= self._ends:
            await deferLater(self._clock, _REST)
            self._ends = self._clock.seconds() + _WORK

    async def read(
        self, store: IEventStore, filters: Sequence[Filter]
    ) -> AsyncGenerator[bytes, None]:
        """
        All stored events that match any of ``filters``, newest first, each as its JSON.

        Whoever does not take all of it must close it.

        Raises:
            StoreError: The store failed.
        """
        query = store.query(filters, self._clock.seconds())
        try:
            is_done = False
            while not is_done:
                await self.rest_if_due()
                page = query.next_page(_PAGE_BYTES, self._ends)
                if isinstance(page, Deferred):
                    page = await page
                for raw in page.events:
                    yield raw
                    await self.rest_if_due()
                is_done = page.done
        finally:
            query.close()
