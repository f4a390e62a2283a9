"""
What the relay's parts meet in tests: clients, turns, a store that answers when told.

Also the messages of clients, and a whole relay with all of it around.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import Clock
from zope.interface import implementer

from nostrtx.broadcast.local import LocalBroadcaster
from nostrtx.interfaces.edge import IClient, IClientSession, ITurns
from nostrtx.interfaces.processes import IBroadcaster
from nostrtx.interfaces.queries import Count, IScreen, IStoredCount, IStoredQuery, Page
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
from nostrtx.nostr.json import dumps
from nostrtx.nostr.negentropy.snapshot import Snapshot
from nostrtx.relay.event_log import EventLog, Follower
from nostrtx.relay.relay import Relay
from nostrtx.relay.session_auth import AuthRules, SessionAuth
from nostrtx.relay.statistics import Statistics
from nostrtx.relay.visibility import Visibility
from nostrtx.settings.access import AuthSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.storage.memory import MemoryEventStore
from nostrtx.storage.register_file import RegisterFile
from tests.storage.events import NOW, signed_event

#: The URL of every relay in the tests.
RELAY_URL = "wss://relay.example.com/"


@implementer(IClient)
class FakeClient:
    """
    A client that keeps what it is sent, and may be full.

    Attributes:
        messages: What it was sent, as bytes.
        bodies: What of it was to be shared with others.
        full: What :meth:`is_full` says.
        ready: Who waits until it is full no more.
        closed: The code and reason of each close.
    """

    def __init__(self, address: str = "192.0.2.1") -> None:
        self.address = address
        self.messages: list[bytes] = []
        self.bodies: list[bytes] = []
        self.full = False
        self.ready: list[Deferred[None]] = []
        self.closed: list[tuple[int, str]] = []

    def send(self, message: bytes) -> None:
        """Keep the message."""
        self.messages.append(message)

    def send_shared(self, head: bytes, body: bytes) -> None:
        """Keep the message, and the body by itself."""
        self.messages.append(head + body)
        self.bodies.append(body)

    def send_events(self, head: bytes, events: Sequence[bytes]) -> None:
        """Keep the messages."""
        for event in events:
            self.send(head + event + b"]")

    def is_full(self) -> bool:
        """As the test says."""
        return self.full

    def when_ready(self) -> Deferred[None]:
        """Fires upon :meth:`empty`; fails upon :meth:`lose`."""
        ready: Deferred[None] = Deferred(self.ready.remove)
        self.ready.append(ready)
        return ready

    def close(self, code: int, reason: str) -> None:
        """Keep the code and the reason."""
        self.closed.append((code, reason))

    def empty(self) -> None:
        """Be full no more, and tell who waits."""
        self.full = False
        ready, self.ready = self.ready, []
        for one in ready:
            one.callback(None)

    def lose(self) -> None:
        """Be gone: whoever waits is told."""
        ready, self.ready = self.ready, []
        for one in ready:
            one.errback(CancelledError())

    def heard(self) -> list[Any]:
        """What it was sent since the last time, decoded."""
        messages, self.messages = self.messages, []
        return [json.loads(message) for message in messages]


@implementer(ITurns)
class FakeTurns:
    """
    Turns that a test takes one by one.

    A turn in which nobody said that there is something to do is not taken, so a
    part that forgets to say so fails its test.
    """

    def __init__(self) -> None:
        self._calls: list[Callable[[], bool]] = []
        self.wanted = False

    def at_end(self, call: Callable[[], bool]) -> None:
        """Make ``call`` at the end of every turn that is taken."""
        self._calls.append(call)

    def needed(self) -> None:
        """Take the next turn."""
        self.wanted = True

    def take(self) -> bool:
        """End one turn, if it is needed; whether it was."""
        if not self.wanted:
            return False
        self.wanted = False
        for call in self._calls:
            if call():
                self.wanted = True
        return True

    def settle(self) -> None:
        """Take turns until none is needed."""
        for _ in range(10_000):
            if not self.take():
                return
        raise AssertionError("the turns never come to rest")


@attrs.define(eq=False)
class HeldSave:
    """
    One call of ``save_events``, to be answered by the test.

    Attributes:
        events: What is to be saved.
        answer: What the caller waits for.
        results: What became of the events, once they are committed.
    """

    _store: MemoryEventStore
    events: Sequence[Event]
    answer: Deferred[list[SaveResult]] = attrs.field(factory=Deferred)
    results: list[SaveResult] = attrs.field(factory=list)

    def commit(self) -> None:
        """Put the events where queries find them, and tell nobody yet."""
        self.results = _result(self._store.save_events(self.events))

    def succeed(self) -> None:
        """Commit, unless that was done, and answer."""
        if not self.results:
            self.commit()
        self.answer.callback(self.results)

    def fail(self, error: Exception) -> None:
        """Answer that nothing was stored."""
        self.answer.errback(error)


@attrs.define(eq=False)
class HeldSet:
    """
    One call of ``sealed_set``, to be answered by the test.

    Attributes:
        found: What the answer will be.
        answer: What the caller waits for.
    """

    found: Deferred[Snapshot]
    answer: Deferred[Snapshot] = attrs.field(factory=Deferred)

    def give(self) -> None:
        """Answer."""
        _ = self.found.addBoth(self.answer.callback)


@implementer(IStoredQuery)
class HeldQuery:
    """
    A query whose pages are small, late or slow, as its store says.

    Attributes:
        floor: As in the interface.
        closed: How often it was closed.
        asked: The page that the caller waits for, None while nobody does.
    """

    def __init__(
        self, store: HeldStore, inner: IStoredQuery, clock: Clock | None
    ) -> None:
        self._store = store
        self._clock = clock
        page = inner.next_page(2**62, 2.0**62)
        assert isinstance(page, Page)
        self._events = list(page.events)
        self._more = page.more
        self.floor = inner.floor
        self.closed = 0
        self.asked: Deferred[Page] | None = None

    def next_page(self, max_bytes: int, deadline: float) -> Deferred[Page] | Page:
        """A page now, or when the test says."""
        assert not self.closed, "asked after it was closed"
        if self._clock is not None:
            self._clock.rightNow += self._store.page_seconds
        if self._store.page_error is not None:
            raise self._store.page_error
        if not self._store.hold_pages:
            return self._page()
        assert self.asked is None, "asked twice"
        self.asked = Deferred()
        return self.asked

    def close(self) -> None:
        """Count."""
        self.closed += 1

    def answer(self) -> None:
        """Give the page that was asked for."""
        asked, self.asked = self.asked, None
        assert asked is not None, "nobody asked"
        asked.callback(self._page())

    def fail(self, error: Exception) -> None:
        """Fail instead."""
        asked, self.asked = self.asked, None
        assert asked is not None, "nobody asked"
        asked.errback(error)

    def _page(self) -> Page:
        size = self._store.page_events
        events, self._events = self._events[:size], self._events[size:]
        done = not self._events and size > 0
        return Page(events, done, self._more if done else None)


@implementer(IStoredCount)
class HeldCount:
    """
    A count that takes as many steps as its store says.

    Attributes:
        closed: Whether it was closed.
    """

    def __init__(
        self, store: HeldStore, counting: IStoredCount, clock: Clock | None
    ) -> None:
        self._store = store
        self._counting = counting
        self._clock = clock
        self._steps = 0
        self.closed = False

    def go_on(self, deadline: float) -> Deferred[Count] | Count:
        """Count one more event in each step, and all the rest in the last one."""
        self._steps += 1
        if self._clock is not None:
            self._clock.advance(self._store.count_seconds)
        if self._store.count_error is not None:
            raise self._store.count_error
        if self._steps < self._store.count_steps:
            return Count(self._steps, False)
        return self._counting.go_on(deadline)

    def close(self) -> None:
        """Take note."""
        self.closed = True
        self._counting.close()


@implementer(IEventStore)
class HeldStore:
    """
    A store in memory that answers at once, or when the test says.

    Args:
        clock: Is advanced by ``page_seconds`` with every page.

    Attributes:
        inner: Where the events are.
        saves: Calls of ``save_events`` that were held, oldest first.
        queries: All queries, oldest first.
        hold_saves: Whether saves wait for the test.
        hold_pages: Whether pages wait for the test.
        heard: Where others said that the log ends.
        hold_log: Whether parts of the log wait for the test.
        log_parts: Those that were held, oldest first.
        log_error: With what reading the log fails, if it is to.
        hold_sets: Whether sets for reconciliation wait for the test.
        sets: Those that were held, oldest first.
        page_events: How many events a page has at most.
        page_seconds: How long a page takes.
        page_error: What asking for a page raises.
        query_error: What asking for a query raises.
        counts: All counts, oldest first.
        count_steps: How many steps a count takes.
        count_seconds: How long one takes.
        count_error: What counting raises.
        save_error: What saving raises.
        hold_removals: Whether removals wait for the test.
        removals: Those that were held, oldest first.
        hold_bans: Whether changes of bans wait for the test.
        ban_parts: Those that were held, oldest first.
        bans_error: With what reading the bans fails, if it is to.
        sizes_error: With what asking for its sizes fails, if it is to.
        record_error: With what reading and changing records fails, if it is to.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self.inner = MemoryEventStore()
        self.saves: list[HeldSave] = []
        self.queries: list[HeldQuery] = []
        self.hold_saves = False
        self.hold_pages = False
        self.heard: list[int] = []
        self.hold_log = False
        self.log_parts: list[tuple[Deferred[LogPart], LogPart]] = []
        self.log_error: StoreError | None = None
        self.hold_sets = False
        self.sets: list[HeldSet] = []
        self.counts: list[HeldCount] = []
        self.count_steps = 1
        self.count_seconds = 0.0
        self.count_error: Exception | None = None
        self.page_events = 1_000_000
        self.page_seconds = 0.0
        self.page_error: Exception | None = None
        self.query_error: Exception | None = None
        self.save_error: Exception | None = None
        self.hold_removals = False
        self.removals: list[tuple[Deferred[int], Sequence[bytes]]] = []
        self.hold_bans = False
        self.ban_parts: list[tuple[Deferred[Sequence[BanChange]], int, int]] = []
        self.bans_error: Exception | None = None
        self.sizes_error: Exception | None = None
        self.record_error: StoreError | None = None

    def open(self) -> None:
        """Open the store within."""
        self.inner.open()

    def close(self) -> Deferred[None]:
        """Close the store within."""
        return self.inner.close()

    def facts(self) -> Mapping[str, str]:
        """Those of the store within."""
        return self.inner.facts()

    def sizes(self) -> Mapping[str, int]:
        """Those of the store within."""
        if self.sizes_error is not None:
            raise self.sizes_error
        return self.inner.sizes()

    def save_events(self, events: Sequence[Event]) -> Deferred[list[SaveResult]]:
        """Save now, or when the test says."""
        if self.save_error is not None:
            raise self.save_error
        if not self.hold_saves:
            return self.inner.save_events(events)
        self.saves.append(HeldSave(self.inner, list(events)))
        return self.saves[-1].answer

    def query(
        self, filters: Sequence[Filter], now: float, screen: IScreen | None = None
    ) -> IStoredQuery:
        """A query over what is in the store at this moment."""
        if self.query_error is not None:
            raise self.query_error
        query = HeldQuery(self, self.inner.query(filters, now, screen), self._clock)
        self.queries.append(query)
        return query

    def count(
        self,
        filters: Sequence[Filter],
        now: float,
        screen: IScreen | None = None,
        authors: Callable[[bytes], None] | None = None,
    ) -> IStoredCount:
        """Count in the store within, a step at a time."""
        counting = self.inner.count(filters, now, screen, authors)
        self.counts.append(HeldCount(self, counting, self._clock))
        return self.counts[-1]

    def sealed_set(
        self, filter_: Filter, now: float, screen: IScreen | None, most: int | None
    ) -> Deferred[Snapshot]:
        """The set now, or when the test says."""
        found = self.inner.sealed_set(filter_, now, screen, most)
        if not self.hold_sets:
            return found
        self.sets.append(HeldSet(found))
        return self.sets[-1].answer

    def remove_events(self, ids: Sequence[bytes]) -> Deferred[int]:
        """Remove from the store within, now or when the test says."""
        if not self.hold_removals:
            return self.inner.remove_events(ids)
        answer: Deferred[int] = Deferred()
        self.removals.append((answer, ids))
        return answer

    def remove(self) -> None:
        """Remove what is to be removed, and answer."""
        removals, self.removals = self.removals, []
        for answer, ids in removals:
            _ = self.inner.remove_events(ids).addBoth(answer.callback)

    def delete_expired(self, now: float) -> Deferred[int]:
        """Delete in the store within."""
        return self.inner.delete_expired(now)

    def put_bans(self, bans: Sequence[Ban]) -> Deferred[None]:
        """Ban in the store within."""
        return self.inner.put_bans(bans)

    def lift_bans(self, bans: Sequence[tuple[BanKind, str]]) -> Deferred[int]:
        """Lift in the store within."""
        return self.inner.lift_bans(bans)

    def record(self, name: str) -> bytes | None:
        """What is kept in the store within."""
        if self.record_error is not None:
            raise self.record_error
        return self.inner.record(name)

    def change_record(
        self, name: str, change: Callable[[bytes | None], bytes | None]
    ) -> Deferred[bool]:
        """Change what is kept in the store within."""
        if self.record_error is not None:
            return fail(self.record_error)
        return self.inner.change_record(name, change)

    def ban_changes(
        self, after: int, most: int
    ) -> Deferred[Sequence[BanChange]] | Sequence[BanChange]:
        """The changes of bans now, or when the test says."""
        if self.bans_error is not None:
            raise self.bans_error
        if not self.hold_bans:
            return self.inner.ban_changes(after, most)
        answer: Deferred[Sequence[BanChange]] = Deferred()
        self.ban_parts.append((answer, after, most))
        return answer

    def give_bans(self) -> None:
        """Answer who reads the bans."""
        parts, self.ban_parts = self.ban_parts, []
        for answer, after, most in parts:
            answer.callback(self.inner.ban_changes(after, most))

    def last_seq(self) -> int:
        """That of the store within."""
        return self.inner.last_seq()

    def heard_of(self, seq: int) -> None:
        """Take note of what was heard."""
        self.heard.append(seq)

    def log_after(self, seq: int, most: int) -> Deferred[LogPart] | LogPart:
        """What is in the log at this moment, now or when the test says."""
        if self.log_error is not None:
            raise self.log_error
        part = self.inner.log_after(seq, most)
        if not self.hold_log:
            return part
        answer: Deferred[LogPart] = Deferred()
        self.log_parts.append((answer, part))
        return answer

    def give_log(self) -> None:
        """Answer who reads the log."""
        parts, self.log_parts = self.log_parts, []
        for answer, part in parts:
            answer.callback(part)

    def alone(self) -> Deferred[Callable[[], None]]:
        """As in the store within."""
        return self.inner.alone()

    def events_after(self, seq: int, most: int) -> list[tuple[int, bytes]]:
        """Those of the store within."""
        return self.inner.events_after(seq, most)

    def events_at(self, seqs: Sequence[int]) -> list[bytes | None]:
        """Those of the store within."""
        return self.inner.events_at(seqs)

    def holds(self, event: Event) -> bool:
        """Whether ``event`` is in the store."""
        page = self.inner.query([Filter(ids=(event.id,))], 0).next_page(2**62, 2.0**62)
        assert isinstance(page, Page)
        return list(page.events) == [event.raw]


