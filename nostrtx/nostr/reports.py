# -*- test-case-name: tests.nostr.test_reports -*-
"""
Reports: what people find objectionable, and why (NIP-56).

Pure: no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from nostrtx.nostr.event import Event

#: What a report may say that something is; whatever else it says is ``other``.
REPORT_TYPES: Final = (
    "illegal",
    "malware",
    "impersonation",
    "spam",
    "nudity",
    "profanity",
    "other",
)

#: Of a report that names more events, so many are heeded.
MOST_EVENTS: Final = 10


@attrs.frozen(slots=True)
class Report:
    """
    What a report is about.

    Attributes:
        events: The ids of events; empty if it is about a person alone.
        person: The public key of a person; None if it names none.
        type: One of :data:`REPORT_TYPES`.
    """

    events: tuple[bytes, ...]
    person: bytes | None
    type: str


def parse_report(event: Event) -> Report | None:
    """What a report is about; None if it is about nothing."""
    named = [tag for tag in event.tags if len(tag) > 1]
    people = [key for tag in named if tag[0] == "p" and (key := _bytes(tag[1]))]
    events = [id_ for tag in named if tag[0] == "e" and (id_ := _bytes(tag[1]))]
    if not people and not events:
        return None
    return Report(
        tuple(dict.fromkeys(events))[:MOST_EVENTS],
        people[0] if people else None,
        _type(named),
    )


def _type(tags: Sequence[Sequence[str]]) -> str:
    """The first type that a tag states behind what it names."""
    for name in ("e", "p", "x"):
        for tag in tags:
            if tag[0] == name and len(tag) > 2 and tag[2] in REPORT_TYPES:
                return tag[2]
    return "other"


def _bytes(text: str) -> bytes | None:
    """The 32 bytes of a key or an id; None if it is none."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        return None
    return value if len(value) == 32 else None
