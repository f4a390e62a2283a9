# -*- test-case-name: tests.relay.management.test_used_once -*-
"""
Authorizations that were used, so that nobody can use them again (NIP-98).

They are kept in the store, for whoever has listened could turn to another process, or
wait until this one starts again.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from nostrtx.interfaces.store import IEventStore, StoreError
from nostrtx.nostr.authentication import HTTP_WINDOW_SECONDS
from nostrtx.nostr.event import Event
from nostrtx.nostr.json import dumps, loads

#: Where they are kept in the store.
RECORD: Final = "used authorizations"

#: How long after its date one is remembered, in seconds: as long as it is good for,
#: also on a node whose clock is slow.
KEPT_SECONDS: Final = 3 * HTTP_WINDOW_SECONDS

#: How many are remembered; in so short a time there cannot be more.
MOST: Final = 2000


class UsedOnce:
    """
    Lets each authorization be used once, in all processes of a relay.

    Args:
        store: Where they are remembered.
        clock: Wall-clock time.
    """

    def __init__(self, store: IEventStore, clock: IReactorTime) -> None:
        self._store = store
        self._clock = clock

    async def use(self, authorization: Event) -> bool:
        """
        Use an authorization, which is good at this moment.

        Returns:
            Whether nobody has used it before; once that is durable.

        Raises:
            StoreError: The store failed, or too many were used in a short time.
        """
        oldest = self._clock.seconds() - KEPT_SECONDS
        id_ = authorization.id.hex()
        are_too_many = False

        def note(there: bytes | None) -> bytes | None:
            nonlocal are_too_many
            are_too_many = False
            used: Any = {} if there is None else loads(there)
            if id_ in used:
                return None
            used = {one: made_at for one, made_at in used.items() if made_at > oldest}
            are_too_many = len(used) >= MOST
            if are_too_many:
                return None
            used[id_] = authorization.created_at
            return dumps(used)

        is_new = await self._store.change_record(RECORD, note)
        if are_too_many:
            raise StoreError("too many calls in a short time; wait some minutes")
        return is_new
