# -*- test-case-name: tests.storage.test_lmdb -*-
"""
One consistent view of the embedded store, for reading.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from nostrtx.storage.lmdb.keys import SEQ, expiry_key
from nostrtx.storage.lmdb.schema import COUNTERS, Databases

#: What generators that scan the store yield: the moments at which they may be left.
Pauses = Generator[None, None, None]

#: About how much is done between two pauses, in postings read.
STRIDE = 1000


class Snapshot:
    """
    The store as it was when this was made; costs pages of disk until it is closed.

    Args:
        databases: The store.

    Attributes:
        db: The store's databases.
        get: Looks up one value: ``get(key, db=database)``.
        cursor: Makes a new cursor: ``cursor(database)``.
        expired: The ``seq`` of events that have expired but are not removed yet, as
            far as :meth:`find_expired` has found them.
    """

    __slots__ = ("_txn", "cursor", "db", "expired", "get")

    def __init__(self, databases: Databases) -> None:
        self.db = databases
        txn = databases.env.begin()
        self._txn = txn
        self.get = txn.get
        self.cursor = txn.cursor
        self.expired: set[bytes] = set()

    def last_seq(self) -> int:
        """The ``seq`` of the event stored last."""
        return int.from_bytes(self.get(COUNTERS, db=self.db.meta)[:5], "big")

    def size(self, database: Any) -> int:
        """How many entries a database holds."""
        entries: int = self._txn.stat(database)["entries"]
        return entries

    def raw(self, posting: bytes) -> bytes:
        """The JSON of the event that ``posting`` stands for."""
        raw: bytes = self.get(posting[SEQ], db=self.db.events)
        return raw

    def find_expired(self, now: float) -> Pauses:
        """Find out what has expired by ``now``."""
        cursor = self.cursor(self.db.expiries)
        if not cursor.first():
            return
        end = expiry_key(max(int(now), -1) + 1, b"")
        if cursor.key() >= end:
            return
        for count, key in enumerate(cursor.iternext(values=False), 1):
            if key >= end:
                return
            self.expired.add(key[5:])
            if count % STRIDE == 0:
                yield

    def close(self) -> None:
        """Give the view up; nothing of it may be used any more."""
        self._txn.abort()
