# -*- test-case-name: tests.storage.test_lmdb_scan -*-
"""
The newest matches of one filter, and what its limit cuts off (NIP-01, NIP-67).
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from functools import lru_cache

import attrs

from nostrtx.interfaces.queries import IScreen
from nostrtx.nostr.event import RAW_ID
from nostrtx.nostr.filters import Filter
from nostrtx.storage.lmdb.keys import KIND, created_at_of, kind_key
from nostrtx.storage.lmdb.merge import newest
from nostrtx.storage.lmdb.scan import Scan
from nostrtx.storage.lmdb.snapshot import Snapshot
from nostrtx.storage.query_plan import MAX_SURPLUS

#: Where the time stands in a posting.
_SECOND = slice(0, 5)


@attrs.frozen(slots=True)
class Cut:
    """
    What is given of one filter's matches.

    Attributes:
        postings: Their postings, in order but for ties.
        left_out: Some postings of further matches.
        is_whole: Whether there are no further matches.
    """

    postings: list[bytes]
    left_out: Collection[bytes] = ()
    is_whole: bool = False


@lru_cache(maxsize=64)
def _kind_keys(kinds: frozenset[int]) -> frozenset[bytes]:
    return frozenset(map(kind_key, kinds))


class Newest:
    """
    One filter's matches, up to its limit.

    Args:
        snapshot: The view of the store.
        asked: What is asked for; must not match nothing.
        kept: Where to keep events that had to be read, by ``seq``.
        screen: Hides events from the reader; None hides nothing.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        asked: Filter,
        kept: dict[bytes, bytes],
        screen: IScreen | None,
    ) -> None:
        self._snapshot = snapshot
        self._filter = asked
        self._kept = kept
        self._screen = screen

    def find(self) -> Generator[None, None, Cut]:
        """Find them."""
        asked, limit = self._filter, self._filter.limit
        if limit == 0:
            return Cut([])
        if self._is_mere_list(limit):
            found = sorted(p for p in map(self._posting_of, asked.ids or ()) if p)
            if not self._hides_any(found):
                return Cut(found, is_whole=True)
        scan = Scan(self._snapshot, asked, limit, self._kept, self._screen)
        found = yield from scan.postings()
        if limit is None or (scan.is_complete and len(found) <= limit):
            return Cut(found, is_whole=True)
        cut = self._cut(found, limit)
        if not asked.whole_seconds or len(cut.postings) < limit:
            return cut
        second = cut.postings[-1][_SECOND]
        if len(found) > limit and found[limit][_SECOND] != second:
            return cut
        return (yield from self._with_second(cut, second))

    def _is_mere_list(self, limit: int | None) -> bool:
        """
        Whether the filter has ids and nothing else that could leave one out.

        Most of those that ask for ids do, and then there is nothing to plan.
        """
        asked = self._filter
        return (
            asked.ids is not None
            and asked.authors is None
            and asked.kinds is None
            and asked.since is None
            and asked.until is None
            and not asked.tags
            and (limit is None or len(asked.ids) <= limit)
            and asked.search is None
            and not self._snapshot.expired
        )

    def _hides_any(self, found: Sequence[bytes]) -> bool:
        """Whether the screen must be asked about any of the postings."""
        screen = self._screen
        if screen is None:
            return False
        if screen.kinds is None:
            return True
        kinds = _kind_keys(screen.kinds)
        return any(posting[KIND] in kinds for posting in found)

    def _posting_of(self, id_: bytes) -> bytes | None:
        snapshot = self._snapshot
        posting: bytes | None = snapshot.get(id_, None, snapshot.db.ids)
        return posting

    def _with_second(self, cut: Cut, second: bytes) -> Generator[None, None, Cut]:
        """What is given, and as much as is reasonable of the last one's second."""
        created_at = created_at_of(cut.postings[-1])
        asked = attrs.evolve(self._filter, since=created_at, until=created_at)
        before = [p for p in cut.postings if p[_SECOND] != second]
        most = len(cut.postings) - len(before) + MAX_SURPLUS
        scan = Scan(self._snapshot, asked, most, self._kept, self._screen)
        within = self._cut((yield from scan.postings()), most)
        left_out = [p for p in cut.left_out if p[_SECOND] != second]
        return Cut(before + within.postings, [*left_out, *within.left_out])

    def _cut(self, found: list[bytes], limit: int) -> Cut:
        given = newest(found, limit, self._id_of)
        return Cut(given, set(found).difference(given) if len(found) > limit else ())

    def _id_of(self, posting: bytes) -> bytes:
        return self._snapshot.raw(posting)[RAW_ID]


def is_more(cuts: Sequence[Cut], given: Sequence[bytes]) -> bool | None:
    """Whether some match of some filter is not among those given; None: unknown."""
    if all(cut.is_whole for cut in cuts):
        return False
    left_out = {posting for cut in cuts for posting in cut.left_out}
    return True if left_out and not left_out <= set(given) else None
