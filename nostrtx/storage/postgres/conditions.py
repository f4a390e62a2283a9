# -*- test-case-name: tests.storage.test_postgres_merge -*-
"""
Filters as SQL: where to look for their events, and what these must meet (NIP-01).

Both tables in which events are looked for have the same columns for what matters
most, ``place``, ``kind``, ``seq`` and ``expires_at``; one of them is ``x`` in each
statement.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from nostrtx.interfaces.queries import IScreen
from nostrtx.nostr.filters import Filter
from nostrtx.storage.postgres.columns import (
    Byteas,
    Uuid,
    Uuids,
    byteas,
    int4s,
    uuids,
)
from nostrtx.storage.postgres.exchange import Ask, Rows
from nostrtx.storage.postgres.keys import (
    LATEST,
    end_of_places,
    first_place,
    own_d_key,
    tag_key,
)
from nostrtx.storage.query_plan import Plan, Way, plan_query

_T = TypeVar("_T")

#: What asks the server now and then: it yields statements and gets their rows.
Asking: TypeAlias = Generator[Ask, Rows, _T]

#: How far it is counted what an index holds: further if all hold as much, and beyond
#: the last one, too many to tell them from each other.
_MANY: Final = (2000, 50_000)

#: Up to so many values are compared one by one.
_FEW: Final = 8


#: Events must not have expired. What has is found without looking at all others.
_ALIVE: Final = "(x.expires_at IS NULL OR x.expires_at > %(now)s)"
EXPIRED: Final = (
    "x.seq IN (SELECT d.seq FROM nostrtx.events d WHERE d.expires_at <= %(now)s)"
)


class Conditions:
    """
    One filter, which does not match nothing, and the plan by which it is answered.

    Args:
        asked: What is asked for.
        plan: How.
        now: What has expired by then is left out.

    Attributes:
        asked: As above.
        plan: As above.
        table: Where to look.
        key: The column that has one of ``keys``; empty if there is none.
        keys: What the plan's way begins with: authors, or tags.
        first: The least place; None if no event can be late enough.
        end: What is greater than any place; None if no event can be early enough.
    """

    def __init__(self, asked: Filter, plan: Plan, now: float) -> None:
        self.asked = asked
        self.plan = plan
        self.table = "nostrtx.events"
        self.key = ""
        self.keys: Sequence[bytes] = ()
        self.first = first_place(asked.since)
        self.end = end_of_places(asked.until)
        self._now = min(max(int(now), -1), LATEST)
        if plan.way is Way.AUTHORS:
            self.key, self.keys = "pubkey", asked.authors or ()
        elif plan.way is Way.IDS:
            self.key, self.keys = "id", asked.ids or ()
        elif plan.way is Way.TAG:
            letter, values = asked.tags[plan.tag]
            self.table, self.key = "nostrtx.tags", "tag"
            self.keys = [tag_key(letter, value) for value in values]
        elif plan.way is Way.ADDRESSES:
            self.table, self.key = "nostrtx.tags", "tag"
            self.keys = [
                own_d_key(author, value)
                for author in asked.authors or ()
                for value in asked.tags[plan.tag][1]
            ]

    @property
    def can_match(self) -> bool:
        """Whether any event can have such a kind and such a time."""
        return self.plan.kinds != () and self.first is not None and self.end is not None

    @property
    def finds_once(self) -> bool:
        """Whether no event is found twice."""
        return self.table == "nostrtx.events" or len(self.keys) == 1

    def column(self, keys: Sequence[bytes]) -> Byteas | Uuids:
        """A column of what is in :attr:`key`."""
        return uuids(keys) if self.key == "tag" else byteas(keys)

    def residue(
        self,
        values: dict[str, Any],
        with_authors: bool = False,
        alive: str = _ALIVE,
    ) -> str:
        """
        What is left to check of what the way leads to, but for its place.

        Args:
            values: Gets what stands for the placeholders.
            with_authors: Whether authors must be checked whatever the plan says.
            alive: What is asked of the expiration.
        """
        asked, plan = self.asked, self.plan
        values["now"] = self._now
        parts = [alive]
        if plan.check_kinds and plan.kinds is not None:
            values["kinds_"] = int4s(plan.kinds)
            parts.append("x.kind = ANY(%(kinds_)s)")
        if plan.left_out and plan.kinds is None:
            values["left_out"] = int4s(sorted(plan.left_out))
            parts.append("x.kind <> ALL(%(left_out)s)")
        if asked.authors is not None and (plan.check_authors or with_authors):
            values["authors"] = byteas(asked.authors)
            author = "x.pubkey"
            if self.table == "nostrtx.tags":
                author = "(SELECT e.pubkey FROM nostrtx.events e WHERE e.seq = x.seq)"
            parts.append(_is_in(author, "authors", len(asked.authors)))
        for at in plan.check_tags:
            letter, texts = asked.tags[at]
            values[f"tags{at}"] = uuids([tag_key(letter, text) for text in texts])
            # The limit keeps the planner from looking at all events with that tag.
            parts.append(
                "(SELECT true FROM nostrtx.tags o WHERE o.seq = x.seq AND"
                f" o.kind = x.kind AND o.place = x.place AND"
                f" {_is_in('o.tag', f'tags{at}', len(texts))} LIMIT 1)"
            )
        return " AND ".join(parts)

    @property
    def is_exact(self) -> bool:
        """Whether all that the way leads to matches, if it has not expired."""
        plan = self.plan
        return plan.is_exact and not plan.left_out and self.finds_once

    def within(self, values: dict[str, Any], alive: str = _ALIVE) -> str:
        """
        Everything that what matches must meet, whatever the order.

        Args:
            values: Gets what stands for the placeholders.
            alive: What is asked of the expiration.
        """
        assert self.first is not None
        assert self.end is not None
        parts = []
        if self.key:
            values["keys"] = self.column(self.keys)
            parts.append(f"x.{self.key} = ANY(%(keys)s)")
        plan = self.plan
        if plan.kinds is not None and not plan.check_kinds:
            values["kinds"] = int4s(plan.kinds)
            parts.append("x.kind = ANY(%(kinds)s)")
        if self.asked.since is not None:
            values["first"] = Uuid(self.first)
            parts.append("x.place >= %(first)s")
        if self.asked.until is not None:
            values["end"] = Uuid(self.end)
            parts.append("x.place < %(end)s")
        parts.append(self.residue(values, False, alive))
        return " AND ".join(parts)


def conditions_for(
    asked: Filter, now: float, hidden: frozenset[int] = frozenset()
) -> Asking[Conditions]:
    """
    Find the best way to answer a filter; the server is asked if there is a choice.

    Args:
        asked: What is asked for; must not match nothing.
        now: What has expired by then is left out.
        hidden: Kinds that are not to be found.
    """
    choices: list[tuple[Way, int]] = []

    def note(way: Way, tag: int) -> int:
        choices.append((way, tag))
        return 0

    plan = plan_query(asked, note, hidden)
    if choices:
        sizes: dict[tuple[Way, int], int] = {}
        for many in _MANY:
            [counts] = yield _sizes(asked, plan, choices, many)
            sizes = dict(zip(choices, counts, strict=True))
            if min(counts) < many:
                break
        plan = plan_query(asked, lambda way, tag: sizes[way, tag], hidden)
    return Conditions(asked, plan, now)


def hidden_kinds(screen: IScreen | None) -> frozenset[int]:
    """The kinds of which ``screen`` hides all events, where it names them."""
    if screen is None or not screen.hides_all:
        return frozenset()
    return screen.kinds or frozenset()


def hides_everything(screen: IScreen | None) -> bool:
    """Whether ``screen`` hides all events of all kinds."""
    return screen is not None and screen.hides_all and screen.kinds is None


def _sizes(
    asked: Filter, plan: Plan, choices: Iterable[tuple[Way, int]], many: int
) -> Ask:
    """How much each way leads to, one column each, counted up to ``many``."""
    values: dict[str, Any] = {}
    of_kinds = ""
    if plan.kinds is not None:
        values["kinds"] = int4s(plan.kinds)
        of_kinds = " AND x.kind = ANY(%(kinds)s)"
    columns = []
    for at, (way, tag) in enumerate(choices):
        if way is Way.TAG:
            letter, texts = asked.tags[tag]
            values[f"v{at}"] = uuids([tag_key(letter, text) for text in texts])
            where = f"nostrtx.tags x WHERE x.tag = ANY(%(v{at})s)"
        else:
            values[f"v{at}"] = byteas(asked.authors or ())
            where = f"nostrtx.events x WHERE x.pubkey = ANY(%(v{at})s)"
        columns.append(
            f"(SELECT count(*) FROM (SELECT FROM {where}{of_kinds} LIMIT {many}) s)"
        )
    return f"SELECT {', '.join(columns)}", values


def _is_in(column: str, name: str, length: int) -> str:
    if length <= _FEW:
        return f"{column} = ANY(%({name})s)"
    # So it is hashed, and the planner does not turn it into a join.
    return f"CASE WHEN {column} IN (SELECT unnest(%({name})s)) THEN true END"
