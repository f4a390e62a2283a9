"""The ``nostrtx`` command as an operator runs it: on a store on disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

_REAL = Path(__file__).parent.parent / "data" / "real-events.jsonl"


class CommandsTests(SynchronousTestCase):
    """``nostrtx import`` and ``nostrtx export``."""

    def setUp(self) -> None:
        """Choose a store that is not there yet."""
        self.store = f"lmdb:{self.mktemp()}"

    def run_command(
        self, *arguments: str, text: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``nostrtx`` on the store, to its end."""
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "nostrtx.cli.main",
                *arguments,
                "--store",
                self.store,
            ],
            input=text,
            capture_output=True,
            timeout=120,
            check=False,
        )

    def counts(self, result: subprocess.CompletedProcess[bytes]) -> dict[str, int]:
        """The counts of an import's summary, by name."""
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        rows = [line.split(None, 1) for line in result.stdout.decode().splitlines()]
        return {name: int(count.replace(",", "")) for count, name in rows[:6]}

    def test_there_and_back(self) -> None:
        """What was imported is exported, member for member; again is duplicate."""
        first = self.counts(self.run_command("import", str(_REAL)))
        lines = _REAL.read_bytes().splitlines()
        self.assertEqual(first["lines read"], len(lines))
        self.assertGreater(first["accepted"], len(lines) // 2)
        exported = self.run_command("export")
        events = [json.loads(line) for line in exported.stdout.splitlines()]
        given = {event["id"]: event for event in map(json.loads, lines)}
        self.assertTrue(events)
        for event in events:
            self.assertEqual(event, given[event["id"]])
        times = [event["created_at"] for event in events]
        self.assertEqual(times, sorted(times, reverse=True))
        again = self.counts(self.run_command("import", "-", text=exported.stdout))
        self.assertEqual(again["duplicate"], len(events))
        self.assertEqual(again["accepted"], 0)

    def test_selected(self) -> None:
        """Filters and times choose what is exported."""
        self.counts(self.run_command("import", str(_REAL), "--no-verify"))
        result = self.run_command(
            "export", "--filter", '{"kinds":[0]}', "--since", "2023-01-01"
        )
        events = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertTrue(events)
        for event in events:
            self.assertEqual(event["kind"], 0)
            self.assertGreaterEqual(event["created_at"], 1_672_531_200)

    def test_faults_are_one_line(self) -> None:
        """A store that cannot be used is one line and an exit code, no traceback."""
        self.store = f"lmdb:{__file__}"
        result = self.run_command("import", str(_REAL))
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        self.assertIn(b"Error: ", result.stderr)
