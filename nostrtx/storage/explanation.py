# -*- test-case-name: tests.cli.test_explaining -*-
"""How a store comes to its answer to one filter: what it looks at, and how long."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Interface

from nostrtx.nostr.filters import Filter


@attrs.frozen
class Look:
    """
    What was looked at in one part of the store.

    Attributes:
        part: The index, database or statement.
        cursors: How many cursors there were; 0 where there is no such thing.
        keys: How many keys were looked up.
        entries: How many entries, or rows, were read.
        seconds: How long that took; None where it was not measured by itself.
        details: Further lines.
    """

    part: str
    cursors: int = 0
    keys: int = 0
    entries: int = 0
    seconds: float | None = None
    details: Sequence[str] = ()


@attrs.frozen
class Explanation:
    """
    How a filter was answered.

    Attributes:
        way: The index that led; empty where the database decides.
        choices: The indexes that were compared, and about how much each leads to.
        looks: What was looked at, in which part of the store.
        events: How many events were found.
        more: Whether there are others; None if that is not known.
        seconds: How long all of it took.
    """

    way: str
    choices: Sequence[tuple[str, int]]
    looks: Sequence[Look]
    events: int
    more: bool | None
    seconds: float


class IExplains(Interface):
    """A store that can tell how it comes to its answers."""

    def explain(asked: Filter, now: float) -> Deferred[Explanation] | Explanation:
        """
        Answer ``asked`` without any limit of time, and tell how.

        Args:
            asked: What is asked for; must not match nothing, nor search.
            now: Seconds since 1970; events that expire by then are left out.

        Returns:
            The explanation, at once from an embedded store. The Deferred fails with
            :class:`StoreError`.

        Raises:
            StoreError: The store failed.
        """
