# -*- test-case-name: tests.storage.test_lmdb_explaining -*-
"""
How the embedded store comes to an answer: what a query does to cursors is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import attrs

from nostrtx.nostr.filters import Filter
from nostrtx.storage.explanation import Explanation, Look
from nostrtx.storage.lmdb.newest import Newest, is_more
from nostrtx.storage.lmdb.schema import Databases
from nostrtx.storage.lmdb.selectivity import size_of
from nostrtx.storage.lmdb.snapshot import Snapshot
from nostrtx.storage.query_plan import Way, plan_query

#: What moves a cursor to one place.
_SEEKS: Final = frozenset(
    {
        "first",
        "last",
        "next",
        "next_dup",
        "next_nodup",
        "prev",
        "set_key",
        "set_key_dup",
        "set_range",
        "set_range_dup",
    }
)


@attrs.define
class _Counts:
    """What was done to one database."""

    cursors: int = 0
    keys: int = 0
    entries: int = 0

    def through(self, values: Iterable[Any]) -> Iterator[Any]:
        """The same values, counted as they are taken."""
        for value in values:
            self.entries += 1
            yield value


class _CountedCursor:
    """A cursor that counts what is done with it."""

    def __init__(self, cursor: Any, counts: _Counts) -> None:
        self._cursor = cursor
        self._counts = counts

    def getmulti(self, keys: Any, *rest: Any, **options: Any) -> Any:
        found = self._cursor.getmulti(keys, *rest, **options)
        self._counts.keys += len(keys)
        self._counts.entries += len(found)
        return found

    def __getattr__(self, name: str) -> Any:
        does = getattr(self._cursor, name)
        counts = self._counts
        if name in _SEEKS:

            def seek(*given: Any, **options: Any) -> Any:
                counts.keys += 1
                return does(*given, **options)

            return seek
        if name.startswith("iter"):
            return lambda *given, **options: counts.through(does(*given, **options))
        return does


class CountedSnapshot(Snapshot):
    """
    A view of the store that counts what is looked at.

    Args:
        databases: The store.
    """

    __slots__ = ("_counts",)

    def __init__(self, databases: Databases) -> None:
        super().__init__(databases)
        names = [field.name for field in attrs.fields(Databases)][2:]
        self._counts = {name: _Counts() for name in names}
        counts_of = {id(getattr(databases, name)): self._counts[name] for name in names}
        get, cursor = self.get, self.cursor

        def counted_get(key: bytes, default: Any = None, db: Any = None) -> Any:
            counts = counts_of[id(db)]
            counts.keys += 1
            found = get(key, default, db)
            counts.entries += found is not default
            return found

        def counted_cursor(db: Any) -> _CountedCursor:
            counts = counts_of[id(db)]
            counts.cursors += 1
            return _CountedCursor(cursor(db), counts)

        self.get: Callable[..., Any] = counted_get
        self.cursor: Callable[..., Any] = counted_cursor

    def looks(self) -> list[Look]:
        """What was looked at, where anything was."""
        return [
            Look(name, counts.cursors, counts.keys, counts.entries)
            for name, counts in self._counts.items()
            if counts.keys or counts.entries
        ]


def _name_of(asked: Filter, way: Way, tag: int) -> str:
    return f"{way.value} #{asked.tags[tag][0]}" if tag >= 0 else way.value


def explain(
    databases: Databases, asked: Filter, now: float, seconds: Callable[[], float]
) -> Explanation:
    """
    Answer a filter, and tell how.

    Args:
        databases: The store.
        asked: What is asked for.
        now: What expires by then is left out.
        seconds: Tells the time.
    """
    choices: list[tuple[str, int]] = []
    snapshot = CountedSnapshot(databases)
    try:

        def size(way: Way, tag: int) -> int:
            found = size_of(snapshot, asked, way, tag)
            choices.append((_name_of(asked, way, tag), found))
            return found

        plan = plan_query(asked, size)
    finally:
        snapshot.close()
    # Anew, so that finding the way counts once.
    began = seconds()
    snapshot = CountedSnapshot(databases)
    try:
        for _ in snapshot.find_expired(now):
            pass
        finding = Newest(snapshot, asked, {}, None).find()
        while True:
            try:
                next(finding)
            except StopIteration as end:
                cut = end.value
                break
        for posting in cut.postings:
            snapshot.raw(posting)
        return Explanation(
            _name_of(asked, plan.way, plan.tag),
            choices,
            snapshot.looks(),
            len(cut.postings),
            is_more([cut], cut.postings),
            seconds() - began,
        )
    finally:
        snapshot.close()
