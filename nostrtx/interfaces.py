# -*- test-case-name: tests.test_interfaces -*-
"""
What the parts of the relay promise one another.

Storage, relay and the edge meet only here. Unless a docstring says otherwise,
everything is called from, and calls back in, the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from nostrtx.nostr.bans import Ban, BanKind
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.negentropy.snapshot import Snapshot


class SaveOutcome(Enum):
    """
    What became of an event that was to be saved.

    Attributes:
        STORED: It is in the store now, under a new ``seq``.
        DUPLICATE: The store holds this very event already.
        SUPERSEDED: The store holds a later version for the same address.
        DELETED: Its author (or a gift wrap's recipient) has asked to delete it, or
            the relay has removed it.
        VANISHED: Its author (or a gift wrap's recipient) has asked to vanish.
    """

    STORED = "stored"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    DELETED = "deleted"
    VANISHED = "vanished"


@attrs.frozen(slots=True)
class SaveResult:
    """
    The answer for one event of :meth:`IEventStore.save_events`.

    Attributes:
        outcome: What became of it.
        seq: Its place in the arrival log if it was stored, else 0.
    """

    outcome: SaveOutcome
    seq: int = 0


@attrs.frozen(slots=True)
class Taken:
    """
    An event was acted upon and goes no further: neither stored nor delivered.

    Attributes:
        reason: What OK true says, beginning with a prefix; may be empty.
    """

    reason: str = ""


class StoreError(Exception):
    """
    The store could not do what was asked; nothing was changed.

    The text is fit for a client's eyes and for the log: disk full, map full.
    """


class TooManyEvents(Exception):
    """
    More events match than were asked for at most.

    Attributes:
        most: How many.
    """

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most


class StoreUnusable(Exception):
    """The store cannot be opened; the text is one line that says what to do."""


@attrs.frozen(slots=True)
class Page:
    """
    A part of a stored query's answer.

    Attributes:
        events: Events as :attr:`Event.raw`, in the query's order. May be empty
            while ``done`` is False: the time was up before anything was found.
        done: Whether this is the last page.
        more: Once all is given: whether other events match as well and were left
            out because of limits; None if that is not known.
    """

    events: Sequence[bytes]
    done: bool
    more: bool | None = None


@attrs.frozen(slots=True)
class Count:
    """
    How many events match, as far as they have been counted.

    Attributes:
        events: How many; never more than there are.
        done: Whether these are all.
    """

    events: int
    done: bool


@attrs.frozen(slots=True)
class LogPart:
    """
    A part of the arrival log.

    Attributes:
        events: The events in it, each as its ``seq`` and its :attr:`Event.raw`.
        to: The part ends here, at this ``seq``: what is not among the events has
            been removed.
        last: The ``seq`` of the event stored last, as of this reading.
    """

    events: Sequence[tuple[int, bytes]]
    to: int
    last: int


@attrs.frozen(slots=True)
class BanChange:
    """
    What became last of one that was banned.

    Attributes:
        number: Its place among all changes; a later change has a larger number.
        ban: What was said.
        is_lifted: Whether the ban holds no longer.
    """

    number: int
    ban: Ban
    is_lifted: bool = False


class BroadcasterUnusable(Exception):
    """This node cannot join the others; the text is one line that says why."""


class IManagement(Interface):
    """Does what owners and moderators ask for over HTTP (NIP-86)."""

    def answer(
        authorization: bytes | None, query: str, body: bytes
    ) -> Deferred[tuple[int, bytes]]:
        """
        Do what a POST request asks for, if it may.

        Args:
            authorization: The value of its header of that name, if it has one.
            query: Of its URL, without the question mark; mostly empty.
            body: The whole of it.

        Returns:
            The HTTP status and the body of the answer; fires when what was asked
            for is durable and holds in this process. It does not fail.
        """


class IScreen(Interface):
    """What one reader may not see of a store's answers; asked for every event."""

    kinds: frozenset[int] | None = Attribute(
        """
        The kinds of which some events are hidden; None if any may be. Events of
        other kinds are shown without asking.
        """
    )

    hides_all: bool = Attribute(
        """Whether all events of those kinds are hidden, so that none need be read."""
    )

    parties: Collection[bytes] | None = Attribute(
        """
        Pubkeys of which one must have written an event of those kinds, or be named in
        a ``p`` tag of it, or it is hidden: so a store need not read all the others.
        None if that is not the rule.
        """
    )

    def may_read(raw: bytes) -> bool:
        """Whether the reader may see the event with this :attr:`Event.raw`."""


class IStoredQuery(Interface):
    """
    One running query over one snapshot of the store.

    The union of what the filters match is given once each, newest first, ties by
    id. Of each filter's matches at most its ``limit`` newest are given, and where
    it has ``whole_seconds``, what was made in the last one's second, within reason;
    what is expired does not use up a limit. What is removed from the store before
    its page is asked for may be left out.
    """

    floor: int | None = Attribute(
        """
        The ``seq`` of the last event in the snapshot, 0 in an empty store.
        The answer holds matches up to here and none beyond. None as long as that
        is not known: a store elsewhere knows it with the first page.
        """
    )

    def next_page(max_bytes: int, deadline: float) -> Deferred[Page] | Page:
        """
        The next part of the answer.

        Call it again only after the previous call has answered.

        Args:
            max_bytes: About how many bytes of events to give; at least one event
                is given if any is left and there is time.
            deadline: When to stop and give what there is, possibly nothing, on
                the clock of ``IReactorTime.seconds``.

        Returns:
            The page, at once from an embedded store.

        Raises:
            StoreError: The store failed; the query is over.
        """

    def close() -> None:
        """Give up the snapshot. May be called at any time, and more than once."""


class IStoredCount(Interface):
    """One count under way, over one snapshot of the store."""

    def go_on(deadline: float) -> Deferred[Count] | Count:
        """
        Count on; call it again only after the previous call has answered.

        Args:
            deadline: When to stop, on the clock of ``IReactorTime.seconds``.
                However late it is, the count gets on a little each time.

        Returns:
            What has been counted so far, at once from an embedded store. Whoever
            has no more time may take that for a lower bound.

        Raises:
            StoreError: The store failed; the count is over.
        """

    def close() -> None:
        """Give up the snapshot. May be called at any time, and more than once."""


class IEventStore(Interface):
    """
    Where events are kept, in order of arrival, each under a growing ``seq``.

    The rules of NIP-01 (replaceable, addressable), NIP-09 (deletion), NIP-40
    (expiration) and NIP-62 (vanishing) are applied where events are saved, so no two
    events of one address and no deleted event are ever seen. A store is told when it
    is made which requests to vanish are for this relay.
    """

    def open() -> None:
        """
        Open the store; called once, before anything else, in the final process.

        Raises:
            StoreUnusable: It cannot be opened.
        """

    def close() -> Deferred[None]:
        """Finish what was handed over and close; fires when that is durable."""

    def facts() -> Mapping[str, str]:
        """
        In what all processes that share the store must agree: ``store``, which tells
        it from all others, and ``layout``, its version. Only while it is open.
        """

    def sizes() -> Deferred[Mapping[str, int]] | Mapping[str, int]:
        """
        How many bytes each part of the store takes, by its name. Cheap.

        Returns:
            The sizes, at once from an embedded store. The Deferred fails with
            :class:`StoreError`.

        Raises:
            StoreError: The store failed.
        """

    def save_events(events: Sequence[Event]) -> Deferred[list[SaveResult]]:
        """
        Save events in one transaction, each by the rules, in the order given.

        A deletion request also removes what it names, and a request to vanish that
        is for this relay all that is its author's. The caller has checked shape, id,
        signature and expiration, and passes no ephemeral events.

        Returns:
            One result per event; fires when all of it is durable. Fails with
            :class:`StoreError` if nothing was stored; what was to vanish may be gone
            by then.
        """

    def query(
        filters: Sequence[Filter], now: float, screen: IScreen | None = None
    ) -> IStoredQuery:
        """
        Begin to answer ``filters`` from the store as it is at this moment.

        Args:
            filters: Each with its ``limit`` set; None means no limit.
            now: Seconds since 1970; events that expire by then are left out.
            screen: Hides events from the reader; what it hides is left out and
                does not use up a limit. None hides nothing.
        """

    def count(
        filters: Sequence[Filter],
        now: float,
        screen: IScreen | None = None,
        authors: Callable[[bytes], None] | None = None,
    ) -> IStoredCount:
        """
        Begin to count what matches at least one of ``filters``, each event once.

        Args:
            filters: Their limits do not apply.
            now: Seconds since 1970; events that expire by then are not counted.
            screen: What it hides is not counted. None hides nothing.
            authors: Called with the pubkey of each event that is counted. Without
                it an index often knows the number without looking at the events.
        """

    def sealed_set(
        asked: Filter, now: float, screen: IScreen | None, most: int | None
    ) -> Deferred[Snapshot]:
        """
        What matches ``asked`` at this moment or soon after, for reconciliation.

        Args:
            asked: What is asked for. Its limit holds: the newest are taken.
            now: Seconds since 1970; events that expire by then are left out.
            screen: What it hides is left out and does not use up the limit. It is
                asked from any thread. None hides nothing.
            most: How many events there may be; None for any number.

        Returns:
            The set; may be cancelled. Fails with :class:`TooManyEvents`, before
            anything was sorted.
        """

    def remove_events(ids: Sequence[bytes]) -> Deferred[int]:
        """
        Remove events in one transaction, and keep them from coming back.

        That is the relay's own decision, not the author's (NIP-29, kind 9005). An id
        of which there is no event is remembered all the same: such an event is
        refused as DELETED.

        Returns:
            How many were removed.
        """

    def delete_expired(now: float) -> Deferred[int]:
        """
        Remove events that have expired by ``now``, at most some thousand at a time.

        Returns:
            How many were removed; call again until it is 0.
        """

    def put_bans(bans: Sequence[Ban]) -> Deferred[None]:
        """
        Ban, in one transaction; what is banned already gets the new reason and time.

        A banned event is removed, and does not come back as long as the ban holds.
        Beyond that a store only keeps what is banned.

        Returns:
            Fires when it is durable. Fails with :class:`StoreError` if nothing was
            changed.
        """

    def lift_bans(bans: Sequence[tuple[BanKind, str]]) -> Deferred[int]:
        """
        Lift bans, each named by kind and subject, in one transaction.

        An event may be published again, whoever has removed it.

        Returns:
            How many there were; fires when it is durable. Fails with
            :class:`StoreError` if nothing was changed.
        """

    def ban_changes(
        after: int, most: int
    ) -> Deferred[Sequence[BanChange]] | Sequence[BanChange]:
        """
        How the bans have changed since change number ``after``, in order.

        Of each subject only the last change is kept, so those after 0 are all bans,
        and some that were lifted. What only a later version understands is left out.
        Cheap where nothing has changed.

        Returns:
            The next ``most`` changes, at once from an embedded store. What is changed
            later has a larger number than anything that was given. The Deferred fails
            with :class:`StoreError`.

        Raises:
            StoreError: The store failed.
        """

    def record(name: str) -> Deferred[bytes | None] | bytes | None:
        """
        What is kept under ``name``, which is no event; None if nothing is.

        Returns:
            It, at once from an embedded store. The Deferred fails with
            :class:`StoreError`.

        Raises:
            StoreError: The store failed.
        """

    def change_record(
        name: str, change: Callable[[bytes | None], bytes | None]
    ) -> Deferred[bool]:
        """
        Keep something else under ``name``; no process changes it at the same time.

        Args:
            name: What it is called.
            change: Called with what there is, from any thread and perhaps again;
                gives what there is to be, or None to leave it.

        Returns:
            Whether it was changed; fires when that is durable. Fails with
            :class:`StoreError` if nothing was changed.
        """

    def last_seq() -> int:
        """
        The ``seq`` of the event stored last, 0 in a store that never had one.

        A store elsewhere tells what it has last heard of.

        Raises:
            StoreError: The store failed.
        """

    def heard_of(seq: int) -> None:
        """
        Take note that the log ends at ``seq``, as others say, or at least there.

        What a store elsewhere answers from now on must hold all events up to there,
        for they may have been delivered by then. A smaller ``seq`` than before says
        that the log was put back.
        """

    def log_after(seq: int, most: int) -> Deferred[LogPart] | LogPart:
        """
        The arrival log after ``seq``: the next ``most`` events, each after its own.

        Returns:
            The part, at once from an embedded store. The Deferred fails with
            :class:`StoreError`.

        Raises:
            StoreError: The store failed.
        """

    def alone() -> Deferred[Callable[[], None]]:
        """
        Wait until nobody else, in whatever process that shares the store, is alone.

        For changes that rest upon what others have changed: whoever is alone, and
        has read the log to its end, knows all of it. A process that ends is no
        longer alone.

        Returns:
            Fires with what is to be called at the end, once; may be cancelled. Fails
            with :class:`StoreError`.
        """

    def events_after(seq: int, most: int) -> list[tuple[int, bytes]]:
        """
        The arrival log after ``seq``: the next ``most`` events, each after its own.

        What was removed is not in it. May be called from any thread, which then
        waits for the store.

        Raises:
            StoreError: The store failed.
        """

    def events_at(seqs: Sequence[int]) -> list[bytes | None]:
        """
        The events with these ``seq``, each as :attr:`Event.raw`; None if removed.

        May be called from any thread.

        Raises:
            StoreError: The store failed.
        """


class IBroadcaster(Interface):
    """
    News between the processes of one relay, workers of a machine or nodes.

    News may be lost: what matters for long is in the store, and is looked for there.
    Nobody hears what it said itself. What one process says on one topic arrives in
    that order.
    """

    name: str = Attribute(
        "What this process is called; unique among those that hear one another."
    )

    shares_store: bool = Attribute(
        """
        Whether all that hear it read one embedded store, so that stored events need
        not travel.
        """
    )

    is_connected: bool = Attribute("Whether news arrives and can be sent now.")

    def listen(topic: str, heard: Callable[[str, bytes], None]) -> None:
        """
        Have ``heard`` called with the sender's name and each payload on ``topic``.

        To be called before :meth:`start`. The news are as the sender said them: the
        broadcaster lets in nobody else.
        """

    def on_connected(call: Callable[[], None]) -> None:
        """Have ``call`` made whenever a connection stands; before, news was lost."""

    def start() -> Deferred[None]:
        """
        Join the others.

        Returns:
            Fires once this process may serve, also when the others cannot be
            reached at this moment. Fails with :class:`BroadcasterUnusable` if it may
            never join them.
        """

    def publish(topic: str, payload: bytes) -> bool:
        """
        Tell all others; False if there is no connection and the news is lost.

        Args:
            topic: ASCII, at most 32 characters.
            payload: Any bytes.
        """

    def facts() -> Mapping[str, int]:
        """What has been counted since the start, by name, to be told; only grows."""

    def stop() -> Deferred[None]:
        """Send what was published, then leave; fires when that is done."""


class IOtherProcesses(Interface):
    """
    The relay's other processes, as those see them who tell each other of themselves.

    Whoever does so tells everything on an arrival, and what has changed later on; and
    forgets what was heard of a process on its departure.
    """

    are_none: bool = Attribute(
        "Whether nobody else is there, so that all telling is idle."
    )

    instance: str = Attribute(
        "Names this start of this process; what started later has a larger one."
    )

    def listen(topic: str, heard: Callable[[str, bytes], None]) -> None:
        """As :meth:`IBroadcaster.listen`; whoever is heard has arrived before."""

    def publish(topic: str, payload: bytes) -> bool:
        """As :meth:`IBroadcaster.publish`."""

    def on_beat(call: Callable[[], None]) -> None:
        """Have ``call`` made about once a second."""

    def on_arrival(call: Callable[[], None]) -> None:
        """Have ``call`` made when another process needs to be told everything."""

    def on_departure(call: Callable[[str], None]) -> None:
        """
        Have ``call`` made with the name of a process that is gone.

        One that was only out of reach may come back as it was.
        """


class IClient(Interface):
    """
    One connection, as a session sees it: where answers go.
    """

    def send(message: bytes) -> None:
        """
        Queue one message (UTF-8 JSON); it leaves at the end of the reactor's turn.

        Harmless after the connection was lost.
        """

    def send_shared(head: bytes, body: bytes) -> None:
        """
        Queue the message ``head + body``, whose body goes to other clients as well.

        Hand the very same ``body`` to one client after the other, with nothing else
        between: then what they have in common is made once.
        """

    def send_events(head: bytes, events: Sequence[bytes]) -> None:
        """
        Queue one message for each of ``events``, in order, as :meth:`send` does.

        Args:
            head: What stands before the event in each message; a ``]`` follows it.
            events: Events as :attr:`Event.raw`.
        """

    def is_full() -> bool:
        """Whether so much is unsent that a stored query should wait."""

    def when_ready() -> Deferred[None]:
        """
        Fires when the client has taken enough that :meth:`is_full` is False.

        Fires with CancelledError if the connection is lost; may be cancelled.
        """

    def close(code: int, reason: str) -> None:
        """Send what is queued, then close with an RFC 6455 code and reason."""


class IClientSession(Interface):
    """What the relay holds for one connection: its messages go in here."""

    def message_received(text: bytes) -> None:
        """Take one message, the UTF-8 text of one WebSocket message. Never raises."""

    def binary_received() -> None:
        """Take note that the client sent a binary message, which means nothing."""

    def connection_lost() -> None:
        """Release all that is held for the client; nothing is sent any more."""

    def shut_down() -> None:
        """Answer everything open: CLOSED for every subscription. Nothing follows."""


class IRelay(Interface):
    """What the edge asks of the relay."""

    def session(client: IClient) -> IClientSession:
        """Begin a session for a client that has just connected."""

    def refusal(address: str) -> tuple[int, str] | None:
        """
        HTTP status and reason if ``address`` may not connect now, else None.

        Args:
            address: An IP address; empty where there is none.
        """

    def on_refusals(call: Callable[[], None]) -> None:
        """Have ``call`` made whenever other addresses are refused than before."""


class IAdmission(Interface):
    """A rule beyond the protocol that says which events the relay takes."""

    def admit(event: Event) -> Deferred[Taken | None] | Taken | None:
        """
        Decide about an event of good shape and signature, before it is stored.

        Returns:
            None if the event may go on, :class:`Taken` if that was all; or a
            Deferred of either, while which other events go on. It may be cancelled.

        Raises:
            Rejected: The event is refused; the Deferred may fail with it, too.
        """


class ITurns(Interface):
    """
    The turns of the reactor, at whose end gathered work is done once.

    Much arrives in one turn: signatures to check, events to store, frames to
    send. Who gathers such work registers a call here and does it in bulk.
    """

    def at_end(call: Callable[[], bool]) -> None:
        """
        Make ``call`` at the end of turns, before the reactor waits for I/O.

        Calls are made in the order in which they were registered, also in turns
        in which there is nothing to do, so they must be quick to find out.

        Args:
            call: Returns whether it left work for which the reactor must not wait.
                Must not raise; if it does, that is logged and it is called again
                in the next turn.
        """

    def needed() -> None:
        """
        Say that there is something to do at the end of this turn.

        Costs next to nothing, but say it once and not for every piece of work.
        """


class RegisterError(Exception):
    """The register of members cannot be used; the text is one line that says why."""


class IRegisterDatabase(Interface):
    """
    A small SQL database, for the register of members.

    Statements are in what SQLite and PostgreSQL have in common, with ``?`` for each
    value: an integer, a float, bytes, None, or text without NUL.

    Any thread may use it, and all may wait long: in the reactor's thread only while
    the relay starts. Whatever it cannot do, it says with :class:`RegisterError`.
    """

    def open(schema: str, version: int) -> None:
        """
        Open the database, and make its tables if there are none.

        Args:
            schema: Makes the tables, with semicolons in between. There are three
                types: ``BLOB``, ``INTEGER`` of 64 bits, and ``TEXT``, which is
                ordered by code points.
            version: Of the tables; if those that are there have another one, that
                is an error.
        """

    def transaction() -> AbstractContextManager[None]:
        """
        Let others wait; what is changed in the context is durable at its end.

        If the context ends with an exception, nothing has changed; but if the last
        step of a transaction fails, nobody knows.
        """

    def rows(query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a query finds; in a transaction."""

    def change(statement: str, values: Sequence[object] = ()) -> int:
        """Change something; how many rows that concerned. In a transaction."""

    def has_changed() -> bool:
        """
        Whether somebody else has changed something since this was last asked.

        At first since it was opened.
        """

    def close() -> None:
        """Close it; it is not used any more."""
