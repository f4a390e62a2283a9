# -*- test-case-name: tests.relay.policies.test_buckets -*-
"""
Token buckets: each holds so much at most, and fills evenly in a given time.

Pure: the caller passes the time, in seconds since some start that is not so long ago
that fractions get lost. All that is kept of a bucket is when it will be full, so there
is nothing to do while it fills, and a full one is forgotten.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from itertools import islice
from typing import Final, Generic, TypeVar

from nostrtx.settings.rates import Rate

_K = TypeVar("_K", bound=Hashable)

#: Of so many buckets of one rate none is forgotten that is not full; of more, the
#: fuller ones may be, and there are never twice as many.
MOST_BUCKETS: Final = 100_000

#: With fewer, none are looked for that are full.
_FEW_BUCKETS: Final = 1024

#: What computing with times may be wrong by, in seconds.
_INEXACT: Final = 1e-6

#: What a bucket may owe at most, in times of what it holds.
MOST_DEBT: Final = 8

#: One in so many buckets is looked at to find out which are fuller than most.
_SAMPLED: Final = 101

#: What has been taken out is told to others once it is such a part of a bucket.
TOLD_PARTS: Final = 64


class Buckets(Generic[_K]):
    """
    The buckets of one rate, by whose they are.

    Something may be taken out as long as there is one whole unit; it may be more than
    there is, which is then owed, so that a large message does not have to wait for
    ever.

    Args:
        rate: What a bucket holds, and in what time it fills.
        most: See :data:`MOST_BUCKETS`.

    Attributes:
        rate: The same.
        is_told: Whether what is taken out is noted down, to be told to others.
    """

    __slots__ = (
        "_due",
        "_each",
        "_full_at",
        "_most",
        "_slack",
        "_sweep_at",
        "_told_from",
        "_untold",
        "is_told",
        "rate",
    )

    def __init__(self, rate: Rate, most: int = MOST_BUCKETS) -> None:
        self.rate = rate
        self.is_told = False
        self._most = most
        self._each = rate.seconds / rate.amount
        # A bucket that is full so much later than now holds one unit exactly.
        self._slack = rate.seconds - self._each + _INEXACT
        self._full_at: dict[_K, float] = {}
        self._sweep_at = min(_FEW_BUCKETS, 2 * most)
        self._told_from = rate.amount / TOLD_PARTS
        self._untold: dict[_K, int] = {}
        self._due: dict[_K, None] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def __contains__(self, key: _K) -> bool:
        return key in self._full_at

    def wait(self, key: _K, now: float) -> float:
        """In how many seconds there will be something to take out; 0 if there is."""
        full_at = self._full_at.get(key)
        if full_at is None:
            return 0.0
        wait = full_at - now - self._slack
        if wait <= 0:
            return 0.0
        if wait > self.rate.seconds * MOST_DEBT:
            # The clock was set back, or it was by far too much that was taken.
            self._full_at[key] = now + self._slack + self._each
            return self._each
        return wait

    def take(self, key: _K, now: float, amount: int = 1) -> None:
        """Take ``amount`` out, whether it is there or not."""
        self._take(key, now, amount)
        if self.is_told:
            untold = self._untold.get(key, 0) + amount
            self._untold[key] = untold
            if untold >= self._told_from:
                self._due[key] = None

    def take_elsewhere(self, key: _K, now: float, amount: int) -> None:
        """Take out what was taken in another process, as far as it can be owed."""
        self._take(key, now, amount)
        most = now + self.rate.seconds * MOST_DEBT
        if self._full_at[key] > most:
            self._full_at[key] = most

    def to_tell(self, most: int) -> dict[_K, int]:
        """What has been taken here and was not told; at most from so many buckets."""
        return {key: self._untold[key] for key in islice(self._due, most)}

    def told(self, amounts: Mapping[_K, int]) -> None:
        """Take note that just this was told."""
        for key in amounts:
            del self._untold[key], self._due[key]

    def tell_nobody(self) -> None:
        """Note nothing down any more, nor keep what was not told."""
        self.is_told = False
        self._untold.clear()
        self._due.clear()

    def _take(self, key: _K, now: float, amount: int) -> None:
        full_at = self._full_at.get(key)
        if full_at is None:
            if len(self._full_at) >= self._sweep_at:
                self._sweep(now)
            full_at = now
        elif full_at < now:
            full_at = now
        self._full_at[key] = full_at + amount * self._each

    def _sweep(self, now: float) -> None:
        """
        Forget what is full, and if that leaves too many, the fuller half.

        This happens again once there are twice as many, so it costs next to nothing
        for each of them.
        """
        left = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
        if len(left) > self._most:
            some = sorted(list(left.values())[::_SAMPLED])
            fuller = some[len(some) // 2]
            left = {key: full_at for key, full_at in left.items() if full_at > fuller}
        if len(left) > self._most:
            # Hardly one in the sample was like the others.
            left = {}
        self._full_at = left
        self._sweep_at = min(max(_FEW_BUCKETS, 2 * len(left)), 2 * self._most)
        self._untold = {
            key: amount
            for key, amount in self._untold.items()
            if key in left or key in self._due
        }
