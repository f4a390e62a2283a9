# -*- test-case-name: tests.storage.test_memory -*-
"""
The store in memory: complete, simple, and gone when the process ends.

It is the reference for what a store does. Events stand in one list in the order of
answers, and a query looks at each of them: right for tests, trials and small relays.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from uuid import uuid4

from twisted.internet.defer import Deferred, DeferredLock, fail, succeed
from zope.interface import implementer

from nostrtx.interfaces.queries import Count, IScreen, IStoredCount, IStoredQuery, Page
from nostrtx.interfaces.store import (
    BanChange,
    IEventStore,
    LogPart,
    SaveOutcome,
    SaveResult,
    TooManyEvents,
)
from nostrtx.nostr.bans import Ban, BanKind
from nostrtx.nostr.deletion import (
    NOBODY,
    deleted_addresses,
    deleted_ids,
    is_deletion_request,
    may_delete,
)
from nostrtx.nostr.event import Address, Event, supersedes
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.negentropy.snapshot import Snapshot
from nostrtx.nostr.search import search_words, searched_words
from nostrtx.nostr.vanish import is_vanish_request, names_all_relays, vanishes_with
from nostrtx.storage.query_plan import MAX_SURPLUS


def _place(event: Event) -> tuple[int, bytes]:
    """Where ``event`` stands among all events: newest first, ties by id."""
    return -event.created_at, event.id


@implementer(IEventStore)
class MemoryEventStore:
    """
    Events in this process's memory. Whatever it returns fires at once.

    Args:
        obeys: Says which requests to vanish are for this relay.
    """

    def __init__(self, obeys: Callable[[Event], bool] = names_all_relays) -> None:
        self._obeys = obeys
        self._ordered: list[Event] = []
        self._by_id: dict[bytes, Event] = {}
        self._log: dict[int, Event] = {}
        self._seqs: dict[bytes, int] = {}
        self._by_address: dict[Address, Event] = {}
        self._expiring: dict[bytes, Event] = {}
        self._deleted_ids: set[tuple[bytes, bytes]] = set()
        self._deleted_addresses: dict[Address, int] = {}
        self._vanished: dict[bytes, int] = {}
        # By kind and subject, in the order in which they were changed.
        self._bans: dict[tuple[BanKind, str], BanChange] = {}
        self._records: dict[str, bytes] = {}
        self._last_change = 0
        self._last_seq = 0
        self._lock = DeferredLock()
        self._identity = uuid4().hex

    def open(self) -> None:
        """Nothing to do."""

    def close(self) -> Deferred[None]:
        """Nothing to do: there is no place where the events could stay."""
        return succeed(None)

    def facts(self) -> Mapping[str, str]:
        """There is no other process that could have this store."""
        return {"store": self._identity, "layout": "memory"}

    def sizes(self) -> Mapping[str, int]:
        """The bytes of all events as JSON."""
        return {"events": sum(len(event.raw) for event in self._ordered)}

    def save_events(self, events: Sequence[Event]) -> Deferred[list[SaveResult]]:
        """Save events by the rules, in the order given."""
        return succeed([self._save(event) for event in events])

    def query(
        self, filters: Sequence[Filter], now: float, screen: IScreen | None = None
    ) -> IStoredQuery:
        """Begin to answer ``filters`` from the events of this moment."""
        alive = [event for event in self._ordered if not event.is_expired(now)]
        others = [filter_ for filter_ in filters if not filter_.search]
        searching = [filter_ for filter_ in filters if filter_.search]
        answer, more = _answer(alive, others, screen)
        if searching:
            best = _best(alive, searching, screen)
            answer = [*best, *(raw for raw in answer if raw not in set(best))]
            more = None
        return _StoredQuery(answer, more, self._last_seq)

    def count(
        self,
        filters: Sequence[Filter],
        now: float,
        screen: IScreen | None = None,
        authors: Callable[[bytes], None] | None = None,
    ) -> IStoredCount:
        """Begin to count what matches at least one of ``filters``."""
        return _StoredCount(
            [
                event.pubkey
                for event in self._ordered
                if any(filter_.matches(event) for filter_ in filters)
                and not event.is_expired(now)
                and _is_shown(event, screen)
            ],
            authors,
        )

    def sealed_set(
        self, filter_: Filter, now: float, screen: IScreen | None, most: int | None
    ) -> Deferred[Snapshot]:
        """What matches ``filter_`` at this moment."""
        records = [
            (event.created_at, event.id)
            for event in self._ordered
            if filter_.matches(event)
            and not event.is_expired(now)
            and _is_shown(event, screen)
        ][: filter_.limit]
        if most is not None and len(records) > most:
            return fail(TooManyEvents(most))
        return succeed(Snapshot.of(records))

    def remove_events(self, ids: Sequence[bytes]) -> Deferred[int]:
        """Remove events, and keep them from coming back."""
        self._deleted_ids.update((id_, NOBODY) for id_ in ids)
        found = [self._by_id[id_] for id_ in set(ids) if id_ in self._by_id]
        for event in found:
            self._remove(event)
        return succeed(len(found))

    def delete_expired(self, now: float) -> Deferred[int]:
        """Remove all events that have expired by ``now``."""
        expired = [event for event in self._expiring.values() if event.is_expired(now)]
        for event in expired:
            self._remove(event)
        return succeed(len(expired))

    def put_bans(self, bans: Sequence[Ban]) -> Deferred[None]:
        """Ban, and remove what is banned."""
        for ban in bans:
            self._change_ban(ban, False)
            if ban.kind is BanKind.EVENT:
                _ = self.remove_events([bytes.fromhex(ban.subject)])
            if ban.opposite is not None:
                _ = self.lift_bans([ban.opposite])
        return succeed(None)

    def lift_bans(self, bans: Sequence[tuple[BanKind, str]]) -> Deferred[int]:
        """Lift bans; what events are no longer banned may come back."""
        lifted = 0
        for kind, subject in bans:
            change = self._bans.get((kind, subject))
            if change is None or change.is_lifted:
                continue
            lifted += 1
            self._change_ban(change.ban, True)
            if kind is BanKind.EVENT:
                self._deleted_ids.discard((bytes.fromhex(subject), NOBODY))
        return succeed(lifted)

    def ban_changes(self, after: int, most: int) -> Sequence[BanChange]:
        """The next changes of bans."""
        return [one for one in self._bans.values() if one.number > after][:most]

    def record(self, name: str) -> bytes | None:
        """What is kept under ``name``."""
        return self._records.get(name)

    def change_record(
        self, name: str, change: Callable[[bytes | None], bytes | None]
    ) -> Deferred[bool]:
        """Keep something else under ``name``."""
        record = change(self._records.get(name))
        if record is not None:
            self._records[name] = record
        return succeed(record is not None)

    def last_seq(self) -> int:
        """The ``seq`` of the event stored last."""
        return self._last_seq

    def heard_of(self, seq: int) -> None:
        """There is nothing that it would not know."""

    def log_after(self, seq: int, most: int) -> LogPart:
        """A part of the arrival log."""
        if seq >= self._last_seq:
            return LogPart([], seq, self._last_seq)
        events = self.events_after(seq, most)
        to = events[-1][0] if len(events) == most else self._last_seq
        return LogPart(events, to, self._last_seq)

    def alone(self) -> Deferred[Callable[[], None]]:
        """Wait for others in this process; there are no other processes."""
        return self._lock.acquire().addCallback(lambda lock: lock.release)

    def events_after(self, seq: int, most: int) -> list[tuple[int, bytes]]:
        """The next events of the arrival log."""
        return [(at, e.raw) for at, e in self._log.items() if at > seq][:most]

    def events_at(self, seqs: Sequence[int]) -> list[bytes | None]:
        """The events with these ``seq``."""
        events = map(self._log.get, seqs)
        return [None if event is None else event.raw for event in events]

    def _change_ban(self, ban: Ban, is_lifted: bool) -> None:
        self._bans.pop((ban.kind, ban.subject), None)
        self._last_change += 1
        self._bans[ban.kind, ban.subject] = BanChange(self._last_change, ban, is_lifted)

    def _save(self, event: Event) -> SaveResult:
        if event.id in self._by_id:
            return SaveResult(SaveOutcome.DUPLICATE)
        vanished = self._vanished
        if any(
            event.created_at <= vanished.get(key, -1) for key in vanishes_with(event)
        ):
            return SaveResult(SaveOutcome.VANISHED)
        deleters = (NOBODY, *may_delete(event))
        if any((event.id, key) in self._deleted_ids for key in deleters):
            return SaveResult(SaveOutcome.DELETED)
        address = event.address
        if address is not None:
            if event.created_at <= self._deleted_addresses.get(address, -1):
                return SaveResult(SaveOutcome.DELETED)
            current = self._by_address.get(address)
            if current is not None:
                if not supersedes(event, current.created_at, current.id):
                    return SaveResult(SaveOutcome.SUPERSEDED)
                self._remove(current)
            self._by_address[address] = event
        if is_deletion_request(event):
            self._delete(event)
        if is_vanish_request(event) and self._obeys(event):
            self._vanish(event)
        self._by_id[event.id] = event
        insort(self._ordered, event, key=_place)
        if event.expiration is not None:
            self._expiring[event.id] = event
        self._last_seq += 1
        self._log[self._last_seq] = event
        self._seqs[event.id] = self._last_seq
        return SaveResult(SaveOutcome.STORED, self._last_seq)

    def _delete(self, request: Event) -> None:
        """Remove what ``request`` names, and keep it from coming back."""
        for id_ in deleted_ids(request):
            self._deleted_ids.add((id_, request.pubkey))
            target = self._by_id.get(id_)
            if target is not None and request.pubkey in may_delete(target):
                self._remove(target)
        for address in deleted_addresses(request):
            mark = self._deleted_addresses.get(address, -1)
            self._deleted_addresses[address] = max(mark, request.created_at)
            target = self._by_address.get(address)
            if target is not None and target.created_at <= request.created_at:
                self._remove(target)

    def _vanish(self, request: Event) -> None:
        """Remove what is the author's of ``request``, and keep it from coming back."""
        author, until = request.pubkey, request.created_at
        self._vanished[author] = max(until, self._vanished.get(author, -1))
        for event in self._ordered[:]:
            if event.created_at <= until and author in vanishes_with(event):
                self._remove(event)

    def _remove(self, event: Event) -> None:
        del self._ordered[bisect_left(self._ordered, _place(event), key=_place)]
        del self._by_id[event.id]
        del self._log[self._seqs.pop(event.id)]
        self._expiring.pop(event.id, None)
        address = event.address
        if address is not None:
            del self._by_address[address]


