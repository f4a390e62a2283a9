# -*- test-case-name: tests.storage.test_lmdb -*-
"""
What matches a filter, as times and ids, for reconciliation (NIP-77).

For a thread of its own. What it does between two pauses is short, or is done by
NumPy outside the interpreter's lock, so that the reactor need not wait for it.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Generator, Iterator
from itertools import islice
from typing import Any, Final, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from nostrtx.interfaces.queries import IScreen
from nostrtx.interfaces.store import TooManyEvents
from nostrtx.nostr.event import RAW_ID
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import MAX_KIND
from nostrtx.storage.lmdb.keys import (
    LAST,
    POSTING_SIZE,
    SEQ,
    end_of_postings,
    first_posting,
    kind_key,
)
from nostrtx.storage.lmdb.postings import time_values
from nostrtx.storage.lmdb.scan import Scan, hidden_kinds, hides_everything
from nostrtx.storage.lmdb.snapshot import Snapshot
from nostrtx.storage.query_plan import Way

#: Of each record its time and its id.
Records: TypeAlias = tuple[NDArray[np.uint64], NDArray[np.uint8]]

#: A step's pauses, and what comes of it.
Found: TypeAlias = Generator[None, None, Records]

#: How many entries are read between two pauses.
_PIECE: Final = 1000

#: How many events are read between two pauses.
_LOOKUPS: Final = 200

#: Reading the whole index by time takes as long as finding one in so many by kind.
_RARE: Final = 8

#: Up to so large a limit, the newest are looked for; beyond, all and cut then.
_SMALL_LIMIT: Final = 5000

#: The parts of an entry of the index by time.
_TIME: Final = slice(0, 5)
_ID: Final = slice(5, 37)
_KIND: Final = slice(37, 39)
_SEQ: Final = slice(43, 48)
_ENTRY_SIZE: Final = 48


def find_records(
    snapshot: Snapshot,
    chosen: Filter,
    now: float,
    screen: IScreen | None,
    most: int | None,
) -> Found:
    """
    The records of what matches ``chosen``, in any order and perhaps repeatedly.

    Args:
        snapshot: The view of the store.
        chosen: What is asked for; its limit holds.
        now: What has expired by then is left out.
        screen: What it hides is left out; None hides nothing.
        most: How many there may be; None for any number.

    Raises:
        TooManyEvents: There are more than ``most``, limit and all.
    """
    limit = chosen.limit
    if limit == 0 or chosen.matches_nothing or hides_everything(screen):
        return _joined([])
    yield from snapshot.find_expired(now)
    scan = Scan(snapshot, chosen, _sought(limit), {}, screen, limit is not None)
    if scan.plan.way is Way.EVERYTHING or _has_common_kinds(snapshot, scan):
        return (yield from _by_time(snapshot, chosen, screen, most))
    postings = yield from scan.postings()
    if limit is None and most is not None and len(postings) > most:
        # Some may stand for the same event.
        postings = list(set(postings))
        if len(postings) > most:
            raise TooManyEvents(most)
    records = yield from _looked_up(snapshot, postings)
    if limit is not None:
        records = _newest(records, limit)
        if most is not None and len(records[0]) > most:
            raise TooManyEvents(most)
    return records


def _sought(limit: int | None) -> int | None:
    return limit if limit is not None and limit <= _SMALL_LIMIT else None


def _has_common_kinds(snapshot: Snapshot, scan: Scan) -> bool:
    plan = scan.plan
    if plan.way is not Way.KINDS or plan.kinds is None:
        return False
    cursor = snapshot.cursor(snapshot.db.kinds)
    of_kinds = 0
    for kind in plan.kinds:
        if cursor.set_key(kind_key(kind)):
            of_kinds += cursor.count()
    return of_kinds * _RARE > snapshot.size(snapshot.db.ids)


def _by_time(
    snapshot: Snapshot, chosen: Filter, screen: IScreen | None, most: int | None
) -> Found:
    """Read the index by time, which tells all but what only the event tells."""
    if chosen.until is not None and chosen.until < 0:
        return _joined([])
    limit = chosen.limit
    sieve = _Sieve.of(snapshot, chosen, screen)
    entries = time_values(
        snapshot.cursor(snapshot.db.times), first_posting(chosen.until)
    )
    pieces: list[Records] = []
    total = 0
    for rows in _rows(entries, end_of_postings(chosen.since)):
        piece = sieve.records(rows)
        if limit is not None:
            piece = piece[0][: limit - total], piece[1][: limit - total]
        pieces.append(piece)
        total += len(piece[0])
        if most is not None and total > most:
            raise TooManyEvents(most)
        if total == limit:
            break
        yield
    return _joined(pieces)


def _rows(entries: Iterator[bytes], end: bytes) -> Iterator[NDArray[np.uint8]]:
    """Entries of the index by time, piece by piece, up to ``end``."""
    while values := list(islice(entries, _PIECE)):
        if end and values[-1] >= end:
            values = [value for value in values if value < end]
            entries = iter(())
        rows = np.frombuffer(b"".join(values), np.uint8)
        yield rows.reshape(-1, _ENTRY_SIZE)


@attrs.frozen
class _Sieve:
    """
    What entries of the index by time must meet besides their time.

    Attributes:
        snapshot: The view of the store.
        is_wanted: For every kind, whether it is asked for and not hidden.
        is_asked: For every kind, whether ``screen`` must be asked for each event.
        expired: Sorted; the ``seq`` of what has expired.
        screen: Whom to ask.
    """

    snapshot: Snapshot
    is_wanted: NDArray[np.bool_]
    is_asked: NDArray[np.bool_] | None
    expired: NDArray[np.uint64]
    screen: IScreen | None

    @classmethod
    def of(cls, snapshot: Snapshot, chosen: Filter, screen: IScreen | None) -> _Sieve:
        """The sieve for a filter of kinds and times, and a screen."""
        wanted = np.full(MAX_KIND + 1, chosen.kinds is None)
        for kind in chosen.kinds or ():
            if 0 <= kind <= MAX_KIND:
                wanted[kind] = True
        wanted[list(hidden_kinds(screen))] = False
        asked = None
        if screen is not None and not screen.hides_all:
            asked = np.full(MAX_KIND + 1, screen.kinds is None)
            asked[list(screen.kinds or ())] = True
        expired = np.frombuffer(b"".join(snapshot.expired), np.uint8).reshape(-1, 5)
        return cls(snapshot, wanted, asked, np.sort(_numbers(expired)), screen)

    def records(self, rows: NDArray[np.uint8]) -> Records:
        """The records of those entries that meet all of it."""
        kinds = rows[:, _KIND].copy().view(">u2").reshape(-1)
        passed = self.is_wanted[kinds]
        if len(self.expired):
            passed &= ~np.isin(_numbers(rows[:, _SEQ]), self.expired)
        if self.is_asked is not None and self.screen is not None:
            get, events = self.snapshot.get, self.snapshot.db.events
            for place in np.flatnonzero(passed & self.is_asked[kinds]):
                raw = get(rows[place, _SEQ].tobytes(), None, events)
                passed[place] = self.screen.may_read(raw)
        rows = rows[passed]
        return _times(rows), rows[:, _ID].copy()


def _looked_up(snapshot: Snapshot, postings: list[bytes]) -> Found:
    """The records of ``postings``, whose ids stand in the events."""
    get, events = snapshot.get, snapshot.db.events
    pieces = []
    for at in range(0, len(postings), _LOOKUPS):
        block = postings[at : at + _LOOKUPS]
        rows = np.frombuffer(b"".join(block), np.uint8).reshape(-1, POSTING_SIZE)
        ids = unhexlify(
            b"".join([get(posting[SEQ], None, events)[RAW_ID] for posting in block])
        )
        pieces.append((_times(rows), np.frombuffer(ids, np.uint8).reshape(-1, 32)))
        yield
    return _joined(pieces)


def _newest(records: Records, limit: int) -> Records:
    """The newest of the records, each once; ties by id."""
    times, ids = records
    words = ids.view(">u8")
    order = np.lexsort((*words.T[::-1], LAST - times))
    ordered = words[order]
    is_new = np.ones(len(order), bool)
    is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    order = order[is_new][:limit]
    return times[order], ids[order]


def _times(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.uint64(LAST) - _numbers(rows[:, _TIME])


def _numbers(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The numbers of five bytes each."""
    padded: Any = np.zeros((len(rows), 8), np.uint8)
    padded[:, 3:] = rows
    numbers: NDArray[np.uint64] = padded.view(">u8").reshape(-1).astype(np.uint64)
    return numbers


def _joined(pieces: list[Records]) -> Records:
    if not pieces:
        return np.empty(0, np.uint64), np.empty((0, 32), np.uint8)
    return (
        np.concatenate([times for times, _ in pieces]),
        np.concatenate([ids for _, ids in pieces]),
    )
