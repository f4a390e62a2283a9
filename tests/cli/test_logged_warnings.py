"""Tests for :mod:`nostrtx.cli.logged_warnings`."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.cli.logged_warnings import warnings_shown

_log = Logger()


class WarningsShownTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.cli.logged_warnings.warnings_shown`."""

    def test_shown(self) -> None:
        """Warnings and faults of what a command uses are seen, other lines are not."""
        output = io.StringIO()
        with redirect_stderr(output):
            with warnings_shown():
                _log.info("Asking {name}.", name="a program")
                _log.warn("The program {name} cannot be started.", name="spam-filter")
                try:
                    raise OSError("out of order")
                except OSError:
                    _log.failure("Reading fails.")
            _log.warn("Too late.")
        self.flushLoggedErrors(OSError)
        lines = output.getvalue().splitlines()
        self.assertEqual(lines[0], "The program spam-filter cannot be started.")
        self.assertEqual(lines[1], "Reading fails.")
        self.assertIn("OSError: out of order", lines[-1])
