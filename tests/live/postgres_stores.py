"""Stores in PostgreSQL for tests: each in a database of its own, made from a copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from twisted.internet.defer import Deferred

from nostrtx.interfaces.store import SaveOutcome
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.vanish import names_all_relays
from nostrtx.settings.storing import StoreSettings
from nostrtx.storage.postgres.migrations import prepare_store
from nostrtx.storage.postgres.session import connection_parameters
from nostrtx.storage.postgres.store import PostgresEventStore
from tests.live.postgres_server import PostgresServer, shared_server
from tests.storage.events import NOW
from tests.storage.waiting_reactor import WaitingReactor

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
    tables += ["vanished", "bans", "records"]
    statements = [f"DELETE FROM nostrtx.{table}" for table in tables]
    statements.append(
        "UPDATE nostrtx.counters SET last_seq = 0, last_ban = 0, last_change = 0"
    )
    shared_server().execute("; ".join(statements), name)
    _free.append(name)


def postgres_store(
    url: str,
    reactor: Any,
    obeys: Callable[[Event], bool] = names_all_relays,
    connections: int = 2,
    replica_url: str = "",
    **options: Any,
) -> PostgresEventStore:
    """The store in the database at ``url``, not yet open."""
    settings = StoreSettings(url=url, connections=connections, replica_url=replica_url)
    return PostgresEventStore(url, settings, reactor, obeys, **options)


class Node:
    """
    A store, as one node has it.

    Attributes:
        store: The store.
        reactor: Its reactor, for the thread that uses it.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self.reactor = WaitingReactor()
        self.store = postgres_store(url, self.reactor, **options)
        self.store.open()

    def close(self) -> None:
        """Close the store."""
        self.reactor.result_of(self.store.close())

    def save(self, *events: Event) -> list[SaveOutcome]:
        """Save events in one batch; what became of each."""
        results = self.reactor.result_of(self.store.save_events(events))
        return [result.outcome for result in results]

    def found(self, asked: Filter) -> Sequence[bytes]:
        """What a filter finds, of which there is not much."""
        query = self.store.query([asked], NOW)
        page = query.next_page(2**20, 0)
        assert isinstance(page, Deferred)
        return self.reactor.result_of(page).events
