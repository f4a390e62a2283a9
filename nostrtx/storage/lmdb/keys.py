# -*- test-case-name: tests.storage.test_lmdb_keys -*-
"""
Keys and postings: the bytes under which the embedded store finds events.

A *posting* stands for one event, 20 bytes that are the same in every index and
whose byte order is that of answers (NIP-01), but for ties in the first nine bytes:

====  ========================================
5     the last second less ``created_at``
4     the first bytes of the id
2     kind
4     the first bytes of the pubkey
5     ``seq``, under which the event is stored
====  ========================================

The parts of id and pubkey can be ground by an attacker: they sort and sift, but what
they let through is compared in full. All numbers are big-endian.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

#: The largest number of five bytes, one more than the last ``created_at``.
LAST: Final = 2**40 - 1

#: Where the parts of a posting stand.
KIND: Final = slice(9, 11)
PUBKEY: Final = slice(11, 15)
SEQ: Final = slice(15, 20)

POSTING_SIZE: Final = 20

#: Where the pubkey stands in the value of a slot.
SLOT_PUBKEY: Final = slice(21, 53)

#: Follows a posting's first nine bytes in the last posting that begins with them.
AFTER_TIES: Final = b"\xff" * 11

#: Leads the keys of ``d`` values that are not an event's address.
OTHER_D: Final = b"\0"

#: The longest tag value that is its own key, in bytes.
_LONGEST_VALUE: Final = 80


def number(value: int) -> bytes:
    """A time, a ``seq`` or a slot in five bytes; larger ones become the largest."""
    return min(value, LAST).to_bytes(5, "big")


def kind_key(kind: int) -> bytes:
    """A kind in two bytes."""
    return kind.to_bytes(2, "big")


def posting(id_: bytes, pubkey: bytes, created_at: int, kind: int, seq: bytes) -> bytes:
    """The posting of the event that is stored under ``seq``."""
    return b"%b%b%b%b%b" % (
        (LAST - created_at).to_bytes(5, "big"),
        id_[:4],
        kind.to_bytes(2, "big"),
        pubkey[:4],
        seq,
    )


def created_at_of(posting_: bytes) -> int:
    """The ``created_at`` of the event that a posting stands for."""
    return LAST - int.from_bytes(posting_[:5], "big")


def time_entry(posting_: bytes, id_: bytes) -> tuple[bytes, bytes]:
    """Key and value in the index by time, whose values hold the id in full."""
    return posting_[:3], posting_[:5] + id_ + posting_[9:]


def posting_of_time(value: bytes) -> bytes:
    """The posting in a value of the index by time."""
    return value[:9] + value[37:]


def first_posting(until: int | None) -> bytes:
    """Where postings up to ``until``, not negative, begin; empty for the start."""
    if until is None or until >= LAST:
        return b""
    return (LAST - max(until, 0)).to_bytes(5, "big") + bytes(POSTING_SIZE - 5)


def end_of_postings(since: int | None) -> bytes:
    """Where postings before ``since`` begin; empty if there can be none."""
    if since is None or since <= 0:
        return b""
    return (LAST + 1 - min(since, LAST)).to_bytes(5, "big") + bytes(POSTING_SIZE - 5)


def value_key(value: str) -> bytes:
    """A tag's value in at most 82 bytes, no two values alike, none a prefix."""
    if len(value) == 64:
        try:
            raw = bytes.fromhex(value)
        except ValueError:
            raw = b""
        if len(raw) == 32 and raw.hex() == value:
            return b"\0" + raw
    text = value.encode()
    if len(text) <= _LONGEST_VALUE:
        return b"\1%c%b" % (len(text), text)
    return b"\2" + blake2b(text, digest_size=32).digest()


def tag_prefix(letter: str, value: str) -> bytes:
    """What the keys of one tag begin with, in both tag indexes; a kind follows."""
    return letter.encode() + value_key(value)


def other_d_prefix(pubkey: bytes, value: str) -> bytes:
    """Like :func:`tag_prefix`, for a ``d`` value that is not the event's address."""
    return OTHER_D + pubkey + value_key(value)


def address_key(pubkey: bytes, kind: int, d: str) -> bytes:
    """The key of an address; ``d`` is empty for replaceable kinds."""
    return pubkey + kind.to_bytes(2, "big") + value_key(d)


def id_mark(id_: bytes, requester: bytes = b"") -> bytes:
    """The key of the mark that ``requester`` had the event ``id_`` deleted."""
    return b"e" + id_ + requester


def address_mark(address: bytes) -> bytes:
    """The key of the mark up to when the versions of an address are deleted."""
    return b"a" + address


def vanish_mark(pubkey: bytes = b"") -> bytes:
    """The key of the mark up to when what is an author's has vanished."""
    return b"v" + pubkey


def expiry_key(expiration: int, seq: bytes) -> bytes:
    """The key under which an event waits for its expiration."""
    return number(expiration) + seq
