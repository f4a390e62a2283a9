# -*- test-case-name: tests.relay.policies.test_searches -*-
"""
Looking for words and for networks, as prepared for the lists that rules name.

To prepare it takes the longer the more there is; so what has not changed is taken over,
and a thread can do it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs

from nostrtx.relay.networks import Networks
from nostrtx.relay.policies.words import WordSearch
from nostrtx.settings.checks import parse_network


@attrs.frozen(eq=False)
class Searches:
    """
    What was prepared.

    Attributes:
        words: All that are looked for.
        search: Looks for them.
        networks: Of each list of addresses, what finds an address in it.
    """

    words: frozenset[str] = frozenset()
    search: WordSearch = attrs.field(factory=lambda: WordSearch(()))
    networks: Mapping[frozenset[str], Networks[bool]] = attrs.field(factory=dict)

    def lack(self, words: frozenset[str], places: Collection[frozenset[str]]) -> int:
        """How many entries have to be prepared anew so that these are looked for."""
        lacking = sum([len(some) for some in places if some not in self.networks])
        return lacking if words == self.words else lacking + max(len(words), 1)

    def for_these(
        self, words: frozenset[str], places: Collection[frozenset[str]]
    ) -> Searches:
        """
        Look for these; may be called in any thread, and takes a while.

        Args:
            words: All words.
            places: All lists of addresses.
        """
        return Searches(
            words,
            self.search if words == self.words else WordSearch(words),
            {some: self.networks.get(some) or _networks(some) for some in places},
        )


def _networks(addresses: frozenset[str]) -> Networks[bool]:
    networks: Networks[bool] = Networks(loopback=True)
    for text in addresses:
        networks.put(str(parse_network(text)), True)
    return networks
