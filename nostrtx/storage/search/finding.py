# -*- test-case-name: tests.storage.search.test_store -*-
"""
What a search finds: hits of the index, compared with the store (NIP-50).

All of it runs in the search thread. The store is the truth: what it does not hold
any more is not found, and what the index only knows in part (ids, keys, tags) is
compared in full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import attrs
from tantivy import Order

from nostrtx.interfaces.queries import IScreen
from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.event import RAW_ID, RAW_PUBKEY, stored_event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.search import raw_kind, search_words
from nostrtx.storage.search.documents import both, question, within
from nostrtx.storage.search.index import SearchIndex
from nostrtx.storage.search.recent import RecentEvents

#: How many more hits than wanted are looked at, for those that are not found after
#: all, and for those as good as the last one.
_SPARE: Final = 16

#: However many events are hidden or gone, so many hits are looked at and no more.
_MOST_HITS: Final = 50_000

#: How many hits are compared with the store at once.
_STRIDE: Final = 100

#: So many matches of a filter are counted at a time.
_COUNTED: Final = 2000

#: Of so many hits the numbers are read at once, which takes longer one by one.
_AT_ONCE: Final = 1000

#: Where the time stands in :attr:`Event.raw`, and the first digits of the id.
_TIME_AT: Final = len('{"id":"","pubkey":"","created_at":') + 128
_ID_DIGITS: Final = slice(RAW_ID.start, RAW_ID.start + 16)


@attrs.frozen(slots=True)
class Found:
    """
    An event that was found.

    Attributes:
        seq: Its place in the arrival log.
        rank: What it is sorted by: best first, then newest, then lowest id.
        raw: As :attr:`Event.raw`.
    """

    seq: int
    rank: tuple[float, int, bytes]
    raw: bytes

    @classmethod
    def at(cls, seq: int, score: float, raw: bytes) -> Found:
        """The event under ``seq`` that scores ``score``."""
        created_at = int(raw[_TIME_AT : raw.index(b",", _TIME_AT)])
        return cls(seq, (-score, -created_at, raw[RAW_ID]), raw)


class Finder:
    """
    Finds events for searches.

    Args:
        index: The open index.
        store: The open store.
        breathe: Called between strides, to give way to the reactor's thread.
    """

    def __init__(
        self, index: SearchIndex, store: IEventStore, breathe: Callable[[], object]
    ) -> None:
        self._index = index
        self._store = store
        self._breathe = breathe
        self._recent = RecentEvents(store)

    def best(
        self,
        filters: Sequence[Filter],
        now: float,
        screen: IScreen | None,
        floor: int,
    ) -> list[bytes]:
        """
        What each filter finds best, up to its limit, all in one order.

        Args:
            filters: All have words to look for.
            now: What has expired by then is not found.
            screen: What it hides is not found and does not use up a limit.
            floor: Nothing with a larger ``seq`` is found.
        """
        searcher, position = self._index.searcher()
        self._recent.update(position, floor)
        best: dict[int, Found] = {}
        for asked in filters:
            check = _Check(asked, now, screen)
            for found in self._best(searcher, asked, check, floor):
                held = best.get(found.seq)
                if held is None or found.rank < held.rank:
                    best[found.seq] = found
        return [found.raw for found in sorted(best.values(), key=_rank)]

    def authors(
        self,
        filters: Sequence[Filter],
        others: Sequence[Filter],
        now: float,
        screen: IScreen | None,
        after: int,
        floor: int,
    ) -> tuple[Sequence[bytes], int]:
        """
        The authors of the next events of the arrival log that match a filter.

        Args:
            filters: All have words to look for.
            others: What matches one of these is left out.
            now: What has expired by then is left out.
            screen: What it hides is left out.
            after: Up to which ``seq`` the log has been looked at.
            floor: What has a larger ``seq`` is left out.

        Returns:
            The authors, and up to which ``seq`` the log has been looked at now.
        """
        searcher, position = self._index.searcher()
        self._recent.update(position, floor)
        matching: dict[int, bytes] = {}
        to = floor
        for asked in filters:
            check = _Check(asked, now, screen, others)
            query = both(question(asked, check.hidden), within("seq", after + 1, to))
            hits = searcher.search(
                query, _COUNTED, count=False, order_by_field="seq", order=Order.Asc
            ).hits
            if len(hits) == _COUNTED:
                to = hits[-1][0]
            found = self._verified(searcher, hits, check, floor)
            found += self._found_lately(searcher, asked, check, floor)
            matching.update((each.seq, each.raw[RAW_PUBKEY]) for each in found)
        return [
            bytes.fromhex(str(pubkey, "ascii"))
            for seq, pubkey in matching.items()
            if after < seq <= to
        ], to

    def _best(
        self, searcher: Any, asked: Filter, check: _Check, floor: int
    ) -> list[Found]:
        limit = _MOST_HITS if asked.limit is None else asked.limit
        query = question(asked, check.hidden)
        found: dict[int, Found] = {}
        seen, most = 0, limit + _SPARE
        while limit:
            hits = searcher.search(
                query, most, count=False, weight_by_field="recency"
            ).hits
            for each in self._verified(searcher, hits[seen:], check, floor):
                found[each.seq] = each
            if len(hits) < most or most >= _MOST_HITS:
                break
            # Enough, unless hits not looked at might be as good as the last of them.
            ranks = sorted(each.rank for each in found.values())
            if len(ranks) >= limit and hits[-1][0] < -ranks[limit - 1][0]:
                break
            seen, most = len(hits), min(2 * most + _STRIDE, _MOST_HITS)
        for each in self._found_lately(searcher, asked, check, floor):
            found.setdefault(each.seq, each)
        return sorted(found.values(), key=_rank)[:limit]

    def _found_lately(
        self, searcher: Any, asked: Filter, check: _Check, floor: int
    ) -> list[Found]:
        """What is found among events that are not in the index yet."""
        search = asked.search or ""
        recent = [
            each
            for each in self._recent.with_words(search)
            if each.seq <= floor and check.without_words.matches(each.event)
        ]
        raws = self._store.events_at([each.seq for each in recent])
        return [
            Found.at(each.seq, each.score(searcher, search_words(search)), raw)
            for each, raw in zip(recent, raws, strict=True)
            if raw is not None and check.passes(raw)
        ]

    def _verified(
        self,
        searcher: Any,
        hits: Sequence[tuple[float, Any]],
        check: _Check,
        floor: int,
    ) -> list[Found]:
        found: list[Found] = []
        for at in range(0, len(hits), _AT_ONCE):
            some = hits[at : at + _AT_ONCE]
            addresses = [address for _, address in some]
            seqs = searcher.fast_field_values("seq", addresses)
            ids = searcher.fast_field_values("id", addresses)
            for first in range(0, len(some), _STRIDE):
                part = slice(first, first + _STRIDE)
                raws = self._store.events_at(seqs[part])
                for (score, _), seq, id_, raw in zip(
                    some[part], seqs[part], ids[part], raws, strict=True
                ):
                    if raw is None or int(raw[_ID_DIGITS], 16) != id_:
                        self._index.gone.add(seq)
                    elif seq <= floor and check.passes(raw):
                        found.append(Found.at(seq, score, raw))
                self._breathe()
        return found


class _Check:
    """
    The conditions of a filter that the index leaves open.

    Args:
        asked: The filter.
        now: What has expired by then does not pass.
        screen: What it hides does not pass.
        others: What matches one of these does not pass.

    Attributes:
        without_words: The filter without its words.
        hidden: Kinds that need not be looked at at all.
    """

    def __init__(
        self,
        asked: Filter,
        now: float,
        screen: IScreen | None,
        others: Sequence[Filter] = (),
    ) -> None:
        self.without_words = attrs.evolve(asked, search=None)
        self.hidden: Iterable[int] = ()
        if screen is not None and screen.hides_all:
            self.hidden = screen.kinds or ()
        self._is_loose = bool(asked.ids or asked.authors or asked.tags)
        self._now = now
        self._screen = screen
        self._others = others

    def passes(self, raw: bytes) -> bool:
        """Whether the event, which the index says matches, really may be given."""
        screen = self._screen
        if screen is not None and (
            screen.kinds is None or raw_kind(raw) in screen.kinds
        ):
            if screen.hides_all or not screen.may_read(raw):
                return False
        if not (self._is_loose or self._others or b'"expiration"' in raw):
            return True
        event = stored_event(raw)
        return (
            not event.is_expired(self._now)
            and self.without_words.matches(event)
            and not any(other.matches(event) for other in self._others)
        )


def _rank(found: Found) -> tuple[float, int, bytes]:
    return found.rank
