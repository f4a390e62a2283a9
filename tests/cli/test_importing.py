"""Tests for ``nostrtx import``."""

from __future__ import annotations

from unittest import TestCase

from click.testing import CliRunner

from nostrtx.cli.main import main


class CommandTests(TestCase):
    """Tests for the command's own mistakes."""

    def test_memory_store_is_refused(self) -> None:
        """A store in memory would be gone with the command."""
        result = CliRunner().invoke(main, ["import", "-", "--store", "memory:"])
        self.assertEqual(result.exit_code, 1)
        self.assertIn("a store in memory holds nothing", result.output)

    def test_missing_file_is_named(self) -> None:
        """A file that is not there is named in one line."""
        result = CliRunner().invoke(main, ["import", "no-such-file.jsonl"])
        self.assertEqual(result.exit_code, 2)
        self.assertIn("no-such-file.jsonl", result.output)

    def test_help_teaches(self) -> None:
        """The help shows how to use it."""
        result = CliRunner().invoke(main, ["import", "--help"])
        self.assertIn("nostrtx import dump.jsonl", result.output)
