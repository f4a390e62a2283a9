"""
Tests for :mod:`nostrtx.relay.membership.register`, over each database it may be in.
"""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGQUIT

import psycopg
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.register import RegisterError
from nostrtx.relay.membership.register import Invite, Outcome, Register
from nostrtx.storage.postgres.register_database import PostgresRegisterDatabase
from nostrtx.storage.register_file import RegisterFile
from tests.live.postgres_server import PostgresServer, shared_server
from tests.relay.membership.register_tests import RegisterTests
from tests.storage.events import ALICE, BOB, NOW, event_id


class RegisterFileTests(RegisterTests, SynchronousTestCase):
    """Tests for :class:`nostrtx.storage.register_file.RegisterFile`."""

    def make(self) -> None:
        """Make a directory."""
        directory = Path(self.mktemp())
        directory.mkdir(parents=True)
        self.path = directory / "membership.sqlite"

    def database(self) -> RegisterFile:
        """The file."""
        return RegisterFile(str(self.path))

    def test_private(self) -> None:
        """Nobody else may read it, nor what SQLite keeps beside it."""
        self.register.add_member(ALICE)
        files = list(self.path.parent.iterdir())
        self.assertIn(self.path, files)
        for file in files:
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600, file)

    def test_in_memory(self) -> None:
        """A relay that forgets has a register that forgets."""
        register = Register(RegisterFile(":memory:"))
        register.add_member(ALICE)
        register.close()
        again = Register(RegisterFile(":memory:"))
        self.assertEqual(again.contents().members, {})
        again.close()

    def test_unusable(self) -> None:
        """What is no register is refused in one line that names it."""
        broken = self.path.with_name("broken")
        broken.write_text("certainly no database, but long enough to look at" * 20)
        missing = self.path.parent / "missing" / "x"
        for path in (broken, missing, self.path.parent):
            error = self.assertRaises(RegisterError, Register, RegisterFile(str(path)))
            self.assertIn(str(path), str(error))
            self.assertNotIn("\n", str(error))


class PostgresRegisterTests(RegisterTests, SynchronousTestCase):
    """Tests for :class:`.postgres.register_database.PostgresRegisterDatabase`."""

    def make(self) -> None:
        """Make a database."""
        server = shared_server()
        self.name = server.make_database()
        self.addCleanup(server.drop_database, self.name)
        self.url = server.url(self.name)

    def database(self) -> PostgresRegisterDatabase:
        """The database."""
        return PostgresRegisterDatabase(self.url)

    def test_lost_connections(self) -> None:
        """A connection that was ended while nobody used it is not missed."""
        self.register.add_member(ALICE)
        end = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{self.name}'"
        )
        shared_server().execute(end)
        self.assertFalse(self.register.has_changed())
        self.assertTrue(self.other.has_changed())
        shared_server().execute(end)
        self.assertTrue(self.register.add_member(BOB))
        self.assertEqual(self.members(), {ALICE: (), BOB: ()})

    def test_lost_within(self) -> None:
        """If a connection is lost in the midst of a change, nothing has changed."""
        database = self.database()
        self.addCleanup(database.close)
        database.open("", 1)

        def change() -> None:
            with database.transaction():
                database.change("INSERT INTO members VALUES (?)", (ALICE,))
                shared_server().execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    f" WHERE datname = '{self.name}' AND xact_start IS NOT NULL"
                )
                database.change("INSERT INTO members VALUES (?)", (BOB,))

        error = self.assertRaises(RegisterError, change)
        self.assertNotIn("\n", str(error))
        self.assertEqual(self.members(), {})
        self.assertTrue(self.register.add_member(ALICE))

    def test_put_back(self) -> None:
        """A database that was put back, and changed since, has changed."""
        stamp = "SELECT stamp FROM nostrtx_membership.register"
        [(before,)] = shared_server().execute(stamp, self.name)
        self.register.add_member(ALICE)
        for statement in (
            f"UPDATE nostrtx_membership.register SET stamp = '{before}'",
            "DELETE FROM nostrtx_membership.members",
        ):
            shared_server().execute(statement, self.name)
        self.other.add_member(BOB)
        self.assertTrue(self.register.has_changed())
        self.assertEqual(self.register.contents().members, {BOB: ()})

    def test_somebody_stands_still(self) -> None:
        """Who is in the way is waited for, but not for ever."""
        impatient = PostgresRegisterDatabase(self.url, busy_seconds=0.05)
        register = Register(impatient)
        self.addCleanup(register.close)
        with psycopg.connect(self.url) as connection:
            lock = int.from_bytes(b"nostrtx2", "big")
            connection.execute(b"SELECT pg_advisory_xact_lock(%s)", (lock,))
            self.assertFalse(register.has_changed())
            error = self.assertRaises(RegisterError, register.contents)
        self.assertIn("lock timeout", str(error))
        self.assertEqual(register.contents().members, {})

    def test_no_more_rights_than_needed(self) -> None:
        """Who may use the tables need not be allowed to make any."""
        server = shared_server()
        user = f"user_{self.name}"
        server.execute(f"CREATE ROLE {user} LOGIN")
        self.addCleanup(server.execute, f"DROP ROLE {user}")
        self.addCleanup(server.execute, f"DROP OWNED BY {user}", self.name)
        for what in ("USAGE ON SCHEMA", "ALL ON ALL TABLES IN SCHEMA"):
            server.execute(f"GRANT {what} nostrtx_membership TO {user}", self.name)
        self.url = self.url.replace("postgres@", f"{user}@")
        register = self.open()
        self.assertTrue(register.add_member(ALICE))
        register.close()

    def test_unusable(self) -> None:
        """A database that cannot be used is refused in one line without password."""
        port = shared_server().port
        for url in (
            f"postgresql://postgres:secret@127.0.0.1:{port}/missing",
            f"postgresql://nobody:secret@127.0.0.1:{port}/postgres",
            "postgresql://postgres:secret@127.0.0.1:1/postgres",
            "postgresql://postgres:secret@127.0.0.1:many/postgres",
            "postgresql://postgres:secret@127.0.0.1:1:2/postgres?secret=secret",
            "postgresql://postgres:secret@[::1/postgres",
        ):
            database = PostgresRegisterDatabase(url)
            error = self.assertRaises(RegisterError, Register, database)
            self.assertIn("register of members", str(error))
            self.assertNotIn("secret", str(error))
            self.assertNotIn("\n", str(error))


