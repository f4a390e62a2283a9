"""
Events for tests: any one that can be thought of, and properly signed ones.

All are deterministic: the same arguments give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256

from coincurve import PrivateKey

from nostrtx.nostr.event import Event
from nostrtx.nostr.json import dumps

#: The time at which the events of most tests are made.
NOW = 1_700_000_000

#: Three authors; the first two share the first four bytes.
ALICE = bytes.fromhex("aaaaaaaa" + "11" * 28)
ALICES_TWIN = bytes.fromhex("aaaaaaaa" + "22" * 28)
BOB = bytes.fromhex("bb" * 32)


def event_id(number: int, prefix: bytes = b"") -> bytes:
    """An id that begins with ``prefix`` and ends with ``number``."""
    return prefix + number.to_bytes(32 - len(prefix), "big")


def make_event(
    *,
    id: bytes | None = None,
    pubkey: bytes = ALICE,
    created_at: int = NOW,
    kind: int = 1,
    tags: Sequence[Sequence[str]] = (),
    content: str = "",
) -> Event:
    """
    An event with exactly these members, and a signature that signs nothing.

    Args:
        id: Any 32 bytes; the hash that NIP-01 asks for if it is not given.
        pubkey: Any 32 bytes, on the curve or not.
        created_at: Seconds since 1970.
        kind: The kind.
        tags: The tags, copied into lists.
        content: The content.
    """
    lists = [list(tag) for tag in tags]
    if id is None:
        id = sha256(dumps([0, pubkey.hex(), created_at, kind, lists, content])).digest()
    return _event(id, pubkey, created_at, kind, lists, content, bytes(64))


def signed_event(
    secret: int = 1,
    *,
    created_at: int = NOW,
    kind: int = 1,
    tags: Sequence[Sequence[str]] = (),
    content: str = "",
) -> Event:
    """An event that every relay must accept, signed with the key ``secret``."""
    lists = [list(tag) for tag in tags]
    pubkey = public_key(secret)
    id_ = sha256(dumps([0, pubkey.hex(), created_at, kind, lists, content])).digest()
    sig = _private_key(secret).sign_schnorr(id_, bytes(32))
    return _event(id_, pubkey, created_at, kind, lists, content, sig)


@cache
def public_key(secret: int) -> bytes:
    """The x-only public key, 32 bytes, of the key ``secret``."""
    return _private_key(secret).public_key_xonly.format()


@cache
def _private_key(secret: int) -> PrivateKey:
    return PrivateKey.from_int(secret)


def _event(
    id_: bytes,
    pubkey: bytes,
    created_at: int,
    kind: int,
    tags: list[list[str]],
    content: str,
    sig: bytes,
) -> Event:
    raw = dumps(
        {
            "id": id_.hex(),
            "pubkey": pubkey.hex(),
            "created_at": created_at,
            "kind": kind,
            "tags": tags,
            "content": content,
            "sig": sig.hex(),
        }
    )
    return Event(id_, pubkey, created_at, kind, tags, sig, raw)
