# -*- test-case-name: tests.storage.test_postgres_parties -*-
"""
Looking for private events where their parties find them, not among all of the kind.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from nostrtx.interfaces.queries import IScreen
from nostrtx.nostr.filters import Filter


def names_only_hidden(asked: Filter, screen: IScreen) -> bool:
    """Whether ``asked`` names kinds, and of all of them some events are hidden."""
    if screen.kinds is None or asked.kinds is None:
        return False
    return screen.kinds.issuperset(asked.kinds)


def narrowed(asked: Filter, screen: IScreen) -> Sequence[Filter]:
    """
    Filters that together match all of ``asked`` that a screen may show.

    Each event that they match must still be shown to the screen.

    Args:
        asked: A filter for which :func:`names_only_hidden`.
        screen: What hides events.
    """
    if screen.parties is None or asked.ids is not None:
        return [asked]
    parties = frozenset(screen.parties)
    named = {party.hex() for party in parties}
    if asked.authors is not None and parties.issuperset(asked.authors):
        return [asked]
    if any(letter == "p" and named.issuperset(values) for letter, values in asked.tags):
        return [asked]
    authors = parties if asked.authors is None else parties.intersection(asked.authors)
    parts = [attrs.evolve(asked, tags=(*asked.tags, ("p", tuple(sorted(named)))))]
    if authors:
        parts.append(attrs.evolve(asked, authors=tuple(sorted(authors))))
    return parts
