# -*- test-case-name: tests.relay.test_recent_ids -*-
"""The ids of events that came in lately: duplicates are answered from here."""

from __future__ import annotations

from nostrtx.nostr.deletion import deleted_ids, is_deletion_request
from nostrtx.nostr.event import Event
from nostrtx.nostr.kinds import has_address
from nostrtx.nostr.vanish import is_vanish_request


class RecentIds:
    """
    A set that forgets its older half whenever the younger one is full.

    Args:
        generation: How many ids make a half.
    """

    def __init__(self, generation: int = 20_000) -> None:
        self._generation = generation
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()

    def __contains__(self, id_: bytes) -> bool:
        return id_ in self._young or id_ in self._old

    def add(self, id_: bytes) -> None:
        """Remember ``id_`` for the next ``generation`` ids at least."""
        if len(self._young) >= self._generation:
            self._old, self._young = self._young, set()
        self._young.add(id_)

    def note(self, event: Event) -> None:
        """
        Take note of a stored event: a later copy is a duplicate.

        That holds for as long as the event cannot go away, and no longer for what
        it makes go away.
        """
        if is_deletion_request(event):
            for id_ in deleted_ids(event):
                self.discard(id_)
        elif is_vanish_request(event):
            # Whose events these are is not known; such requests are rare.
            self.clear()
        if not has_address(event.kind) and event.expiration is None:
            self.add(event.id)

    def discard(self, id_: bytes) -> None:
        """Forget ``id_``."""
        self._young.discard(id_)
        self._old.discard(id_)

    def clear(self) -> None:
        """Forget all."""
        self._young.clear()
        self._old.clear()
