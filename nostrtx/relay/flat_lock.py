# -*- test-case-name: tests.relay.test_flat_lock -*-
"""A lock for which any number may wait."""

from __future__ import annotations

from twisted.internet.defer import DeferredLock


class FlatLock(DeferredLock):
    """
    A lock that goes from hand to hand without a call within a call.

    Twisted's own wakes the next one while the last one gives it back; where each of
    many is done at once, that ends at the limit of recursion, and with it all waiting.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_given_back = False
        self._is_waking = False

    def release(self) -> None:
        """Let the next one have the lock, once the one before has come to rest."""
        self._is_given_back = True
        if self._is_waking:
            return
        self._is_waking = True
        try:
            while self._is_given_back:
                self._is_given_back = False
                super().release()
        finally:
            self._is_waking = False
