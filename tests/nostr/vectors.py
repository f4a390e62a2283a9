"""The vectors of tests/vectors, as JSON values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_DIRECTORY = Path(__file__).parent.parent / "vectors"


def load_vectors(name: str) -> dict[str, Any]:
    """The content of ``name``, such as ``auth.json``."""
    vectors: dict[str, Any] = json.loads((_DIRECTORY / name).read_text("utf-8"))
    return vectors
