"""A pooler between the node and PostgreSQL: PgBouncer, transaction by transaction."""

from __future__ import annotations

import shutil
import socket
import subprocess
from threading import Thread

import psycopg
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from nostrtx.interfaces.store import SaveOutcome
from nostrtx.nostr.filters import Filter
from nostrtx.storage.postgres.session import Session, connection_parameters
from tests.live.free_ports import free_port
from tests.live.postgres_server import (
    private_directory,
    shared_server,
    unprivileged,
)
from tests.live.postgres_stores import Node, empty_database, give_back
from tests.storage.events import make_event

_SETTINGS = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
ignore_startup_parameters = extra_float_digits
"""


class Pooler:
    """
    PgBouncer before the shared server.

    Args:
        size: How many connections to the server it has for one database.

    Attributes:
        port: Where clients connect.
    """

    def __init__(self, size: int) -> None:
        program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
        if program is None:
            raise SkipTest("no pgbouncer: apt-get install pgbouncer")
        self._directory = private_directory()
        self.port = free_port()
        settings = self._directory / "pgbouncer.ini"
        settings.write_text(
            _SETTINGS.format(server=shared_server().port, port=self.port, size=size)
        )
        settings.chmod(0o644)
        self._process = subprocess.Popen(
            [program, "-q", str(settings)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **unprivileged(),
        )
        while self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                continue
        raise AssertionError("pgbouncer did not start")

    def stop(self) -> None:
        """End it, and remove all it had."""
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self._directory)


class PoolerTests(SynchronousTestCase):
    """Nodes that share a few connections to the server."""

    def setUp(self) -> None:
        """Start the pooler, and make a database."""
        name = empty_database()
        self.pooler = Pooler(4)
        self.url = f"postgresql://postgres@127.0.0.1:{self.pooler.port}/{name}"
        # In this order the other way round.
        self.addCleanup(give_back, name)
        self.addCleanup(self.pooler.stop)

    def node(self) -> Node:
        """A node behind the pooler."""
        node = Node(self.url, connections=3)
        self.addCleanup(node.close)
        return node

    def test_is_known(self) -> None:
        """A pooler is known for one, and a server for none."""
        for url, is_pooled in ((self.url, True), (shared_server().url(), False)):
            session = Session.connect(connection_parameters(url))
            self.addCleanup(session.close)
            self.assertIs(session.is_pooled, is_pooled)

    def test_server_stands_still(self) -> None:
        """A pooler that takes connections for a server that is still is not enough."""
        Session.connect(connection_parameters(self.url)).close()
        shared_server().pause()
        try:
            error = self.assertRaises(
                psycopg.OperationalError,
                Session.connect,
                connection_parameters(self.url),
            )
        finally:
            shared_server().resume()
        self.assertIn("does not answer", str(error))

    def test_all_of_it(self) -> None:
        """Saving, asking, counting, the log and being alone work through a pooler."""
        nodes = [self.node(), self.node()]

        def use(node: Node, name: int) -> None:
            for number in range(30):
                node.save(make_event(content=f"{name} {number}", tags=[["t", "x"]]))
                asked = Filter(tags=(("t", ("x",)),), limit=500)
                assert len(node.found(asked)) > number
                assert node.store.events_after(0, 100)
                node.reactor.result_of(node.store.alone())()

        threads = [
            Thread(target=use, args=(node, name)) for name, node in enumerate(nodes)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        log = [seq for seq, _ in nodes[0].store.events_after(0, 100)]
        self.assertEqual(log, list(range(1, 61)))

    def test_alone_means_alone(self) -> None:
        """Whoever is alone stays so, whatever connection others get."""
        one, other = self.node(), self.node()
        release = one.reactor.result_of(one.store.alone())
        waiting = other.store.alone()
        for number in range(20):
            one.save(make_event(content=f"{number}"))
            other.found(Filter())
        self.assertFalse(waiting.called)
        release()
        other.reactor.result_of(waiting)()

    def test_server_restarts(self) -> None:
        """When the server behind the pooler has restarted, everything goes on."""
        node = self.node()
        node.save(make_event())
        shared_server().restart()
        outcomes = node.save(make_event(), make_event(content="late"))
        self.assertEqual(outcomes, [SaveOutcome.DUPLICATE, SaveOutcome.STORED])
        self.assertEqual(len(node.found(Filter())), 2)
