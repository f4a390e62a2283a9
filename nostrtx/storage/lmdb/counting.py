# -*- test-case-name: tests.storage.test_lmdb_scan -*-
"""
How many events match, in the embedded store (NIP-45), a slice of time at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import attrs
import lmdb
import numpy as np
from numpy.typing import NDArray
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from nostrtx.interfaces.queries import Count, IScreen, IStoredCount
from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.event import RAW_PUBKEY
from nostrtx.nostr.filters import Filter
from nostrtx.storage.lmdb.conditions import is_versioned
from nostrtx.storage.lmdb.keys import KIND, POSTING_SIZE, SEQ, SLOT_PUBKEY
from nostrtx.storage.lmdb.known_counts import (
    count_slots,
    has_slots_only,
    is_known,
    known_count,
)
from nostrtx.storage.lmdb.scan import Scan, hides_everything
from nostrtx.storage.lmdb.schema import Databases
from nostrtx.storage.lmdb.snapshot import STRIDE, Pauses, Snapshot
from nostrtx.storage.query_plan import Plan, Way

#: How many events are looked up at once to learn who wrote them.
_AUTHORS_AT_ONCE: Final = 250

#: What each byte of a ``seq`` is worth.
_PLACES: Final = 256 ** np.arange(4, -1, -1, dtype=np.int64)


@implementer(IStoredCount)
class LMDBStoredCount:
    """
    One count under way.

    Args:
        databases: The store.
        filters: What is asked for.
        now: What expires by then is not counted.
        screen: Hides events from the reader; None hides nothing.
        authors: Called with the pubkey of each event; None if it does not matter.
        clock: Tells the time to which deadlines refer.
    """

    _log = Logger()

    def __init__(
        self,
        databases: Databases,
        filters: Sequence[Filter],
        now: float,
        screen: IScreen | None,
        authors: Callable[[bytes], None] | None,
        clock: IReactorTime,
    ) -> None:
        self._clock = clock
        self._screen = screen
        self._authors = authors
        self._events = 0
        self._seen: NDArray[np.bool_] | None = None
        self._snapshot: Snapshot | None = Snapshot(databases)
        self._steps: Pauses = self._count(self._snapshot, filters, now)

    def go_on(self, deadline: float) -> Count:
        """Count on, at once."""
        try:
            for _ in self._steps:
                if self._clock.seconds() >= deadline:
                    return Count(self._events, False)
        except lmdb.Error as error:
            self.close()
            self._log.failure("Reading from the store failed.")
            raise StoreError("the event store cannot be read") from error
        self.close()
        return Count(self._events, True)

    def close(self) -> None:
        """Give up the snapshot."""
        self._steps.close()
        self._seen = None
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None

    def _count(
        self, snapshot: Snapshot, filters: Sequence[Filter], now: float
    ) -> Pauses:
        yield from snapshot.find_expired(now)
        if hides_everything(self._screen):
            return
        asked = [filter_ for filter_ in filters if not filter_.matches_nothing]
        if len(asked) == 1:
            yield from self._count_one(snapshot, asked[0])
            return
        self._expect_repeats(snapshot)
        for filter_ in asked:
            yield from self._scan(snapshot, filter_, self._screen).postings()

    def _count_one(self, snapshot: Snapshot, filter_: Filter) -> Pauses:
        """Count by the indexes' knowledge what can be, and look at the rest."""
        screen = self._screen
        scan = self._scan(snapshot, filter_, screen)
        if screen is not None and screen.kinds and not scan.is_exact:
            # Most kinds are hidden from nobody.
            private = screen.kinds
            public = self._scan(snapshot, filter_, _WithoutKinds(private))
            if is_known(snapshot, filter_, public) and self._authors is None:
                yield from self._count_scan(snapshot, filter_, public)
                kinds = private.intersection(filter_.kinds or private)
                filter_ = attrs.evolve(filter_, kinds=tuple(kinds))
                scan = self._scan(snapshot, filter_, screen)
        yield from self._count_scan(snapshot, filter_, scan)

    def _count_scan(self, snapshot: Snapshot, filter_: Filter, scan: Scan) -> Pauses:
        plan = scan.plan
        if is_known(snapshot, filter_, scan):
            if self._authors is None:
                self._events += yield from known_count(snapshot, filter_, plan)
                return
            if has_slots_only(filter_, plan):
                self._events += yield from count_slots(
                    snapshot, filter_, plan, self._authors
                )
                return
        if not _finds_once(filter_, plan):
            self._expect_repeats(snapshot)
        yield from scan.postings()

    def _scan(
        self, snapshot: Snapshot, filter_: Filter, screen: IScreen | None
    ) -> Scan:
        def take(found: list[bytes]) -> None:
            self._take(snapshot, found)

        largest = STRIDE if self._authors is None else _AUTHORS_AT_ONCE
        return Scan(snapshot, filter_, None, {}, screen, False, take, largest)

    def _expect_repeats(self, snapshot: Snapshot) -> None:
        # One byte for each event there is; those that are never looked at take no
        # memory.
        self._seen = np.zeros(snapshot.last_seq() + 1, np.bool_)

    def _take(self, snapshot: Snapshot, found: list[bytes]) -> None:
        if self._seen is not None and found:
            seqs, places = np.unique(_seqs_of(found), return_index=True)
            fresh = ~self._seen[seqs]
            self._seen[seqs] = True
            found = [found[place] for place in places[fresh]]
        self._events += len(found)
        if self._authors is not None:
            for posting in found:
                self._authors(_author_of(snapshot, posting))


def _seqs_of(postings: list[bytes]) -> NDArray[np.int64]:
    table = np.frombuffer(b"".join(postings), np.uint8).reshape(-1, POSTING_SIZE)
    seqs: NDArray[np.int64] = table[:, SEQ] @ _PLACES
    return seqs


def _finds_once(filter_: Filter, plan: Plan) -> bool:
    """Whether no event is found twice."""
    return plan.way is not Way.TAG or len(filter_.tags[plan.tag][1]) == 1


def _author_of(snapshot: Snapshot, posting: bytes) -> bytes:
    if is_versioned(posting[KIND]):
        slot: Any = snapshot.get(posting[SEQ], db=snapshot.db.slot_of)
        author: bytes = snapshot.get(slot, db=snapshot.db.slots)[SLOT_PUBKEY]
        return author
    return bytes.fromhex(str(snapshot.raw(posting)[RAW_PUBKEY], "ascii"))


@implementer(IScreen)
@attrs.frozen
class _WithoutKinds:
    """Hides all events of some kinds."""

    kinds: frozenset[int] | None
    hides_all: bool = True
    parties: Collection[bytes] | None = None

    def may_read(self, raw: bytes) -> bool:
        """Never asked."""
        return False
