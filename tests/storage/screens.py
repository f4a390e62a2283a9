"""Screens for tests of stores, which watch how they are used."""

from __future__ import annotations

from collections.abc import Collection

import attrs
from zope.interface import implementer

from nostrtx.interfaces.queries import IScreen
from nostrtx.nostr.event import stored_event


@implementer(IScreen)
@attrs.frozen
class PartyScreen:
    """
    Hides events of some kinds from all but their authors and whom they name.

    Attributes:
        kinds: The kinds.
        parties: Who looks.
        hides_all: It does not.
        asked: The events that it was asked for.
    """

    kinds: frozenset[int] | None
    parties: Collection[bytes]
    hides_all: bool = False
    asked: list[bytes] = attrs.field(factory=list, repr=False)

    def may_read(self, raw: bytes) -> bool:
        """Whether one who looks is a party to the event."""
        event = stored_event(raw)
        self.asked.append(event.id)
        named = {tag[1] for tag in event.tags if tag[0] == "p"}
        return event.pubkey in self.parties or any(
            party.hex() in named for party in self.parties
        )


@implementer(IScreen)
@attrs.frozen
class Screen:
    """
    Hides events of some kinds, but for those of some authors.

    Attributes:
        kinds: The kinds; None for all.
        shown: The authors.
        hides_all: Whether the authors do not matter: all of those kinds are hidden.
        parties: No rule.
        asked: The kinds of the events that were asked for.
    """

    kinds: frozenset[int] | None
    shown: Collection[bytes] = ()
    hides_all: bool = False
    parties: Collection[bytes] | None = None
    asked: list[int] = attrs.field(factory=list, repr=False)

    def may_read(self, raw: bytes) -> bool:
        """Whether the event is by one of the authors."""
        event = stored_event(raw)
        assert not self.hides_all, "all are hidden, there is nothing to ask"
        assert self.kinds is None or event.kind in self.kinds, event.kind
        self.asked.append(event.kind)
        return event.pubkey in self.shown
