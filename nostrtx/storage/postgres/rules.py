# -*- test-case-name: tests.storage.test_postgres -*-
"""
The rules by which a batch of events is saved (NIP-01, NIP-09, NIP-40, NIP-62).

Nothing is asked of the server here: all that the rules may need to know of it was
fetched before, for the whole batch, and what is to be changed there comes out.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set

import attrs

from nostrtx.interfaces.store import SaveOutcome, SaveResult
from nostrtx.nostr.deletion import (
    NOBODY,
    deleted_addresses,
    deleted_ids,
    is_deletion_request,
    may_delete,
)
from nostrtx.nostr.event import Event, stored_event, supersedes
from nostrtx.nostr.kinds import DELETION_REQUEST, REQUEST_TO_VANISH
from nostrtx.nostr.vanish import is_vanish_request, vanishes_with
from nostrtx.storage.postgres.keys import address_key, address_of

_DUPLICATE = SaveResult(SaveOutcome.DUPLICATE)
_SUPERSEDED = SaveResult(SaveOutcome.SUPERSEDED)
_DELETED = SaveResult(SaveOutcome.DELETED)
_VANISHED = SaveResult(SaveOutcome.VANISHED)


@attrs.frozen(slots=True, eq=False)
class Held:
    """
    An event that is in the store, or will be with this batch.

    Attributes:
        seq: Its place in the log.
        id: Its id.
        pubkey: Its author.
        kind: Its kind.
        created_at: When it was made.
        address: The key of its address, if it has one.
        raw: Its JSON; None where it need not be known, which is in all kinds but
            gift wraps.
        event: The event if it came with this batch.
    """

    seq: int
    id: bytes
    pubkey: bytes
    kind: int
    created_at: int
    address: bytes | None
    raw: bytes | None = None
    event: Event | None = None

    def deleters(self) -> Set[bytes]:
        """Whose request deletes it by its id."""
        if self.kind in (DELETION_REQUEST, REQUEST_TO_VANISH):
            return frozenset()
        if self.event is not None:
            return may_delete(self.event)
        if self.raw is not None:
            return may_delete(stored_event(self.raw))
        return {self.pubkey}

    def takers(self) -> Set[bytes]:
        """Whose request to vanish takes it along."""
        return {self.pubkey} if self.kind == DELETION_REQUEST else self.deleters()


@attrs.define(eq=False)
class Marks:
    """
    What must not come back.

    Attributes:
        ids: Ids, each with who has asked for its deletion.
        addresses: Keys of addresses, and until when they were deleted.
        vanished: Authors, and until when they have vanished.
    """

    ids: set[tuple[bytes, bytes]] = attrs.field(factory=set)
    addresses: dict[bytes, int] = attrs.field(factory=dict)
    vanished: dict[bytes, int] = attrs.field(factory=dict)


class Batch:
    """
    Some events on their way into the store.

    Args:
        last_seq: Of the event stored last.
        held: What is in the store of what the events may meet there.
        marks: What must not come back, as far as the events may meet it.
        obeys: Says which requests to vanish are for this relay.

    Attributes:
        first_seq: As ``last_seq`` above.
        last_seq: Of the event stored last; grows with every event.
        added: What is to be written.
        removed: The ``seq`` of what is to be removed.
        new_marks: What must not come back from now on.
    """

    def __init__(
        self,
        last_seq: int,
        held: Iterable[Held],
        marks: Marks,
        obeys: Callable[[Event], bool],
    ) -> None:
        self.first_seq = self.last_seq = last_seq
        self.added: dict[int, Held] = {}
        self.removed: list[int] = []
        self.new_marks = Marks()
        self._marks = marks
        self._obeys = obeys
        self._by_id: dict[bytes, Held] = {}
        self._by_address: dict[bytes, Held] = {}
        for one in held:
            self._by_id[one.id] = one
            if one.address is not None:
                self._by_address[one.address] = one

    def save(self, event: Event) -> SaveResult:
        """What becomes of one event."""
        if event.id in self._by_id:
            return _DUPLICATE
        marks = self._marks
        if marks.vanished and any(
            event.created_at <= marks.vanished.get(key, -1)
            for key in vanishes_with(event)
        ):
            return _VANISHED
        if marks.ids and any(
            (event.id, key) in marks.ids for key in (NOBODY, *may_delete(event))
        ):
            return _DELETED
        address = address_of(event)
        if address is not None:
            if event.created_at <= marks.addresses.get(address, -1):
                return _DELETED
            current = self._by_address.get(address)
            if current is not None:
                if not supersedes(event, current.created_at, current.id):
                    return _SUPERSEDED
                self._remove(current)
        if is_deletion_request(event):
            self._delete(event)
        elif is_vanish_request(event) and self._obeys(event):
            self._vanish(event)
        self.last_seq += 1
        held = Held(
            self.last_seq,
            event.id,
            event.pubkey,
            event.kind,
            event.created_at,
            address,
            event=event,
        )
        self.added[held.seq] = held
        self._by_id[held.id] = held
        if address is not None:
            self._by_address[address] = held
        return SaveResult(SaveOutcome.STORED, held.seq)

    def _delete(self, request: Event) -> None:
        """Remove what a deletion request names, and keep it from coming back."""
        for id_ in deleted_ids(request):
            self._mark_id(id_, request.pubkey)
            target = self._by_id.get(id_)
            if target is not None and request.pubkey in target.deleters():
                self._remove(target)
        until = request.created_at
        for named in deleted_addresses(request):
            key = address_key(named.pubkey, named.kind, named.d)
            _raise(self._marks.addresses, self.new_marks.addresses, key, until)
            target = self._by_address.get(key)
            if target is not None and target.created_at <= until:
                self._remove(target)

    def _vanish(self, request: Event) -> None:
        """Remove what is the author's, and keep it from coming back."""
        author, until = request.pubkey, request.created_at
        _raise(self._marks.vanished, self.new_marks.vanished, author, until)
        for held in list(self._by_id.values()):
            if held.created_at <= until and author in held.takers():
                self._remove(held)

    def _mark_id(self, id_: bytes, deleter: bytes) -> None:
        self._marks.ids.add((id_, deleter))
        self.new_marks.ids.add((id_, deleter))

    def _remove(self, held: Held) -> None:
        del self._by_id[held.id]
        if held.address is not None:
            del self._by_address[held.address]
        if self.added.pop(held.seq, None) is None:
            self.removed.append(held.seq)


def _raise(
    marks: dict[bytes, int], new: dict[bytes, int], key: bytes, until: int
) -> None:
    if until > marks.get(key, -1):
        marks[key] = new[key] = until


def named_by(events: Iterable[Event]) -> Mapping[str, set[bytes]]:
    """
    What the rules must know about, for a batch of events.

    Returns:
        Under ``ids`` the ids, under ``marked_ids`` those that might be marked, under
        ``addresses`` the keys of addresses, under ``authors`` those whose request to
        vanish would take one of the events along.
    """
    ids: set[bytes] = set()
    requested: set[bytes] = set()
    addresses: set[bytes] = set()
    authors: set[bytes] = set()
    for event in events:
        ids.add(event.id)
        authors |= vanishes_with(event)
        address = address_of(event)
        if address is not None:
            addresses.add(address)
        if is_deletion_request(event):
            requested |= deleted_ids(event)
            addresses.update(
                address_key(named.pubkey, named.kind, named.d)
                for named in deleted_addresses(event)
            )
    return {
        "ids": ids | requested,
        "marked_ids": ids,
        "addresses": addresses,
        "authors": authors,
    }
