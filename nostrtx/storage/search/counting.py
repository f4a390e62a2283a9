# -*- test-case-name: tests.storage.search.test_store -*-
"""
How many events a search finds (NIP-45 with NIP-50).

Relevance does not matter here, but each hit must be compared with the store: that is
done in the search thread, a part of the arrival log at a time, so that others'
searches come in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from nostrtx.interfaces.queries import Count, IStoredCount


@implementer(IStoredCount)
class SearchCount:
    """
    One count under way.

    Args:
        find: Finds the authors of the next matches after a ``seq``, but for those
            that ``others`` counts; fires with them and how far it has looked.
        floor: The ``seq`` of the last event that counts.
        others: The count of the filters without words, if there are any.
        authors: Called with the author of each match.
        clock: Tells the time to which deadlines refer.
    """

    def __init__(
        self,
        find: Callable[[int], Deferred[tuple[Sequence[bytes], int]]],
        floor: int,
        others: IStoredCount | None,
        authors: Callable[[bytes], None] | None,
        clock: IReactorTime,
    ) -> None:
        self._find = find
        self._floor = floor
        self._others = others
        self._authors = authors
        self._clock = clock
        self._others_total = 0
        self._total = 0
        self._looked_at = 0

    def go_on(self, deadline: float) -> Deferred[Count] | Count:
        """Count at least some on, after the filters without words."""
        return Deferred.fromCoroutine(self._go_on(deadline))

    def close(self) -> None:
        """Give up the count."""
        if self._others is not None:
            self._others.close()
            self._others = None

    async def _go_on(self, deadline: float) -> Count:
        if self._others is not None:
            count = self._others.go_on(deadline)
            if isinstance(count, Deferred):
                count = await count
            self._others_total = count.events
            if not count.done:
                return count
            self.close()
        while True:
            found, self._looked_at = await self._find(self._looked_at)
            self._total += len(found)
            if self._authors is not None:
                for pubkey in found:
                    self._authors(pubkey)
            total = self._others_total + self._total
            if self._looked_at >= self._floor:
                return Count(total, True)
            if self._clock.seconds() >= deadline:
                return Count(total, False)
