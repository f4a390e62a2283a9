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

#: as long as that takes no more than so many events for each list: an event costs
#: far less to read there than to find in a list of its own,
_TRIES: Final = 12

#: and so many for each one wanted,
_WASTE: Final = 16

#: beginning with so many of them.
_FIRST_TRY: Final = 600

#: How many kinds an author's events are taken to have.
_SOME_KINDS: Final = 4

#: More lists are not made without looking which of them there are.
_MOST_LISTS: Final = 20_000


def looked_up(conditions: Conditions) -> Asking[list[Found]]:
    """All that is found by looking up every key."""
    values: dict[str, Any] = {}
    where = conditions.within(values)
    rows = yield (
        f"SELECT x.place, x.seq, x.kind FROM {conditions.table} x WHERE {where}",
        values,
    )
    return [(place, seq, kind) for place, seq, kind in rows]


def begin_merge(
    conditions: Conditions, wanted: int | None
) -> Asking[Merge | NewestOfMany]:
    """
    The lists that hold what matches.

    Args:
        conditions: What is looked for, but not what :func:`is_looked_up`.
        wanted: How many are wanted; None for all.
    """
    plan, end = conditions.plan, conditions.end
    assert end is not None
    if plan.way is Way.EVERYTHING:
        return Merge(conditions, [whole_list(conditions)])
    if plan.way is Way.KINDS:
        kinds = plan.kinds or ()
        return Merge(conditions, [PlaceList(b"", kind, end) for kind in kinds])
    if wanted is not None and _has_many_authors(conditions):
        return NewestOfMany(conditions)
    pairs = yield from _pairs(conditions)
    return Merge(conditions, [PlaceList(key, kind, end) for key, kind in pairs])


class NewestOfMany:
    """
    The newest events by many authors, in order.

    Args:
        conditions: What they must meet.
    """

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._scan = _Scan(conditions)
        self._merge: Merge | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all there is has been found."""
        if self._merge is not None:
            return self._merge.is_complete
        return not self._scan.rest

    def final(self) -> list[Found]:
        """What is found and has nothing unknown before it, newest first."""
        found = self._scan.known() if self._merge is None else self._merge.final()
        return found

    def fill(self, wanted: int | None) -> Asking[None]:
        """Read until at least the ``wanted`` newest are final; None for all."""
        if self._merge is None:
            scan = self._scan
            if wanted is not None and not scan.is_begun:
                yield from scan.read(wanted)
            if not scan.rest or (wanted is not None and len(scan.known()) >= wanted):
                return
            ends = {one.kind: one.below for one in scan.rest}
            pairs = yield from _pairs(self._conditions)
            # In the order of the index, neighbours are found more quickly.
            lists = [
                PlaceList(key, kind, ends[kind if kind in ends else None])
                for key, kind in sorted(pairs)
                if kind in ends or None in ends
            ]
            self._merge = Merge(self._conditions, lists, scan.found)
        yield from self._merge.fill(wanted)


def is_looked_up(conditions: Conditions) -> bool:
    """Whether there can be no more events than keys, so that none need be left."""
    plan = conditions.plan
    if plan.way is Way.IDS:
        return True
    return (
        plan.way is Way.AUTHORS
        and plan.kinds is not None
        and all(map(is_replaceable, plan.kinds))
    )


def _has_many_authors(conditions: Conditions) -> bool:
    """Whether there are many authors, who may have many events of these kinds."""
    plan = conditions.plan
    if plan.way is not Way.AUTHORS:
        return False
    if plan.kinds is None:
        return len(conditions.keys) * _SOME_KINDS > _MANY
    return len(conditions.keys) * len(plan.kinds) > _MANY


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
        is_begun: Whether anything has been read.
        rest: What can be read on: lists of a kind each, or one list of all kinds.
        found: What matches.
    """

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        end = conditions.end
        assert end is not None
        kinds = conditions.plan.kinds
        each = [None] if kinds is None else kinds
        self.is_begun = False
        self.rest = [PlaceList(b"", kind, end) for kind in each]
        self.found: list[Found] = []

    def known(self) -> list[Found]:
        """What has nothing unknown before it: all kinds have been read that far."""
        found = sorted(self.found, reverse=True)
        if not self.rest:
            return found
        frontier = max([one.below for one in self.rest])
        return [one for one in found if one[0] >= frontier]

    def read(self, wanted: int) -> Asking[None]:
        """Read until so many are found, or it is plain that it takes too long."""
        plan = self._conditions.plan
        kinds = _SOME_KINDS if plan.kinds is None else len(plan.kinds)
        budget = _TRIES * len(self._conditions.keys) * kinds + _WASTE * wanted
        pending, read = self.rest, 0
        self.is_begun = True
        piece = max(1, min(_FIRST_TRY, 6 * wanted, budget) // len(pending))
        while pending and read + piece * len(pending) <= budget:
            rows = yield self._ask(pending, piece)
            reached = [0] * len(pending)
            for at, place, seq, kind, is_wanted, number in rows:
                reached[at - 1] = number
                pending[at - 1].below = place
                if is_wanted:
                    self.found.append((place, seq, kind))
            for one, number in zip(pending, reached, strict=True):
                # What is the last one is given, unless there were fewer.
                one.is_done = number < piece
            read += sum(reached)
            self.rest = [one for one in self.rest if not one.is_done]
            have = len(self.known())
            if have >= wanted or not self.rest:
                return
            frontier = max([one.below for one in self.rest])
            pending = [one for one in self.rest if one.below == frontier]
            # What is missing, if it goes on as it went so far.
            missing = (5 * read * (wanted - have)) // (4 * have) if have else budget
            piece = min(1 + missing, 6 * read)
            if read + missing > budget:
                return

    def _ask(self, lists: Sequence[PlaceList], piece: int) -> Ask:
        conditions = self._conditions
        assert conditions.first is not None
        values: dict[str, Any] = {
            "below": uuids([one.below for one in lists]),
            "bound": Uuid(conditions.first),
            "piece": piece,
        }
        columns, names = "%(below)s", "below, at"
        where = "y.place < l.below AND y.place >= %(bound)s ORDER BY"
        if lists[0].kind is not None:
            values["kinds"] = int4s([one.kind or 0 for one in lists])
            columns, names = "%(kinds)s, %(below)s", "kind, below, at"
            where = (
                "(y.kind, y.place) < (l.kind, l.below)"
                " AND (y.kind, y.place) >= (l.kind, %(bound)s) ORDER BY y.kind DESC,"
            )
        residue = conditions.residue(values, with_authors=True)
        # The last ones are given in any case: they tell how far this went.
        return (
            "SELECT l.at, r.place, r.seq, r.kind, r.is_wanted, r.n"
            f" FROM unnest({columns}) WITH ORDINALITY l({names})"
            " CROSS JOIN LATERAL (SELECT x.place, x.seq, x.kind,"
            f" coalesce({residue}, false) AS is_wanted,"
            " row_number() OVER () AS n"
            " FROM (SELECT y.place, y.seq, y.kind, y.pubkey, y.expires_at"
            f" FROM nostrtx.events y WHERE {where}"
            " y.place DESC FETCH FIRST %(piece)s ROWS WITH TIES) x) r"
            " WHERE r.is_wanted OR r.n >= %(piece)s",
            values,
        )