def relay_urls() -> list[str]:
    """By what URLs clients know a relay under test."""
    return [RELAY_URL]


class RandomBytes:
    """Random bytes that are the same in every run, and never the same in one."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, number: int) -> bytes:
        """So many bytes."""
        self._calls += 1
        return self._calls.to_bytes(number, "big")


def auth_of(
    client: IClient, clock: Clock, settings: AuthSettings | None = None
) -> SessionAuth:
    """The authentication of a client that has not proved anything."""
    settings = settings or AuthSettings()
    visibility = Visibility(settings.private_kinds)
    live = LiveSettings(Settings(auth=settings))
    return SessionAuth(
        client, AuthRules(live, relay_urls, visibility, clock, RandomBytes())
    )


def log_of(
    store: IEventStore,
    turns: FakeTurns,
    clock: Clock,
    *followers: Follower,
    statistics: Statistics | None = None,
) -> EventLog:
    """The log of a relay of one process, and who follows it."""
    events = EventLog(
        store, LocalBroadcaster(), turns, clock, 1, statistics or Statistics()
    )
    for follower in followers:
        events.follow(follower)
    turns.at_end(events.end_of_turn)
    return events


class RelayUnderTest:
    """
    A relay with all it needs, and clients of it.

    Args:
        settings: Of the relay.
        has_hints: Whether EOSE says if there is more; where a test does not look at
            that, it would only be in the way.
        broadcaster: Of the relay; None if it has one process only.

    Attributes:
        clock: The time; :data:`NOW` at first.
        turns: The turns; nothing happens between them.
        store: Where events go.
        settings: May be changed.
        broadcaster: What brings news from other processes.
        relay: What is tested.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        has_hints: bool = False,
        broadcaster: IBroadcaster | None = None,
    ) -> None:
        settings = settings or Settings()
        limits = attrs.evolve(settings.limits, eose_hints=has_hints)
        settings = attrs.evolve(settings, limits=limits)
        self.clock = Clock()
        self.clock.advance(NOW)
        self.turns = FakeTurns()
        self.store = HeldStore(self.clock)
        self.broadcaster = broadcaster or LocalBroadcaster()
        self.settings = LiveSettings(settings)
        self.relay = Relay(
            self.store,
            self.broadcaster,
            self.turns,
            self.clock,
            self.settings,
            relay_urls,
            RandomBytes(),
            RegisterFile(settings.membership_file or ":memory:"),
        )

    def connect(self, address: str = "192.0.2.1") -> tuple[FakeClient, IClientSession]:
        """A new client and its session."""
        client = FakeClient(address)
        return client, self.relay.session(client)

    def stored(self, *events: Event) -> None:
        """Have ``events`` in the store already."""
        _result(self.store.inner.save_events(events))

    def publish(self, *events: Event) -> None:
        """Publish ``events`` from a client of its own, and let them through."""
        _, session = self.connect()
        for event in events:
            session.message_received(event_message(event))
        self.turns.settle()


def _result(saved: Deferred[list[SaveResult]]) -> list[SaveResult]:
    result = saved.result
    assert isinstance(result, list)
    return result


def event_message(event: Event) -> bytes:
    """An EVENT message."""
    return b'["EVENT",%b]' % event.raw


def req_message(id_: str, *filters: object) -> bytes:
    """A REQ message; a filter is any JSON value."""
    return dumps(["REQ", id_, *filters])


def auth_message(
    challenge: str, secret: int = 1, *, url: str = RELAY_URL, created_at: int = NOW
) -> bytes:
    """An AUTH message in which the key ``secret`` answers ``challenge``."""
    event = signed_event(
        secret,
        created_at=created_at,
        kind=22242,
        tags=[["relay", url], ["challenge", challenge]],
    )
    return b'["AUTH",%b]' % event.raw


def close_message(id_: str) -> bytes:
    """A CLOSE message."""
    return dumps(["CLOSE", id_])


def seen(id_: str, event: Event) -> list[Any]:
    """The EVENT message with which ``event`` comes to subscription ``id_``."""
    return ["EVENT", id_, json.loads(event.raw)]


def accepted(event: Event) -> list[Any]:
    """The OK for an event that is new."""
    return ["OK", event.id.hex(), True, ""]
