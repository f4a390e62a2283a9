# -*- test-case-name: tests.storage.test_postgres -*-
"""
The shared store: events in PostgreSQL, for any number of nodes.

Everything that waits for the server waits in threads: some answer queries, one
writes, one reads the log, one waits to be alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from time import monotonic
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from zope.interface import implementer

from nostrtx.interfaces.queries import IScreen, IStoredCount, IStoredQuery
from nostrtx.interfaces.store import (
    BanChange,
    IEventStore,
    LogPart,
    SaveResult,
    StoreError,
)
from nostrtx.nostr.bans import Ban, BanKind
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.negentropy.snapshot import Snapshot as SealedSet
from nostrtx.nostr.vanish import names_all_relays
from nostrtx.settings.storing import StoreSettings
from nostrtx.storage.explanation import Explanation, IExplains
from nostrtx.storage.job_thread import JobThread
from nostrtx.storage.postgres.alone import AloneLock
from nostrtx.storage.postgres.bans import ban_changes
from nostrtx.storage.postgres.counting import PostgresStoredCount
from nostrtx.storage.postgres.exchange import Ask
from nostrtx.storage.postgres.explaining import explain
from nostrtx.storage.postgres.link import Link
from nostrtx.storage.postgres.migrations import Prepared, prepare_store
from nostrtx.storage.postgres.newest import raws_of
from nostrtx.storage.postgres.query import PostgresStoredQuery
from nostrtx.storage.postgres.reads import PROBE_SECONDS, Reads
from nostrtx.storage.postgres.records import record
from nostrtx.storage.postgres.sealed_sets import find_records, sealed
from nostrtx.storage.postgres.session import (
    Busy,
    Session,
    TookTooLong,
    WrongServer,
    connection_parameters,
)
from nostrtx.storage.postgres.snapshot import Known, Snapshot
from nostrtx.storage.postgres.workers import Work, Workers
from nostrtx.storage.postgres.writer import EventWriter

_T = TypeVar("_T")

#: How long what writes waits for a server that is away, in seconds, and what reads.
_WRITING_PATIENCE: Final = 5.0
_READING_PATIENCE: Final = 1.0

#: How long writing may take, in seconds.
_WRITING_SECONDS: Final = 8.0

#: How long a query may take unless somebody says something else, in seconds.
QUERY_SECONDS: Final = 2.0

#: How long a part of the log, or a set to reconcile, may take, in seconds.
_LONG_SECONDS: Final = 30.0

# One statement, so it is one snapshot, and quicker than a transaction.
_LOG: Final = (
    "SELECT c.last_seq, b.seq, b.raw FROM nostrtx.counters c LEFT JOIN LATERAL"
    " (SELECT seq, raw FROM nostrtx.bodies WHERE seq > %(seq)s"
    " ORDER BY seq LIMIT %(most)s) b ON true"
)

_SIZES: Final[Ask] = (
    "SELECT relname::text, pg_total_relation_size(oid) FROM pg_class"
    " WHERE relnamespace = 'nostrtx'::regnamespace AND relkind = 'r'",
    {},
)


@implementer(IEventStore, IExplains)
class PostgresEventStore:
    """
    Events in a database of PostgreSQL.

    Args:
        url: Names the database.
        settings: How many connections, and the replica if there is one.
        reactor: Provides ``IReactorTime`` and ``IReactorFromThreads``.
        obeys: Says which requests to vanish are for this relay; from any thread.
        query_seconds: How long one query may take; infinite for any time.

    Raises:
        StoreUnusable: A URL is not understood.
    """

    def __init__(
        self,
        url: str,
        settings: StoreSettings,
        reactor: Any,
        obeys: Callable[[Event], bool] = names_all_relays,
        query_seconds: float = QUERY_SECONDS,
    ) -> None:
        self._parameters = connection_parameters(url)
        if "," in str(self._parameters.get("host", "")):
            # Of several servers, the one that can be written.
            self._parameters.setdefault("target_session_attrs", "read-write")
        replica_url = settings.replica_url
        self._reactor = reactor
        self._prepared: Prepared | None = None
        self._is_open = False
        self._last_heard = 0
        self._canceller = JobThread(reactor, "nostrtx canceller")
        waiting = JobThread(reactor, "nostrtx alone")
        self._jobs = (waiting, self._canceller)
        self._alone_link = self._link(_WRITING_PATIENCE)
        self._alone = AloneLock(waiting, self._canceller, self._alone_link)
        # Whoever has any time for a query has it for writing as well.
        writing = inf if query_seconds == inf else _WRITING_SECONDS
        link = self._link(_WRITING_PATIENCE)
        self._event_writer = EventWriter(link, obeys)
        self._writer = self._workers([link], writing, "writer")
        self._log_reader = self._workers(
            [self._link(_READING_PATIENCE)], _LONG_SECONDS, "log"
        )
        links = [self._link(_READING_PATIENCE) for _ in range(settings.connections)]
        self._readers = self._workers(links, query_seconds, "reader")
        self._replica: Workers | None = None
        self._probe: Workers | None = None
        if replica_url:
            parameters = connection_parameters(replica_url)
            first, *links = [
                Link(parameters, 0.0, self._check_identity)
                for _ in range(settings.connections + 1)
            ]
            self._replica = self._workers(links, query_seconds, "replica reader")
            self._probe = self._workers([first], PROBE_SECONDS, "replica probe")
        self._reads = Reads(
            self._readers, self._replica, self._probe, reactor, self._known
        )

    def open(self) -> None:
        """Bring the tables up to date and start the threads."""
        self._prepared = prepare_store(self._parameters)
        self._heard(self._prepared.last_seq)
        for workers in self._all_workers():
            workers.start()
        for jobs in self._jobs:
            jobs.start()
        self._is_open = True

    def facts(self) -> Mapping[str, str]:
        """Which database it is, and the version of its tables."""
        prepared = self._prepared
        if prepared is None:
            raise StoreError("the event store was never open")
        return {"store": prepared.identity, "layout": str(prepared.version)}

    def sizes(self) -> Deferred[Mapping[str, int]]:
        """The bytes of each table with its indexes."""
        self._check_open()
        return self._readers.do(lambda session, seconds: dict(session.ask(_SIZES)[0]))

    def explain(self, asked: Filter, now: float) -> Deferred[Explanation]:
        """How the primary answers ``asked``."""
        self._check_open()
        return self._readers.do(
            lambda session, seconds: explain(session, seconds, asked, now, monotonic)
        )

    def close(self) -> Deferred[None]:
        """Finish what was handed over, then close."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self._alone.stop()
        for stopped in [workers.stop() for workers in self._all_workers()]:
            await stopped
        for jobs in self._jobs:
            await jobs.stop()
        self._alone_link.drop()

    def save_events(self, events: Sequence[Event]) -> Deferred[list[SaveResult]]:
        """Save events by the rules, in one transaction."""
        return Deferred.fromCoroutine(self._save(events))

    async def _save(self, events: Sequence[Event]) -> list[SaveResult]:
        writer = self._event_writer
        results, last_seq = await self._write(lambda: writer.save(events))
        self._heard(last_seq)
        return results

    def query(
        self, filters: Sequence[Filter], now: float, screen: IScreen | None = None
    ) -> IStoredQuery:
        """Begin to answer ``filters``, once the first page is asked for."""
        self._check_open()
        return PostgresStoredQuery(self._reads, filters, now, screen, self._heard)

    def count(
        self,
        filters: Sequence[Filter],
        now: float,
        screen: IScreen | None = None,
        authors: Callable[[bytes], None] | None = None,
    ) -> IStoredCount:
        """Begin to count ``filters``, once it is asked to go on."""
        self._check_open()
        return PostgresStoredCount(
            self._reads, filters, now, screen, authors, self._reactor
        )

    def sealed_set(
        self, asked: Filter, now: float, screen: IScreen | None, most: int | None
    ) -> Deferred[SealedSet]:
        """What matches ``asked``, found and sorted in a thread."""
        self._check_open()

        def work(session: Session, seconds: float, least: Known) -> SealedSet:
            snapshot = Snapshot(session, seconds, least)
            [records] = snapshot.run([find_records(asked, now, screen, most)])
            snapshot.finish()
            return sealed(records)

        async def find() -> SealedSet:
            found, _ = await self._reads.do(work, True, _LONG_SECONDS)
            return found

        return Deferred.fromCoroutine(find())

    def remove_events(self, ids: Sequence[bytes]) -> Deferred[int]:
        """Remove events, and keep them from coming back."""
        return self._write(lambda: self._event_writer.remove_for_good(ids))

    def delete_expired(self, now: float) -> Deferred[int]:
        """Remove some of the events that have expired by ``now``."""
        return self._write(lambda: self._event_writer.remove_expired(now))

    def put_bans(self, bans: Sequence[Ban]) -> Deferred[None]:
        """Put bans in force, and remove what is banned."""
        return self._write(lambda: self._event_writer.put_bans(bans))

    def lift_bans(self, bans: Sequence[tuple[BanKind, str]]) -> Deferred[int]:
        """Lift bans."""
        return self._write(lambda: self._event_writer.lift_bans(bans))

    def ban_changes(self, after: int, most: int) -> Deferred[Sequence[BanChange]]:
        """The next changes of bans."""
        self._check_open()
        return self._log_reader.do(
            lambda session, seconds: ban_changes(session, after, most), is_slow=True
        )

    def record(self, name: str) -> Deferred[bytes | None]:
        """What is kept under ``name``."""
        self._check_open()
        return self._log_reader.do(
            lambda session, seconds: record(session, name), is_slow=True
        )

    def change_record(
        self, name: str, change: Callable[[bytes | None], bytes | None]
    ) -> Deferred[bool]:
        """Keep something else under ``name``."""
        return self._write(lambda: self._event_writer.change_record(name, change))

    def last_seq(self) -> int:
        """The ``seq`` of the event stored last, as far as this process knows."""
        return self._last_heard

    def heard_of(self, seq: int) -> None:
        """Ask a replica only where it is as far as that."""
        if seq < self._last_heard:
            # What was put back may have no such removals.
            self._event_writer.last_change = 0
        self._last_heard = seq

    def log_after(self, seq: int, most: int) -> Deferred[LogPart]:
        """A part of the arrival log."""
        self._check_open()
        return Deferred.fromCoroutine(self._part(seq, most))

    async def _part(self, seq: int, most: int) -> LogPart:
        part = await self._log_reader.do(_log_work(seq, most), is_slow=True)
        self._heard(part.last)
        return part

    def alone(self) -> Deferred[Callable[[], None]]:
        """Wait for others, here and in other processes."""
        self._check_open()
        return Deferred.fromCoroutine(self._be_alone())

    async def _be_alone(self) -> Callable[[], None]:
        release = await self._alone.acquire()
        writer = self._event_writer
        try:
            # The lock goes with its connection, and who has it may not know at once.
            writer.alone = await self._write(writer.be_alone)
        except BaseException:
            release()
            raise

        def leave() -> None:
            writer.alone = None
            release()

        return leave

    def events_after(self, seq: int, most: int) -> list[tuple[int, bytes]]:
        """The next events of the arrival log."""
        self._check_open()
        return list(self._log_reader.call(_log_work(seq, most)).events)

    def events_at(self, seqs: Sequence[int]) -> list[bytes | None]:
        """The events with these ``seq``."""
        self._check_open()
        ask: Ask = raws_of(seqs)
        rows = self._log_reader.call(lambda session, _: session.ask(ask)[0])
        raws: dict[int, bytes] = dict(rows)
        return [raws.get(seq) for seq in seqs]

    def _heard(self, last_seq: int) -> None:
        if last_seq > self._last_heard:
            self._last_heard = last_seq

    def _known(self) -> Known:
        return Known(self._last_heard, self._event_writer.last_change)

    def _write(self, work: Callable[[], _T]) -> Deferred[_T]:
        self._check_open()
        return Deferred.fromCoroutine(self._written(work))

    async def _written(self, work: Callable[[], _T]) -> _T:
        try:
            return await self._writer.do(lambda session, seconds: work(), is_slow=True)
        except TookTooLong:
            # Whoever writes has asked for nothing that could be less.
            raise Busy from None

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreError("the event store is closed")

    def _link(self, patience: float) -> Link:
        return Link(self._parameters, patience, self._check_primary)

    def _check_primary(self, session: Session) -> None:
        """After a failover the same address may be another server's."""
        [[(is_replica,)]] = session.ask(("SELECT pg_is_in_recovery()", {}))
        if is_replica:
            raise WrongServer("the server is a replica, which cannot be written")
        self._check_identity(session)

    def _check_identity(self, session: Session) -> None:
        [[(identity,)]] = session.ask(
            ("SELECT identity::text FROM nostrtx.identity", {})
        )
        assert self._prepared is not None
        if identity != self._prepared.identity:
            raise WrongServer("the server holds another store")

    def _workers(self, links: Sequence[Link], seconds: float, name: str) -> Workers:
        return Workers(
            self._reactor, links, seconds, self._canceller, f"nostrtx {name}"
        )

    def _all_workers(self) -> list[Workers]:
        each = (
            *(self._writer, self._log_reader, self._readers),
            *(self._replica, self._probe),
        )
        return [workers for workers in each if workers is not None]


def _log_work(seq: int, most: int) -> Work[LogPart]:
    ask: Ask = (_LOG, {"seq": seq, "most": most})

    def work(session: Session, seconds: float) -> LogPart:
        [rows] = session.ask(ask)
        last = rows[0][0]
        events = [(at, raw) for _, at, raw in rows if at is not None]
        to = events[-1][0] if len(events) == most else last
        return LogPart(events, to, last)

    return work
