# -*- test-case-name: tests.broadcast.test_overlap -*-
"""
A relay of one process, and for a while another one that takes over from it.

As long as nobody else is there, telling costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from nostrtx.broadcast.hub import Hub
from nostrtx.broadcast.news import Listeners, pack_news
from nostrtx.interfaces.processes import IBroadcaster, IMeeting


@implementer(IBroadcaster, IMeeting)
class OverlapBroadcaster:
    """
    Provides :class:`IBroadcaster` between this process and those that join it.

    Args:
        name: What this process is called.
        reactor: Reads and writes.
        farewell: A topic on which it is said of a process that it is gone.
    """

    shares_store = True
    is_connected = True
    version = Hub.version

    def __init__(self, name: str, reactor: Any, farewell: str) -> None:
        self.name = name
        self._listeners = Listeners()
        self._hub = Hub(
            reactor, farewell, self._listeners.heard, self._listeners.missed
        )

    def join(self, name: str, descriptor: int) -> None:
        """See :meth:`IMeeting.join`."""
        self._hub.join(name, descriptor)

    def listen(self, topic: str, heard: Callable[[str, bytes], None]) -> None:
        """Have ``heard`` called with what others say on ``topic``."""
        self._listeners.listen(topic, heard)

    def on_connected(self, call: Callable[[], None]) -> None:
        """Have ``call`` made when somebody joins, and after news was lost."""
        self._listeners.on_connected(call)

    def start(self) -> Deferred[None]:
        """Nothing to do: others join."""
        return succeed(None)

    def publish(self, topic: str, payload: bytes) -> bool:
        """Tell those that are there, and be it nobody."""
        if not self._hub.is_empty:
            self._hub.tell(pack_news(topic, self.name, payload))
        return True

    def facts(self) -> Mapping[str, int]:
        """Nothing to count."""
        return {}

    def stop(self) -> Deferred[None]:
        """Send what was published, then leave; fires when that is done."""
        return self._hub.close()
