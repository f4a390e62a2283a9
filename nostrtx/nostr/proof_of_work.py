# -*- test-case-name: tests.nostr.test_proof_of_work -*-
"""
Proof of work: how much computing an event's id has cost (NIP-13).

Pure: no I/O and no clock.
"""

from __future__ import annotations

from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.kinds import REQUEST_TO_VANISH


def difficulty(id_: bytes) -> int:
    """How many zero bits an id of 32 bytes begins with."""
    return 256 - int.from_bytes(id_, "big").bit_length()


def committed_difficulty(event: Event) -> int | None:
    """
    The difficulty that the author aimed at, of the first ``nonce`` tag.

    None if it is not stated, or not a decimal number. It says nothing of the work
    that was done, which is for the id to show.
    """
    for tag in event.tags:
        if tag[0] == "nonce":
            return _decimal(tag[2]) if len(tag) > 2 else None
    return None


def check_proof_of_work(event: Event, minimum: int, require_commitment: bool) -> None:
    """
    Refuse an event on which too little work was done.

    A request to vanish needs none (NIP-62): it must not cost anything to leave.

    Args:
        event: The event; its signature need not be checked yet.
        minimum: The least difficulty, in bits; 0 asks for nothing.
        require_commitment: Whether the author must have aimed at ``minimum`` or
            more, so that many cheap events do not bring some lucky ones.

    Raises:
        Rejected: ``pow:``.
    """
    if minimum <= 0 or event.kind == REQUEST_TO_VANISH:
        return
    done = difficulty(event.id)
    if done < minimum:
        raise _too_little(f"difficulty {done} is less than {minimum}")
    if require_commitment:
        committed = committed_difficulty(event)
        if committed is None:
            raise _too_little(f"the nonce tag must commit to {minimum} or more")
        if committed < minimum:
            raise _too_little(
                f"the committed difficulty {committed} is less than {minimum}"
            )


def _too_little(message: str) -> Rejected:
    return Rejected(ReasonPrefix.POW, message)


def _decimal(text: str) -> int | None:
    if len(text) <= 20 and text.isascii() and text.isdigit():
        return int(text)
    return None
