# -*- test-case-name: tests.relay.test_subscription_index -*-
"""
Which subscriptions an event matches, at a cost that follows the matches.

Each filter stands under exactly one of its conditions, the one that is likely to
name the fewest events: ids, else a tag, else authors, else kinds, else all. An
event looks up its own id, tags, author and kind, and only what it finds there is
checked for the remaining conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Generic, TypeVar

from nostrtx.nostr.event import Event, indexed_tags
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.search import search_words, searched_words

_S = TypeVar("_S")

_Pairs = set[tuple[str, str]]
_Check = Callable[[Event, _Pairs], bool]


class _Entry(Generic[_S]):
    """One filter of a subscription, and what is left to check of it."""

    __slots__ = ("check", "keys", "subscription", "table", "tagged")

    def __init__(
        self,
        subscription: _S,
        table: dict[Any, Any],
        keys: Iterable[Any],
        check: _Check | None,
        tagged: bool,
    ) -> None:
        self.subscription = subscription
        self.table = table
        self.keys = keys
        self.check = check
        self.tagged = tagged


class SubscriptionIndex(Generic[_S]):
    """
    Subscriptions by what their filters ask for.

    Tables map a value to the one entry that wants it, or, from the second on, to a
    dictionary of entries: most values are wanted once.
    """

    def __init__(self) -> None:
        self._ids: dict[bytes, Any] = {}
        self._tags: dict[tuple[str, str], Any] = {}
        self._authors: dict[bytes, Any] = {}
        self._kinds: dict[int, Any] = {}
        self._rest: dict[None, Any] = {}
        self._tagged = 0
        # Of the event that is being matched, once somebody asks.
        self._words: set[str] | None = None

    def add(
        self, subscription: _S, filters: Iterable[Filter]
    ) -> tuple[_Entry[_S], ...]:
        """
        Index the filters of a subscription.

        Returns:
            What :meth:`remove` takes to undo it.
        """
        entries = []
        for one in filters:
            if one.matches_nothing:
                continue
            entry = self._entry(subscription, one)
            table = entry.table
            for key in entry.keys:
                held = table.get(key)
                if held is None:
                    table[key] = entry
                elif type(held) is dict:
                    held[entry] = None
                else:
                    table[key] = {held: None, entry: None}
            self._tagged += entry.tagged
            entries.append(entry)
        return tuple(entries)

    def remove(self, entries: Iterable[_Entry[_S]]) -> None:
        """Undo :meth:`add`; its cost is that of the filters' own values."""
        for entry in entries:
            table = entry.table
            for key in entry.keys:
                held = table[key]
                if held is entry:
                    del table[key]
                    continue
                del held[entry]
                if len(held) == 1:
                    (table[key],) = held
            self._tagged -= entry.tagged

    def matching(self, event: Event) -> Collection[_S]:
        """The subscriptions of which a filter matches ``event``, each once."""
        pairs = indexed_tags(event) if self._tagged else _NO_PAIRS
        found: dict[_S, None] = {}
        for held in (
            self._ids.get(event.id),
            self._authors.get(event.pubkey),
            self._kinds.get(event.kind),
            self._rest.get(None),
        ):
            if held is not None:
                _collect(held, event, pairs, found)
        if self._tags:
            for pair in pairs:
                held = self._tags.get(pair)
                if held is not None:
                    _collect(held, event, pairs, found)
        self._words = None
        return found.keys()

    def _entry(self, subscription: _S, one: Filter) -> _Entry[_S]:
        ids, authors, kinds, tags = one.ids, one.authors, one.kinds, one.tags
        table: dict[Any, Any]
        keys: Iterable[Any]
        if ids is not None:
            table, keys, ids = self._ids, ids, None
        elif tags:
            letter, values = chosen = min(tags, key=lambda tag: len(tag[1]))
            table, keys = self._tags, [(letter, value) for value in values]
            tags = tuple(tag for tag in tags if tag is not chosen)
        elif authors is not None:
            table, keys, authors = self._authors, authors, None
        elif kinds is not None:
            table, keys, kinds = self._kinds, kinds, None
        else:
            table, keys = self._rest, (None,)
        check = _remaining(authors, kinds, tags, one.since, one.until)
        if one.search:
            check = self._with_words(frozenset(search_words(one.search)), check)
        return _Entry(subscription, table, keys, check, bool(one.tags))

    def _with_words(self, wanted: frozenset[str], first: _Check | None) -> _Check:
        """The check for a search, made after all others (NIP-50)."""

        def check(event: Event, pairs: _Pairs) -> bool:
            return (
                (first is None or first(event, pairs))
                and bool(wanted)
                and wanted <= self._words_of(event)
            )

        return check

    def _words_of(self, event: Event) -> set[str]:
        if self._words is None:
            self._words = set(searched_words(event))
        return self._words


_NO_PAIRS: _Pairs = set()


def _collect(held: Any, event: Event, pairs: _Pairs, found: dict[Any, None]) -> None:
    if type(held) is not dict:
        held = (held,)
    for entry in held:
        check = entry.check
        if check is None or check(event, pairs):
            found[entry.subscription] = None


def _remaining(
    authors: tuple[bytes, ...] | None,
    kinds: tuple[int, ...] | None,
    tags: tuple[tuple[str, tuple[str, ...]], ...],
    since: int | None,
    until: int | None,
) -> _Check | None:
    """The check of the conditions that the index does not answer, if any."""
    if authors is None and since is None and until is None and not tags:
        if kinds is None:
            return None
        wanted = frozenset(kinds)
        return lambda event, pairs: event.kind in wanted

    def check(event: Event, pairs: _Pairs) -> bool:
        return (
            (of is None or event.kind in of)
            and (among is None or event.pubkey in among)
            and (since is None or event.created_at >= since)
            and (until is None or event.created_at <= until)
            and all(not wanted.isdisjoint(pairs) for wanted in conditions)
        )

    of = frozenset(kinds) if kinds is not None and len(kinds) > 8 else kinds
    among = None if authors is None else frozenset(authors)
    conditions = [
        frozenset([(letter, value) for value in values]) for letter, values in tags
    ]
    return check
