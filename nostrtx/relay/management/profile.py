# -*- test-case-name: tests.relay.management.test_profile -*-
"""What the relay says of itself, as its owners have changed it while it runs."""

from __future__ import annotations

from typing import Final

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from nostrtx.interfaces.processes import IBroadcaster
from nostrtx.interfaces.store import IEventStore
from nostrtx.relay.management.kept import Kept, Members
from nostrtx.settings.identity import RelaySettings

#: The topic of the bus: that this has changed. What has, is in the store.
TOPIC: Final = "profile"

#: Where it is kept in the store.
RECORD: Final = "relay profile"

#: What may be changed.
FIELDS: Final = frozenset({"name", "description", "icon"})


class Profile:
    """
    Keeps up with what owners have changed, and changes it.

    Args:
        store: Where that is kept.
        broadcaster: Hears from other processes, and tells them.
        clock: Wall-clock time.
        poll_seconds: How often the store is asked for what nobody told.
        stated: What the settings say; holds for what was not changed.

    Attributes:
        relay: What the relay says of itself now.
        kept: What was changed.
    """

    _log = Logger()

    def __init__(
        self,
        store: IEventStore,
        broadcaster: IBroadcaster,
        clock: IReactorTime,
        poll_seconds: float,
        stated: RelaySettings,
    ) -> None:
        self.relay = stated
        self._stated = stated
        self._said: Members = {}
        self.kept = Kept(
            store,
            RECORD,
            self._heed,
            broadcaster,
            TOPIC,
            clock,
            poll_seconds,
            "what the relay is called",
        )

    def restate(self, stated: RelaySettings) -> None:
        """Take other settings for what was not changed."""
        self._stated = stated
        self.relay = attrs.evolve(stated, **self._said)

    async def change(self, field: str, text: str) -> None:
        """
        Say something else, here and everywhere.

        Args:
            field: One of :data:`FIELDS`.
            text: What is said; empty for what the settings say.

        Returns:
            Once that is durable and holds here.

        Raises:
            StoreError: The store failed.
        """

        def change(members: Members) -> Members:
            members.pop(field, None)
            return members | ({field: text} if text else {})

        await self.kept.change(change)

    def _heed(self, members: Members) -> None:
        self._said = {name: members[name] for name in FIELDS & members.keys()}
        self.restate(self._stated)
        self._log.info("The relay is called {name} now.", name=self.relay.name)
