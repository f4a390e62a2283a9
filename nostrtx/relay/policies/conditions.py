# -*- test-case-name: tests.relay.policies.test_rules -*-
"""
Rules as they are asked: each a chain of quick conditions, its lists resolved.

A table is made anew whenever a list has changed, and asked many times in between.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence, Set
from typing import Final

import attrs

from nostrtx.interfaces.policies import Source
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import GIFT_WRAPS, parse_kinds
from nostrtx.relay.networks import Networks
from nostrtx.relay.policies.lists import Lists
from nostrtx.relay.policies.searches import Searches
from nostrtx.relay.policies.words import WordSearch
from nostrtx.settings.policies import RuleSettings

#: How far from the roots somebody is; None if nobody has got there.
Depth = Callable[[bytes], int | None]

#: How many addresses are remembered that were looked for in networks.
_MOST_ADDRESSES: Final = 10_000


class Asked:
    """
    What is asked about: an event, or a request, and who has sent it.

    Args:
        source: Who.
        event: The event; None if it is a request.
        filters: What the request asks for.
        search: Looks for the words of all rules at once.

    Attributes:
        people: Whose it is: the author's; of gift wraps, whose authors are made up,
            and of requests, those that the client has proved to be.
    """

    __slots__ = ("_found", "_search", "event", "filters", "people", "source")

    people: Collection[bytes]

    def __init__(
        self,
        source: Source,
        event: Event | None,
        filters: Sequence[Filter],
        search: WordSearch,
    ) -> None:
        self.source = source
        self.event = event
        self.filters = filters
        self._search = search
        self._found: Set[str] | None = None
        if event is None or event.kind in GIFT_WRAPS:
            self.people = source.pubkeys
        else:
            self.people = (event.pubkey,)

    @property
    def found(self) -> Set[str]:
        """Which of the words of all rules are in the event."""
        if self._found is None:
            assert self.event is not None
            self._found = self._search.found_in(self.event)
        return self._found


#: Whether something holds of what is asked about.
Condition = Callable[[Asked], bool]


@attrs.frozen(eq=False)
class Line:
    """
    A rule, ready to be asked.

    Attributes:
        settings: What it says.
        name: What it is called.
        kinds: What kinds it is about; empty for all.
        conditions: What else must hold.
    """

    settings: RuleSettings
    name: str
    kinds: tuple[range, ...]
    conditions: tuple[Condition, ...]

    def is_about(self, kind: int) -> bool:
        """Whether it may hold of events of a kind."""
        return not self.kinds or any(kind in kinds for kinds in self.kinds)


class Resolved:
    """
    Makes lines of rules, with the lists as they are now.

    Args:
        lists: What rules may name.
        depth: How far from the roots somebody is.
        searches: Prepared for the words and addresses of all rules.
    """

    def __init__(self, lists: Lists, depth: Depth, searches: Searches) -> None:
        self._lists = lists
        self._depth = depth
        self._searches = searches

    def line(self, rule: RuleSettings, name: str) -> Line:
        """The rule as it is asked."""
        conditions: list[Condition] = []
        if rule.authenticated is not None:
            conditions.append(_is_authenticated(rule.authenticated))
        if rule.authors:
            conditions.append(_is_one_of(self._people(rule.authors)))
        if rule.not_authors:
            conditions.append(_not(_is_one_of(self._people(rule.not_authors))))
        if rule.trust is not None:
            conditions.append(_is_trusted(self._depth, rule.trust))
        if rule.addresses:
            conditions.append(_is_within(self.networks(rule)))
        kinds = parse_kinds(rule.kinds)
        if rule.on == "request" and kinds:
            conditions.append(_asks_for(kinds, rule.verdict == "accept"))
            kinds = ()
        if rule.tags:
            conditions.append(_has_tags(frozenset(rule.tags)))
        # Last, for it takes the longest.
        if rule.words:
            conditions.append(_has_words(words_of(rule, self._lists)))
        return Line(rule, name, kinds, tuple(conditions))

    def networks(self, rule: RuleSettings) -> list[Networks[bool]]:
        """The networks that a rule names, itself or by its lists."""
        prepared = self._searches.networks
        return [prepared[places] for places in places_of(rule, self._lists)]

    def _people(self, texts: Sequence[str]) -> list[frozenset[bytes]]:
        """Those whom a rule names, itself or by its lists."""
        named = [some for text in texts for some in self._lists.people(text)]
        return [some for some in named if some]


def words_of(rule: RuleSettings, lists: Lists) -> frozenset[str]:
    """The words that a rule looks for, itself or by its lists."""
    words: set[str] = set()
    for text in rule.words:
        if text in lists:
            words.update(*[part.words for part in lists.parts(text)])
        else:
            words.add(text)
    return frozenset(words)


def places_of(rule: RuleSettings, lists: Lists) -> list[frozenset[str]]:
    """The addresses and networks that a rule names, itself or by its lists."""
    stated = frozenset([text for text in rule.addresses if text not in lists])
    listed = [
        part.addresses
        for text in rule.addresses
        if text in lists
        for part in lists.parts(text)
    ]
    return [places for places in (stated, *listed) if places]


def _is_authenticated(expected: bool) -> Condition:
    return lambda asked: bool(asked.source.pubkeys) is expected


def _is_one_of(people: Sequence[frozenset[bytes]]) -> Condition:
    # To make one set of them would take a while, whenever a list has changed.
    if len(people) == 1:
        [alone] = people
        return lambda asked: not alone.isdisjoint(asked.people)

    def holds(asked: Asked) -> bool:
        for some in people:
            if not some.isdisjoint(asked.people):
                return True
        return False

    return holds


def _not(condition: Condition) -> Condition:
    return lambda asked: not condition(asked)


def _is_trusted(depth: Depth, most: int) -> Condition:
    def holds(asked: Asked) -> bool:
        for pubkey in asked.people:
            found = depth(pubkey)
            if found is not None and found <= most:
                return True
        return False

    return holds


def is_in(address: str, networks: Sequence[Networks[bool]]) -> bool:
    """Whether an address is in one of these networks."""
    return any(some.find(address) is not None for some in networks)


def _is_within(networks: Sequence[Networks[bool]]) -> Condition:
    known: dict[str, bool] = {}

    def holds(asked: Asked) -> bool:
        address = asked.source.address
        is_within = known.get(address)
        if is_within is None:
            if len(known) >= _MOST_ADDRESSES:
                known.clear()
            is_within = known[address] = is_in(address, networks)
        return is_within

    return holds


def _asks_for(kinds: Sequence[range], only: bool) -> Condition:
    """Whether a request may bring events of these kinds, or can bring no others."""

    def is_one(kind: int) -> bool:
        return any(kind in some for some in kinds)

    def holds(asked: Asked) -> bool:
        if only:
            return all(
                one.kinds is not None and all(map(is_one, one.kinds))
                for one in asked.filters
            )
        return any(
            one.kinds is None or any(map(is_one, one.kinds)) for one in asked.filters
        )

    return holds


def _has_tags(names: frozenset[str]) -> Condition:
    def holds(asked: Asked) -> bool:
        assert asked.event is not None
        return names.issubset([tag[0] for tag in asked.event.tags])

    return holds


def _has_words(words: frozenset[str]) -> Condition:
    return lambda asked: not words.isdisjoint(asked.found)
