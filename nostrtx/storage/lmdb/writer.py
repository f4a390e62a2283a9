# -*- test-case-name: tests.storage.test_lmdb -*-
"""
Saving and removing events inside one write transaction.

By the rules of NIP-01, NIP-09 (deletion), NIP-40 (expiry) and NIP-62 (vanishing).

What is put into the indexes is gathered and written in the order of its keys, which
costs half as much as one by one. It is written out before anything that has to find
it there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from nostrtx.interfaces.store import SaveOutcome, SaveResult
from nostrtx.nostr.bans import Ban, BanKind
from nostrtx.nostr.deletion import (
    NOBODY,
    deleted_addresses,
    deleted_ids,
    is_deletion_request,
    may_delete,
)
from nostrtx.nostr.event import (
    RAW_ID,
    Event,
    d_value,
    indexed_tags,
    stored_event,
    supersedes,
)
from nostrtx.nostr.kinds import has_address, is_addressable
from nostrtx.nostr.vanish import is_vanish_request, names_all_relays, vanishes_with
from nostrtx.storage.lmdb.bans import lift_bans, put_ban
from nostrtx.storage.lmdb.keys import (
    KIND,
    LAST,
    POSTING_SIZE,
    SEQ,
    address_key,
    address_mark,
    created_at_of,
    expiry_key,
    id_mark,
    kind_key,
    number,
    other_d_prefix,
    tag_prefix,
    time_entry,
    vanish_mark,
)
from nostrtx.storage.lmdb.schema import COUNTERS, Databases
from nostrtx.storage.lmdb.tag_changes import Pairs, is_plain, slot_tags, tag_changes
from nostrtx.storage.lmdb.vanishing import vanishing

_DUPLICATE = SaveResult(SaveOutcome.DUPLICATE)
_SUPERSEDED = SaveResult(SaveOutcome.SUPERSEDED)
_DELETED = SaveResult(SaveOutcome.DELETED)
_VANISHED = SaveResult(SaveOutcome.VANISHED)

_Entries = list[tuple[bytes, bytes]]

#: Follow the posting of a version: whether its tags can be compared as text.
_PLAIN, _NOT_PLAIN = b"\1", b"\0"


class EventWriter:
    """
    Events on their way in and out in one transaction.

    Call :meth:`finish` before the transaction is committed.

    Args:
        databases: Where to write.
        txn: The transaction.
        obeys: Says which requests to vanish are for this relay.
    """

    def __init__(
        self,
        databases: Databases,
        txn: Any,
        obeys: Callable[[Event], bool] = names_all_relays,
    ) -> None:
        self._db = databases
        self._txn = txn
        self._obeys = obeys
        self._get = txn.get
        self._has_id = txn.cursor(databases.ids).set_key
        self._has_marks = txn.stat(databases.marks)["entries"] > 0
        self._has_vanished = self._has_marks and bool(
            txn.cursor(databases.marks).set_range(vanish_mark())
        )
        self._counters = txn.get(COUNTERS, db=databases.meta)
        self._last_seq = int.from_bytes(self._counters[:5], "big")
        self._last_slot = int.from_bytes(self._counters[5:], "big")
        self._new_ids: set[bytes] = set()
        self._new_addresses: set[bytes] = set()
        self._events: _Entries = []
        self._ids: _Entries = []
        self._authors: _Entries = []
        self._kinds: _Entries = []
        self._tags: _Entries = []
        self._times: _Entries = []

    def save(self, event: Event) -> SaveResult:
        """Save one event by the rules."""
        id_ = event.id
        if id_ in self._new_ids or self._has_id(id_):
            return _DUPLICATE
        if self._has_vanished and self._is_vanished(event):
            return _VANISHED
        kind = event.kind
        pubkey = event.pubkey
        is_versioned = has_address(kind)
        address = b""
        if is_versioned:
            d = d_value(event.tags) if is_addressable(kind) else ""
            address = address_key(pubkey, kind, d)
        if self._has_marks and self._is_deleted(event, address):
            return _DELETED
        seq = (self._last_seq + 1).to_bytes(5, "big")
        kind2 = kind.to_bytes(2, "big")
        time = (LAST - event.created_at).to_bytes(5, "big")
        rest = kind2 + pubkey[:4] + seq
        posting = time + id_[:4] + rest
        if is_versioned:
            if not self._take_address(event, address, posting):
                return _SUPERSEDED
        else:
            for letter, value in indexed_tags(event):
                self._tags.append((tag_prefix(letter, value) + kind2, posting))
        self._last_seq += 1
        self._new_ids.add(id_)
        self._events.append((seq, event.raw))
        self._ids.append((id_, posting))
        self._authors.append((pubkey + kind2, posting))
        self._kinds.append((kind2, posting))
        self._times.append((time[:3], time + id_ + rest))
        expiration = event.expiration
        if expiration is not None:
            self._txn.put(expiry_key(expiration, seq), posting, db=self._db.expiries)
        if is_deletion_request(event):
            self._delete_named(event)
        elif is_vanish_request(event) and self._obeys(event):
            self.vanish(event)
        return SaveResult(SaveOutcome.STORED, self._last_seq)

    def remove(self, posting: bytes) -> None:
        """Remove the stored event that ``posting`` stands for from every index."""
        self._flush()
        db = self._db
        seq = posting[SEQ]
        raw = self._get(seq, db=db.events)
        event = stored_event(raw)
        if has_address(event.kind):
            slot = self._get(seq, db=db.slot_of)
            self._change_slot_tags(slot, event, slot_tags(event), set())
            self._txn.delete(slot, db=db.slots)
            d = d_value(event.tags) if is_addressable(event.kind) else ""
            address = address_key(event.pubkey, event.kind, d)
            self._txn.delete(address, db=db.addresses)
        else:
            kind2 = kind_key(event.kind)
            delete = self._txn.cursor(db.tags)
            for letter, value in indexed_tags(event):
                if delete.set_key_dup(tag_prefix(letter, value) + kind2, posting):
                    delete.delete()
        self._forget(raw, event.pubkey, posting)

    def vanish(self, request: Event, most: int | None = None) -> None:
        """
        Remove what ``request`` takes along, and keep it from coming back.

        Args:
            request: The request to vanish; it need not have been saved.
            most: How many events to remove at most; None for all.
        """
        self._flush()
        db = self._db
        author, until = request.pubkey, number(request.created_at)
        self._has_marks = self._has_vanished = True
        mark = self._get(vanish_mark(author), db=db.marks)
        if mark is None or mark < until:
            self._txn.put(vanish_mark(author), until, db=db.marks)
        for posting in vanishing(db, self._txn, request, most):
            self.remove(posting)
        # What these marks keep away, the new one does as well.
        cursor = self._txn.cursor(db.marks)
        found = cursor.set_range(address_mark(author))
        while found and cursor.key().startswith(address_mark(author)):
            found = cursor.delete() if cursor.value() <= until else cursor.next()

    def vanish_ahead(self, request: Event, most: int) -> bool:
        """
        Begin to remove what ``request`` takes along, if it is more than ``most``.

        Returns:
            Whether it was; then ``most`` are gone now, and nothing comes back.
            False as well if the request itself would be refused.
        """
        if self._has_id(request.id):
            return False
        if self._has_marks and self._is_deleted(request, b""):
            return False
        if len(vanishing(self._db, self._txn, request, most + 1)) <= most:
            return False
        self.vanish(request, most)
        return True

    def remove_for_good(self, ids: Iterable[bytes]) -> int:
        """Remove events, and keep them from coming back; how many were here."""
        self._flush()
        db = self._db
        removed = 0
        for id_ in sorted(set(ids)):
            self._has_marks = True
            self._txn.put(id_mark(id_, NOBODY), b"", db=db.marks)
            posting = self._get(id_, db=db.ids)
            if posting is not None:
                self.remove(posting)
                removed += 1
        return removed

    def put_bans(self, bans: Sequence[Ban]) -> None:
        """Ban or allow, end the opposite, and remove what is banned."""
        for ban in bans:
            put_ban(self._db, self._txn, ban)
            if ban.kind is BanKind.EVENT:
                self.remove_for_good([bytes.fromhex(ban.subject)])
            if ban.opposite is not None:
                self.lift_bans([ban.opposite])

    def lift_bans(self, bans: Iterable[tuple[BanKind, str]]) -> int:
        """Lift bans; how many there were."""
        lifted = lift_bans(self._db, self._txn, bans)
        for kind, subject in lifted:
            if kind is BanKind.EVENT:
                mark = id_mark(bytes.fromhex(subject), NOBODY)
                self._txn.delete(mark, db=self._db.marks)
        return len(lifted)

    def change_record(
        self, name: str, change: Callable[[bytes | None], bytes | None]
    ) -> bool:
        """Keep something else under ``name``; whether it was changed."""
        key = name.encode()
        record = change(self._txn.get(key, db=self._db.records))
        if record is not None:
            self._txn.put(key, record, db=self._db.records)
        return record is not None

    def remove_expired(self, now: float, most: int) -> int:
        """Remove at most ``most`` events that have expired by ``now``; how many."""
        end = expiry_key(max(int(now), -1) + 1, b"")
        cursor = self._txn.cursor(self._db.expiries)
        expired: list[bytes] = []
        for key, posting in cursor.iternext():
            if key >= end or len(expired) == most:
                break
            expired.append(posting)
        for posting in expired:
            self.remove(posting)
        return len(expired)

    def finish(self) -> None:
        """Write what has been gathered."""
        self._flush()
        counters = number(self._last_seq) + number(self._last_slot)
        if counters != self._counters:
            self._txn.put(COUNTERS, counters, db=self._db.meta)

    def _flush(self) -> None:
        if not self._events:
            return
        db = self._db
        cursor = self._txn.cursor
        cursor(db.events).putmulti(self._events, append=True)
        for handle, pairs in (
            (db.ids, self._ids),
            (db.authors, self._authors),
            (db.kinds, self._kinds),
            (db.tags, self._tags),
            (db.times, self._times),
        ):
            pairs.sort()
            cursor(handle).putmulti(pairs)
            pairs.clear()
        self._events.clear()
        self._new_ids.clear()
        self._new_addresses.clear()

    def _is_vanished(self, event: Event) -> bool:
        db = self._db.marks
        marks = [self._get(vanish_mark(key), db=db) for key in vanishes_with(event)]
        until = number(event.created_at)
        return any(mark is not None and until <= mark for mark in marks)

    def _is_deleted(self, event: Event, address: bytes) -> bool:
        db = self._db.marks
        any_mark = id_mark(event.id)
        cursor = self._txn.cursor(db)
        if (
            cursor.set_range(any_mark)
            and cursor.key().startswith(any_mark)
            and any(
                self._get(id_mark(event.id, key), db=db) is not None
                for key in (NOBODY, *may_delete(event))
            )
        ):
            return True
        if not address:
            return False
        mark = self._get(address_mark(address), db=db)
        return mark is not None and event.created_at <= int.from_bytes(mark, "big")

    def _take_address(self, event: Event, address: bytes, posting: bytes) -> bool:
        """Make ``event`` the version of its address, unless it does not supersede."""
        if address in self._new_addresses:
            self._flush()
        db = self._db
        put = self._txn.put
        slot = self._get(address, db=db.addresses)
        plain = _PLAIN if is_plain(event) else _NOT_PLAIN
        if slot is None:
            self._last_slot += 1
            slot = number(self._last_slot)
            put(address, slot, db=db.addresses)
            self._change_slot_tags(slot, event, set(), slot_tags(event))
        else:
            old = self._get(slot, db=db.slots)
            old_posting, old_plain = old[:POSTING_SIZE], old[POSTING_SIZE:][:1]
            raw = self._get(old_posting[SEQ], db=db.events)
            old_id = bytes.fromhex(str(raw[RAW_ID], "ascii"))
            if not supersedes(event, created_at_of(old_posting), old_id):
                return False
            are_plain = plain == old_plain == _PLAIN
            self._change_slot_tags(slot, event, *tag_changes(raw, event, are_plain))
            self._forget(raw, event.pubkey, old_posting)
        self._new_addresses.add(address)
        put(slot, posting + plain + event.pubkey, db=db.slots)
        put(posting[SEQ], slot, db=db.slot_of)
        return True

    def _change_slot_tags(
        self,
        slot: bytes,
        event: Event,
        removed: Pairs,
        added: Pairs,
    ) -> None:
        """Change what leads to ``slot``; ``event`` is a version of its address."""
        kind2 = kind_key(event.kind)
        pubkey = event.pubkey
        cursor = self._txn.cursor(self._db.slot_tags)
        for pair in removed:
            if cursor.set_key_dup(_slot_tag_prefix(pair, pubkey) + kind2, slot):
                cursor.delete()
        fresh = [(_slot_tag_prefix(pair, pubkey) + kind2, slot) for pair in added]
        if fresh:
            fresh.sort()
            cursor.putmulti(fresh)

    def _forget(self, raw: bytes, pubkey: bytes, posting: bytes) -> None:
        """Take a written event out of all indexes but those of tags and addresses."""
        db = self._db
        delete = self._txn.delete
        seq = posting[SEQ]
        kind2 = posting[KIND]
        id_ = bytes.fromhex(str(raw[RAW_ID], "ascii"))
        delete(seq, db=db.events)
        delete(id_, db=db.ids)
        delete(pubkey + kind2, posting, db=db.authors)
        delete(kind2, posting, db=db.kinds)
        key, value = time_entry(posting, id_)
        delete(key, value, db=db.times)
        delete(seq, db=db.slot_of)
        expiration = _expiration(raw)
        if expiration is not None:
            delete(expiry_key(expiration, seq), db=db.expiries)

    def _delete_named(self, request: Event) -> None:
        """Remove what ``request`` names, and keep it from coming back."""
        self._flush()
        db = self._db
        put = self._txn.put
        for id_ in sorted(deleted_ids(request)):
            self._has_marks = True
            put(id_mark(id_, request.pubkey), b"", db=db.marks)
            posting = self._get(id_, db=db.ids)
            if posting is not None and self._may_delete(request, posting):
                self.remove(posting)
        until = number(request.created_at)
        for address in deleted_addresses(request):
            self._has_marks = True
            key = address_key(address.pubkey, address.kind, address.d)
            mark = self._get(address_mark(key), db=db.marks)
            if mark is None or mark < until:
                put(address_mark(key), until, db=db.marks)
            slot = self._get(key, db=db.addresses)
            if slot is not None:
                posting = self._get(slot, db=db.slots)[:POSTING_SIZE]
                if created_at_of(posting) <= request.created_at:
                    self.remove(posting)

    def _may_delete(self, request: Event, posting: bytes) -> bool:
        event = stored_event(self._get(posting[SEQ], db=self._db.events))
        return request.pubkey in may_delete(event)


def _slot_tag_prefix(pair: tuple[str, str], pubkey: bytes) -> bytes:
    name, value = pair
    return tag_prefix(name, value) if name else other_d_prefix(pubkey, value)


def _expiration(raw: bytes) -> int | None:
    """When the event ``raw`` expires; mostly it is quick to see that it does not."""
    return stored_event(raw).expiration if b'"expiration"' in raw else None
