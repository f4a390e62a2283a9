"""Tests for ``nostrtx sync``; whole runs are in tests/live/test_sync.py."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from unittest import TestCase

from click.testing import CliRunner

from nostrtx.cli.main import main
from nostrtx.cli.syncing import summary_of
from nostrtx.sync.synchronization import Direction, Progress
from nostrtx.sync.transfers import Tally


class SummaryTests(TestCase):
    """Tests for :func:`nostrtx.cli.syncing.summary_of`."""

    def test_both(self) -> None:
        """All that was found, brought and refused is told."""
        progress = Progress(
            have=30,
            need=20,
            to_fetch=20,
            to_send=30,
            tally=Tally(30, 25, Counter({"blocked: no": 5}), 19, 7),
            crowded=2,
        )
        rows = [row.split(maxsplit=1) for row in self.rows(progress, Direction.BOTH)]
        self.assertEqual(
            rows,
            [
                ["20", "events that only the relay had"],
                ["30", "events that only this store had"],
                ["19", "received"],
                ["1", "named by the relay and not given"],
                ["7", "private, and not sent"],
                ["30", "sent"],
                ["25", "accepted by the relay"],
                ["5", "refused: blocked: no"],
                ["2", "seconds with more events than the relay gives at once"],
            ],
        )

    def test_one_way(self) -> None:
        """What was not to be done is not told."""
        self.assertNotIn("sent", " ".join(self.rows(Progress(), Direction.DOWN)))
        self.assertNotIn("received", " ".join(self.rows(Progress(), Direction.UP)))

    def rows(self, progress: Progress, direction: Direction) -> list[str]:
        """The lines of a summary."""
        return summary_of(progress, direction).splitlines()


class CommandTests(TestCase):
    """Tests for the command's own mistakes."""

    def test_help_teaches(self) -> None:
        """The help shows how to use it, and where a key comes from."""
        result = CliRunner().invoke(main, ["sync", "--help"])
        self.assertIn("nostrtx sync wss://relay.example.com", result.output)
        self.assertIn("NOSTRTX_AUTH_KEY", result.output)

    def test_url_is_checked(self) -> None:
        """Only WebSocket URLs are taken."""
        for wrong in ("http://127.0.0.1", "relay.example.com", "ws://"):
            result = CliRunner().invoke(main, ["sync", wrong])
            self.assertEqual(result.exit_code, 2, wrong)

    def test_key_is_checked(self) -> None:
        """A key that is none is refused in one line that does not show it."""
        with CliRunner().isolated_filesystem():
            Path("key").write_text("nsec1nonsense")
            result = CliRunner().invoke(
                main, ["sync", "ws://127.0.0.1:1", "--auth-key-file", "key"]
            )
        self.assertEqual(result.exit_code, 1)
        self.assertIn("the key to authenticate with", result.output)
        self.assertNotIn("nonsense", result.output)
