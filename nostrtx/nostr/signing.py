# -*- test-case-name: tests.nostr.test_signing -*-
"""
Signatures: BIP-340 Schnorr over secp256k1, through libsecp256k1.

Calls the library that coincurve brings without a Python object per signature,
and keeps the parsed keys of recent authors (about 8 of 50 microseconds).

Pure: no I/O and no clock.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT

_CONTEXT: Final = GLOBAL_CONTEXT.ctx


@lru_cache(maxsize=16384)
def _key(pubkey: bytes) -> Any:
    """The parsed key, or None if ``pubkey`` is not on the curve."""
    key = ffi.new("secp256k1_xonly_pubkey *")
    if lib.secp256k1_xonly_pubkey_parse(_CONTEXT, key, pubkey):
        return key
    return None


def verify(sig: bytes, id_: bytes, pubkey: bytes) -> bool:
    """
    Whether ``sig`` (64 bytes) signs ``id_`` (32) under ``pubkey`` (32, x-only).

    Never raises for bytes of these lengths: a key off the curve verifies nothing.
    """
    key = _key(pubkey)
    return key is not None and bool(
        lib.secp256k1_schnorrsig_verify(_CONTEXT, sig, id_, 32, key)
    )
