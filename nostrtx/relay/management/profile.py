# -*- test-case-name: tests.relay.management.test_profile -*-
"""What the relay says of itself, as its owners have changed it while it runs."""

from __future__ import annotations

from typing import Final

import attrs
from twisted.logger import Logger

from nostrtx.relay.management.kept import Keeping, Members
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
        keeping: Keeps that, for all processes.
        stated: What the settings say; holds for what was not changed.

    Attributes:
        relay: What the relay says of itself now.
    """

    _log = Logger()

    def __init__(self, keeping: Keeping, stated: RelaySettings) -> None:
        self.relay = stated
        self._stated = stated
        self._said: Members = {}
        what = "what the relay is called"
        self._kept = keeping.keep(RECORD, TOPIC, what, self._heed)

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

        await self._kept.change(change)

    def _heed(self, members: Members) -> None:
        self._said = {name: members[name] for name in FIELDS & members.keys()}
        self.restate(self._stated)
        self._log.info("The relay is called {name} now.", name=self.relay.name)
