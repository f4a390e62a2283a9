# -*- test-case-name: tests.relay.test_past_counts -*-
"""
What processes have counted that are gone.

Each is known by its instance, so that it counts once, whoever tells of it and however
often, and stays when another one of the same name takes its place. Counters only grow:
of two numbers the larger one is later.

Of the oldest only the sum is kept, along with how far it goes. Two who know of the same
processes and have summed up differently far still agree when they tell each other: the
one that is behind takes the other's sum in place of what is in there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

#: Of so many processes, the latest ones, it stays known what each has counted; of up to
#: twice as many until there is something to sum up.
KNOWN: Final = 100

Counts = dict[str, int]


class PastCounts:
    """Counts of processes that are gone, by instance; a later one's is larger."""

    def __init__(self) -> None:
        self._known: dict[str, Counts] = {}
        # All up to this instance are in the sum, except for those that are known.
        self._through = ""
        self._sum: Counts = {}

    def total(self) -> Counts:
        """What all of them have counted together."""
        total = Counter(self._sum)
        for counts in self._known.values():
            total.update(counts)
        return dict(total)

    def add(self, instance: str, counts: Mapping[str, int]) -> None:
        """Take note of what one has counted."""
        raise_to(self._known.setdefault(instance, {}), counts)
        if len(self._known) > 2 * KNOWN:
            self._sum_up()

    def take(self, instance: str) -> Counts:
        """What was known of one that is there after all, and is no longer past."""
        return self._known.pop(instance, {})

    def told(self) -> list[Any]:
        """All that is known, to be told to others."""
        return [self._through, self._sum, self._known]

    def learn(self, told: object) -> None:
        """
        Take in what somebody else told.

        Raises:
            ValueError: It is not understood; nothing has changed.
        """
        match told:
            case [str(through), summed, dict(known)]:
                summed = counts_in(summed)
                known = {instance: counts_in(known[instance]) for instance in known}
            case _:
                raise ValueError("not what was counted before")
        if through > self._through:
            self._known = {
                instance: counts
                for instance, counts in self._known.items()
                if instance > through or instance in known
            }
            self._through, self._sum = through, summed
        elif through == self._through:
            raise_to(self._sum, summed)
        for instance, counts in known.items():
            # What is in our sum already is passed over.
            if (
                instance > self._through
                or instance in self._known
                or through == self._through
            ):
                self.add(instance, counts)

    def _sum_up(self) -> None:
        through = sorted(self._known)[-KNOWN - 1]
        if through <= self._through:
            # Many that were there for long are gone at once. For them to be found in
            # the sum by others, it has to go further.
            return
        total = Counter(self._sum)
        for instance in [each for each in self._known if each <= through]:
            total.update(self._known.pop(instance))
        self._through, self._sum = through, dict(total)


def raise_to(counts: Counts, later: Mapping[str, int]) -> None:
    """Have each counter be at least what it is in ``later``."""
    for name, count in later.items():
        counts[name] = max(counts.get(name, 0), count)


def counts_in(value: object) -> Counts:
    """
    A part of a message as counts.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, dict) or not all(
        type(count) is int for count in value.values()
    ):
        raise ValueError("not counters")
    return value
