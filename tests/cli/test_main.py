"""Tests for the ``nostrtx`` command itself."""

from __future__ import annotations

import subprocess
import sys
from unittest import TestCase

from click import Context
from click.testing import CliRunner

from nostrtx import __version__
from nostrtx.cli.main import COMMANDS, main


class MainTests(TestCase):
    """Tests for :func:`nostrtx.cli.main.main`."""

    def test_help_names_the_commands(self) -> None:
        """The help lists what can be done, and says how the relay is started."""
        text = CliRunner().invoke(main, ["--help"]).output
        for words in ("import", "export", "bans", "twistd -n nostr-relay"):
            self.assertIn(words, text)

    def test_commands(self) -> None:
        """Each command is there under its name, and its help teaches something."""
        for name in COMMANDS:
            command = main.get_command(Context(main), name)
            assert command is not None
            self.assertEqual(command.name, name)
            result = CliRunner().invoke(main, [name, "--help"])
            self.assertEqual(result.exit_code, 0, name)
            self.assertIn("Usage: main " + name, result.output)

    def test_no_such_command(self) -> None:
        """A command that there is not is named."""
        result = CliRunner().invoke(main, ["improt"])
        self.assertEqual(result.exit_code, 2)
        self.assertIn("improt", result.output)

    def test_quick(self) -> None:
        """Only what is asked for is loaded."""
        code = "import sys, nostrtx.cli.main; sys.exit('twisted' in sys.modules)"
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_version(self) -> None:
        """The version is that of the package."""
        result = CliRunner().invoke(main, ["--version"])
        self.assertIn(__version__, result.output)
