# -*- test-case-name: tests.sync.test_synchronization -*-
"""
Reading all that a relay has, page by page (NIP-01), where it does not reconcile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import attrs

from nostrtx.nostr.filters import Filter
from nostrtx.sync.conversation import Conversation, Members, RelayTrouble
from nostrtx.sync.differences import filter_members
from nostrtx.sync.peer import Peer

#: Most events to ask for at a time, whatever the relay says that it gives: all of them
#: may be held in memory.
_PAGE: Final = 5000


@attrs.define
class Reading:
    """
    What was read.

    Attributes:
        ids: Ids of all events that came, as the relay says.
        crowded: Seconds in which the relay has more events than it gives at once,
            so that some of them may be missing.
    """

    ids: set[bytes] = attrs.field(factory=set)
    crowded: list[int] = attrs.field(factory=list)


@attrs.define
class _Page:
    """
    The events that come for one question.

    Attributes:
        size: How many there may be.
        until: The latest ``created_at``; None for any.
        times: When they were made.
        strays: How many others came.
    """

    size: int
    until: int | None
    times: list[int] = attrs.field(factory=list)
    strays: int = 0

    def add(self, members: Members) -> bytes | None:
        """The id of an event, if it is one that was asked for."""
        id_, created_at = members.get("id"), members.get("created_at")
        binary = None
        if type(id_) is str and len(id_) == 64 and type(created_at) is int:
            is_late = self.until is not None and created_at > self.until
            if not is_late and len(self.times) < self.size:
                with suppress(ValueError):
                    binary = bytes.fromhex(id_)
                    self.times.append(created_at)
        if binary is None:
            self.strays += 1
        return binary


async def read_all(
    conversation: Conversation,
    asked: Filter,
    peer: Peer,
    take: Callable[[bytes, Members], None],
    turn: Callable[[], Awaitable[None]],
) -> Reading:
    """
    Read everything that matches ``asked``, newest first.

    Args:
        conversation: With the relay.
        asked: What to read; its limit holds.
        peer: The relay's limits.
        take: Gets the id and the members of each event once; nothing is checked.
        turn: Awaited after each page.

    Raises:
        RelayTrouble: The relay does not do its part.
    """
    reading = Reading()
    until = asked.until
    most = asked.limit if asked.limit is not None else 2**62
    size = min(peer.max_limit, _PAGE, most)
    while most:
        page = _Page(size, until)

        def taken(members: Members, page: _Page = page) -> bool:
            id_ = page.add(members)
            if id_ is None:
                return False
            if id_ not in reading.ids and len(reading.ids) < most:
                reading.ids.add(id_)
                take(id_, members)
            return True

        question = attrs.evolve(asked, until=until, limit=size)
        await conversation.query([filter_members(question)], taken)
        await turn()
        if len(reading.ids) >= most:
            return reading
        times = page.times
        if not times:
            if page.strays:
                raise RelayTrouble("the relay does not give what it is asked for")
            return reading
        oldest = min(times)
        if until is None or oldest < until:
            # That second again: some of its events may not have fitted.
            until = oldest
        else:
            if len(times) >= size:
                reading.crowded.append(oldest)
            until = oldest - 1
        if asked.since is not None and until < asked.since:
            return reading
    return reading
