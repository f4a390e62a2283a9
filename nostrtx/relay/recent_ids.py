# -*- test-case-name: tests.relay.test_recent_ids -*-
"""The ids of events that came in lately: duplicates are answered from here."""

from __future__ import annotations


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

    def discard(self, id_: bytes) -> None:
        """Forget ``id_``."""
        self._young.discard(id_)
        self._old.discard(id_)

    def clear(self) -> None:
        """Forget all."""
        self._young.clear()
        self._old.clear()
