"""Tests for :mod:`nostrtx.storage.register_opening`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.register import RegisterError
from nostrtx.settings.access import MembershipSettings
from nostrtx.settings.storing import StoreSettings
from nostrtx.settings.tree import Settings
from nostrtx.storage.postgres.register_database import PostgresRegisterDatabase
from nostrtx.storage.register_file import RegisterFile
from nostrtx.storage.register_opening import register_database


def _settings(url: str, file: str = "") -> Settings:
    return Settings(
        store=StoreSettings(url=url), membership=MembershipSettings(file=file)
    )


class RegisterDatabaseTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.storage.register_opening.register_database`."""

    def test_beside_the_store(self) -> None:
        """A store in a directory has the register beside it."""
        directory = Path(self.mktemp())
        directory.mkdir()
        database = register_database(_settings(f"lmdb:{directory}"))
        self.assertEqual(list(directory.iterdir()), [])
        database.open("CREATE TABLE x (y INTEGER)", 1)
        database.close()
        self.assertEqual(
            [path.name for path in directory.iterdir()], ["membership.sqlite"]
        )

    def test_shared(self) -> None:
        """A store in PostgreSQL has the register in itself, not yet opened."""
        for url in ("postgresql://relay@nowhere.invalid/x", "postgres:///x"):
            database = register_database(_settings(url))
            self.assertIsInstance(database, PostgresRegisterDatabase)

    def test_file(self) -> None:
        """A file that is named is where the register is, whatever the store."""
        for url in ("postgresql:///x", "memory:", "lmdb:data"):
            path = Path(self.mktemp())
            database = register_database(_settings(url, str(path)))
            self.assertIsInstance(database, RegisterFile)
            database.open("CREATE TABLE x (y INTEGER)", 1)
            database.close()
            self.assertTrue(path.exists())

    def test_memory(self) -> None:
        """A store in memory has a register that is forgotten."""
        database = register_database(_settings("memory:"))
        database.open("CREATE TABLE x (y INTEGER)", 1)
        database.close()
        self.assertFalse(Path(":memory:").exists())

    def test_not_installed(self) -> None:
        """Without the extra for PostgreSQL one line says what to install."""
        settings = _settings("postgresql://relay:secret@host/x")
        error = self.assertRaises(
            RegisterError, register_database, settings, lambda name: None
        )
        self.assertIn('pip install "nostrtx[postgres]"', str(error))
        self.assertNotIn("secret", str(error))
