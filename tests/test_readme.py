"""Tests for README.md: that what it promises is there."""

from __future__ import annotations

import re

from click import Context, Group
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.cli.main import main
from tests.deployment import ROOT
from tests.test_operations_guide import anchors


class ReadmeTests(SynchronousTestCase):
    """What a newcomer reads first is true."""

    def setUp(self) -> None:
        """Read it."""
        self.text = (ROOT / "README.md").read_text()

    def test_proofs(self) -> None:
        """The tests that are to show what a NIP needs are there."""
        paths = re.findall(r"`(tests/[\w/.]+)`", self.text)
        self.assertGreater(len(paths), 20)
        for path in paths:
            self.assertTrue((ROOT / path).exists(), path)

    def test_links(self) -> None:
        """Whatever it links to in the project is there, headings included."""
        links = re.findall(r"\]\(([^)#:]+)(?:#([^)]+))?\)", self.text)
        self.assertGreater(len(links), 10)
        for path, anchor in links:
            self.assertTrue((ROOT / path).exists(), path)
            if anchor:
                self.assertIn(anchor, anchors((ROOT / path).read_text()), path)

    def test_commands(self) -> None:
        """Commands that are shown exist."""
        shown = re.findall(r"(?m)^    nostrtx (\S+) ?(\S*)", self.text)
        self.assertGreater(len(shown), 6)
        assert isinstance(main, Group)
        context = Context(main)
        for first, second in shown:
            command = main.get_command(context, first)
            self.assertIsNotNone(command, first)
            if isinstance(command, Group):
                self.assertIn(second, command.commands, first)

    def test_make(self) -> None:
        """What it has one make can be made."""
        makefile = (ROOT / "Makefile").read_text()
        named = set(re.findall(r"(?:`|^    )make (\w+)", self.text, re.MULTILINE))
        self.assertTrue({"run", "test", "check", "bench"} <= named, named)
        for target in named:
            self.assertRegex(makefile, rf"(?m)^{target}:.*## ")
