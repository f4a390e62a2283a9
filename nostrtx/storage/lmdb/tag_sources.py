# -*- test-case-name: tests.storage.test_lmdb_scan -*-
"""
Where to find the events with some tags, in the embedded store.

The tags of regular events lead to postings. Those of events with an address lead to
slots: either all of them are looked up, or the events of the kind are gone through,
newest first, until enough have the tag; whichever is less work.
"""

from __future__ import annotations

from collections.abc import Container, Generator, Iterable, Sequence
from typing import Any, Final

from nostrtx.nostr.kinds import has_address
from nostrtx.storage.lmdb.conditions import tag_lookup
from nostrtx.storage.lmdb.keys import POSTING_SIZE, kind_key, tag_prefix
from nostrtx.storage.lmdb.postings import KeyPostings, KnownPostings, PostingSource
from nostrtx.storage.lmdb.snapshot import Pauses, Snapshot

#: How many slots are looked up, and their postings sorted, between two pauses.
_SLOTS_AT_ONCE: Final = 512

#: What it costs to look up a slot; to go by an event; to see if it has one tag.
_SLOT_COST: Final = 14
_EVENT_COST: Final = 12
_TAG_COST: Final = 9


class TagSources:
    """
    The places in which the events with some values of a tag stand.

    Args:
        snapshot: The view of the store.
        letter: The name of the tag.
        kinds: The kinds that matter; None for any.
        left_out: Kinds that do not matter, then.
        first: The posting to begin with; empty for the start.
        end: The posting to end before; empty for no end.
        wanted: How many events are wanted; None if that is not known.

    Attributes:
        keys: Keys of the index of tags, for regular kinds. Not all need exist.
        others: Sources of events with an address, none of them in two.
        is_slow: Whether reading ``others`` takes much longer than other sources.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        letter: str,
        kinds: Iterable[int] | None,
        left_out: Iterable[int],
        first: bytes,
        end: bytes,
        wanted: int | None,
    ) -> None:
        self._snapshot = snapshot
        self._letter = letter
        self._kinds = kinds
        self._left_out = set(map(kind_key, left_out))
        self._first = first
        self._end = end
        self._wanted = wanted
        self.keys: list[bytes] = []
        self.others: list[PostingSource] = []
        self.is_slow = False

    def find(self, values: Sequence[str]) -> Pauses:
        """Find where events with one of ``values`` stand."""
        prefixes = [tag_prefix(self._letter, value) for value in values]
        versioned: dict[bytes, list[bytes]] = {}
        if self._kinds is None:
            snapshot = self._snapshot
            tags = snapshot.cursor(snapshot.db.tags)
            slot_tags = snapshot.cursor(snapshot.db.slot_tags)
            for prefix in prefixes:
                under = yield from kinds_under(tags, prefix, self._left_out)
                self.keys += [prefix + key for key in under]
                for key in (yield from kinds_under(slot_tags, prefix, self._left_out)):
                    versioned.setdefault(key, []).append(prefix)
                yield
        else:
            for kind in self._kinds:
                key = kind_key(kind)
                if has_address(kind):
                    versioned[key] = prefixes
                else:
                    self.keys += [prefix + key for prefix in prefixes]
        for key, with_kind in versioned.items():
            yield from self._find_versioned(key, with_kind)

    def _find_versioned(self, kind: bytes, prefixes: Sequence[bytes]) -> Pauses:
        snapshot = self._snapshot
        cursor = snapshot.cursor(snapshot.db.slot_tags)
        slots = 0
        present = []
        for count, prefix in enumerate(prefixes, 1):
            if cursor.set_key(prefix + kind):
                slots += cursor.count()
                present.append(prefix)
            if count % 500 == 0:
                yield
        if not present:
            return
        if self._wanted is not None:
            events = snapshot.cursor(snapshot.db.kinds)
            if events.set_key(kind):
                passed = min(1, (self._wanted + 1) / slots) * events.count()
                if passed * (_EVENT_COST + _TAG_COST * len(present)) < (
                    slots * _SLOT_COST
                ):
                    self.is_slow = True
                    self.others.append(self._among_kind(events, kind, present))
                    return
        yield from self._look_up(cursor, [prefix + kind for prefix in present])

    def _among_kind(
        self, events: Any, kind: bytes, prefixes: Sequence[bytes]
    ) -> PostingSource:
        has = tag_lookup(self._snapshot, prefixes)
        return KeyPostings(
            events, kind, self._first, self._end, lambda found: [*filter(has, found)]
        )

    def _look_up(self, cursor: Any, keys: Sequence[bytes]) -> Pauses:
        get = self._snapshot.get
        slots_db = self._snapshot.db.slots
        first, end = self._first, self._end
        slots: set[bytes] = set()
        for count, key in enumerate(keys, 1):
            cursor.set_key(key)
            for step, slot in enumerate(cursor.iternext_dup(), 1):
                slots.add(slot)
                if step % _SLOTS_AT_ONCE == 0:
                    yield
            if count % 100 == 0:
                yield
        ordered = list(slots)
        for at in range(0, len(ordered), _SLOTS_AT_ONCE):
            block = ordered[at : at + _SLOTS_AT_ONCE]
            postings = [get(slot, None, slots_db)[:POSTING_SIZE] for slot in block]
            if first or end:
                postings = [p for p in postings if p >= first and (not end or p < end)]
            postings.sort()
            self.others.append(KnownPostings(postings))
            yield


def kinds_under(
    cursor: Any, prefix: bytes, left_out: Container[bytes] = ()
) -> Generator[None, None, list[bytes]]:
    """
    The kinds, two bytes each, in the keys of an index that begin with ``prefix``.

    Args:
        cursor: A cursor of the index.
        prefix: What the keys begin with.
        left_out: Kinds that do not matter.
    """
    kinds: list[bytes] = []
    found = cursor.set_range(prefix)
    while found:
        key = cursor.key()
        if not key.startswith(prefix):
            break
        if key[-2:] not in left_out:
            kinds.append(key[-2:])
            if len(kinds) % 500 == 0:
                yield
                cursor.set_key(key)
        found = cursor.next_nodup()
    return kinds
