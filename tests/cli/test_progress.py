"""Tests for :mod:`nostrtx.cli.progress`."""

from __future__ import annotations

from rich.progress import BarColumn, TimeElapsedColumn, TimeRemainingColumn
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.cli.progress import progress_of


class ProgressTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.cli.progress.progress_of`."""

    def test_columns(self) -> None:
        """What is done comes first, then the time it has taken and will take."""
        bar = BarColumn()
        columns = progress_of(bar).columns
        self.assertIs(columns[0], bar)
        self.assertIsInstance(columns[1], TimeElapsedColumn)
        self.assertIsInstance(columns[-1], TimeRemainingColumn)

    def test_no_terminal(self) -> None:
        """Where errors do not go to a terminal, nothing is drawn."""
        progress = progress_of(BarColumn())
        self.assertEqual(progress.disable, not progress.console.is_terminal)
