"""The vectors of tests/vectors/negentropy.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nostrtx.nostr.negentropy.snapshot import Snapshot

_VECTORS = Path(__file__).parents[2] / "vectors" / "negentropy.json"


def load() -> dict[str, Any]:
    """The vectors, as JSON values."""
    vectors: dict[str, Any] = json.loads(_VECTORS.read_text(encoding="utf-8"))
    return vectors


def snapshot_of(items: list[tuple[int, str]]) -> Snapshot:
    """A snapshot of items as the vectors write them."""
    return Snapshot.of((timestamp, bytes.fromhex(id_)) for timestamp, id_ in items)
