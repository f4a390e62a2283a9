"""The register of members behind a pooler, as operators of many nodes have it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.storage.postgres.register_database import PostgresRegisterDatabase
from tests.live.pgbouncer import shared_pooler
from tests.live.postgres_server import shared_server
from tests.relay.membership.register_tests import RegisterTests


class PooledRegisterTests(RegisterTests, SynchronousTestCase):
    """Many registers, and a pooler that has two connections for all of them."""

    def make(self) -> None:
        """Make a database."""
        self.name = shared_server().make_database()
        self.addCleanup(shared_server().drop_database, self.name)

    def database(self) -> PostgresRegisterDatabase:
        """The database, by way of the pooler."""
        return PostgresRegisterDatabase(shared_pooler().url(self.name))
