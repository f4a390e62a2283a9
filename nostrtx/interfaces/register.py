# -*- test-case-name: tests.test_interfaces -*-
"""What the database of the register of members promises."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from zope.interface import Interface


class RegisterError(Exception):
    """The register of members cannot be used; the text is one line that says why."""


class IRegisterDatabase(Interface):
    """
    A small SQL database, for the register of members.

    Statements are in what SQLite and PostgreSQL have in common, with ``?`` for each
    value: an integer, a float, bytes, None, or text without NUL.

    Any thread may use it, and all may wait long: in the reactor's thread only while
    the relay starts. Whatever it cannot do, it says with :class:`RegisterError`.
    """

    def open(schema: str, version: int) -> None:
        """
        Open the database, and make its tables if there are none.

        Args:
            schema: Makes the tables, with semicolons in between. There are three
                types: ``BLOB``, ``INTEGER`` of 64 bits, and ``TEXT``, which is
                ordered by code points.
            version: Of the tables; if those that are there have another one, that
                is an error.
        """

    def transaction() -> AbstractContextManager[None]:
        """
        Let others wait; what is changed in the context is durable at its end.

        If the context ends with an exception, nothing has changed; but if the last
        step of a transaction fails, nobody knows.
        """

    def rows(query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a query finds; in a transaction."""

    def change(statement: str, values: Sequence[object] = ()) -> int:
        """Change something; how many rows that concerned. In a transaction."""

    def has_changed() -> bool:
        """
        Whether somebody else has changed something since this was last asked.

        At first since it was opened.
        """

    def close() -> None:
        """Close it; it is not used any more."""
