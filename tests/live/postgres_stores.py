"""Stores in PostgreSQL for tests: each in a database of its own, made from a copy."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from nostrtx.config import StoreSettings
from nostrtx.nostr.event import Event
from nostrtx.nostr.vanish import names_all_relays
from nostrtx.storage.postgres.migrations import prepare_store
from nostrtx.storage.postgres.session import connection_parameters
from nostrtx.storage.postgres.store import PostgresEventStore
from tests.live.postgres_server import PostgresServer, shared_server

_free: list[str] = []


@cache
def empty_template(server: PostgresServer) -> str:
    """The name of a database with the tables of an empty store."""
    name = server.make_database()
    prepare_store(connection_parameters(server.url(name)))
    return name


def empty_database() -> str:
    """
    The name of a database of the shared server that holds an empty store.

    Give it back with :func:`give_back` when nobody is connected to it any more.
    """
    if _free:
        return _free.pop()
    server = shared_server()
    name = server.make_database(empty_template(server))
    server.execute("UPDATE nostrtx.identity SET identity = gen_random_uuid()", name)
    return name


def give_back(name: str) -> None:
    """Empty a database for the next one who needs it: quicker than a new one."""
    tables = ["events", "bodies", "tags", "deleted_ids", "deleted_addresses"]
    tables += ["vanished", "bans"]
    statements = [f"DELETE FROM nostrtx.{table}" for table in tables]
    statements.append("UPDATE nostrtx.counters SET last_seq = 0, last_ban = 0")
    shared_server().execute("; ".join(statements), name)
    _free.append(name)


def postgres_store(
    url: str,
    reactor: Any,
    obeys: Callable[[Event], bool] = names_all_relays,
    connections: int = 2,
    **options: Any,
) -> PostgresEventStore:
    """The store in the database at ``url``, not yet open."""
    settings = StoreSettings(url=url, connections=connections)
    return PostgresEventStore(url, settings, reactor, obeys, **options)
