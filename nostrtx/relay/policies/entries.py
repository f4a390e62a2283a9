# -*- test-case-name: tests.relay.policies.test_lists -*-
"""What is on a list: keys, networks, words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs


@attrs.frozen
class Entries:
    """
    What is on a list, or in one of its sources.

    Attributes:
        pubkeys: Public keys, 32 bytes each.
        addresses: Networks and single addresses.
        words: Words and phrases.
    """

    pubkeys: frozenset[bytes] = frozenset()
    addresses: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.pubkeys) + len(self.addresses) + len(self.words)

    @classmethod
    def of(cls, sort: str, entries: Iterable[Any]) -> Entries:
        """Entries of one sort, named like the attribute that takes them."""
        return cls(**{sort: frozenset(entries)})
