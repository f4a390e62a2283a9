# -*- test-case-name: tests.storage.search.test_store -*-
"""
A store that also searches (NIP-50): another store, with an index beside it.

Nothing of tantivy runs on the reactor's thread: one thread searches, another one
lets the index follow the store. Both give way to the reactor about every
millisecond, and tantivy itself works without Python's lock.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import sleep
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.components import proxyForInterface

from nostrtx.interfaces.queries import IScreen, IStoredCount, IStoredQuery
from nostrtx.interfaces.store import IEventStore, StoreError
from nostrtx.nostr.filters import Filter
from nostrtx.storage.job_thread import JobThread
from nostrtx.storage.search.counting import SearchCount
from nostrtx.storage.search.finding import Finder
from nostrtx.storage.search.follower import IndexFollower
from nostrtx.storage.search.index import SearchIndex
from nostrtx.storage.search.query import SearchQuery

_T = TypeVar("_T")

#: How long the search thread sleeps between strides, in seconds: long enough for the
#: reactor to take over.
_BREATH: Final = 0.00005


class SearchingEventStore(
    proxyForInterface(IEventStore, "_store")  # type: ignore[misc]
):
    """
    Provides :class:`IEventStore`: all that ``store`` does, and searches.

    Args:
        store: Where the events are; of its queries and counts none gets a search.
        path: The directory of the index.
        reactor: Provides ``IReactorTime`` and ``IReactorFromThreads``.
    """

    _log = Logger()

    def __init__(self, store: IEventStore, path: str, reactor: Any) -> None:
        super().__init__(store)
        self._store: IEventStore
        self._path = path
        self._index = SearchIndex(path)
        self._reactor = reactor
        self._thread = JobThread(reactor, "nostrtx searches")
        self._stopping = JobThread(reactor, "nostrtx search end")
        self._finder = Finder(self._index, store, lambda: sleep(_BREATH))
        self._follower = IndexFollower(self._index, store, _give_way)
        self._is_open = False

    def open(self) -> None:
        """Open store and index, and start the threads."""
        self._store.open()
        self._index.open()
        self._thread.start()
        self._follower.start()
        self._is_open = True

    def close(self) -> Deferred[None]:
        """Finish what is under way, then close the store."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            await self._thread.stop()
            # It may be in the middle of a commit.
            self._stopping.start()
            await self._stopping.do(self._follower.stop)
            await self._stopping.stop()
        await self._store.close()

    def sizes(self) -> Deferred[Mapping[str, int]] | Mapping[str, int]:
        """Those of the store, and of the index."""
        sizes = self._store.sizes()
        if isinstance(sizes, Deferred):
            return sizes
        return {**sizes, "search": _bytes_in(self._path)}

    def query(
        self, filters: Sequence[Filter], now: float, screen: IScreen | None = None
    ) -> IStoredQuery:
        """Begin to answer ``filters``, of which some may search."""
        searching, others = _sorted(filters)
        if not searching:
            return self._store.query(others, now, screen)
        query = self._store.query(others, now, screen) if others else None
        floor = None if query is None else query.floor
        if floor is None:
            floor = self._store.last_seq()

        def search() -> Deferred[list[bytes]]:
            return self._do(lambda: self._finder.best(searching, now, screen, floor))

        return SearchQuery(search, floor, query)

    def count(
        self,
        filters: Sequence[Filter],
        now: float,
        screen: IScreen | None = None,
        authors: Callable[[bytes], None] | None = None,
    ) -> IStoredCount:
        """Begin to count what matches ``filters``, of which some may search."""
        searching, others = _sorted(filters)
        if not searching:
            return self._store.count(others, now, screen, authors)
        count = self._store.count(others, now, screen, authors) if others else None
        floor = self._store.last_seq()

        def find(after: int) -> Deferred[tuple[Sequence[bytes], int]]:
            return self._do(
                lambda: self._finder.authors(
                    searching, others, now, screen, after, floor
                )
            )

        return SearchCount(find, floor, count, authors, self._reactor)

    def _do(self, work: Callable[[], _T]) -> Deferred[_T]:
        if not self._is_open:
            raise StoreError("the event store is closed")

        def job() -> _T:
            try:
                return work()
            except StoreError:
                raise
            except Exception as error:
                self._log.failure("Searching failed.")
                raise StoreError("the search index cannot be read") from error

        return self._thread.do(job)


def _give_way(seconds: float) -> None:
    """Rest twice as long as the work took, so that most of the time is others'."""
    sleep(min(max(2 * seconds, _BREATH), 0.01))


def _sorted(filters: Sequence[Filter]) -> tuple[list[Filter], list[Filter]]:
    """The filters with words to look for, and the others."""
    searching = [filter_ for filter_ in filters if filter_.search]
    others = [filter_ for filter_ in filters if not filter_.search]
    return [one for one in searching if not one.matches_nothing], others


def _bytes_in(directory: str) -> int:
    """How many bytes the files in a directory take; those that go meanwhile, none."""
    total = 0
    try:
        with os.scandir(directory) as files:
            for file in files:
                with suppress(OSError):
                    total += file.stat().st_size
    except OSError:
        pass
    return total
