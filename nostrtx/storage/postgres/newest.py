# -*- test-case-name: tests.storage.test_postgres -*-
"""
The newest matches of one filter, and what its limit cuts off (NIP-01, NIP-67).

Pure: no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

import attrs

from nostrtx.interfaces.queries import IScreen
from nostrtx.nostr.filters import Filter
from nostrtx.storage.postgres.columns import int8s
from nostrtx.storage.postgres.conditions import (
    Asking,
    Conditions,
    conditions_for,
    hidden_kinds,
)
from nostrtx.storage.postgres.keys import SECOND
from nostrtx.storage.postgres.merge import Found, Merge
from nostrtx.storage.postgres.parties import names_only_hidden, narrowed
from nostrtx.storage.postgres.sources import (
    NewestOfMany,
    begin_merge,
    is_looked_up,
    looked_up,
)
from nostrtx.storage.query_plan import MAX_SURPLUS

_PLACE: Final = itemgetter(0)

#: A limit that is no limit.
_UNLIMITED: Final = 2**31

#: How many events are read at once for a screen.
_READ_AT_ONCE: Final = 200


@attrs.frozen(slots=True)
class Cut:
    """
    What is given of one filter's matches.

    Attributes:
        found: They, in order.
        left_out: The ``seq`` of some further matches.
        is_whole: Whether there are no further matches.
    """

    found: Sequence[Found]
    left_out: Collection[int] = ()
    is_whole: bool = False


def find_newest(asked: Filter, now: float, screen: IScreen | None) -> Asking[Cut]:
    """
    Find what a filter matches, up to its limit.

    Args:
        asked: What is asked for; must not match nothing.
        now: What has expired by then is left out.
        screen: Hides events from the reader; None hides nothing.
    """
    parts: Sequence[Filter] = [asked]
    if screen is not None and not screen.hides_all:
        if names_only_hidden(asked, screen):
            parts = narrowed(asked, screen)
    if len(parts) == 1:
        return (yield from _find_part(parts[0], now, screen))
    cuts = []
    for part in parts:
        cuts.append((yield from _find_part(part, now, screen)))
    union = {one[1]: one for cut in cuts for one in cut.found}
    ordered = sorted(union.values(), key=_PLACE, reverse=True)
    found = yield from in_order(ordered)
    end = _end_of(found, asked)
    left_out = {seq for cut in cuts for seq in cut.left_out}
    left_out |= {seq for _, seq, _ in found[end:]}
    left_out -= {seq for _, seq, _ in found[:end]}
    is_whole = all(cut.is_whole for cut in cuts) and not left_out
    return Cut(found[:end], left_out, is_whole)


def _find_part(asked: Filter, now: float, screen: IScreen | None) -> Asking[Cut]:
    limit = asked.limit
    if limit == 0:
        return Cut(())
    conditions = yield from conditions_for(asked, now, hidden_kinds(screen))
    if not conditions.can_match:
        return Cut((), is_whole=True)
    newest = _Newest(conditions, screen)
    if limit is None or limit >= _UNLIMITED:
        found = yield from newest.find(None)
        return Cut(found, is_whole=True)
    found = yield from newest.find(limit + 1)
    if asked.whole_seconds and len(found) > limit:
        second = found[limit - 1][0][SECOND]
        if found[limit][0][SECOND] == second:
            found = yield from newest.find(limit + MAX_SURPLUS + 1, second)
    end = _end_of(found, asked)
    left_out = [seq for _, seq, _ in found[end:]]
    return Cut(found[:end], left_out, newest.is_complete and not left_out)


def _end_of(found: Sequence[Found], asked: Filter) -> int:
    """How many of those that were found the limit leaves."""
    limit = asked.limit
    if limit is None or len(found) <= limit:
        return len(found)
    end = limit
    if asked.whole_seconds and limit:
        second = found[limit - 1][0][SECOND]
        most = min(len(found), limit + MAX_SURPLUS)
        while end < most and found[end][0][SECOND] == second:
            end += 1
    return end


class _Newest:
    """Finds more and more of what matches."""

    def __init__(self, conditions: Conditions, screen: IScreen | None) -> None:
        self._conditions = conditions
        self._screen = screen if _is_asked(screen, conditions) else None
        self._merge: Merge | NewestOfMany | None = None
        self._passed: list[Found] = []
        self._seen = 0
        self.is_complete = False

    def find(self, wanted: int | None, second: bytes = b"") -> Asking[list[Found]]:
        """
        The newest that may be seen.

        Args:
            wanted: How many to find at least, if there are so many; None for all.
            second: Nothing is wanted that was made before that second.
        """
        if self._merge is None:
            if is_looked_up(self._conditions):
                found = yield from looked_up(self._conditions)
                self._merge = Merge(self._conditions, (), found)
            else:
                self._merge = yield from begin_merge(self._conditions, wanted)
        merge, target = self._merge, wanted
        while True:
            if not merge.is_complete:
                yield from merge.fill(target)
            final = merge.final()
            yield from self._pass(final, wanted)
            self.is_complete = merge.is_complete and self._seen == len(final)
            if self.is_complete or wanted is None or len(self._passed) >= wanted:
                break
            if second and final and final[-1][0][SECOND] != second:
                break
            # If little is shown, more and more at once: each time all is ordered.
            missing = wanted - len(self._passed)
            target = self._seen + max(2 * missing, self._seen)
        return (yield from in_order(self._passed))

    def _pass(self, final: Sequence[Found], wanted: int | None) -> Asking[None]:
        """Let pass what the screen shows, until there is as much as is wanted."""
        while self._seen < len(final):
            end = len(final)
            if self._screen is not None and wanted is not None:
                missing = wanted - len(self._passed)
                if missing <= 0:
                    break
                end = self._seen + max(missing, _READ_AT_ONCE)
            block = final[self._seen : end]
            self._passed += yield from self._shown(block)
            self._seen += len(block)

    def _shown(self, found: Sequence[Found]) -> Asking[list[Found]]:
        """Those that the screen shows."""
        screen = self._screen
        if screen is None:
            return list(found)
        kinds = screen.kinds
        asked = [seq for _, seq, kind in found if kinds is None or kind in kinds]
        hidden: set[int] = set()
        for at in range(0, len(asked), _READ_AT_ONCE):
            block = asked[at : at + _READ_AT_ONCE]
            rows = yield raws_of(block)
            hidden.update(block)
            hidden.difference_update([seq for seq, raw in rows if screen.may_read(raw)])
        return [one for one in found if one[1] not in hidden]


def raws_of(seqs: Sequence[int]) -> tuple[str, dict[str, object]]:
    """Ask for the JSON of some events, each with its ``seq``."""
    return (
        "SELECT seq, raw FROM nostrtx.bodies WHERE seq = ANY(%(seqs)s)",
        {"seqs": int8s(seqs)},
    )


def in_order(found: Sequence[Found]) -> Asking[list[Found]]:
    """The events, which are ordered by place, with ties settled by the whole id."""
    if len(set(map(_PLACE, found))) == len(found):
        return list(found)
    groups = [list(group) for _, group in groupby(found, _PLACE)]
    tied = [seq for group in groups if len(group) > 1 for _, seq, _ in group]
    rows = yield (
        "SELECT seq, id FROM nostrtx.events WHERE seq = ANY(%(seqs)s)",
        {"seqs": int8s(tied)},
    )
    ids: dict[int, bytes] = dict(rows)
    return [
        one
        for group in groups
        for one in sorted(group, key=lambda f: ids.get(f[1], b""))
    ]


def is_more(cuts: Sequence[Cut], given: Collection[int]) -> bool | None:
    """Whether some match of some filter is not among those given; None: unknown."""
    if all(cut.is_whole for cut in cuts):
        return False
    left_out = {seq for cut in cuts for seq in cut.left_out}
    return True if left_out and not left_out <= set(given) else None


def _is_asked(screen: IScreen | None, conditions: Conditions) -> bool:
    """Whether events that may be found may be hidden, some but not others."""
    if screen is None or screen.hides_all:
        return False
    kinds = conditions.plan.kinds
    return screen.kinds is None or kinds is None or not screen.kinds.isdisjoint(kinds)
