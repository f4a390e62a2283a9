# -*- test-case-name: tests.sync.test_paging -*-
"""
Reading all that a relay has, page by page (NIP-01), where it does not reconcile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from nostrtx.nostr.filters import Filter
from nostrtx.sync.conversation import Conversation, Members
from nostrtx.sync.differences import filter_members
from nostrtx.sync.peer import Peer


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
    size = min(peer.max_limit, most)
    while most:
        times: list[int] = []

        def taken(members: Members, times: list[int] = times) -> None:
            id_, created_at = members.get("id"), members.get("created_at")
            if type(id_) is not str or type(created_at) is not int:
                return
            try:
                binary = bytes.fromhex(id_)
            except ValueError:
                return
            times.append(created_at)
            if binary not in reading.ids and len(reading.ids) < most:
                reading.ids.add(binary)
                take(binary, members)

        page = attrs.evolve(asked, until=until, limit=size)
        await conversation.query([filter_members(page)], taken)
        await turn()
        if len(reading.ids) >= most:
            return reading
        if not times:
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
