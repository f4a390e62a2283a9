"""A broadcaster that stays within the test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from nostrtx.interfaces.processes import IBroadcaster


@implementer(IBroadcaster)
class FakeBroadcaster:
    """
    Provides :class:`IBroadcaster` for the processes in one list.

    Args:
        name: What this one is called.
        others: All that hear one another; this one is added.
        shares_store: Whether they read one store.

    Attributes:
        is_connected: Set it to False and news is lost, here and back.
        is_full: Set it to True and nothing can be told, though it is connected.
        is_deaf: Set it to True and nothing is heard, and nobody knows.
        counted: What it says it has counted; what it publishes always is.
    """

    def __init__(
        self,
        name: str = "here",
        others: list[FakeBroadcaster] | None = None,
        shares_store: bool = False,
    ) -> None:
        self.name = name
        self.shares_store = shares_store
        self.is_connected = True
        self.is_full = False
        self.is_deaf = False
        self.counted = {"news_published": 0}
        self.published: list[tuple[str, bytes]] = []
        self._heard: dict[str, list[Callable[[str, bytes], None]]] = defaultdict(list)
        self._connected: list[Callable[[], None]] = []
        self._all = [] if others is None else others
        self._all.append(self)

    def listen(self, topic: str, heard: Callable[[str, bytes], None]) -> None:
        """Have ``heard`` called at once with what others publish."""
        self._heard[topic].append(heard)

    def on_connected(self, call: Callable[[], None]) -> None:
        """Have ``call`` made by :meth:`start` and :meth:`reconnect`."""
        self._connected.append(call)

    def start(self) -> Deferred[None]:
        """Be connected."""
        self.reconnect()
        return succeed(None)

    def reconnect(self) -> None:
        """Be connected, again."""
        self.is_connected = True
        for call in self._connected:
            call()

    def publish(self, topic: str, payload: bytes) -> bool:
        """Tell the others who are connected, if this one is."""
        if self.is_full or not self.is_connected:
            return False
        self.published.append((topic, payload))
        self.counted["news_published"] += 1
        for other in self._all:
            if other is not self and other.is_connected and not other.is_deaf:
                other.hear(topic, self.name, payload)
        return True

    def hear(self, topic: str, sender: str, payload: bytes) -> None:
        """Take in what another one published."""
        for heard in self._heard[topic]:
            heard(sender, payload)

    def facts(self) -> dict[str, int]:
        """What it has counted."""
        return dict(self.counted)

    def stop(self) -> Deferred[None]:
        """Be no longer connected."""
        self.is_connected = False
        return succeed(None)
