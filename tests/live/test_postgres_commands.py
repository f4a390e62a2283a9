"""The ``nostrtx`` command on a store in PostgreSQL."""

from __future__ import annotations

from tests.live import test_commands
from tests.live.free_ports import free_port
from tests.live.postgres_server import shared_server
from tests.live.postgres_stores import empty_database, give_back


class PostgresCommandsTests(test_commands.CommandsTests):
    """``nostrtx import`` and ``nostrtx export``, as on any other store."""

    def setUp(self) -> None:
        """Choose an empty store."""
        name = empty_database()
        self.addCleanup(give_back, name)
        self.store = shared_server().url(name)

    def test_no_server(self) -> None:
        """A server that is not there is one line, and the password is not in it."""
        self.store = f"postgresql://u:secret@127.0.0.1:{free_port()}/d"
        result = self.run_command("export")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        self.assertIn(b"Error: ", result.stderr)
        self.assertNotIn(b"secret", result.stderr)

    def test_no_index(self) -> None:
        """There is no search in such a store, and so nothing to make anew."""
        result = self.run_command("reindex")
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"no index", result.stderr)
