# -*- test-case-name: tests.storage.test_postgres -*-
"""
Saving and removing events, one transaction for each batch.

A transaction begins with the lock on the counter, so it is alone, and its events get
their ``seq`` in the order of commits: whoever sees one sees all that have a smaller
one. Two round trips do: one for the lock and all that the rules need to know, one for
all that changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar
from uuid import uuid4

import psycopg
from psycopg import errors
from twisted.logger import Logger

from nostrtx.interfaces.store import SaveOutcome, SaveResult, StoreError
from nostrtx.nostr.bans import Ban, BanKind
from nostrtx.nostr.deletion import NOBODY
from nostrtx.nostr.event import Event
from nostrtx.nostr.kinds import GIFT_WRAP, REQUEST_TO_VANISH
from nostrtx.nostr.vanish import is_vanish_request
from nostrtx.storage.postgres.bans import lift_bans, put_bans
from nostrtx.storage.postgres.changes import CHANGE, changes_of, marking, removing
from nostrtx.storage.postgres.columns import Uuid, byteas, uuids
from nostrtx.storage.postgres.exchange import Ask
from nostrtx.storage.postgres.keys import (
    LATEST,
    created_at_of,
    end_of_places,
    tag_key,
)
from nostrtx.storage.postgres.link import Link
from nostrtx.storage.postgres.records import change_record
from nostrtx.storage.postgres.rules import Batch, Held, Marks, named_by
from nostrtx.storage.postgres.session import UNREACHABLE, Session, begin_writing

_T = TypeVar("_T")

#: How many events vanish in one transaction.
_VANISH: Final = 2000

#: How many expired events are removed in one transaction.
_SWEEP: Final = 1000

#: How long to wait for others that write, in seconds: longer than a process that
#: stands still may hold them up.
_LOCK_SECONDS: Final = 12.0

#: Who has the lock and stood still for this part of that time is cut off.
_STILL: Final = 0.8

#: How often to try again what was lost with its connection.
_TRIES: Final = 3

# Who has the lock and has sent or taken nothing for so long: its process stands still,
# or is gone without a word. Its server waits for the rest of what it asks, and that no
# time limit of the server's ends.
_END_STUCK: Final = (
    "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a"
    " WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()"
    " AND a.wait_event_type = 'Client' AND a.query_start < now()"
    " - make_interval(secs => %(ms)s / 1000.0) AND EXISTS (SELECT FROM pg_locks l"
    " WHERE l.pid = a.pid AND l.relation = 'nostrtx.counters'::regclass"
    " AND l.mode = 'RowShareLock' AND l.granted)"
)

_ALONE: Final = "UPDATE nostrtx.counters SET alone = %(token)s"

_COMMIT: Final[Ask] = ("COMMIT", {})
_ROLLBACK: Final[Ask] = ("ROLLBACK", {})

_COLUMNS: Final = (
    "e.seq, e.id, e.pubkey, e.kind, e.place, e.address,"
    f" CASE WHEN e.kind = {GIFT_WRAP}"
    " THEN (SELECT b.raw FROM nostrtx.bodies b WHERE b.seq = e.seq) END"
)

_HELD: Final = (
    f"SELECT {_COLUMNS} FROM nostrtx.events e WHERE e.id = ANY(%(ids)s)"
    f" UNION ALL SELECT {_COLUMNS} FROM nostrtx.events e"
    " WHERE e.address = ANY(%(addresses)s) AND e.address IS NOT NULL"
    " AND NOT e.id = ANY(%(ids)s)"
)

_VANISHING: Final = (
    f"SELECT {_COLUMNS} FROM nostrtx.events e WHERE e.pubkey = %(author)s"
    f" AND e.kind <> {REQUEST_TO_VANISH} AND e.place < %(end)s"
    f" UNION ALL SELECT {_COLUMNS} FROM nostrtx.events e WHERE e.seq IN"
    f" (SELECT t.seq FROM nostrtx.tags t WHERE t.tag = %(tag)s"
    f" AND t.kind = {GIFT_WRAP} AND t.place < %(end)s)"
    " AND e.pubkey <> %(author)s LIMIT %(most)s"
)

_MARKS: Final = (
    "SELECT id, deleter FROM nostrtx.deleted_ids WHERE id = ANY(%(ids)s)",
    "SELECT address, until FROM nostrtx.deleted_addresses"
    " WHERE address = ANY(%(addresses)s)",
    "SELECT pubkey, until FROM nostrtx.vanished WHERE pubkey = ANY(%(authors)s)",
)


class EventWriter:
    """
    What one process writes; for one thread.

    Args:
        link: The way to the server.
        obeys: Says which requests to vanish are for this relay.
        lock_seconds: How long to wait for others that write.

    Attributes:
        last_change: The number of the last removal by this process.
        alone: What :meth:`be_alone` gave, as long as this process is alone: then it
            writes only if nobody else has been alone since.
    """

    _log = Logger()

    def __init__(
        self,
        link: Link,
        obeys: Callable[[Event], bool],
        lock_seconds: float = _LOCK_SECONDS,
    ) -> None:
        self._link = link
        self._lock_seconds = lock_seconds
        self._obeys = obeys
        self._name = uuid4().bytes
        self._batch = 0
        self.last_change = 0
        self.alone: bytes | None = None

    def save(self, events: Sequence[Event]) -> tuple[list[SaveResult], int]:
        """
        Save events by the rules.

        Returns:
            What became of each, and the last ``seq`` in the store.

        Raises:
            StoreError: Nothing was saved, or it could not be found out.
        """
        named = named_by(events)
        requests = [e for e in events if is_vanish_request(e) and self._obeys(e)]
        for request in requests:
            while self._transact(partial(self._vanish_ahead, request=request)):
                pass
        ids, addresses = byteas(list(named["ids"])), uuids(list(named["addresses"]))
        asks: list[Ask] = [
            (_HELD, {"ids": ids, "addresses": addresses}),
            (_MARKS[0], {"ids": byteas(list(named["marked_ids"]))}),
            (_MARKS[1], {"addresses": addresses}),
            (_MARKS[2], {"authors": byteas(list(named["authors"]))}),
            *[(_VANISHING, _vanishing(one, _VANISH + 1)) for one in requests],
        ]
        return self._transact(lambda session: self._save(session, events, asks))

    def _save(
        self, session: Session, events: Sequence[Event], asks: Sequence[Ask]
    ) -> tuple[Sequence[Ask], tuple[list[SaveResult], int]]:
        *_, counter, held, ids, addresses, vanished = session.ask(
            *begin_writing(self._lock_seconds), *asks[:4]
        )
        taken = session.ask(*asks[4:]) if asks[4:] else []
        there = {row[0]: _held(row) for rows in (held, *taken) for row in rows}
        marks = Marks(
            {(id_, deleter) for id_, deleter in ids},
            dict(addresses),
            dict(vanished),
        )
        batch = Batch(counter[0][0], there.values(), marks, self._obeys)
        results = [batch.save(event) for event in events]
        return changes_of(batch), (results, batch.last_seq)

    def _vanish_ahead(
        self, session: Session, request: Event
    ) -> tuple[Sequence[Ask], bool]:
        """Begin to remove what goes with a request, if it is very much."""
        ids = byteas([request.id])
        *_, counter, held, deleters, rows = session.ask(
            *begin_writing(self._lock_seconds),
            (_HELD, {"ids": ids, "addresses": uuids([])}),
            (_MARKS[0], {"ids": ids}),
            (_VANISHING, _vanishing(request, _VANISH + 1)),
        )
        # Nothing goes with a request that will be refused.
        alone = Batch(
            counter[0][0], map(_held, held), Marks(set(deleters)), lambda _: False
        )
        is_saved = alone.save(request).outcome is SaveOutcome.STORED
        if not is_saved or len(rows) <= _VANISH:
            return (), False
        marks = Marks(vanished={request.pubkey: request.created_at})
        return (*marking(marks), *removing([row[0] for row in rows])), True

    def remove_for_good(self, ids: Sequence[bytes]) -> int:
        """Remove events, and keep them from coming back; how many were here."""

        def work(session: Session) -> tuple[Sequence[Ask], int]:
            rows = session.ask(
                *begin_writing(self._lock_seconds),
                (
                    "SELECT seq FROM nostrtx.events WHERE id = ANY(%(ids)s)",
                    {"ids": byteas(ids)},
                ),
            )[-1]
            marks = Marks({(id_, NOBODY) for id_ in ids})
            return (*marking(marks), *removing([seq for (seq,) in rows])), len(rows)

        return self._transact(work)

    def remove_expired(self, now: float) -> int:
        """Remove some of the events that have expired by ``now``; how many."""
        by = min(max(int(now), -1), LATEST)
        expired: Ask = (
            "SELECT seq FROM nostrtx.events WHERE expires_at <= %(now)s"
            f" LIMIT {_SWEEP}",
            {"now": by},
        )

        def work(session: Session) -> tuple[Sequence[Ask], int]:
            # Mostly there are none, and nobody need wait for that.
            [rows] = session.ask(expired)
            if not rows:
                return (), 0
            rows = session.ask(*begin_writing(self._lock_seconds), expired)[-1]
            return removing([seq for (seq,) in rows]), len(rows)

        return self._transact(work)

    def put_bans(self, bans: Sequence[Ban]) -> None:
        """Put bans in force; a banned event goes, and does not come back."""
        begin = begin_writing(self._lock_seconds)
        self._transact(lambda session: put_bans(session, begin, bans))

    def lift_bans(self, named: Sequence[tuple[BanKind, str]]) -> int:
        """Lift bans; how many there were."""
        begin = begin_writing(self._lock_seconds)
        return self._transact(lambda session: lift_bans(session, begin, named))

    def change_record(
        self, name: str, change: Callable[[bytes | None], bytes | None]
    ) -> bool:
        """Keep something else under ``name``; whether it was changed."""
        begin = begin_writing(self._lock_seconds)
        return self._transact(
            lambda session: change_record(session, begin, name, change)
        )

    def be_alone(self) -> bytes:
        """
        Note that this process is alone; what tells this time from all others.

        Who was alone before, and has lost the lock without knowing it, has written
        all that it may by the time this returns.
        """
        token = uuid4().bytes
        begin = begin_writing(self._lock_seconds)

        def work(session: Session) -> tuple[Sequence[Ask], bytes]:
            session.ask(*begin)
            return [(_ALONE, {"token": Uuid(token)})], token

        return self._transact(work)

    def _transact(self, work: Callable[[Session], tuple[Sequence[Ask], _T]]) -> _T:
        """
        Do ``work``, which begins a transaction and says what to change, and commit.

        If the connection breaks it is done again, unless it turns out to be done, or
        nobody waits for it any more: who was told of an error must not be deceived.
        """
        for _ in range(_TRIES):
            self._check_wanted()
            session = self._link.session()
            committing = False
            try:
                with session.transaction():
                    asks, result = work(session)
                    if not asks:
                        return result
                    self._check_wanted()
                    self._check_alone(session)
                    self._batch += 1
                    committing = True
                    answers = session.ask(*asks, self._signature(), _COMMIT)
                if CHANGE in asks:
                    [(self.last_change,)] = answers[list(asks).index(CHANGE)]
                return result
            except errors.LockNotAvailable:
                if not self._end_stuck(session):
                    raise
            except psycopg.Error as error:
                if not session.is_broken:
                    raise
                self._log.error("Lost the connection: {reason}", reason=error)
                self._link.drop()
                if committing and self._is_committed():
                    return result
        raise StoreError(UNREACHABLE)

    def _check_wanted(self) -> None:
        if self._link.is_given_up:
            raise StoreError(UNREACHABLE)

    def _check_alone(self, session: Session) -> None:
        """Write nothing in the belief to be alone if others have been meanwhile."""
        if (token := self.alone) is not None:
            [[(last,)]] = session.ask(("SELECT alone FROM nostrtx.counters", {}))
            if last != token:
                raise StoreError("another process was faster; try again")

    def _end_stuck(self, session: Session) -> bool:
        """End whoever has the lock and stands still; whether there was anybody."""
        try:
            still = round(1000 * _STILL * self._lock_seconds)
            [rows] = session.ask((_END_STUCK, {"ms": still}))
        except psycopg.Error as error:
            self._log.error("Cannot end who keeps the lock: {e}", e=error)
            return False
        if rows:
            self._log.warn("Another node stood still with the lock and was cut off.")
        return bool(rows)

    def _signature(self) -> Ask:
        """Note in the transaction which one of this process it is."""
        return (
            "INSERT INTO nostrtx.writers AS w (writer, batch)"
            " VALUES (%(writer)s, %(batch)s) ON CONFLICT (writer)"
            " DO UPDATE SET batch = excluded.batch, at = excluded.at",
            {"writer": Uuid(self._name), "batch": self._batch},
        )

    def _is_committed(self) -> bool:
        """
        Whether the last transaction was committed, though nobody said so.

        Raises:
            StoreError: That cannot be found out.
        """
        for _ in range(_TRIES):
            self._check_wanted()
            session = self._link.session()
            try:
                with session.transaction():
                    # Once the lock is had, what held it is over, this way or that.
                    *_, counter, rows, _ = session.ask(
                        *begin_writing(self._lock_seconds),
                        (
                            "SELECT batch FROM nostrtx.writers"
                            " WHERE writer = %(writer)s",
                            {"writer": Uuid(self._name)},
                        ),
                        _ROLLBACK,
                    )
                # If it was no removal, a replica must have more than need be.
                _, self.last_change = counter[0]
                return bool(rows) and rows[0][0] == self._batch
            except errors.LockNotAvailable:
                # It may be the last transaction itself that still has the lock.
                self._end_stuck(session)
            except psycopg.Error as error:
                if not session.is_broken:
                    raise
                self._log.error("Lost the connection: {reason}", reason=error)
                self._link.drop()
        raise StoreError(UNREACHABLE)


def _vanishing(request: Event, most: int) -> dict[str, Any]:
    end = end_of_places(request.created_at)
    assert end is not None
    return {
        "author": request.pubkey,
        "end": Uuid(end),
        "tag": Uuid(tag_key("p", request.pubkey.hex())),
        "most": most,
    }


def _held(row: tuple[Any, ...]) -> Held:
    seq, id_, pubkey, kind, place, address, raw = row
    return Held(seq, id_, pubkey, kind, created_at_of(place), address, raw)
