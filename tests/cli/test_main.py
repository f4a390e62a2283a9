"""Tests for the ``nostrtx`` command itself."""

from __future__ import annotations

from unittest import TestCase

from click.testing import CliRunner

from nostrtx import __version__
from nostrtx.cli.main import main


class MainTests(TestCase):
    """Tests for :func:`nostrtx.cli.main.main`."""

    def test_help_names_the_commands(self) -> None:
        """The help lists what can be done, and says how the relay is started."""
        text = CliRunner().invoke(main, ["--help"]).output
        for words in ("import", "export", "bans", "twistd -n nostr-relay"):
            self.assertIn(words, text)

    def test_version(self) -> None:
        """The version is that of the package."""
        result = CliRunner().invoke(main, ["--version"])
        self.assertIn(__version__, result.output)
