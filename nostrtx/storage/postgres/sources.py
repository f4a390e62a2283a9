# -*- test-case-name: tests.storage.test_postgres_merge -*-
"""
Where the newest matches of a filter are read from: lists in indexes.

Events of many authors are first looked for among the newest of their kinds, which
are read in one go; only if these do not suffice is each author's list looked into.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from nostrtx.nostr.kinds import is_replaceable
from nostrtx.storage.postgres.columns import Uuid, int4s, uuids
from nostrtx.storage.postgres.conditions import Asking, Conditions
from nostrtx.storage.postgres.exchange import Ask
from nostrtx.storage.postgres.merge import Found, Merge, PlaceList, whole_list
from nostrtx.storage.query_plan import Way

#: For more lists of authors than this, the newest of all authors are tried first,
_MANY: Final = 64

#: as long as that takes no more than so many events for each list,
_TRIES: Final = 4

#: beginning with so many of them.
_FIRST_TRY: Final = 600

#: How many kinds an author's events are taken to have.
_SOME_KINDS: Final = 4

#: More lists are not made without looking which of them there are.
_MOST_LISTS: Final = 20_000


def looked_up(conditions: Conditions) -> Asking[list[Found]]:
    """What is found by ids, in order but for ties."""
    values: dict[str, Any] = {}
    where = conditions.within(values)
    rows = yield (
        f"SELECT x.place, x.seq, x.kind FROM {conditions.table} x WHERE {where}",
        values,
    )
    return [(place, seq, kind) for place, seq, kind in rows]


def begin_merge(conditions: Conditions, wanted: int | None) -> Asking[Merge]:
    """
    The lists that hold what matches, some of it read already.

    Args:
        conditions: What is looked for, but not by ids.
        wanted: How many are wanted; None for all.
    """
    plan, end = conditions.plan, conditions.end
    assert end is not None
    if plan.way is Way.EVERYTHING:
        return Merge(conditions, [whole_list(conditions)])
    if plan.way is Way.KINDS:
        kinds = plan.kinds or ()
        return Merge(conditions, [PlaceList(b"", kind, end) for kind in kinds])
    ends: dict[int | None, bytes] = {}
    found: list[Found] = []
    if wanted is not None and _has_many_authors(conditions):
        scan = _Scan(conditions)
        yield from scan.read(wanted)
        found = scan.found
        ends = {one.kind: one.below for one in scan.lists if not one.is_done}
        if not ends:
            return Merge(conditions, (), found)
    pairs = yield from _pairs(conditions)
    if ends and None not in ends:
        pairs = [(key, kind) for key, kind in pairs if kind in ends]
    lists = [
        PlaceList(key, kind, ends.get(kind, ends.get(None, end))) for key, kind in pairs
    ]
    return Merge(conditions, lists, found)


def _has_many_authors(conditions: Conditions) -> bool:
    """Whether there are many authors, who may have many events of these kinds."""
    plan = conditions.plan
    if plan.way is not Way.AUTHORS:
        return False
    if plan.kinds is None:
        return len(conditions.keys) * _SOME_KINDS > _MANY
    return len(conditions.keys) * len(plan.kinds) > _MANY and not all(
        map(is_replaceable, plan.kinds)
    )


def _pairs(conditions: Conditions) -> Asking[Sequence[tuple[bytes, int]]]:
    """The keys, each with each of its kinds."""
    keys, kinds = conditions.keys, conditions.plan.kinds
    if kinds is not None and len(keys) * len(kinds) <= _MOST_LISTS:
        return [(key, kind) for key in keys for kind in kinds]
    table, column = conditions.table, conditions.key
    # From one kind under a key to the next, without what lies between.
    following = f"SELECT x.kind FROM {table} x WHERE x.{column}"
    rows = yield (
        "WITH RECURSIVE found(key, kind) AS ("
        f"SELECT u.key, ({following} = u.key ORDER BY x.kind LIMIT 1)"
        " FROM unnest(%(keys)s) u(key) UNION ALL"
        f" SELECT f.key, ({following} = f.key AND x.kind > f.kind"
        " ORDER BY x.kind LIMIT 1) FROM found f WHERE f.kind IS NOT NULL)"
        " SELECT key, kind FROM found WHERE kind IS NOT NULL",
        {"keys": conditions.column(keys)},
    )
    asked = None if kinds is None else frozenset(kinds)
    left_out = conditions.plan.left_out
    return [
        (key, kind)
        for key, kind in rows
        if kind not in left_out and (asked is None or kind in asked)
    ]


class _Scan:
    """
    The newest events of some kinds, whoever made them, sieved by author.

    Attributes:
        lists: One for each kind, or one for all kinds.
        found: What matches.
    """

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        end = conditions.end
        assert end is not None
        kinds = conditions.plan.kinds
        each = [None] if kinds is None else kinds
        self.lists = [PlaceList(b"", kind, end) for kind in each]
        self.found: list[Found] = []

    def read(self, wanted: int) -> Asking[None]:
        """Read until so many are found, or it is plain that it takes too long."""
        lists = self._conditions.plan.kinds
        budget = (
            _TRIES
            * len(self._conditions.keys)
            * (_SOME_KINDS if lists is None else len(lists))
        )
        piece, read = min(_FIRST_TRY, budget), 0
        while piece > 0:
            pending = [one for one in self.lists if not one.is_done]
            if not pending:
                return
            each = max(1, piece // len(pending))
            rows = yield self._ask(pending, each)
            totals = dict.fromkeys(range(1, len(pending) + 1), 0)
            for at, place, seq, kind, is_wanted, total in rows:
                totals[at] = total
                pending[at - 1].below = place
                if is_wanted:
                    self.found.append((place, seq, kind))
            for at, total in totals.items():
                read += total
                pending[at - 1].is_done = total < each
            have = len(self.found)
            if have >= wanted:
                return
            # What is missing, if it goes on as it went so far.
            piece = 1 + (5 * read * (wanted - have)) // (4 * have) if have else budget
            if read + piece > budget:
                return

    def _ask(self, lists: Sequence[PlaceList], piece: int) -> Ask:
        conditions = self._conditions
        assert conditions.first is not None
        values: dict[str, Any] = {
            "below": uuids([one.below for one in lists]),
            "bound": Uuid(conditions.first),
            "piece": piece,
        }
        columns, names, where = "%(below)s", "below, at", ""
        if lists[0].kind is not None:
            values["kinds"] = int4s([one.kind or 0 for one in lists])
            columns, names = "%(kinds)s, %(below)s", "kind, below, at"
            where = "y.kind = l.kind AND"
        residue = conditions.residue(values, with_authors=True)
        # The last one is given in any case: it tells how far this went.
        return (
            "SELECT l.at, r.place, r.seq, r.kind, r.is_wanted, r.total"
            f" FROM unnest({columns}) WITH ORDINALITY l({names})"
            " CROSS JOIN LATERAL (SELECT x.place, x.seq, x.kind,"
            f" coalesce({residue}, false) AS is_wanted,"
            " row_number() OVER () AS n, count(*) OVER () AS total"
            " FROM (SELECT y.place, y.seq, y.kind, y.pubkey, y.expires_at"
            f" FROM nostrtx.events y WHERE {where}"
            " y.place < l.below AND y.place >= %(bound)s"
            " ORDER BY y.place DESC FETCH FIRST %(piece)s ROWS WITH TIES) x) r"
            " WHERE r.is_wanted OR r.n = r.total",
            values,
        )
