"""Authors who sign events, for tests that need new ones."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from coincurve import PrivateKey


def event_id(event: dict[str, Any]) -> str:
    """The id that NIP-01 gives an event."""
    names = ("pubkey", "created_at", "kind", "tags", "content")
    members = [0, *(event[name] for name in names)]
    preimage = json.dumps(members, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(preimage.encode()).hexdigest()


class Author:
    """
    Somebody with a key.

    Args:
        name: Decides the key.
    """

    def __init__(self, name: str) -> None:
        self._key = PrivateKey(hashlib.sha256(name.encode()).digest())
        self.pubkey = self._key.public_key_xonly.format().hex()

    def sign(
        self,
        content: str = "",
        *,
        kind: int = 1,
        tags: list[list[str]] | None = None,
        created_at: int | None = None,
    ) -> dict[str, Any]:
        """A signed event, dated now unless said otherwise."""
        event: dict[str, Any] = {
            "pubkey": self.pubkey,
            "created_at": int(time.time()) if created_at is None else created_at,
            "kind": kind,
            "tags": tags or [],
            "content": content,
        }
        event["id"] = event_id(event)
        event["sig"] = self._key.sign_schnorr(bytes.fromhex(event["id"])).hex()
        return event
