# -*- test-case-name: tests.nostr.test_errors -*-
"""
Refusals: the one exception a client may hear about (NIP-01, "OK" and "CLOSED").

Pure: no I/O and no clock.
"""

from __future__ import annotations

from enum import StrEnum


class ReasonPrefix(StrEnum):
    """
    The machine-readable word that starts every refusal.

    The words of NIP-01 and NIP-42, ``unsupported`` from NIP-01's own example of a
    CLOSED message, and ``closed`` from NIP-77, for a reconciliation that is over.
    """

    DUPLICATE = "duplicate"
    POW = "pow"
    BLOCKED = "blocked"
    RATE_LIMITED = "rate-limited"
    INVALID = "invalid"
    RESTRICTED = "restricted"
    AUTH_REQUIRED = "auth-required"
    MUTE = "mute"
    ERROR = "error"
    UNSUPPORTED = "unsupported"
    CLOSED = "closed"


class Rejected(Exception):
    """
    Something a client asked for is refused, and this is its answer.

    Attributes:
        prefix: The machine-readable word.
        message: What is wrong, for people; not empty.
        rule: Which rule of a policy refuses, for the operator; empty if it has none.
    """

    def __init__(self, prefix: ReasonPrefix, message: str, rule: str = "") -> None:
        super().__init__(prefix, message)
        self.prefix = prefix
        self.message = message
        self.rule = rule

    @property
    def reason(self) -> str:
        """The text of OK, CLOSED or NOTICE: ``prefix: message``."""
        return f"{self.prefix}: {self.message}"

    def __str__(self) -> str:
        return self.reason


class RateLimited(Rejected):
    """
    Something comes too fast, and may be tried again later.

    Attributes:
        seconds: In how many seconds, at least 1.
    """

    def __init__(self, message: str, seconds: int, rule: str = "") -> None:
        super().__init__(ReasonPrefix.RATE_LIMITED, message, rule)
        self.seconds = seconds


def invalid(message: str) -> Rejected:
    """A refusal of something malformed; to be raised by the caller."""
    return Rejected(ReasonPrefix.INVALID, message)
