"""Tests for :mod:`nostrtx.cli.whole_file`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.cli.whole_file import whole_file


class WholeFileTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.cli.whole_file.whole_file`."""

    def setUp(self) -> None:
        """Have a file of an earlier day."""
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir()
        self.path = self.directory / "events.jsonl"
        self.path.write_bytes(b"old")
        self.path.chmod(0o640)

    def test_replaced(self) -> None:
        """At the end, and not before, it is another one with the same rights."""
        with whole_file(str(self.path)) as file:
            file.write(b"new")
            file.flush()
            self.assertEqual(self.path.read_bytes(), b"old")
        self.assertEqual(self.path.read_bytes(), b"new")
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o640)
        self.assertEqual(os.listdir(self.directory), [self.path.name])

    def test_new(self) -> None:
        """A file that is not there is made."""
        path = self.directory / "new"
        with whole_file(str(path)) as file:
            file.write(b"new")
        self.assertEqual(path.read_bytes(), b"new")

    def test_interrupted(self) -> None:
        """Whatever comes between leaves the old one as it was, and nothing else."""
        for interruption in (KeyboardInterrupt, OSError):
            with self.assertRaises(interruption):
                with whole_file(str(self.path)) as file:
                    file.write(b"new")
                    raise interruption
            self.assertEqual(self.path.read_bytes(), b"old")
            self.assertEqual(os.listdir(self.directory), [self.path.name])

    def test_link(self) -> None:
        """A link stays one; what it points to is replaced."""
        link = self.directory / "link"
        link.symlink_to(self.path)
        with whole_file(str(link)) as file:
            file.write(b"new")
        self.assertTrue(link.is_symlink())
        self.assertEqual(self.path.read_bytes(), b"new")

    def test_no_file(self) -> None:
        """What is no file is written to, and stays what it is."""
        with whole_file("/dev/null") as file:
            file.write(b"new")
        self.assertFalse(os.path.isfile("/dev/null"))

    def test_cannot_be_written(self) -> None:
        """The error names what the user has named."""
        missing = str(self.directory / "missing" / "file")
        for path in (missing, str(self.directory)):
            with self.assertRaises(OSError) as caught:
                with whole_file(path):
                    pass
            self.assertEqual(caught.exception.filename, path)
