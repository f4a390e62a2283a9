# -*- test-case-name: tests.storage.test_untouched -*-
"""A store whose records are changed for one process only, and never in truth."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.python.components import proxyForInterface

from nostrtx.interfaces.store import IEventStore


class UntouchedStore(
    proxyForInterface(IEventStore, "_store")  # type: ignore[misc]
):
    """
    A store that is read, for trying out what would keep records there.

    Args:
        store: Has everything else.
    """

    def __init__(self, store: IEventStore) -> None:
        super().__init__(store)
        self._changed: dict[str, bytes | None] = {}

    def record(self, name: str) -> Deferred[bytes | None] | bytes | None:
        """What is kept under ``name``, or would be; see :meth:`IEventStore.record`."""
        if name in self._changed:
            return self._changed[name]
        there: Deferred[bytes | None] | bytes | None = self._store.record(name)
        return there

    def change_record(
        self, name: str, change: Callable[[bytes | None], bytes | None]
    ) -> Deferred[bool]:
        """Remember a change; see :meth:`IEventStore.change_record`."""
        return Deferred.fromCoroutine(self._change(name, change))

    async def _change(
        self, name: str, change: Callable[[bytes | None], bytes | None]
    ) -> bool:
        there = self.record(name)
        if isinstance(there, Deferred):
            there = await there
        changed = change(there)
        if changed is None:
            return False
        self._changed[name] = changed
        return True
