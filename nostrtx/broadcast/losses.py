# -*- test-case-name: tests.broadcast.test_losses -*-
"""What is lost or refused on the way, counted and told to the log now and then."""

from __future__ import annotations

from collections import Counter
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

#: What may become of a message, and what that may mean.
_MEANINGS: Final = {
    "unsent": "no connection, or Redis is too slow",
    "foreign": "somebody else uses the channel, or a node has another secret",
    "forged": "changed on the way, or made by somebody without the secret",
    "replayed": "heard before, or a node's clock is wrong by a minute",
}

#: How soon after the first loss, and how often from then on, at most.
_SOON_SECONDS: Final = 1.0
_AGAIN_SECONDS: Final = 60.0


class Losses:
    """
    Counts messages that were lost; a warning for all of a minute together.

    Args:
        clock: Bounds the number of warnings.

    Attributes:
        counts: How many messages there were since the start, of each kind:
            ``unsent``, ``foreign``, ``forged``, ``replayed``.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self.counts: Counter[str] = Counter()
        self._untold: Counter[str] = Counter()
        self._clock = clock
        self._told_at = float("-inf")
        self._call: IDelayedCall | None = None

    def add(self, kind: str) -> None:
        """A message was lost."""
        self.counts[kind] += 1
        self._untold[kind] += 1
        if self._call is None:
            rest = self._told_at + _AGAIN_SECONDS - self._clock.seconds()
            self._call = self._clock.callLater(max(_SOON_SECONDS, rest), self._tell)

    def stop(self) -> None:
        """Warn of what was not told yet."""
        if self._call is not None:
            self._call.cancel()
            self._tell()

    def _tell(self) -> None:
        self._call = None
        self._told_at = self._clock.seconds()
        untold, self._untold = self._untold, Counter()
        for kind, count in sorted(untold.items()):
            self._log.warn(
                "{count} messages between nodes were {kind}: {meaning}.",
                count=count,
                kind=kind,
                meaning=_MEANINGS[kind],
            )
