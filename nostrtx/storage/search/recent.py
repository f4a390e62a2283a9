# -*- test-case-name: tests.storage.search.test_store -*-
"""
The newest events, which the committed search index does not have yet.

They are looked through one by one, so an event is found as soon as it is stored.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import attrs

from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.event import Event, stored_event
from nostrtx.nostr.search import is_searched, raw_kind, search_words, searched_words
from nostrtx.storage.search.documents import recency

#: How many of the newest events are kept: some seconds' worth on a busy relay.
_MOST: Final = 1000
_STRIDE: Final = 64

#: The parameters of BM25, which tantivy uses as well, and the number of words that
#: an event is taken to have on average: for some seconds that is good enough.
_K1: Final = 1.2
_B: Final = 0.75
_AVERAGE: Final = 30


@attrs.frozen
class RecentEvent:
    """
    An event that has words.

    Attributes:
        seq: Its place in the arrival log.
        event: The event.
        words: How often each word occurs.
    """

    seq: int
    event: Event
    words: Counter[str]

    def score(self, searcher: Any, wanted: tuple[str, ...]) -> float:
        """About the score that tantivy will give it."""
        documents = searcher.num_docs + 1
        norm = _K1 * (1 - _B + _B * self.words.total() / _AVERAGE)
        total = 0.0
        for word in wanted:
            others = min(searcher.doc_freq("words", word), documents - 1)
            idf = math.log(1 + (documents - others + 0.5) / (others + 0.5))
            often = self.words[word]
            total += idf * (_K1 + 1) * often / (often + norm)
        return total * recency(self.event.created_at)


class RecentEvents:
    """
    The end of a store's arrival log, with the words of each event.

    Args:
        store: The open store.
    """

    def __init__(self, store: IEventStore) -> None:
        self._store = store
        self._events: dict[int, RecentEvent] = {}
        self._read_to = 0

    def update(self, first: int, last: int) -> None:
        """Keep the events with a ``seq`` beyond ``first`` and up to ``last``."""
        first = max(first, last - _MOST)
        for seq in [seq for seq in self._events if seq <= first]:
            del self._events[seq]
        self._read_to = max(self._read_to, first)
        while self._read_to < last:
            log = self._store.events_after(self._read_to, _STRIDE)
            if not log:
                self._read_to = last
            for seq, raw in log:
                self._read_to = seq
                if is_searched(raw_kind(raw)):
                    event = stored_event(raw)
                    if words := searched_words(event):
                        self._events[seq] = RecentEvent(seq, event, Counter(words))

    def with_words(self, search: str) -> Iterator[RecentEvent]:
        """The events that have all words of a search."""
        wanted = search_words(search)
        for recent in self._events.values():
            if wanted and all(word in recent.words for word in wanted):
                yield recent
