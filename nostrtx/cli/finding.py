# -*- test-case-name: tests.cli.test_checking -*-
"""One thing that ``nostrtx check-config`` has found."""

from __future__ import annotations

import attrs


@attrs.frozen
class Finding:
    """
    Something that an operator should know.

    Attributes:
        text: One line that begins with the name of a setting.
        is_fault: Whether it keeps the relay from doing what it is told; else it is
            worth a look.
    """

    text: str
    is_fault: bool = True
