# -*- test-case-name: tests.storage.test_register_opening -*-
"""From the settings to the database in which the register of members is kept."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from nostrtx.interfaces.register import IRegisterDatabase, RegisterError
from nostrtx.settings.tree import Settings
from nostrtx.storage.register_file import RegisterFile


def register_database(
    settings: Settings, find: Callable[[str], object] = find_spec
) -> IRegisterDatabase:
    """
    The database that the settings name, not yet opened.

    Args:
        settings: Name a file, or a store.
        find: Looks for an installed module; None if there is none.

    Raises:
        RegisterError: What it needs is not installed.
    """
    path = settings.membership_file
    if path is None and settings.store.is_shared:
        if find("psycopg") is None:
            raise RegisterError(
                "the register of members: PostgreSQL needs an extra that is not"
                ' installed: pip install "nostrtx[postgres]"'
            )
        from nostrtx.storage.postgres.register_database import PostgresRegisterDatabase

        return PostgresRegisterDatabase(settings.store.url)
    return RegisterFile(path or ":memory:")
