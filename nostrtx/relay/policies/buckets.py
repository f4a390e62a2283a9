# -*- test-case-name: tests.relay.policies.test_buckets -*-
"""
Token buckets: each holds so much at most, and fills evenly in a given time.

Pure: the caller passes the time, in seconds since some start that is not so long ago
that fractions get lost; it never goes back. All that is kept of a bucket is when it
will be full, so there is nothing to do while it fills, and a full one is forgotten.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from itertools import islice
from typing import Any, Final, Generic, TypeVar

from nostrtx.settings.rates import Rate

_K = TypeVar("_K", bound=Hashable)

#: Of so many buckets of one rate none is forgotten that is not full; of more, the
#: fuller ones may be, and there are never three times as many.
MOST_BUCKETS: Final = 100_000

#: With fewer, none are looked for that are full.
_FEW_BUCKETS: Final = 1024

#: What computing with times may be wrong by, in seconds.
_INEXACT: Final = 1e-6

#: What a bucket may owe at most for what others tell, in times of what it holds.
MOST_DEBT: Final = 8

#: So many are kept or forgotten at a time, when it is looked which are full.
_SWEPT: Final = 4

#: One in so many buckets is looked at to find out which are fuller than most.
_SAMPLED: Final = 101

#: What has been taken out is told to others once it is such a part of a bucket.
TOLD_PARTS: Final = 64

#: From so many buckets at most something is to be told at a time.
MOST_DUE: Final = 10_000


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
        "_kept_after",
        "_most",
        "_old",
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
        self._old: dict[_K, float] = {}
        self._kept_after = 0.0
        self._sweep_at = min(_FEW_BUCKETS, 2 * most)
        self._told_from = rate.amount / TOLD_PARTS
        self._untold: dict[_K, int] = {}
        self._due: dict[_K, None] = {}

    @property
    def remembered(self) -> int:
        """How many buckets are remembered."""
        return len(self._full_at) + len(self._old)

    def take(self, key: _K, now: float, amount: int = 1) -> float:
        """
        Take ``amount`` out if there is one unit at least.

        Returns:
            0 if that was done, else in how many seconds there will be something.
        """
        full_at = self._full_at.get(key)
        if full_at is None:
            full_at = self._missing(key, now)
        if full_at <= now:
            full_at = now
        elif full_at - now > self._slack:
            return full_at - now - self._slack
        self._full_at[key] = full_at + amount * self._each
        if self.is_told:
            self._note(key, amount)
        return 0.0

    def take_elsewhere(self, key: _K, now: float, amount: int) -> None:
        """Take out what was taken in another process, as far as it can be owed."""
        full_at = self._full_at.get(key)
        if full_at is None:
            full_at = self._missing(key, now)
        most = now + self.rate.seconds * MOST_DEBT
        self._full_at[key] = min(max(full_at, now) + amount * self._each, most)

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

    def _note(self, key: _K, amount: int) -> None:
        untold = self._untold[key] = self._untold.get(key, 0) + amount
        if untold >= self._told_from and len(self._due) < MOST_DUE:
            self._due[key] = None

    def _missing(self, key: _K, now: float) -> float:
        """When a bucket will be full that is about to be remembered."""
        if self._old:
            full_at = self._old.pop(key, None)
            self._sweep()
            if full_at is not None:
                self._full_at[key] = full_at
                return full_at
            return now
        if len(self._full_at) >= self._sweep_at:
            self._begin_sweep(now)
        return now

    def _begin_sweep(self, now: float) -> None:
        """Put all in question, and say which to keep: what will be full later than."""
        self._old, self._full_at = self._full_at, {}
        some = islice(self._old.values(), 0, None, _SAMPLED)
        left = sorted(full_at for full_at in some if full_at > now)
        are_too_many = len(left) * _SAMPLED > self._most
        self._kept_after = left[len(left) // 2] if are_too_many else now

    def _sweep(self) -> None:
        """Keep or forget some more of those in question: that is never much at once."""
        old = self._old
        for _ in range(min(_SWEPT, len(old))):
            key, full_at = old.popitem()
            if full_at > self._kept_after:
                self._full_at[key] = full_at
            elif key not in self._due:
                self._untold.pop(key, None)
        if not old:
            left = len(self._full_at)
            self._sweep_at = min(max(_FEW_BUCKETS, 2 * left), 2 * self._most)


_B = TypeVar("_B", bound=Buckets[Any])


def take_both(
    one: _B | None,
    one_key: Hashable,
    one_amount: int,
    other: _B | None,
    other_key: Hashable,
    other_amount: int,
    now: float,
) -> tuple[_B, float] | None:
    """
    Take out of two buckets, or out of none if one of them is empty.

    This is :meth:`Buckets.take` twice, in one piece: it is done for every message.

    Returns:
        None if that was done, else whose bucket is empty, and for how many seconds.
    """
    one_full_at = other_full_at = now
    if one is not None:
        found = one._full_at.get(one_key)
        if found is None:
            found = one._missing(one_key, now)
        if found > now:
            one_full_at = found
            if found - now > one._slack:
                return one, found - now - one._slack
    if other is not None:
        found = other._full_at.get(other_key)
        if found is None:
            found = other._missing(other_key, now)
        if found > now:
            other_full_at = found
            if found - now > other._slack:
                return other, found - now - other._slack
        other._full_at[other_key] = other_full_at + other_amount * other._each
        if other.is_told:
            other._note(other_key, other_amount)
    if one is not None:
        one._full_at[one_key] = one_full_at + one_amount * one._each
        if one.is_told:
            one._note(one_key, one_amount)
    return None
