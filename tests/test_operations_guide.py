"""Tests for docs/operations.md: that what it tells operators to do can be done."""

from __future__ import annotations

import re

from click import Context, Group
from lmdb.tool import make_parser
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.cli.main import main
from nostrtx.nostr.bech32 import Npub, encode
from nostrtx.settings.file import parse_settings
from nostrtx.settings.tree import Settings
from tests.deployment import DEPLOY, ROOT, unit
from tests.storage.events import public_key

_GUIDE = ROOT / "docs" / "operations.md"
_UNIT = DEPLOY / "systemd" / "nostr-relay.service"


def anchor_of(title: str) -> str:
    """How a heading of Markdown is linked to."""
    return re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-")


def anchors(text: str) -> set[str]:
    """All headings of a document, as they are linked to."""
    return {anchor_of(title) for title in re.findall(r"(?m)^#+ (.*)$", text)}


class OperationsTests(SynchronousTestCase):
    """What the guide for operators shows is what the relay takes."""

    def setUp(self) -> None:
        """Read it."""
        self.text = _GUIDE.read_text()

    def test_settings(self) -> None:
        """Every piece of a settings file that is shown can be used."""
        blocks = re.findall(r"(?s)```toml\n(.*?)```", self.text)
        # What is kept elsewhere is not there, and would be a text of the right form.
        shown = [re.sub(r"\{ (file|env) = .*? \}", '"kept:1"', text) for text in blocks]
        npub = encode(Npub(public_key(1)))
        shown = [text.replace('"npub1..."', f'"{npub}"') for text in shown]
        first, *_ = [parse_settings(block) for block in shown]
        self.assertGreater(len(blocks), 2)
        (command,) = unit(_UNIT)["ExecStart"]
        self.assertIn(f"`{command.split()[-1]}`", self.text)
        (directory,) = unit(_UNIT)["StateDirectory"]
        self.assertEqual(first.store.url, f"lmdb:/var/lib/{directory}/data")

    def test_setting_names(self) -> None:
        """Settings that are named exist."""
        tables = Settings()
        named = re.findall(r"`(\w+)\.(\w+)(?: = [^`]+)?`", self.text)
        named = [each for each in named if hasattr(tables, each[0])]
        named = [each for each in named if each[1] not in ("key", "sqlite", "toml")]
        self.assertGreater(len(named), 5)
        for table, name in named:
            self.assertTrue(hasattr(getattr(tables, table), name), (table, name))

    def test_commands(self) -> None:
        """Commands that are shown exist."""
        shown = re.findall(
            r"(?m)^    (?:\S+ \| |sudo \S+ \S+ )?nostrtx (\S.*)$", self.text
        )
        self.assertGreater(len(shown), 6)
        assert isinstance(main, Group)
        context = Context(main)
        for line in shown:
            words = [*line.split(), ""]
            first, second = words[:2]
            command = main.get_command(context, first)
            self.assertIsNotNone(command, line)
            if isinstance(command, Group):
                self.assertIn(second, command.commands, line)

    def test_copies(self) -> None:
        """What LMDB's own tool is asked for it can do, and to make it smaller does."""
        shown = re.findall(r"python -m lmdb ((?:\\\n|[^\n`])+)", self.text)
        self.assertEqual(len(shown), 2)
        backup, smaller = [
            make_parser().parse_args(line.replace("\\\n", " ").split())
            for line in shown
        ]
        for options, arguments in (backup, smaller):
            self.assertEqual(arguments[0], "copy")
            self.assertIsNotNone(options.env)
            self.assertFalse(options.clean)
        self.assertTrue(smaller[0].compact)

    def test_links(self) -> None:
        """Whatever it links to is there, headings included."""
        links = re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", self.text)
        self.assertGreater(len(links), 15)
        for path, anchor in links:
            target = (_GUIDE.parent / path) if path else _GUIDE
            self.assertTrue(target.exists(), path)
            if anchor:
                self.assertIn(anchor, anchors(target.read_text()), (path, anchor))

    def test_service_directories(self) -> None:
        """The user and the directories are those of the service."""
        (user,) = unit(_UNIT)["User"]
        self.assertIn(f"sudo -u {user} ", self.text)
