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
            if wanted is None:
                yield from self._read(self._lists, bound, _ALL)
                return
            if self._known(ordered) >= wanted:
                return
            if len(ordered) >= wanted:
                bound = max(bound, ordered[wanted - 1][0])
                pending = [one for one in self._lists if one.below > bound]
                if not pending:
                    return
                yield from self._read(pending, bound, wanted)
            elif len(self._lists) == 1:
                yield from self._read(self._lists, bound, wanted - len(ordered))
            else:
                yield from self._read_heads(wanted - len(ordered))

    def _read(
        self, lists: Sequence[PlaceList], bound: bytes, piece: int
    ) -> Asking[None]:
        """Read on in some lists, down to a place, so much of each at most."""
        rows = yield self._ask(lists, bound, piece)
        self._take(rows, lists, bound, piece)

    def _read_heads(self, wanted: int) -> Asking[None]:
        """Read on in all lists, down to where as many are found as are wanted."""
        lists = self._lists
        assert self._conditions.first is not None
        bound = self._conditions.first
        # The next one of a list costs little; to come back for it costs a look-up.
        self._piece = piece = max(3 + 2 * wanted // len(lists), 2 * self._piece)
        rows = yield self._ask_heads(lists, bound, piece, wanted)
        has_edge = bool(rows) and rows[0][4] is not None
        self._take([row[:4] for row in rows], lists, bound, piece)
        if has_edge:
            # Every list has been read down to there, and may go on behind it.
            for one in lists:
                one.below, one.is_done = rows[-1][1], False
            self._lists = lists

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
        values = {"bound": Uuid(bound), "piece": piece}
        source = self._source(lists, values)
        part = self._part("l.below", "%(bound)s", "%(piece)s", values)
        return (
            f"SELECT l.at, r.place, r.seq, r.kind FROM {source}"
            f" CROSS JOIN LATERAL ({part}) r",
            values,
        )

    def _ask_heads(
        self, lists: Sequence[PlaceList], bound: bytes, piece: int, wanted: int
    ) -> Ask:
        """
        A piece of each list, and more of those that are all newer than the edge.

        The edge is the place of the last one wanted, as far as the pieces tell, and
        comes with every row. Without it there are just the pieces, else no more than
        are wanted.
        """
        values = {
            "bound": Uuid(bound),
            "piece": piece,
            "wanted": wanted,
            "skipped": wanted - 1,
        }
        source = self._source(lists, values)
        part = self._part("l.below", "%(bound)s", "%(piece)s", values)
        edge = "(SELECT place FROM edge)"
        more = self._part("l.last", edge, "%(wanted)s", values)
        of_list = "at, kind" if lists[0].kind is not None else "at"
        if self._conditions.key:
            of_list = f"key, {of_list}"
        once = "" if self._conditions.finds_once else "DISTINCT"
        return (
            "WITH heads AS MATERIALIZED (SELECT l.*, r.place, r.seq, r.kind AS of_kind"
            f" FROM {source} CROSS JOIN LATERAL ({part}) r),"
            f" edge AS MATERIALIZED (SELECT {once} place FROM heads"
            " ORDER BY place DESC OFFSET %(skipped)s LIMIT 1),"
            f" filled AS MATERIALIZED (SELECT {of_list},"
            " (array_agg(place ORDER BY place))[1] AS last FROM heads"
            f" WHERE place >= {edge} GROUP BY {of_list} HAVING count(*) >= %(piece)s)"
            f" SELECT at, place, seq, of_kind, {edge} AS edge FROM ("
            "SELECT at, place, seq, of_kind FROM heads"
            f" WHERE place >= coalesce({edge}, %(bound)s)"
            " UNION ALL SELECT l.at, r.place, r.seq, r.kind"
            f" FROM filled l CROSS JOIN LATERAL ({more}) r) u ORDER BY u.place DESC"
            f" FETCH FIRST (CASE WHEN {edge} IS NULL THEN {_ALL} ELSE %(wanted)s END)"
            " ROWS WITH TIES",
            values,
        )

    def _source(self, lists: Sequence[PlaceList], values: dict[str, Any]) -> str:
        """The lists as a table ``l``."""
        columns, names = [], []
        if self._conditions.key:
            values["keys"] = self._conditions.column([one.key for one in lists])
            columns.append("%(keys)s")
            names.append("key")
        if lists[0].kind is not None:
            values["kinds"] = int4s([one.kind or 0 for one in lists])
            columns.append("%(kinds)s")
            names.append("kind")
        values["below"] = uuids([one.below for one in lists])
        columns.append("%(below)s")
        names += ["below", "at"]
        return f"unnest({', '.join(columns)}) WITH ORDINALITY l({', '.join(names)})"

    def _part(self, below: str, bound: str, most: str, values: dict[str, Any]) -> str:
        """The newest of the list ``l`` between two places."""
        conditions = self._conditions
        residue = conditions.residue(values)
        head = f"SELECT x.place, x.seq, x.kind FROM {conditions.table} x WHERE"
        # With ties, so that whatever is as new as the last one is there, too.
        tail = f"x.place DESC FETCH FIRST {most} ROWS WITH TIES"
        if self._lists[0].kind is not None and not conditions.key:
            # Written so that one index only has this order: to the planner, another
            # one without the kind may look as good.
            return (
                f"{head} (x.kind, x.place) < (l.kind, {below})"
                f" AND (x.kind, x.place) >= (l.kind, {bound}) AND {residue}"
                f" ORDER BY x.kind DESC, {tail}"
            )
        shared = ""
        if conditions.key:
            shared = f"x.{conditions.key} = l.key AND x.kind = l.kind AND"
        return (
            f"{head} {shared} x.place < {below} AND x.place >= {bound}"
            f" AND {residue} ORDER BY {tail}"
        )


def whole_list(conditions: Conditions) -> PlaceList:
    """The list of all events of whatever key and kind, from its beginning."""
    return PlaceList(b"", None, conditions.end or AFTER_PLACES)
