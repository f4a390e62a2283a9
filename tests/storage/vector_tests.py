"""The vectors of tests/vectors/filters.json, at the level of a store."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

from nostrtx.nostr.event import parse_event
from nostrtx.nostr.filters import Filter, parse_filter
from tests.storage.store_case import (
    DELETED,
    DUPLICATE,
    STORED,
    VANISHED,
    StoreCase,
)

_VECTORS = Path(__file__).parent.parent / "vectors" / "filters.json"


def load() -> dict[str, Any]:
    """The vectors, as JSON values."""
    vectors: dict[str, Any] = json.loads(_VECTORS.read_text(encoding="utf-8"))
    return vectors


class VectorTests(StoreCase):
    """Stored events, filters, and what must be found."""

    def test_filters(self) -> None:
        """Each set of filters finds the events it should, in their order."""
        vectors = load()
        events = {name: parse_event(e) for name, e in vectors["events"].items()}
        self.save(*events.values())
        self.assertGreater(len(vectors["filters"]), 30)
        for case in vectors["filters"]:
            filters = [parse_filter(members) for members in case["filters"]]
            expected = [events[name].raw for name in case["expect"]]
            self.assertEqual(self.answer(*filters), expected, case["name"])

    def test_replacement(self) -> None:
        """The right version wins, in whatever order the versions come."""
        cases = load()["replacement"]
        self.assertGreater(len(cases), 5)
        for case in cases:
            versions = [parse_event(members) for members in case["events"]]
            for order in permutations(versions):
                for save in (self.save, self.save_each):
                    self.store = self.make_store()
                    save(*order)
                    winners = [e for e in versions if e.id.hex() == case["winner"]]
                    self.assert_holds(*winners)

    def test_deletion(self) -> None:
        """What should be deleted is gone, what should be kept is kept."""
        cases = load()["deletion"]
        self.assertGreater(len(cases), 14)
        self._check(cases)

    def test_vanish(self) -> None:
        """What should vanish is gone, what should be kept is kept."""
        cases = load()["vanish"]
        self.assertGreater(len(cases), 7)
        self._check(cases)

    def _check(self, cases: list[dict[str, Any]]) -> None:
        for case in cases:
            sent = [parse_event(members) for members in case["send"]]
            for save in (self.save, self.save_each):
                self.store = self.make_store()
                outcomes = save(*sent)
                for outcome, ok in zip(outcomes, case.get("ok") or (), strict=False):
                    if ok is not None:
                        allowed = (STORED, DUPLICATE) if ok else (DELETED, VANISHED)
                        self.assertIn(outcome, allowed, case["name"])
                self.assertEqual(self._by_id(case["gone"]), [], case["name"])
                kept = {e.id.hex(): e for e in sent if e.id.hex() in case["kept"]}
                self.assertEqual(
                    sorted(self._by_id(case["kept"])),
                    sorted(event.raw for event in kept.values()),
                    case["name"],
                )
                self.assertEqual(len(kept), len(case["kept"]), case["name"])

    def _by_id(self, ids: list[str]) -> list[bytes]:
        return self.answer(Filter(ids=tuple(bytes.fromhex(id_) for id_ in ids)))
