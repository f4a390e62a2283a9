# -*- test-case-name: tests.broadcast.test_local -*-
"""A relay of one process: there is nobody to tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from nostrtx.interfaces.processes import IBroadcaster


@implementer(IBroadcaster)
class LocalBroadcaster:
    """
    Provides :class:`IBroadcaster` where nobody else is.

    Args:
        name: What this process is called.
    """

    shares_store = True
    is_connected = True

    def __init__(self, name: str = "") -> None:
        self.name = name

    def listen(self, topic: str, heard: Callable[[str, bytes], None]) -> None:
        """Nothing is ever heard."""

    def on_connected(self, call: Callable[[], None]) -> None:
        """There is no connection that could be lost."""

    def start(self) -> Deferred[None]:
        """Nothing to do."""
        return succeed(None)

    def publish(self, topic: str, payload: bytes) -> bool:
        """All others have been told, for there are none."""
        return True

    def facts(self) -> Mapping[str, int]:
        """Nothing to count."""
        return {}

    def stop(self) -> Deferred[None]:
        """Nothing to do."""
        return succeed(None)
