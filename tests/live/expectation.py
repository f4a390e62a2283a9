"""
What a relay must answer and serve, worked out again from the NIPs.

Slow and simple on purpose, and nothing of it is shared with the relay: events are
taken in order into a dictionary (NIP-01, NIP-09, NIP-40; of NIP-42 that no event for
AUTH is published, and that a stranger may neither publish protected events (NIP-70)
nor read private ones (NIP-04, NIP-59)).
"""

from __future__ import annotations

from typing import Any

from coincurve import PublicKeyXOnly

from tests.live.authors import event_id

Event = dict[str, Any]
Address = tuple[int, str, str]


def address(event: Event) -> Address | None:
    """What a newer version replaces the event under; None if nothing does."""
    kind = event["kind"]
    if kind in (0, 3) or 10000 <= kind < 20000:
        return kind, event["pubkey"], ""
    if 30000 <= kind < 40000:
        values = [tag[1:2] for tag in event["tags"] if tag[0] == "d"]
        return kind, event["pubkey"], values[0][0] if values and values[0] else ""
    return None


def rank(event: Event) -> tuple[int, int]:
    """Of two versions, that of the higher rank stays."""
    return event["created_at"], -int(event["id"], 16)


def is_valid(event: Event) -> bool:
    """Whether id and signature are right; the shape is taken for granted."""
    if event_id(event) != event["id"]:
        return False
    key = PublicKeyXOnly(bytes.fromhex(event["pubkey"]))
    return key.verify(bytes.fromhex(event["sig"]), bytes.fromhex(event["id"]))


class Expectation:
    """
    A relay as it should be.

    Args:
        now: The time at which all of it happens, seconds since 1970.

    Attributes:
        kept: What it has, by id.
    """

    def __init__(self, now: int) -> None:
        self.kept: dict[str, Event] = {}
        self._now = now
        self._latest: dict[Address, Event] = {}
        self._deleted_ids: set[tuple[str, str]] = set()
        self._deleted_until: dict[Address, int] = {}

    @property
    def served(self) -> dict[str, Event]:
        """What it serves to a stranger, by id."""
        return {
            id_: event
            for id_, event in self.kept.items()
            if event["kind"] not in (4, 1059)
        }

    def answer(self, event: Event) -> tuple[bool, str]:
        """Take ``event``; whether it is accepted, and the prefix of the text."""
        if not is_valid(event) or event["kind"] == 22242:
            return False, "invalid:"
        for tag in event["tags"]:
            if tag[0] == "expiration":
                if len(tag) > 1 and tag[1].isascii() and tag[1].isdigit():
                    if int(tag[1]) <= self._now:
                        return False, "invalid:"
                break
        if any(tag[0] == "-" for tag in event["tags"]):
            return False, "auth-required:"
        if 20000 <= event["kind"] < 30000:
            return True, ""
        if event["id"] in self.kept:
            return True, "duplicate:"
        if self._is_deleted(event):
            return False, "blocked:"
        where = address(event)
        if where is not None:
            current = self._latest.get(where)
            if current is not None:
                if rank(current) > rank(event):
                    return False, "duplicate:"
                self.kept.pop(current["id"], None)
            self._latest[where] = event
        self.kept[event["id"]] = event
        if event["kind"] == 5:
            self._delete(event)
        return True, ""

    def _is_deleted(self, event: Event) -> bool:
        if event["kind"] == 5:
            return False
        owners = [event["pubkey"]]
        if event["kind"] == 1059:
            owners += [tag[1] for tag in event["tags"] if tag[:1] == ["p"]]
        if any((owner, event["id"]) in self._deleted_ids for owner in owners):
            return True
        where = address(event)
        return where is not None and event["created_at"] <= self._deleted_until.get(
            where, -1
        )

    def _delete(self, request: Event) -> None:
        author = request["pubkey"]
        for tag in request["tags"]:
            value = tag[1] if len(tag) > 1 else ""
            if tag[0] == "e":
                self._deleted_ids.add((author, value))
            elif tag[0] == "a" and value.count(":") >= 2:
                kind, owner, d = value.split(":", 2)
                if owner == author and kind.isascii() and kind.isdigit():
                    named = (int(kind), owner, d)
                    until = self._deleted_until.get(named, -1)
                    self._deleted_until[named] = max(until, request["created_at"])
        for event in list(self.kept.values()):
            if self._is_deleted(event):
                del self.kept[event["id"]]
                where = address(event)
                if where is not None and self._latest.get(where) is event:
                    del self._latest[where]
