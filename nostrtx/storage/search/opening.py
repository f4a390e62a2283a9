# -*- test-case-name: tests.storage.search.test_opening -*-
"""
Whether a store can search here, and having it do so (NIP-50).

A store in memory looks through all it has. One on disk needs an index, which needs
the extra ``nostrtx[search]``; that is imported only when it is asked for. A store
that nodes share has none.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nostrtx.interfaces.store import IEventStore


def can_search(url: str, find: Callable[[str], object] = find_spec) -> bool:
    """
    Whether the store that ``url`` names can search.

    Args:
        url: As in the settings.
        find: Looks for an installed module; None if there is none.
    """
    if url == "memory:":
        return True
    return index_path(url) is not None and find("tantivy") is not None


def index_path(url: str) -> str | None:
    """Where the index of the store at ``url`` is; None if it needs none."""
    scheme, _, path = url.partition(":")
    return str(Path(path) / "search") if scheme == "lmdb" else None


def with_search(store: IEventStore, url: str, reactor: Any) -> IEventStore:
    """
    The store, not yet opened, such that it searches.

    Args:
        store: The store that ``url`` names, which :func:`can_search`.
        url: As in the settings.
        reactor: Where the threads of the search call back in.
    """
    path = index_path(url)
    if path is None:
        return store
    from nostrtx.storage.search.store import SearchingEventStore

    searching: IEventStore = SearchingEventStore(store, path, reactor)
    return searching
