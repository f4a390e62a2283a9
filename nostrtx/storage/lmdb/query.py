# -*- test-case-name: tests.storage.test_lmdb -*-
"""
A stored query over the embedded store: first find, then give (NIP-01, "REQ").

What matches is found in one snapshot, in slices of time. Then the snapshot is given
up, and the events themselves are read page by page: a client that takes its time
keeps no snapshot, which would make the file grow. What is deleted in between is
not given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lmdb
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from nostrtx.interfaces.queries import IScreen, IStoredQuery, Page
from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.event import RAW_ID
from nostrtx.nostr.filters import Filter
from nostrtx.storage.lmdb.keys import SEQ
from nostrtx.storage.lmdb.merge import union
from nostrtx.storage.lmdb.newest import Newest, is_more
from nostrtx.storage.lmdb.scan import hides_everything
from nostrtx.storage.lmdb.schema import Databases
from nostrtx.storage.lmdb.snapshot import Pauses, Snapshot

#: How many events are read between two looks at the clock.
_EVENTS_AT_ONCE = 32


@implementer(IStoredQuery)
class LMDBStoredQuery:
    """
    One running query.

    Args:
        databases: The store.
        filters: What is asked for.
        now: What expires by then is left out.
        screen: Hides events from the reader; None hides nothing.
        clock: Tells the time to which deadlines refer.

    Attributes:
        floor: The ``seq`` of the last event in the snapshot.
    """

    _log = Logger()

    def __init__(
        self,
        databases: Databases,
        filters: Sequence[Filter],
        now: float,
        screen: IScreen | None,
        clock: IReactorTime,
    ) -> None:
        self._databases = databases
        self._clock = clock
        self._found: list[bytes] = []
        self._at = 0
        self._kept: dict[bytes, bytes] = {}
        self._more: bool | None = None
        self._snapshot: Snapshot | None = Snapshot(databases)
        self._search: Pauses | None = self._find(
            self._snapshot, () if hides_everything(screen) else filters, now, screen
        )
        self.floor = self._snapshot.last_seq()

    def next_page(self, max_bytes: int, deadline: float) -> Page:
        """The next part of the answer, at once."""
        try:
            if self._search is not None:
                for _ in self._search:
                    if self._clock.seconds() >= deadline:
                        return Page((), False)
                self._search = None
            return self._read(max_bytes, deadline)
        except lmdb.Error as error:
            self.close()
            self._log.failure("Reading from the store failed.")
            raise StoreError("the event store cannot be read") from error

    def close(self) -> None:
        """Give up the snapshot, and what is left of the answer."""
        if self._search is not None:
            self._search.close()
            self._search = None
        self._release()
        self._found = []
        self._kept = {}

    def _release(self) -> None:
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None

    def _find(
        self,
        snapshot: Snapshot,
        filters: Sequence[Filter],
        now: float,
        screen: IScreen | None,
    ) -> Pauses:
        yield from snapshot.find_expired(now)
        cuts = []
        for filter_ in filters:
            if not filter_.matches_nothing:
                newest = Newest(snapshot, filter_, self._kept, screen)
                cuts.append((yield from newest.find()))
        lists = [cut.postings for cut in cuts]
        yield from union(lists, self._found, lambda p: snapshot.raw(p)[RAW_ID])
        self._more = is_more(cuts, self._found)

    def _read(self, max_bytes: int, deadline: float) -> Page:
        snapshot = self._snapshot
        if snapshot is not None:
            page = self._page(snapshot.get, max_bytes, deadline)
            self._release()
            return page
        with self._databases.env.begin() as txn:
            return self._page(txn.get, max_bytes, deadline)

    def _page(self, get: Any, max_bytes: int, deadline: float) -> Page:
        found, kept, database = self._found, self._kept, self._databases.events
        events: list[bytes] = []
        room = max_bytes
        while self._at < len(found):
            block = found[self._at : self._at + _EVENTS_AT_ONCE]
            if kept:
                raws = [
                    kept.pop(posting[SEQ], None) or get(posting[SEQ], None, database)
                    for posting in block
                ]
            else:
                raws = [get(posting[SEQ], None, database) for posting in block]
            room -= sum(map(len, filter(None, raws)))
            if room < 0:
                self._give_some(block, raws, room, events)
                break
            events += filter(None, raws)
            self._at += len(block)
            if self._clock.seconds() >= deadline:
                break
        done = self._at >= len(found)
        return Page(events, done, self._more if done else None)

    def _give_some(
        self,
        block: list[bytes],
        raws: list[bytes | None],
        room: int,
        events: list[bytes],
    ) -> None:
        """Add to ``events`` what fits, but at least one; keep the rest for later."""
        fitting = len(raws)
        least = 0 if events else 1
        while room < 0 and fitting > least:
            fitting -= 1
            raw = raws[fitting]
            if raw is not None:
                room += len(raw)
                self._kept[block[fitting][SEQ]] = raw
        events += filter(None, raws[:fitting])
        self._at += fitting
