# -*- test-case-name: tests.storage.test_opening -*-
"""
From the URL in the settings to the store that it names.

A store's module is imported only when it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final

from nostrtx.interfaces.store import IEventStore, StoreUnusable
from nostrtx.nostr.event import Event
from nostrtx.settings.storing import StoreSettings
from nostrtx.storage.memory import MemoryEventStore

_GIGABYTE = 2**30

#: How a URL of whatever kind begins.
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,20}")

#: How long one query may take unless the settings say something else, in seconds.
_QUERY_SECONDS: Final = 2.0

#: A password in a URL as a parameter, and before the host, where it may hold anything
#: that should have been percent-encoded.
_PARAMETER: Final = re.compile(r"([?&][^=&]*(?:password|secret|%)[^=&]*=)[^&]*")
_PASSWORD: Final = re.compile(r"(?<=://)([^/?#@:]*):.*@")


def open_store(
    url: str,
    settings: StoreSettings,
    reactor: Any,
    obeys: Callable[[Event], bool],
    query_seconds: float = _QUERY_SECONDS,
    find: Callable[[str], object] = find_spec,
) -> IEventStore:
    """
    The store that ``url`` names, made but not yet opened.

    Args:
        url: ``memory:``, or ``lmdb:`` and the path of a directory, or the URL of a
            PostgreSQL database.
        settings: How large the store may grow, and how it is connected to.
        reactor: Where the store calls back in.
        obeys: Says which requests to vanish are for this relay (NIP-62); from any
            thread.
        query_seconds: How long a server may work for one query; infinite for any
            time.
        find: Looks for an installed module; None if there is none.

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
    if StoreSettings(url=url).is_shared:
        if find("psycopg") is None:
            raise StoreUnusable(
                "PostgreSQL needs an extra that is not installed: pip install"
                ' "nostrtx[postgres]"'
            )
        from nostrtx.storage.postgres.store import PostgresEventStore

        return PostgresEventStore(url, settings, reactor, obeys, query_seconds)
    # Whatever it is, the rest of it may hold a password.
    kind = f" as {scheme + colon!r}" if _SCHEME.fullmatch(scheme) else ""
    raise StoreUnusable(
        f"there is no such store{kind}: it must be lmdb:DIRECTORY,"
        " postgresql://USER@HOST/DATABASE or memory:"
    )


def shown_url(url: str) -> str:
    """The URL as it may be shown and logged: without a password."""
    return _PASSWORD.sub(r"\1:***@", _PARAMETER.sub(r"\1***", url))
