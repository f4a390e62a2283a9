# -*- test-case-name: tests.cli.test_progress -*-
"""How commands show that they get on; only on a terminal, beside their output."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def progress_of(*columns: ProgressColumn, auto_refresh: bool = True) -> Progress:
    """
    A line that tells how far a command has come, and is gone at the end.

    Args:
        columns: What it begins with; how long it has taken and will take comes behind.
        auto_refresh: Whether it is drawn anew by a thread, or by whoever made it.
    """
    console = Console(stderr=True)
    return Progress(
        *columns,
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
        auto_refresh=auto_refresh,
    )
