# -*- test-case-name: tests.test_interfaces -*-
"""What queries and counts under way in a store promise."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface


@attrs.frozen(slots=True)
class Page:
    """
    A part of a stored query's answer.

    Attributes:
        events: Events as :attr:`Event.raw`, in the query's order. May be empty
            while ``done`` is False: the time was up before anything was found.
        done: Whether this is the last page.
        more: Once all is given: whether other events match as well and were left
            out because of limits; None if that is not known.
    """

    events: Sequence[bytes]
    done: bool
    more: bool | None = None


@attrs.frozen(slots=True)
class Count:
    """
    How many events match, as far as they have been counted.

    Attributes:
        events: How many; never more than there are.
        done: Whether these are all.
    """

    events: int
    done: bool


class IScreen(Interface):
    """What one reader may not see of a store's answers; asked for every event."""

    kinds: frozenset[int] | None = Attribute(
        """
        The kinds of which some events are hidden; None if any may be. Events of
        other kinds are shown without asking.
        """
    )

    hides_all: bool = Attribute(
        """Whether all events of those kinds are hidden, so that none need be read."""
    )

    parties: Collection[bytes] | None = Attribute(
        """
        Pubkeys of which one must have written an event of those kinds, or be named in
        a ``p`` tag of it, or it is hidden: so a store need not read all the others.
        None if that is not the rule.
        """
    )

    def may_read(raw: bytes) -> bool:
        """Whether the reader may see the event with this :attr:`Event.raw`."""


class IStoredQuery(Interface):
    """
    One running query over one snapshot of the store.

    The union of what the filters match is given once each, newest first, ties by
    id. Of each filter's matches at most its ``limit`` newest are given, and where
    it has ``whole_seconds``, what was made in the last one's second, within reason;
    what is expired does not use up a limit. What is removed from the store before
    its page is asked for may be left out.
    """

    floor: int | None = Attribute(
        """
        The ``seq`` of the last event in the snapshot, 0 in an empty store.
        The answer holds matches up to here and none beyond. None as long as that
        is not known: a store elsewhere knows it with the first page.
        """
    )

    def next_page(max_bytes: int, deadline: float) -> Deferred[Page] | Page:
        """
        The next part of the answer.

        Call it again only after the previous call has answered.

        Args:
            max_bytes: About how many bytes of events to give; at least one event
                is given if any is left and there is time.
            deadline: When to stop and give what there is, possibly nothing, on
                the clock of ``IReactorTime.seconds``.

        Returns:
            The page, at once from an embedded store.

        Raises:
            StoreError: The store failed; the query is over.
        """

    def close() -> None:
        """Give up the snapshot. May be called at any time, and more than once."""


class IStoredCount(Interface):
    """One count under way, over one snapshot of the store."""

    def go_on(deadline: float) -> Deferred[Count] | Count:
        """
        Count on; call it again only after the previous call has answered.

        Args:
            deadline: When to stop, on the clock of ``IReactorTime.seconds``.
                However late it is, the count gets on a little each time.

        Returns:
            What has been counted so far, at once from an embedded store. Whoever
            has no more time may take that for a lower bound.

        Raises:
            StoreError: The store failed; the count is over.
        """

    def close() -> None:
        """Give up the snapshot. May be called at any time, and more than once."""
