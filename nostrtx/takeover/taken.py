# -*- test-case-name: tests.takeover.test_taken -*-
"""The sockets that were taken over, until somebody listens on them."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence

from nostrtx.takeover.offer import Key


class TakenSockets:
    """
    Descriptors by port; none until there are some.
    """

    def __init__(self) -> None:
        self._descriptors: dict[Key, list[int]] = {}

    def put(self, descriptors: Mapping[Key, Sequence[int]]) -> None:
        """Keep what has come."""
        for key, numbers in descriptors.items():
            self._descriptors[key] = list(numbers)

    def take(self, key: Key) -> list[int]:
        """The descriptors of a port, for who closes them; empty if there are none."""
        return self._descriptors.pop(key, [])

    def close(self) -> None:
        """Close what nobody wants."""
        for descriptors in self._descriptors.values():
            for each in descriptors:
                socket.close(each)
        self._descriptors.clear()
