"""The store in PostgreSQL answers exactly as the store in memory does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import IEventStore
from tests.live.postgres_server import shared_server
from tests.live.postgres_stores import empty_database, give_back, postgres_store
from tests.storage.equivalence_tests import EquivalenceTests
from tests.storage.waiting_reactor import WaitingReactor


class PostgresEquivalenceTests(EquivalenceTests, SynchronousTestCase):
    """Tests that compare :mod:`nostrtx.storage.postgres` with the reference."""

    @contextmanager
    def store_maker(self) -> Iterator[Callable[[WaitingReactor], IEventStore]]:
        """Makes a store in a database of its own."""
        name = empty_database()
        try:
            url = shared_server().url(name, by_socket=True)
            yield lambda reactor: postgres_store(url, reactor, connections=1)
        finally:
            give_back(name)
