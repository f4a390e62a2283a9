# -*- test-case-name: tests.storage.test_postgres_merge -*-
"""
Many lists of events made one, newest first, reading little more than is wanted.

A list is what an index holds under one key and kind. Lists are read in pieces, all of
them with one statement. Once as many are known as are wanted, only lists that may
have something newer than the last of these are read on, and no further than that.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias

import attrs

from nostrtx.storage.postgres.columns import Uuid, int4s, uuids
from nostrtx.storage.postgres.conditions import Asking, Conditions
from nostrtx.storage.postgres.exchange import Ask, Rows
from nostrtx.storage.postgres.keys import AFTER_PLACES

#: An event that was found: its place, its ``seq`` and its kind.
Found: TypeAlias = tuple[bytes, int, int]

_PLACE: Final = itemgetter(0)

#: What is asked for where all is wanted.
_ALL: Final = 2**62


@attrs.define(slots=True, eq=False)
class PlaceList:
    """
    One list of events.

    Attributes:
        key: What they share, in the column that the conditions name; or nothing.
        kind: Their kind; None for any.
        below: It has been read down to this place, and so has this place itself.
        is_done: Whether there is nothing more in it.
    """

    key: bytes
    kind: int | None
    below: bytes
    is_done: bool = False


class Merge:
    """
    The events of several lists, in order, once each.

    Args:
        conditions: What they must meet.
        lists: The lists; either all have a kind or none has.
        found: What is known of them already.
    """

    def __init__(
        self,
        conditions: Conditions,
        lists: Iterable[PlaceList],
        found: Iterable[Found] = (),
    ) -> None:
        self._conditions = conditions
        self._lists = [one for one in lists if not one.is_done]
        self._found = {seq: (place, seq, kind) for place, seq, kind in found}
        self._piece = 0

    @property
    def is_complete(self) -> bool:
        """Whether all lists have been read to their ends."""
        return not self._lists

    def final(self) -> list[Found]:
        """What is found and has nothing unknown before it, newest first."""
        ordered = self._ordered()
        if not self._lists:
            return ordered
        return ordered[: self._known(ordered)]

    def fill(self, wanted: int | None) -> Asking[None]:
        """Read until at least the ``wanted`` newest are final; None for all."""
        assert self._conditions.first is not None
        while self._lists:
            ordered = self._ordered()
            bound = self._conditions.first
            pending = self._lists
            if wanted is None:
                piece = _ALL
            elif self._known(ordered) >= wanted:
                return
            elif len(ordered) >= wanted:
                bound = max(bound, ordered[wanted - 1][0])
                pending = [one for one in self._lists if one.below > bound]
                if not pending:
                    return
                piece = wanted
            else:
                missing = wanted - len(ordered)
                piece = 1 + missing + missing // (4 * len(pending))
                if len(pending) > 1:
                    piece = 1 + (5 * missing) // (4 * len(pending))
                self._piece = piece = max(piece, 2 * self._piece)
            rows = yield self._ask(pending, bound, piece)
            self._take(rows, pending, bound, piece)

    def _ordered(self) -> list[Found]:
        return sorted(self._found.values(), key=_PLACE, reverse=True)

    def _known(self, ordered: Sequence[Found]) -> int:
        """How many are final: those not below the place up to which all is read."""
        frontier = max([one.below for one in self._lists])
        return len(ordered) - bisect_left(ordered[::-1], frontier, key=_PLACE)

    def _take(
        self, rows: Rows, lists: Sequence[PlaceList], bound: bytes, piece: int
    ) -> None:
        counts = [0] * len(lists)
        for at, place, seq, kind in rows:
            self._found[seq] = (place, seq, kind)
            counts[at - 1] += 1
            # Of each list they come newest first.
            lists[at - 1].below = place
        is_bottom = bound == self._conditions.first
        for one, count in zip(lists, counts, strict=True):
            if count < piece:
                one.below = bound
                one.is_done = is_bottom
        self._lists = [one for one in self._lists if not one.is_done]

    def _ask(self, lists: Sequence[PlaceList], bound: bytes, piece: int) -> Ask:
        conditions = self._conditions
        values: dict[str, Any] = {
            "below": uuids([one.below for one in lists]),
            "bound": Uuid(bound),
            "piece": piece,
        }
        columns, names, where = [], [], []
        if conditions.key:
            values["keys"] = conditions.column([one.key for one in lists])
            columns.append("%(keys)s")
            names.append("key")
            where.append(f"x.{conditions.key} = l.key")
        if lists[0].kind is not None:
            values["kinds"] = int4s([one.kind or 0 for one in lists])
            columns.append("%(kinds)s")
            names.append("kind")
            where.append("x.kind = l.kind")
        columns.append("%(below)s")
        names += ["below", "at"]
        where += [
            "x.place < l.below",
            "x.place >= %(bound)s",
            conditions.residue(values),
        ]
        # With ties, so that whatever is as new as the last one is there, too.
        return (
            "SELECT l.at, r.place, r.seq, r.kind"
            f" FROM unnest({', '.join(columns)}) WITH ORDINALITY l({', '.join(names)})"
            " CROSS JOIN LATERAL (SELECT x.place, x.seq, x.kind"
            f" FROM {conditions.table} x WHERE {' AND '.join(where)}"
            " ORDER BY x.place DESC FETCH FIRST %(piece)s ROWS WITH TIES) r",
            values,
        )


def whole_list(conditions: Conditions) -> PlaceList:
    """The list of all events of whatever key and kind, from its beginning."""
    return PlaceList(b"", None, conditions.end or AFTER_PLACES)
