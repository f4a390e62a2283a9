# -*- test-case-name: tests.test_interfaces -*-
"""What stores promise: events in order of arrival, queries, bans, records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Interface

from nostrtx.interfaces.queries import IScreen, IStoredCount, IStoredQuery
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
        Ban or allow, in one transaction; what is already gets the new reason and time.

        Banning somebody or something ends that the same was allowed, and the other way
        round. A banned event is removed, and does not come back as long as the ban
        holds. Beyond that a store only keeps what is banned or allowed.

        Returns:
            Fires when it is durable. Fails with :class:`StoreError` if nothing was
            changed.
        """

    def lift_bans(bans: Sequence[tuple[BanKind, str]]) -> Deferred[int]:
        """
        Lift bans, each named by kind and subject, in one transaction.

        What was allowed is so no longer. An event may be published again, whoever has
        removed it.

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
        has read the log to its end, knows all of it. A process that ends, or cannot
        be reached any more, is no longer alone; if somebody else has been since, it
        changes nothing until it has left.

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
