# -*- test-case-name: tests.storage.test_postgres -*-
"""
A stored query over the shared store: first find, then give (NIP-01, "REQ").

What matches is found in one snapshot, which also gives the first page. Further pages
are read when they are asked for: a client that takes its time keeps no transaction
open. What is deleted in between is not given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from nostrtx.interfaces.queries import IScreen, IStoredQuery, Page
from nostrtx.nostr.filters import Filter
from nostrtx.storage.postgres.columns import int8s
from nostrtx.storage.postgres.conditions import hides_everything
from nostrtx.storage.postgres.exchange import Ask, Rows
from nostrtx.storage.postgres.merge import Found
from nostrtx.storage.postgres.newest import find_newest, in_order, is_more
from nostrtx.storage.postgres.reads import Reads
from nostrtx.storage.postgres.session import Session
from nostrtx.storage.postgres.snapshot import Snapshot
from nostrtx.storage.postgres.workers import Workers

#: How large an event is taken to be, as long as none is known, in bytes.
_SMALL_EVENT: Final = 512

#: So many events are looked up for a page at least, and at most.
_LEAST, _MOST = 64, 8192

_PAGE: Final = (
    "SELECT n, raw FROM (SELECT o.n, b.raw,"
    " sum(octet_length(b.raw)) OVER (ORDER BY o.n ROWS UNBOUNDED PRECEDING)"
    " - octet_length(b.raw) AS before"
    " FROM unnest(%(seqs)s) WITH ORDINALITY o(seq, n)"
    " JOIN nostrtx.bodies b ON b.seq = o.seq) p WHERE before < %(room)s ORDER BY n"
)


@attrs.frozen
class _Answer:
    """
    What was found, and the first page of it.

    Attributes:
        floor: The last ``seq`` in the snapshot.
        seqs: The events, in order.
        more: Whether there are more.
        events: The first page.
        given: How many of the events that settles.
    """

    floor: int
    seqs: Sequence[int]
    more: bool | None
    events: Sequence[bytes]
    given: int


@implementer(IStoredQuery)
class PostgresStoredQuery:
    """
    One running query.

    Args:
        reads: Who answers it.
        filters: What is asked for.
        now: What expires by then is left out.
        screen: Hides events from the reader; None hides nothing. It is asked from
            any thread.
        heard: Is told the last ``seq`` of the snapshot.

    Attributes:
        floor: The ``seq`` of the last event in the snapshot, once there is one.
    """

    def __init__(
        self,
        reads: Reads,
        filters: Sequence[Filter],
        now: float,
        screen: IScreen | None,
        heard: Callable[[int], None],
    ) -> None:
        self._reads = reads
        self._filters: Sequence[Filter] = [
            one
            for one in filters
            if not one.matches_nothing and not hides_everything(screen)
        ]
        self._now = now
        self._screen = screen
        self._heard = heard
        self._server: Workers | None = None
        self._seqs: Sequence[int] = ()
        self._at = 0
        self._size = _SMALL_EVENT
        self._more: bool | None = None
        self._running: Deferred[Page] | None = None
        self._is_closed = False
        self.floor: int | None = None

    def next_page(self, max_bytes: int, deadline: float) -> Deferred[Page] | Page:
        """The next part of the answer; the deadline is ignored."""
        if self._is_closed:
            return Page((), True)
        asking = self._first_page if self._server is None else self._further_page
        self._running = Deferred.fromCoroutine(asking(max_bytes))
        return self._running

    def close(self) -> None:
        """Give up what is left of the answer."""
        self._is_closed = True
        self._seqs = ()
        running, self._running = self._running, None
        if running is not None and not running.called:
            _ = running.addErrback(_cancelled)
            running.cancel()

    async def _first_page(self, max_bytes: int) -> Page:
        answer, self._server = await self._reads.do(
            lambda session, seconds, least: self._find(
                Snapshot(session, seconds, least), max_bytes
            ),
            any(one.limit is None for one in self._filters),
        )
        self._heard(answer.floor)
        self.floor = answer.floor
        self._seqs, self._at, self._more = answer.seqs, answer.given, answer.more
        return self._page(answer.events)

    async def _further_page(self, max_bytes: int) -> Page:
        assert self._server is not None
        events: list[bytes] = []
        while not events and self._at < len(self._seqs):
            block = self._seqs[self._at : self._at + _block(max_bytes, self._size)]
            ask = _page_ask(block, max_bytes)

            def read(session: Session, seconds: float, ask: Ask = ask) -> Rows:
                return session.ask(ask)[0]

            rows = await self._reads.go_on(self._server, read)
            events, given = _settled(rows, len(block), max_bytes)
            self._at += given
        return self._page(events)

    def _page(self, events: Sequence[bytes]) -> Page:
        if events:
            self._size = 1 + sum(map(len, events)) // len(events)
        done = self._at >= len(self._seqs)
        return Page(events, done, self._more if done else None)

    def _find(self, snapshot: Snapshot, max_bytes: int) -> _Answer:
        """Find everything and read the first page; in a thread."""
        cuts = snapshot.run(
            [find_newest(one, self._now, self._screen) for one in self._filters]
        )
        found: Sequence[Found] = cuts[0].found if cuts else ()
        if len(cuts) > 1:
            union = {one[1]: one for cut in cuts for one in cut.found}
            ordered = sorted(union.values(), key=lambda f: f[0], reverse=True)
            [found] = snapshot.run([in_order(ordered)])
        seqs = [seq for _, seq, _ in found]
        block = seqs[: _block(max_bytes, _SMALL_EVENT)]
        events: list[bytes] = []
        given = 0
        if block:
            [rows] = snapshot.finish(_page_ask(block, max_bytes))
            events, given = _settled(rows, len(block), max_bytes)
        else:
            snapshot.finish()
        return _Answer(snapshot.floor, seqs, is_more(cuts, seqs), events, given)


def _block(max_bytes: int, size: int) -> int:
    """How many events of such a size to look up for a page."""
    return min(max(max_bytes // size + 1, _LEAST), _MOST)


def _page_ask(seqs: Sequence[int], max_bytes: int) -> Ask:
    return _PAGE, {"seqs": int8s(seqs), "room": max_bytes}


def _settled(rows: Rows, asked: int, room: int) -> tuple[list[bytes], int]:
    """The events of a page, and how many of those that were asked for it settles."""
    events = [raw for _, raw in rows]
    is_cut = sum(map(len, events)) >= room
    return events, rows[-1][0] if is_cut else asked


def _cancelled(failure: Failure) -> None:
    failure.trap(CancelledError)
