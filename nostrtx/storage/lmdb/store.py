# -*- test-case-name: tests.storage.test_lmdb -*-
"""
The embedded store: events in a directory, in one LMDB environment.

Reads happen on the reactor's thread, from memory as a rule; a thread of its own
writes, one transaction for each batch, and another one reads for reconciliation.
Other processes may use the same directory at the same time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from itertools import islice
from time import monotonic, sleep
from typing import Any, Final, TypeVar

import lmdb
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from nostrtx.interfaces.queries import IScreen, IStoredCount, IStoredQuery
from nostrtx.interfaces.store import (
    BanChange,
    IEventStore,
    LogPart,
    SaveResult,
    StoreError,
    TooManyEvents,
)
from nostrtx.nostr.bans import Ban, BanKind
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.negentropy.snapshot import Snapshot as SealedSet
from nostrtx.nostr.vanish import is_vanish_request, names_all_relays
from nostrtx.storage.explanation import Explanation, IExplains
from nostrtx.storage.job_thread import JobThread
from nostrtx.storage.lmdb.alone import LockFile
from nostrtx.storage.lmdb.bans import ban_changes
from nostrtx.storage.lmdb.counting import LMDBStoredCount
from nostrtx.storage.lmdb.explaining import explain
from nostrtx.storage.lmdb.keys import number
from nostrtx.storage.lmdb.query import LMDBStoredQuery
from nostrtx.storage.lmdb.schema import VERSION, Databases, open_databases, sizes_of
from nostrtx.storage.lmdb.sealed_sets import find_records
from nostrtx.storage.lmdb.snapshot import Snapshot
from nostrtx.storage.lmdb.writer import EventWriter

_T = TypeVar("_T")
_R = TypeVar("_R")

#: How many expired events are removed in one transaction.
_SWEEP: Final = 1000

#: How many events vanish in one transaction.
_VANISH: Final = 2000

#: How long a thread that reads sleeps now and then, in seconds: long enough for the
#: reactor to take over.
_BREATH: Final = 0.00005


@implementer(IEventStore, IExplains)
class LMDBEventStore:
    """
    Events in the directory ``path``.

    Args:
        path: The directory; made if there is none.
        max_bytes: Most that the store may grow to.
        reactor: Provides ``IReactorTime`` and ``IReactorFromThreads``.
        obeys: Says which requests to vanish are for this relay; from any thread.
    """

    _log = Logger()

    def __init__(
        self,
        path: str,
        max_bytes: int,
        reactor: Any,
        obeys: Callable[[Event], bool] = names_all_relays,
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._reactor = reactor
        self._obeys = obeys
        self._writer = JobThread(reactor, "nostrtx writer")
        self._reader = JobThread(reactor, "nostrtx reader")
        self._databases: Databases | None = None
        self._lock = LockFile(os.path.join(path, "alone.lock"), reactor)

    def open(self) -> None:
        """Open the directory and start the thread that writes."""
        self._databases = open_databases(self._path, self._max_bytes)
        self._writer.start()
        self._reader.start()

    async def _close(self) -> None:
        databases, self._databases = self._databases, None
        if databases is not None:
            await self._writer.stop()
            await self._reader.stop()
            databases.env.close()

    def close(self) -> Deferred[None]:
        """Finish what was handed over, then close."""
        return Deferred.fromCoroutine(self._close())

    def facts(self) -> Mapping[str, str]:
        """The number drawn when the store was made, and the layout."""
        databases = self._opened()
        return {"store": databases.identity, "layout": VERSION.decode()}

    def sizes(self) -> Mapping[str, int]:
        """The pages of each database, and what is free for later use."""
        databases = self._opened()
        try:
            return sizes_of(databases)
        except lmdb.Error as error:
            raise self._unreadable() from error

    def explain(self, asked: Filter, now: float) -> Explanation:
        """How ``asked`` is answered."""
        try:
            return explain(self._opened(), asked, now, monotonic)
        except lmdb.Error as error:
            raise self._unreadable() from error

    def save_events(self, events: Sequence[Event]) -> Deferred[list[SaveResult]]:
        """
        Save events by the rules, in one transaction.

        What is too much to vanish in one goes first, in transactions of its own.
        """
        requests = [e for e in events if is_vanish_request(e) and self._obeys(e)]
        return self._write(
            lambda writer: [writer.save(event) for event in events],
            [
                partial(EventWriter.vanish_ahead, request=e, most=_VANISH)
                for e in requests
            ],
        )

    def query(
        self, filters: Sequence[Filter], now: float, screen: IScreen | None = None
    ) -> IStoredQuery:
        """Begin to answer ``filters`` from the store as it is at this moment."""
        try:
            return LMDBStoredQuery(self._opened(), filters, now, screen, self._reactor)
        except lmdb.Error as error:
            raise self._unreadable() from error

    def count(
        self,
        filters: Sequence[Filter],
        now: float,
        screen: IScreen | None = None,
        authors: Callable[[bytes], None] | None = None,
    ) -> IStoredCount:
        """Begin to count ``filters`` in the store as it is at this moment."""
        databases = self._opened()
        try:
            return LMDBStoredCount(
                databases, filters, now, screen, authors, self._reactor
            )
        except lmdb.Error as error:
            raise self._unreadable() from error

    def sealed_set(
        self, filter_: Filter, now: float, screen: IScreen | None, most: int | None
    ) -> Deferred[SealedSet]:
        """What matches ``filter_``, found and sorted in a thread of its own."""
        databases = self._opened()

        def job() -> SealedSet:
            try:
                snapshot = Snapshot(databases)
                try:
                    finding = find_records(snapshot, filter_, now, screen, most)
                    records = _take_time(finding)
                finally:
                    snapshot.close()
            except TooManyEvents:
                raise
            except Exception:
                raise self._unreadable() from None
            return SealedSet(*records)

        return self._reader.do(job)

    def remove_events(self, ids: Sequence[bytes]) -> Deferred[int]:
        """Remove events, and keep them from coming back."""
        return self._write(lambda writer: writer.remove_for_good(ids))

    def delete_expired(self, now: float) -> Deferred[int]:
        """Remove some of the events that have expired by ``now``."""
        return self._write(lambda writer: writer.remove_expired(now, _SWEEP))

    def put_bans(self, bans: Sequence[Ban]) -> Deferred[None]:
        """Ban, and remove what is banned."""
        return self._write(lambda writer: writer.put_bans(bans))

    def lift_bans(self, bans: Sequence[tuple[BanKind, str]]) -> Deferred[int]:
        """Lift bans."""
        return self._write(lambda writer: writer.lift_bans(bans))

    def ban_changes(self, after: int, most: int) -> Sequence[BanChange]:
        """The next changes of bans, by whatever process."""
        databases = self._opened()
        try:
            return ban_changes(databases, after, most)
        except lmdb.Error as error:
            raise self._unreadable() from error

    def record(self, name: str) -> bytes | None:
        """What is kept under ``name``, by whatever process."""
        databases = self._opened()
        try:
            with databases.env.begin() as txn:
                record: bytes | None = txn.get(name.encode(), db=databases.records)
                return record
        except lmdb.Error as error:
            raise self._unreadable() from error

    def change_record(
        self, name: str, change: Callable[[bytes | None], bytes | None]
    ) -> Deferred[bool]:
        """Keep something else under ``name``."""
        return self._write(lambda writer: writer.change_record(name, change))

    def last_seq(self) -> int:
        """The ``seq`` of the event stored last, by whatever process."""
        try:
            snapshot = Snapshot(self._opened())
            try:
                return snapshot.last_seq()
            finally:
                snapshot.close()
        except lmdb.Error as error:
            raise self._unreadable() from error

    def heard_of(self, seq: int) -> None:
        """Every answer holds all that was stored by then."""

    def log_after(self, seq: int, most: int) -> LogPart:
        """A part of the arrival log."""
        # What is stored between the two readings may be in the part as well.
        last = self.last_seq()
        events = self.events_after(seq, most)
        to = events[-1][0] if events else seq
        if len(events) < most:
            to = max(to, last)
        return LogPart(events, to, max(to, last))

    def alone(self) -> Deferred[Callable[[], None]]:
        """Wait for others, here and in other processes, by a file in the directory."""
        return self._lock.acquire()

    def events_after(self, seq: int, most: int) -> list[tuple[int, bytes]]:
        """The next events of the arrival log."""
        databases = self._opened()
        try:
            with databases.env.begin() as txn:
                cursor = txn.cursor(databases.events)
                if not cursor.set_range(number(seq + 1)):
                    return []
                return [
                    (int.from_bytes(key, "big"), raw)
                    for key, raw in islice(cursor, most)
                ]
        except lmdb.Error as error:
            raise self._unreadable() from error

    def events_at(self, seqs: Sequence[int]) -> list[bytes | None]:
        """The events with these ``seq``."""
        databases = self._opened()
        try:
            with databases.env.begin() as txn:
                return [txn.get(number(seq), db=databases.events) for seq in seqs]
        except lmdb.Error as error:
            raise self._unreadable() from error

    def _opened(self) -> Databases:
        if self._databases is None:
            raise StoreError("the event store is closed")
        return self._databases

    def _write(
        self,
        work: Callable[[EventWriter], _T],
        ahead: Sequence[Callable[[EventWriter], bool]] = (),
    ) -> Deferred[_T]:
        """
        Have work done by the thread that writes.

        Args:
            work: Is done in one transaction.
            ahead: Each is done before, again and again until it is False, every
                time in a transaction of its own.
        """
        databases = self._opened()

        def write(work: Callable[[EventWriter], _R]) -> _R:
            with databases.env.begin(write=True) as txn:
                writer = EventWriter(databases, txn, self._obeys)
                result = work(writer)
                writer.finish()
            return result

        def job() -> _T:
            try:
                for piece in ahead:
                    while write(piece):
                        pass
                return write(work)
            except lmdb.MapFullError as error:
                raise StoreError("the event store is full") from error
            except lmdb.DiskError as error:
                raise StoreError("the disk of the event store is full") from error
            except Exception as error:
                self._log.failure("Writing to the store failed.")
                raise StoreError("the event store cannot be written") from error

        return self._writer.do(job)

    def _unreadable(self) -> StoreError:
        self._log.failure("Reading from the store failed.")
        return StoreError("the event store cannot be read")


def _take_time(steps: Generator[None, None, _T]) -> _T:
    """What comes of ``steps``; at every pause, others may use the interpreter."""
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            result: _T = finished.value
            return result
        sleep(_BREATH)