@implementer(IStoredQuery)
class _StoredQuery:
    """The rest of an answer, and what has been looked at of it."""

    def __init__(self, answer: list[bytes], more: bool | None, floor: int) -> None:
        self._answer = answer
        self._more = more
        self.floor = floor

    def next_page(self, max_bytes: int, deadline: float) -> Page:
        """The next events, about ``max_bytes`` of them; the deadline is ignored."""
        end = 0
        room = max_bytes
        while end < len(self._answer) and (not end or len(self._answer[end]) <= room):
            room -= len(self._answer[end])
            end += 1
        events, self._answer = self._answer[:end], self._answer[end:]
        return Page(events, not self._answer, None if self._answer else self._more)

    def close(self) -> None:
        """Forget the answer."""
        self._answer = []


@implementer(IStoredCount)
class _StoredCount:
    """A count that was over when it began."""

    def __init__(
        self, pubkeys: Sequence[bytes], authors: Callable[[bytes], None] | None
    ) -> None:
        self._pubkeys = pubkeys
        self._authors = authors

    def go_on(self, deadline: float) -> Count:
        """Count everything; the deadline is ignored."""
        if self._authors is not None:
            for pubkey in self._pubkeys:
                self._authors(pubkey)
        return Count(len(self._pubkeys), True)

    def close(self) -> None:
        """Nothing to do."""


