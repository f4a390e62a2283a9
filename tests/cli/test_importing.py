"""Tests for ``nostrtx import``."""

from __future__ import annotations

import io
from unittest import TestCase

from click.testing import CliRunner

from nostrtx.cli.importing import _chunks, _size
from nostrtx.cli.main import main


class SourceTests(TestCase):
    """Tests for how input is read."""

    def test_chunks_hold_every_line(self) -> None:
        """Reading in chunks neither loses nor repeats a line."""
        text = b"".join(b"%d\n" % number for number in range(1300))
        chunks = list(_chunks(io.BytesIO(text)))
        self.assertEqual(b"".join(b"".join(chunk) for chunk in chunks), text)
        self.assertGreater(len(chunks), 1)

    def test_size_is_what_is_left(self) -> None:
        """The progress bar counts from where reading starts."""
        source = io.BytesIO(b"0123456789")
        source.read(4)
        self.assertEqual(_size(source), 6)
        self.assertEqual(source.read(), b"456789")


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
