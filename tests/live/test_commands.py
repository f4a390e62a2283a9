"""The ``nostrtx`` command as an operator runs it: on a store on disk."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from signal import SIG_DFL, SIGINT, signal

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

    def test_no_events(self) -> None:
        """What holds no events, such as a compressed file, is told as a mistake."""
        for text in (gzip.compress(_REAL.read_bytes()), b"[{}]"):
            result = self.run_command("import", "-", text=text)
            self.assertEqual(result.returncode, 1)
            self.assertIn(b"one JSON object a line", result.stderr)

    def test_disk_full(self) -> None:
        """A file that cannot be written is one line, too."""
        self.counts(self.run_command("import", str(_REAL), "--no-verify"))
        for path in ("/dev/full", "/nowhere/file", "/etc"):
            result = self.run_command("export", "-o", path)
            self.assertEqual(result.returncode, 1)
            [line] = result.stderr.strip().splitlines()
            self.assertTrue(line.startswith(b"Error: "), line)

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start ``nostrtx`` on the store, as a shell does."""
        process = subprocess.Popen(
            [sys.executable, "-m", "nostrtx.cli.main", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal(SIGINT, SIG_DFL),
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_head(self) -> None:
        """Who reads no further, as ``head`` does, ends an export without a word."""
        self.counts(self.run_command("import", str(_REAL), "--no-verify"))
        process = self.begin("export", "--store", self.store)
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        process.stdout.close()
        assert process.stderr is not None
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()
        self.assertEqual(process.wait(60), 1)

    def test_interrupted(self) -> None:
        """Control-C ends an import from a pipe that is silent; what came is stored."""
        process = self.begin("import", "-", "--store", self.store)
        assert process.stdin is not None
        process.stdin.write(_REAL.read_bytes().splitlines(keepends=True)[0])
        process.stdin.flush()
        tries = 0
        while not self.run_command("export").stdout:
            tries += 1
            self.assertLess(tries, 60, "the event is not stored")
        process.send_signal(SIGINT)
        output, errors = process.communicate(timeout=60)
        self.assertEqual((process.returncode, errors), (130, b""))
        self.assertIn(b" 1  accepted", output)