def _is_shown(event: Event, screen: IScreen | None) -> bool:
    if screen is None or (screen.kinds is not None and event.kind not in screen.kinds):
        return True
    return not screen.hides_all and screen.may_read(event.raw)


def _best(
    events: Sequence[Event], searches: Sequence[Filter], screen: IScreen | None
) -> list[bytes]:
    """The ``raw`` of ``events`` in which the words of one search are most often."""
    best: dict[bytes, int] = {}
    for one in searches:
        wanted = search_words(one.search or "")
        often = {
            event.raw: sum(map(searched_words(event).count, wanted))
            for event in events
            if one.matches(event)
        }
        ranked = sorted(events, key=lambda e: -often.get(e.raw, 0))
        for raw in _answer(ranked, [one], screen)[0]:
            best[raw] = max(best.get(raw, 0), often[raw])
    return sorted(
        [event.raw for event in events if event.raw in best], key=lambda raw: -best[raw]
    )


def _answer(
    events: Iterable[Event], filters: Sequence[Filter], screen: IScreen | None
) -> tuple[list[bytes], bool | None]:
    """The ``raw`` of the newest ``events`` of each filter; whether there are more."""
    asked = [_Asked(one) for one in filters if not one.matches_nothing]
    given: list[bytes] = []
    left_out: set[bytes] = set()
    for event in events:
        matched = [one for one in asked if one.filter.matches(event)]
        if matched and _is_shown(event, screen):
            # Each must be asked: its limit is used up by what another one gives.
            taken = [one.takes(event) for one in matched]
            if any(taken):
                given.append(event.raw)
            else:
                left_out.add(event.raw)
    if any(one.filter.limit == 0 for one in asked):
        return given, None
    return given, bool(left_out)


class _Asked:
    """A filter, and how much of its limit is left."""

    def __init__(self, filter_: Filter) -> None:
        self.filter = filter_
        self._given = 0
        self._last = -1

    def takes(self, event: Event) -> bool:
        """Whether a match, the next one in order, is within the limit."""
        limit = self.filter.limit
        if limit is not None and self._given >= limit:
            if not (
                self.filter.whole_seconds
                and event.created_at == self._last
                and self._given < limit + MAX_SURPLUS
            ):
                return False
        self._given += 1
        self._last = event.created_at
        return True
