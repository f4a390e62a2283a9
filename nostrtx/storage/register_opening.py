# -*- test-case-name: tests.storage.test_register_opening -*-
"""From the settings to the database in which the register of members is kept."""

from __future__ import annotations

from nostrtx.config import Settings
from nostrtx.interfaces import IRegisterDatabase, RegisterError
from nostrtx.storage.register_file import RegisterFile


def register_database(settings: Settings) -> IRegisterDatabase:
    """
    The database that the settings name, not yet opened.

    Raises:
        RegisterError: What it needs is not installed.
    """
    path = settings.membership_file
    if path is None and settings.store.is_shared:
        try:
            from nostrtx.storage.postgres.register_database import (
                PostgresRegisterDatabase,
            )
        except ImportError:
            raise RegisterError(
                "the register of members: PostgreSQL needs more than is installed:"
                " pip install 'nostrtx[postgres]'"
            ) from None
        return PostgresRegisterDatabase(settings.store.url)
    return RegisterFile(path or ":memory:")
