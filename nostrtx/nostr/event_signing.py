# -*- test-case-name: tests.nostr.test_event_signing -*-
"""
Events that the relay itself signs: making them, and the key for it (NIP-01, BIP-340).

Pure: no I/O and no clock. The same arguments give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from coincurve import PrivateKey

from nostrtx.nostr.bech32 import Bech32Error, Nsec, decode
from nostrtx.nostr.event import Event
from nostrtx.nostr.json import dumps


class SecretKeyError(ValueError):
    """The text or the bytes are no secret key; the message never holds them."""


class SecretKey:
    """
    A key to sign with; neither ``repr`` nor an error shows it.

    Args:
        secret: 32 bytes.

    Attributes:
        pubkey: The x-only public key that belongs to it, 32 bytes.

    Raises:
        SecretKeyError: The bytes are no key: too few, or not below the curve's order.
    """

    __slots__ = ("_key", "pubkey")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32:
            raise SecretKeyError("a secret key has 32 bytes")
        try:
            self._key = PrivateKey(secret)
        except ValueError:
            raise SecretKeyError("these 32 bytes are no key of the curve") from None
        self.pubkey: bytes = self._key.public_key_xonly.format()

    def sign(self, id_: bytes) -> bytes:
        """The BIP-340 signature, 64 bytes, over the 32 bytes ``id_``."""
        # Without auxiliary randomness, which BIP-340 leaves to the signer.
        signature: bytes = self._key.sign_schnorr(id_, bytes(32))
        return signature


def parse_secret_key(text: str) -> SecretKey:
    """
    The secret key that an operator wrote: 64 hexadecimal digits, or nsec (NIP-19).

    Raises:
        SecretKeyError: It is none.
    """
    text = text.strip()
    if text[:4].lower() != "nsec":
        try:
            return SecretKey(bytes.fromhex(text))
        except ValueError:
            raise SecretKeyError(
                "a secret key is 64 hexadecimal digits, or begins with nsec"
            ) from None
    try:
        entity = decode(text)
    except Bech32Error as error:
        raise SecretKeyError(str(error)) from None
    assert isinstance(entity, Nsec)
    return SecretKey(entity.secret)


def sign_event(
    key: SecretKey,
    *,
    kind: int,
    created_at: int,
    tags: Sequence[Sequence[str]] = (),
    content: str = "",
) -> Event:
    """
    A new event of the author ``key``.

    Args:
        key: Signs it.
        kind: The kind.
        created_at: Seconds since 1970.
        tags: The tags, which are copied.
        content: The content.
    """
    lists = [list(tag) for tag in tags]
    pubkey = key.pubkey.hex()
    id_ = sha256(dumps([0, pubkey, created_at, kind, lists, content])).digest()
    sig = key.sign(id_)
    members = {
        "id": id_.hex(),
        "pubkey": pubkey,
        "created_at": created_at,
        "kind": kind,
        "tags": lists,
        "content": content,
        "sig": sig.hex(),
    }
    return Event(id_, key.pubkey, created_at, kind, lists, sig, dumps(members))
