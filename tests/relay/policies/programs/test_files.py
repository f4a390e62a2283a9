"""Tests for :mod:`nostrtx.relay.policies.programs.files`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.policies.programs.files import ProgramFiles


class ProgramFilesTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.programs.files.ProgramFiles`."""

    def setUp(self) -> None:
        """Have a script, and a command that names it."""
        self.script = Path(self.mktemp())
        self.script.write_text("1")
        self.files = ProgramFiles(["sh", "--option", str(self.script)])

    def test_unchanged(self) -> None:
        """What stays is not started anew."""
        self.assertEqual([self.files.have_changed() for _ in range(3)], [False] * 3)

    def test_changed(self) -> None:
        """A change is told once, when nobody works on the file any more."""
        self.script.write_text("12")
        self.assertFalse(self.files.have_changed())
        self.script.write_text("123")
        self.assertFalse(self.files.have_changed())
        self.assertTrue(self.files.have_changed())
        self.assertFalse(self.files.have_changed())

    def test_touched(self) -> None:
        """To touch the file is enough."""
        os.utime(self.script, (1, 1))
        self.assertFalse(self.files.have_changed())
        self.assertTrue(self.files.have_changed())

    def test_gone(self) -> None:
        """While the file is away, nothing is started; what comes instead is."""
        self.script.unlink()
        self.assertEqual([self.files.have_changed() for _ in range(3)], [False] * 3)
        self.script.write_text("new")
        self.assertFalse(self.files.have_changed())
        self.assertTrue(self.files.have_changed())

    def test_no_program(self) -> None:
        """A command that names no file never changes."""
        self.assertFalse(ProgramFiles(["/nonexistent", "x"]).have_changed())