class PostgresRestartTests(SynchronousTestCase):
    """A server that is gone for a while, or does not answer."""

    def paused(self, busy_seconds: float) -> tuple[PostgresServer, Register]:
        """A server that stands still, and a register that was opened before."""
        server = PostgresServer.start(durable=False)
        self.addCleanup(server.remove)
        url = f"{server.url()}?connect_timeout=2"
        register = Register(PostgresRegisterDatabase(url, busy_seconds=busy_seconds))
        register.add_member(ALICE)
        server.pause()
        return server, register

    def test_paused(self) -> None:
        """A server that says nothing is not waited for for ever."""
        server, register = self.paused(0.05)
        for call in (register.has_changed, register.contents):
            error = self.assertRaises(RegisterError, call)
            self.assertNotIn("\n", str(error))
        server.resume()
        register.close()
        self.assertRaises(RegisterError, register.contents)
        again = Register(PostgresRegisterDatabase(server.url()))
        self.addCleanup(again.close)
        self.assertEqual(again.contents().members, {ALICE: ()})

    def test_closed_while_paused(self) -> None:
        """Closing does not wait for a server that says nothing, nor who waits."""
        server, register = self.paused(3600)
        with ThreadPoolExecutor(2) as threads:
            waiting = [
                threads.submit(call)
                for call in (register.contents, register.has_changed)
            ]
            register.close()
            for one in waiting:
                self.assertIsInstance(one.exception(), RegisterError)
        server.resume()

    def test_restart(self) -> None:
        """What cannot be done meanwhile fails, and what comes later does not."""
        server = PostgresServer.start()
        self.addCleanup(server.remove)
        times = [0.0]
        database = PostgresRegisterDatabase(server.url(), lambda: times[0])
        register = Register(database)
        self.addCleanup(register.close)
        register.add_invite(Invite("c"))
        server.restart()
        self.assertFalse(register.has_changed())
        arguments = (event_id(1), NOW, ALICE, "c", NOW)
        self.assertIs(register.join(*arguments), Outcome.DONE)
        server.stop(SIGQUIT)
        for _ in range(2):
            for call in (register.contents, register.has_changed, register.invites):
                error = self.assertRaises(RegisterError, call)
                self.assertNotIn("\n", str(error))
        server.begin()
        error = self.assertRaises(RegisterError, register.contents)
        self.assertEqual(str(error), "the register of members cannot be reached")
        times[0] += 1
        self.assertFalse(register.has_changed())
        self.assertIs(register.join(*arguments), Outcome.REPEATED)
        self.assertEqual(register.contents().members, {ALICE: ()})
