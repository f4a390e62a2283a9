"""The files of tests/vectors and tests/data, as JSON values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).parent.parent


def load(name: str) -> Any:
    """The content of ``tests/vectors/NAME.json``."""
    return json.loads((_TESTS / "vectors" / f"{name}.json").read_text("utf-8"))


def real_events() -> list[bytes]:
    """Events that people have published: one JSON text each."""
    return (_TESTS / "data" / "real-events.jsonl").read_bytes().splitlines()


def signed_events() -> list[dict[str, Any]]:
    """Every event in the vectors that is as it should be."""
    filters = load("filters")
    cases = load("events-valid")
    found = [case["event"] for case in cases if case["expect"] != "invalid"]
    found += filters["events"].values()
    for section, key in (
        ("replacement", "events"),
        ("deletion", "send"),
        ("vanish", "send"),
    ):
        found += [event for case in filters[section] for event in case[key]]
    found += [case["event"] for case in load("pow")["events"]]
    expiration = load("protected_expiration")["expiration"]
    found += [expiration["event"], *(c["event"] for c in expiration["odd_values"])]
    return found
