# -*- test-case-name: tests.storage.test_lmdb_scan -*-
"""
The postings that match one filter, in the embedded store.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from functools import cached_property
from typing import Any, Final

import attrs

from nostrtx.interfaces.queries import IScreen
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import is_replaceable
from nostrtx.storage.lmdb.conditions import Conditions
from nostrtx.storage.lmdb.keys import (
    AFTER_TIES,
    POSTING_SIZE,
    address_key,
    end_of_postings,
    first_posting,
    kind_key,
    other_d_prefix,
)
from nostrtx.storage.lmdb.merge import Merge
from nostrtx.storage.lmdb.postings import (
    KeyPostings,
    PostingSource,
    TimePostings,
)
from nostrtx.storage.lmdb.selectivity import size_of
from nostrtx.storage.lmdb.snapshot import STRIDE, Snapshot
from nostrtx.storage.lmdb.tag_sources import TagSources, kinds_under
from nostrtx.storage.query_plan import Way, plan_query

#: What a generator that yields pauses returns in the end: postings.
Found = Generator[None, None, list[bytes]]

#: Up to so many lists are read in pieces at once; of more, the heads come first.
_FEW: Final = 3

#: For more lists of authors than this, the newest of all authors are tried first,
_MANY: Final = 64

#: as long as that takes no more than so many postings for each list.
_TRIES: Final = 6

#: How much slower sources are that look up each event's tags.
_SLOW: Final = 5

#: Of so many kinds an author's events are taken to be.
_SOME_KINDS: Final = 4


class Scan:
    r"""
    One filter's way through a snapshot.

    Args:
        snapshot: The view of the store.
        filter\_: What is asked for; must not match nothing.
        wanted: How many to find at least, if there are so many; None for all.
        kept: Where to keep events that had to be read, by ``seq``.
        screen: Hides events from the reader; None hides nothing.
        is_ordered: Whether the order matters; if not, all must be wanted, and what
            matches may be found more than once.
        take: Gets all that is found, a piece at a time, as if there were no order;
            then nothing is returned.
        largest: How much to read at once at most.

    Attributes:
        plan: The way that was chosen.
        is_complete: Whether what was found is all there is.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        filter_: Filter,
        wanted: int | None,
        kept: dict[bytes, bytes],
        screen: IScreen | None = None,
        is_ordered: bool = True,
        take: Callable[[list[bytes]], None] | None = None,
        largest: int = STRIDE,
    ) -> None:
        self._take = take
        self._largest = largest
        self._snapshot = snapshot
        self._filter = filter_
        self._wanted = wanted
        self._kept = kept
        self._is_ordered = is_ordered
        self._screen = screen
        self.plan = plan_query(
            filter_,
            lambda way, tag: size_of(snapshot, filter_, way, tag),
            hidden_kinds(screen),
        )
        self._conditions = Conditions(snapshot, filter_, self.plan, kept, screen)
        if wanted is not None and self._conditions.has_none:
            # What it costs to know whether there are more.
            self._wanted = wanted + 1
        self.is_complete = False
        self._is_narrowed = False
        self._first = first_posting(filter_.until)
        self._end = end_of_postings(filter_.since)

    @property
    def is_exact(self) -> bool:
        """Whether all under the plan's keys match, but for kinds it leaves out."""
        return self._conditions.screen is None and (
            self.plan.is_exact or self.plan.way is Way.EVERYTHING
        )

    def postings(self) -> Found:
        """The newest matches, as many as are wanted or more, in order but for ties."""
        plan = self.plan
        if plan.kinds == () or (self._filter.until or 0) < 0:
            self.is_complete = True
            return []
        if plan.way is Way.IDS:
            return (yield from self._looked_up(self._by_id()))
        if plan.way is Way.ADDRESSES:
            return (yield from self._looked_up(self._by_address()))
        if plan.way is Way.TAG:
            return (yield from self._by_tag())
        if plan.way is Way.AUTHORS:
            return (yield from self._by_author())
        if plan.way is Way.EVERYTHING or plan.kinds is None:
            return (yield from self._merged([self._by_time()]))
        cursor = self._snapshot.cursor(self._snapshot.db.kinds)
        return (yield from self._merged(self._lists(cursor, map(kind_key, plan.kinds))))

    def _by_id(self) -> Found:
        get = self._snapshot.get
        ids = self._snapshot.db.ids
        found = []
        for count, id_ in enumerate(self._filter.ids or (), 1):
            posting = get(id_, None, ids)
            if posting is not None:
                found.append(posting)
            if count % 200 == 0:
                yield
        return found

    def _by_address(self) -> Found:
        snapshot, db = self._snapshot, self._snapshot.db
        get = snapshot.get
        others: Any = snapshot.cursor(db.slot_tags)
        slots: set[bytes] = set()
        for author in self._filter.authors or ():
            for value in self._filter.tags[self.plan.tag][1]:
                prefix = other_d_prefix(author, value)
                for kind in self.plan.kinds or ():
                    slot = get(address_key(author, kind, value), None, db.addresses)
                    if slot is not None:
                        slots.add(slot)
                    if others.set_key(prefix + kind_key(kind)):
                        slots.update(others.iternext_dup())
            yield
        return [get(slot, None, db.slots)[:POSTING_SIZE] for slot in slots]

    def _looked_up(self, lookup: Found) -> Found:
        """What was looked up key by key, if it meets the conditions."""
        found = yield from self._sieved((yield from lookup))
        found.sort()
        found = yield from self._conditions.verified(found)
        if self._take is not None:
            self._take(found)
            return []
        self.is_complete = True
        return found

    def _by_time(self) -> PostingSource:
        cursor = self._snapshot.cursor(self._snapshot.db.times)
        return TimePostings(cursor, self._first, self._end)

    def _by_tag(self) -> Found:
        filter_, plan = self._filter, self.plan
        letter, values = filter_.tags[plan.tag]
        sources = TagSources(
            self._snapshot,
            letter,
            plan.kinds,
            plan.left_out,
            self._first,
            self._end,
            self._sure if self._conditions.has_none else None,
        )
        yield from sources.find(values)
        cursor = self._snapshot.cursor(self._snapshot.db.tags)
        return (
            yield from self._from_keys(
                cursor,
                sources.keys,
                len(values) == 1,
                sources.others,
                sources.is_slow,
            )
        )

    def _by_author(self) -> Found:
        snapshot, plan, wanted = self._snapshot, self.plan, self._wanted
        authors = self._filter.authors or ()
        kinds = None if plan.kinds is None else [kind_key(kind) for kind in plan.kinds]
        found: list[bytes] = []
        lists = len(authors) * (_SOME_KINDS if kinds is None else len(kinds))
        if lists > _MANY and wanted is not None and self._grows():
            merge = self._newest_of_all()
            found = yield from self._first_of(
                merge, self._with_authors, most=_TRIES * lists
            )
            if len(found) >= wanted or merge.is_complete:
                return found
            self._first = merge.frontier
            self._wanted = wanted - len(found)
        cursor = snapshot.cursor(snapshot.db.authors)
        keys: list[bytes] = []
        if kinds is not None:
            keys = [author + kind for author in authors for kind in kinds]
        else:
            left_out = set(map(kind_key, plan.left_out))
            for author in authors:
                under = yield from kinds_under(cursor, author, left_out)
                keys += [author + kind for kind in under]
                yield
        return found + (yield from self._from_keys(cursor, keys, True))

    @property
    def _sure(self) -> int | None:
        """So many newest hold as many as are wanted that have not expired."""
        if self._wanted is None:
            return None
        return self._wanted + len(self._snapshot.expired)

    def _grows(self) -> bool:
        """Whether authors may have many events of the kinds asked for."""
        kinds = self.plan.kinds
        return kinds is None or not all(map(is_replaceable, kinds))

    def _newest_of_all(self) -> Merge:
        """Those of the kinds asked for, sieved by author instead of looked up."""
        snapshot, plan = self._snapshot, self.plan
        if plan.kinds is None:
            sources: list[PostingSource] = [self._by_time()]
        else:
            cursor = snapshot.cursor(snapshot.db.kinds)
            sources = self._lists(cursor, map(kind_key, plan.kinds))
        conditions = self._with_authors
        largest = max(1, STRIDE // conditions.cost)
        return Merge(sources, conditions.sieve, True, True, 64, largest, [])

    @cached_property
    def _with_authors(self) -> Conditions:
        plan = attrs.evolve(
            self.plan, check_authors=True, check_kinds=bool(self.plan.left_out)
        )
        return Conditions(self._snapshot, self._filter, plan, self._kept, self._screen)

    def _lists(self, cursor: Any, keys: Iterable[bytes]) -> list[PostingSource]:
        return [KeyPostings(cursor, key, self._first, self._end) for key in keys]

    def _from_keys(
        self,
        cursor: Any,
        keys: list[bytes],
        is_disjoint: bool,
        others: Sequence[PostingSource] = (),
        is_slow: bool = False,
    ) -> Found:
        """The newest from the lists under ``keys`` and from other sources."""
        if len(keys) <= _FEW:
            sources = [*self._lists(cursor, keys), *others]
            return (yield from self._merged(sources, is_disjoint, (), is_slow))
        keys.sort()
        heads = yield from self._heads(cursor, keys)
        single = self.plan.way is Way.AUTHORS
        sure = self._sure
        if (
            sure is not None
            and is_disjoint
            and self._conditions.has_none
            and len(heads) > sure
        ):
            # Behind its head a list has nothing newer.
            heads.sort()
            bound = heads[sure - 1][0][:9] + AFTER_TIES
            heads = [head for head in heads if head[0] <= bound]
            self._is_narrowed = True
        rest = [
            KeyPostings.after(cursor, key, head, self._end)
            for head, key in heads
            if not (single and is_replaceable(int.from_bytes(key[-2:], "big")))
        ]
        found = yield from self._sieved([head for head, _ in heads])
        return (yield from self._merged([*rest, *others], is_disjoint, found, is_slow))

    def _sieved(self, postings: list[bytes]) -> Found:
        sieve = self._conditions.sieve
        if sieve is None:
            return postings
        found: list[bytes] = []
        step = max(1, STRIDE // self._conditions.cost)
        for at in range(0, len(postings), step):
            found += sieve(postings[at : at + step])
            yield
        return found

    def _heads(
        self, cursor: Any, keys: list[bytes]
    ) -> Generator[None, None, list[tuple[bytes, bytes]]]:
        """The first posting in time of each list that has one, and its key."""
        first, end = self._first, self._end
        heads: list[tuple[bytes, bytes]] = []
        for at in range(0, len(keys), 200):
            block = keys[at : at + 200]
            if first:
                seek, value = cursor.set_range_dup, cursor.value
                heads += [(value(), key) for key in block if seek(key, first)]
            else:
                heads += [(head, key) for key, head in cursor.getmulti(block)]
            yield
        if end:
            heads = [head for head in heads if head[0] < end]
        return heads

    def _merged(
        self,
        sources: Sequence[PostingSource],
        is_disjoint: bool = True,
        found: Sequence[bytes] = (),
        is_slow: bool = False,
    ) -> Found:
        conditions, wanted = self._conditions, self._wanted
        largest = max(1, self._largest // (_SLOW if is_slow else conditions.cost))
        if wanted is None:
            piece = largest
        elif not conditions.has_none:
            piece = 64
        elif len(sources) > 1:
            piece = 8 + 2 * wanted // len(sources)
        else:
            piece = wanted + 1
        if self._take is not None:
            return (yield from self._handed_over(sources, found, largest, self._take))
        merge = Merge(
            sources,
            conditions.sieve,
            is_disjoint,
            self._is_ordered,
            piece,
            largest,
            list(found),
        )
        return (yield from self._first_of(merge, conditions, None))

    def _handed_over(
        self,
        sources: Sequence[PostingSource],
        found: Sequence[bytes],
        piece: int,
        take: Callable[[list[bytes]], None],
    ) -> Found:
        conditions = self._conditions
        take((yield from conditions.verified(list(found))))
        for source in sources:
            while not source.is_done:
                fresh = source.read(piece)
                if conditions.sieve is not None:
                    fresh = conditions.sieve(fresh)
                take((yield from conditions.verified(fresh)))
                yield
        return []

    def _first_of(
        self, merge: Merge, conditions: Conditions, most: int | None
    ) -> Found:
        """The newest of ``merge`` that are verified, as many as are wanted."""
        wanted = target = self._wanted
        passed: list[bytes] = []
        seen = 0
        while True:
            yield from merge.fill(target, most)
            final = merge.final(target)
            passed += yield from conditions.verified(merge.postings[seen:final])
            seen = final
            self.is_complete = (
                merge.is_complete
                and seen == merge.final(None)
                and not self._is_narrowed
            )
            if wanted is None or target is None or len(passed) >= wanted:
                return passed
            if (merge.is_complete or merge.is_cut_short) and seen == merge.final(None):
                return passed
            target = seen + 2 * (wanted - len(passed))


def hidden_kinds(screen: IScreen | None) -> frozenset[int]:
    """The kinds of which ``screen`` hides all events, where it names them."""
    if screen is None or not screen.hides_all:
        return frozenset()
    return screen.kinds or frozenset()


def hides_everything(screen: IScreen | None) -> bool:
    """Whether ``screen`` hides all events of all kinds."""
    return screen is not None and screen.hides_all and screen.kinds is None
