"""Tests for :mod:`benchmarks.corpora`."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.corpora import FILTER_TYPES, faults, write_events, write_filters

_NOW = 1790000000


class CorpusTests(SynchronousTestCase):
    """What the benchmarks publish is what a relay must accept."""

    def _corpus(self, what: str, seed: int = 1) -> Path:
        path = Path(self.mktemp())
        write_events(what, path, count=200, authors=20, seed=seed, now=_NOW, jobs=1)
        return path

    def test_valid(self) -> None:
        """Every id and every signature is right."""
        for what in ("notes", "mixed"):
            self.assertEqual(faults(self._corpus(what), sample=200), [])

    def test_fault_found(self) -> None:
        """A changed content and a repeated event are both reported."""
        path = self._corpus("notes")
        lines = path.read_text(encoding="utf-8").splitlines()
        changed = json.loads(lines[0]) | {"content": "changed"}
        path.write_text("\n".join([json.dumps(changed), lines[1], lines[1]]))
        self.assertEqual(faults(path), ["line 1: bad", "line 3: duplicate id"])

    def test_repeatable(self) -> None:
        """The same seed and time give the same bytes, another seed gives others."""
        first = self._corpus("mixed").read_bytes()
        self.assertEqual(self._corpus("mixed").read_bytes(), first)
        self.assertNotEqual(self._corpus("mixed", seed=2).read_bytes(), first)

    def test_ascending(self) -> None:
        """Events are in order of time and end before ``now``."""
        text = self._corpus("notes").read_text(encoding="utf-8")
        times = [json.loads(line)["created_at"] for line in text.splitlines()]
        self.assertEqual(times, sorted(times))
        self.assertLess(times[-1], _NOW)

    def test_filters(self) -> None:
        """Filters of every type are JSON objects that name what the corpus holds."""
        events = self._corpus("mixed")
        known = events.read_text(encoding="utf-8")
        for what in FILTER_TYPES:
            path = Path(self.mktemp())
            write_filters(events, what, path, count=5)
            filters = [json.loads(line) for line in path.read_text().splitlines()]
            self.assertEqual(len(filters), 5)
            for filter_ in filters:
                for member in ("ids", "authors", "#e", "#p"):
                    for value in filter_.get(member, []):
                        self.assertIn(value, known)
