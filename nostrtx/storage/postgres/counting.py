# -*- test-case-name: tests.storage.test_postgres -*-
"""
How many events match, in the shared store (NIP-45).

The server counts, but for events of which a screen hides some: these are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from nostrtx.interfaces.queries import Count, IScreen, IStoredCount
from nostrtx.nostr.event import RAW_PUBKEY
from nostrtx.nostr.filters import Filter
from nostrtx.storage.postgres.conditions import (
    EXPIRED,
    Asking,
    Conditions,
    conditions_for,
    hidden_kinds,
    hides_everything,
)
from nostrtx.storage.postgres.exchange import Ask
from nostrtx.storage.postgres.newest import raws_of
from nostrtx.storage.postgres.parties import names_only_hidden, narrowed
from nostrtx.storage.postgres.reads import Reads
from nostrtx.storage.postgres.session import TookTooLong
from nostrtx.storage.postgres.snapshot import Known, Snapshot

_T = TypeVar("_T")

#: What is counted at least, where there is no time for all.
_LOWER_BOUND: Final = 5000

#: How many authors are told between two looks at the clock.
_TOLD_AT_ONCE: Final = 200

#: How many events are read at once for a screen.
_READ_AT_ONCE: Final = 500


@implementer(IStoredCount)
class PostgresStoredCount:
    """
    One count under way.

    Args:
        reads: Who answers it.
        filters: What is asked for.
        now: What expires by then is not counted.
        screen: Hides events from the reader; None hides nothing. It is asked from
            any thread.
        authors: Called with the pubkey of each event; None if it does not matter.
        clock: Tells the time to which deadlines refer.
    """

    def __init__(
        self,
        reads: Reads,
        filters: Sequence[Filter],
        now: float,
        screen: IScreen | None,
        authors: Callable[[bytes], None] | None,
        clock: IReactorTime,
    ) -> None:
        self._reads = reads
        self._filters = [one for one in filters if not one.matches_nothing]
        self._now = now
        self._screen = screen
        self._authors = authors
        self._clock = clock
        self._running: Deferred[Count] | None = None
        self._pubkeys: bytes | None = None
        self._told = 0
        self._result: Count | None = None
        if not self._filters or hides_everything(screen):
            self._result = Count(0, True)

    def go_on(self, deadline: float) -> Deferred[Count] | Count:
        """Count; what is left for later is only to tell the authors."""
        if self._pubkeys is not None:
            return self._tell(self._pubkeys, deadline)
        if self._result is not None:
            return self._result
        self._running = Deferred.fromCoroutine(self._count(deadline))
        return self._running

    def close(self) -> None:
        """Give up."""
        running, self._running = self._running, None
        if running is not None and not running.called:
            _ = running.addErrback(_cancelled)
            running.cancel()

    async def _count(self, deadline: float) -> Count:
        has_authors = self._authors is not None
        try:
            (number, pubkeys), _ = await self._reads.do(self._work(has_authors, None))
        except TookTooLong:
            try:
                (number, _), _ = await self._reads.do(
                    self._work(False, _LOWER_BOUND), is_slow=True
                )
            except TookTooLong:
                number = 0
            self._result = Count(number, False)
            return self._result
        if has_authors:
            self._pubkeys = pubkeys
            return self._tell(pubkeys, deadline)
        self._result = Count(number, True)
        return self._result

    def _work(
        self, with_authors: bool, most: int | None
    ) -> Callable[[Any, float, Known], tuple[int, bytes]]:
        def work(session: Any, seconds: float, least: Known) -> tuple[int, bytes]:
            snapshot = Snapshot(session, seconds, least)
            counting = count_matches(
                self._filters, self._now, self._screen, with_authors, most
            )
            [result] = snapshot.run([counting])
            snapshot.finish()
            return result

        return work

    def _tell(self, pubkeys: bytes, deadline: float) -> Count:
        assert self._authors is not None
        total = len(pubkeys) // 32
        while self._told < total:
            end = min(self._told + _TOLD_AT_ONCE, total)
            for at in range(self._told, end):
                self._authors(pubkeys[32 * at : 32 * at + 32])
            self._told = end
            if self._clock.seconds() >= deadline:
                break
        return Count(self._told, self._told == total)


def count_matches(
    filters: Sequence[Filter],
    now: float,
    screen: IScreen | None,
    with_authors: bool,
    most: int | None,
) -> Asking[tuple[int, bytes]]:
    """
    Count what matches at least one of ``filters``, each event once.

    Args:
        filters: None of them matches nothing.
        now: What has expired by then is not counted.
        screen: What it hides is not counted.
        with_authors: Whether to find out who wrote them.
        most: Count no further, and nothing that must be read; None for all.

    Returns:
        How many, and the joined pubkeys of their authors.
    """
    number, pubkeys = 0, b""
    public, private = parted(filters, screen)
    chosen = []
    hidden = hidden_kinds(screen) if not private else (screen and screen.kinds)
    for one in public:
        conditions = yield from conditions_for(one, now, hidden or frozenset())
        if conditions.can_match:
            chosen.append(conditions)
    if len(chosen) == 1 and chosen[0].is_exact and not with_authors and most is None:
        [(number,)] = yield _counted(chosen[0])
    elif chosen:
        statement, values = matching(chosen)
        if most is not None:
            statement = f"{statement} LIMIT {most}"
        if with_authors:
            statement = (
                "SELECT count(*), string_agg(e.pubkey, ''::bytea)"
                f" FROM ({statement}) m JOIN nostrtx.events e ON e.seq = m.seq"
            )
        else:
            statement = f"SELECT count(*), NULL FROM ({statement}) m"
        [(number, joined)] = yield statement, values
        pubkeys = joined or b""
    if private and screen is not None and most is None:
        seen: list[bytes] = yield from seen_of(
            private, now, screen, _pubkey if with_authors else _nothing
        )
        number += len(seen)
        pubkeys += b"".join(seen)
    return number, pubkeys


def _counted(conditions: Conditions) -> Ask:
    """A count that the index knows, but for what has expired."""
    values: dict[str, Any] = {}
    source = f"(SELECT count(*) FROM {conditions.table} x WHERE"
    everything = conditions.within(values, "true")
    expired = conditions.within(values, EXPIRED)
    return f"SELECT {source} {everything}) - {source} {expired})", values


def parted(
    filters: Sequence[Filter], screen: IScreen | None
) -> tuple[Sequence[Filter], Sequence[Filter]]:
    """
    The filters for what all may see, and those for what the screen must be asked.

    Of the first ones the kinds of the screen are to be left out.
    """
    if screen is None or screen.hides_all:
        return filters, ()
    if screen.kinds is None:
        return (), filters
    private = []
    for one in filters:
        kinds = screen.kinds if one.kinds is None else screen.kinds & set(one.kinds)
        if kinds:
            private.append(attrs.evolve(one, kinds=tuple(sorted(kinds))))
    return filters, private


def matching(chosen: Sequence[Conditions], columns: str = "x.seq") -> Ask:
    """
    A statement for what meets any of the conditions, once each.

    Args:
        chosen: The conditions.
        columns: What to tell of it.
    """
    parts = []
    values: dict[str, Any] = {}
    for at, conditions in enumerate(chosen):
        own: dict[str, Any] = {}
        where = conditions.within(own)
        once = conditions.finds_once or len(chosen) > 1
        part = (
            f"SELECT {'' if once else 'DISTINCT '}{columns}"
            f" FROM {conditions.table} x WHERE {where}"
        )
        parts.append(part.replace("%(", f"%(f{at}_"))
        values.update({f"f{at}_{name}": value for name, value in own.items()})
    return " UNION ".join(parts), values


def seen_of(
    filters: Sequence[Filter],
    now: float,
    screen: IScreen,
    keep: Callable[[bytes], _T],
) -> Asking[list[_T]]:
    """
    What matches any filter and may be seen; every event is read for it.

    Args:
        filters: What is asked for; none of them matches nothing.
        now: What has expired by then is left out.
        screen: What it hides is left out.
        keep: What to keep of each event, by its :attr:`Event.raw`.
    """
    chosen = []
    parts = [
        part
        for one in filters
        for part in (
            narrowed(one, screen) if names_only_hidden(one, screen) else (one,)
        )
    ]
    for one in parts:
        conditions = yield from conditions_for(one, now)
        if conditions.can_match:
            chosen.append(conditions)
    if not chosen:
        return []
    rows = yield matching(chosen)
    seqs = [seq for (seq,) in rows]
    seen: list[_T] = []
    for at in range(0, len(seqs), _READ_AT_ONCE):
        rows = yield raws_of(seqs[at : at + _READ_AT_ONCE])
        seen += [keep(raw) for _, raw in rows if screen.may_read(raw)]
    return seen


def _pubkey(raw: bytes) -> bytes:
    return bytes.fromhex(str(raw[RAW_PUBKEY], "ascii"))


def _nothing(_: bytes) -> bytes:
    return b""


def _cancelled(failure: Failure) -> None:
    failure.trap(CancelledError)
