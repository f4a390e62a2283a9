# -*- test-case-name: tests.storage.test_opening -*-
"""
From the URL in the settings to the store that it names.

A store's module is imported only when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nostrtx.config import StoreSettings
from nostrtx.interfaces import IEventStore, StoreUnusable
from nostrtx.nostr.event import Event
from nostrtx.storage.memory import MemoryEventStore

_GIGABYTE = 2**30


def open_store(
    url: str, settings: StoreSettings, reactor: Any, obeys: Callable[[Event], bool]
) -> IEventStore:
    """
    The store that ``url`` names, made but not yet opened.

    Args:
        url: ``memory:``, or ``lmdb:`` and the path of a directory.
        settings: How large the store may grow.
        reactor: Where the store calls back in.
        obeys: Says which requests to vanish are for this relay (NIP-62); from any
            thread.

    Raises:
        StoreUnusable: There is no such store.
    """
    scheme, colon, path = url.partition(":")
    if scheme == "memory" and colon and not path:
        return MemoryEventStore(obeys)
    if scheme == "lmdb" and path:
        from nostrtx.storage.lmdb.store import LMDBEventStore

        max_bytes = settings.max_gigabytes * _GIGABYTE
        return LMDBEventStore(path, max_bytes, reactor, obeys)
    raise StoreUnusable(f"no store {url!r}: it must be lmdb:DIRECTORY or memory:")
