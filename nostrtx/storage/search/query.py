# -*- test-case-name: tests.storage.search.test_store -*-
"""
A stored query that searches (NIP-50): the best first, then the rest of the filters.

What the filters with words find comes first, in order of relevance; what the other
filters of the same REQ match comes after it, newest first.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from zope.interface import implementer

from nostrtx.interfaces.queries import IStoredQuery, Page
from nostrtx.nostr.event import RAW_ID


@implementer(IStoredQuery)
class SearchQuery:
    """
    One running query.

    Args:
        search: Begins to search; fires with what is found, best first.
        floor: The ``seq`` of the last event that may be found.
        others: The query of the filters without words, if there are any.

    Attributes:
        floor: The ``seq`` of the last event that may be found.
    """

    def __init__(
        self,
        search: Callable[[], Deferred[list[bytes]]],
        floor: int,
        others: IStoredQuery | None,
    ) -> None:
        self._search = search
        self._others = others
        self._found: list[bytes] | None = None
        self._at = 0
        self._given: set[bytes] = set()
        self.floor = floor

    def next_page(self, max_bytes: int, deadline: float) -> Page | Deferred[Page]:
        """The next part of the answer; the first one is waited for."""
        if self._found is None:
            return Deferred.fromCoroutine(self._first_page(max_bytes))
        if self._at < len(self._found):
            return self._page(self._found, max_bytes)
        if self._others is None:
            return Page((), True)
        page = self._others.next_page(max_bytes, deadline)
        if isinstance(page, Deferred):
            return Deferred.fromCoroutine(self._waited_for(page))
        return self._without_given(page)

    def close(self) -> None:
        """Give up what is left."""
        self._found, self._at = [], 0
        if self._others is not None:
            self._others.close()

    async def _first_page(self, max_bytes: int) -> Page:
        self._found = await self._search()
        if self._others is not None:
            self._given = {raw[RAW_ID] for raw in self._found}
        return self._page(self._found, max_bytes)

    async def _waited_for(self, page: Deferred[Page]) -> Page:
        return self._without_given(await page)

    def _page(self, found: list[bytes], max_bytes: int) -> Page:
        end = first = self._at
        while end < len(found) and (end == first or len(found[end]) <= max_bytes):
            max_bytes -= len(found[end])
            end += 1
        self._at = end
        return Page(found[first:end], end == len(found) and self._others is None)

    def _without_given(self, page: Page) -> Page:
        given = self._given
        events = [raw for raw in page.events if bytes(raw[RAW_ID]) not in given]
        return Page(events, page.done)
