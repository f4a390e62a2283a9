# -*- test-case-name: tests.storage.test_lmdb_scan -*-
"""
What a filter asks for and the index that was chosen does not ensure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from functools import lru_cache
from typing import Any, Final

from nostrtx.interfaces.queries import IScreen
from nostrtx.nostr.event import RAW_PUBKEY, indexed_tags, stored_event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import has_address
from nostrtx.storage.lmdb.keys import (
    KIND,
    PUBKEY,
    SEQ,
    end_of_postings,
    first_posting,
    kind_key,
    tag_prefix,
)
from nostrtx.storage.lmdb.postings import Sieve
from nostrtx.storage.lmdb.snapshot import Snapshot
from nostrtx.storage.query_plan import Plan

#: Up to so many values of a tag are looked up in the index; for more, it is quicker
#: to read the event.
_MAX_LOOKUPS: Final = 8

#: How many bytes of events that had to be read are kept for the answer.
_KEEP_BYTES: Final = 256 * 1024

#: How many events are read between two pauses.
_READ_AT_ONCE: Final = 100


@lru_cache(maxsize=4096)
def is_versioned(kind: bytes) -> bool:
    """Whether events of a kind, two bytes, have an address."""
    return has_address(int.from_bytes(kind, "big"))


class Conditions:
    r"""
    The checks on what an index yields for one filter.

    Args:
        snapshot: The view of the store.
        filter\_: What is asked for.
        plan: How it is answered.
        kept: Where to keep events that had to be read, by ``seq``.
        screen: Which events the reader may see; what the plan leaves out need not
            be asked for.

    Attributes:
        sieve: Makes the checks that can be made on postings; None if there are none.
        cost: How much slower than reading a posting sieving it is.
        screen: Who must be asked whether an event may be seen; None if all may.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        filter_: Filter,
        plan: Plan,
        kept: dict[bytes, bytes],
        screen: IScreen | None,
    ) -> None:
        self._snapshot = snapshot
        self._kept = kept
        self.screen = screen if _is_asked(screen, plan) else None
        self.cost = 1
        self._authors: frozenset[bytes] | None = None
        steps: list[Sieve] = []
        if plan.check_times:
            steps.append(_times(filter_))
        if plan.check_kinds and plan.kinds is not None:
            kinds = frozenset(map(kind_key, plan.kinds))
            steps.append(lambda found: [p for p in found if p[KIND] in kinds])
        elif plan.check_kinds:
            others = frozenset(map(kind_key, plan.left_out))
            steps.append(lambda found: [p for p in found if p[KIND] not in others])
        if plan.check_authors and filter_.authors is not None:
            self._authors = frozenset(filter_.authors)
            prefixes = {author[:4] for author in filter_.authors}
            steps.append(lambda found: [p for p in found if p[PUBKEY] in prefixes])
        for at in sorted(plan.check_tags, key=lambda at: len(filter_.tags[at][1])):
            letter, values = filter_.tags[at]
            steps.append(self._tag(letter, values))
            self.cost = max(self.cost, 5 if len(values) <= _MAX_LOOKUPS else 60)
        self.sieve = _in_turn(steps)

    @property
    def has_none(self) -> bool:
        """Whether all but what has expired is wanted."""
        return self.sieve is None and self._authors is None and self.screen is None

    def verified(self, postings: list[bytes]) -> Generator[None, None, list[bytes]]:
        """
        Those of ``postings`` that count.

        They have not expired, are by the very authors, and may be seen.
        """
        expired = self._snapshot.expired
        if expired:
            postings = [p for p in postings if p[SEQ] not in expired]
        authors, screen = self._authors, self.screen
        if authors is not None:
            postings = yield from self._read(
                postings,
                None,
                lambda raw: bytes.fromhex(str(raw[RAW_PUBKEY], "ascii")) in authors,
            )
        if screen is not None:
            kinds = None if screen.kinds is None else set(map(kind_key, screen.kinds))
            postings = yield from self._read(postings, kinds, screen.may_read)
        return postings

    def _read(
        self,
        postings: list[bytes],
        kinds: Collection[bytes] | None,
        passes: Callable[[bytes], bool],
    ) -> Generator[None, None, list[bytes]]:
        """Those whose events pass; those of other ``kinds`` do without."""
        get = self._snapshot.get
        events = self._snapshot.db.events
        kept = self._kept
        room = _KEEP_BYTES - sum(map(len, kept.values()))
        passed: list[bytes] = []
        for at in range(0, len(postings), _READ_AT_ONCE):
            block = postings[at : at + _READ_AT_ONCE]
            asked = block if kinds is None else [p for p in block if p[KIND] in kinds]
            seqs = [posting[SEQ] for posting in asked]
            raws = [kept.get(seq) or get(seq, None, events) for seq in seqs]
            failed = {
                posting
                for posting, raw in zip(asked, raws, strict=True)
                if not passes(raw)
            }
            passed += [p for p in block if p not in failed] if failed else block
            if room > 0:
                room -= sum(map(len, raws))
                kept.update(zip(seqs, raws, strict=True))
            yield
        return passed

    def _tag(self, letter: str, values: Sequence[str]) -> Sieve:
        if len(values) <= _MAX_LOOKUPS:
            has = tag_lookup(self._snapshot, [tag_prefix(letter, v) for v in values])
            return lambda found: [p for p in found if has(p)]
        wanted = {(letter, value) for value in values}
        raw = self._snapshot.raw

        def read(found: list[bytes]) -> list[bytes]:
            return [
                posting
                for posting in found
                if not wanted.isdisjoint(indexed_tags(stored_event(raw(posting))))
            ]

        return read


def tag_lookup(
    snapshot: Snapshot, prefixes: Sequence[bytes]
) -> Callable[[bytes], bool]:
    """A function that says whether a posting's event has one of some tags."""
    get = snapshot.get
    slot_of = snapshot.db.slot_of
    in_tags: Any = snapshot.cursor(snapshot.db.tags).set_key_dup
    in_slots: Any = snapshot.cursor(snapshot.db.slot_tags).set_key_dup

    def has(posting: bytes) -> bool:
        kind = posting[KIND]
        if is_versioned(kind):
            value = get(posting[SEQ], None, slot_of)
            return any(in_slots(prefix + kind, value) for prefix in prefixes)
        return any(in_tags(prefix + kind, posting) for prefix in prefixes)

    return has


def _is_asked(screen: IScreen | None, plan: Plan) -> bool:
    """Whether events that the plan leads to may be hidden, some but not others."""
    if screen is None or screen.hides_all:
        return False
    return (
        screen.kinds is None
        or plan.kinds is None
        or not screen.kinds.isdisjoint(plan.kinds)
    )


def _times(filter_: Filter) -> Sieve:
    first = first_posting(filter_.until)
    end = end_of_postings(filter_.since)
    return lambda found: [p for p in found if p >= first and (not end or p < end)]


def _in_turn(steps: Sequence[Sieve]) -> Sieve | None:
    if not steps:
        return None
    if len(steps) == 1:
        return steps[0]

    def sieve(found: list[bytes]) -> list[bytes]:
        for step in steps:
            if not found:
                break
            found = step(found)
        return found

    return sieve
