# -*- test-case-name: tests.relay.management.test_reported -*-
"""
Events that people have reported, for moderators to look at (NIP-56, NIP-86).

They are found anew whenever somebody asks, in the newest reports. Anybody can report
anything, so each person counts once, and what trusted people have reported comes first;
their reports are looked for by themselves, so that no flood of others hides them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any, Final

import attrs
from twisted.internet.interfaces import IReactorTime

from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.bans import one_line
from nostrtx.nostr.event import Event, stored_event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.json import loads
from nostrtx.nostr.kinds import METADATA, REPORT
from nostrtx.nostr.reports import REPORT_TYPES, Report, parse_report
from nostrtx.relay.banned import Banned
from nostrtx.relay.pieces import Pieces

#: How many events are told at most.
MOST_LISTED: Final = 200

#: How many reports are read: of trusted people, and of anybody.
MOST_TRUSTED: Final = 1000
MOST_REPORTS: Final = 2000

#: How many trusted people's reports are looked for, the nearest first.
MOST_PEOPLE: Final = 1000

#: How many reported events are looked for together.
_TOGETHER: Final = 100

#: Longest text of a report that is told, in characters.
_MOST_TEXT: Final = 100

#: Whom reports are taken from first: of these, at most so many, the nearest first.
Nearest = Callable[[int], Sequence[bytes]]


@attrs.define(eq=False)
class _Case:
    """
    What has been reported of one event, or of one person.

    Attributes:
        trusted: Trusted people who have reported it.
        others: Other people who have.
        types: How many have called it what.
        text: What the newest report of a trusted person says, or of anybody.
        newest: When it was reported last.
    """

    trusted: set[bytes] = attrs.field(factory=set)
    others: set[bytes] = attrs.field(factory=set)
    types: Counter[str] = attrs.field(factory=Counter)
    text: str = ""
    newest: int = 0
    _has_trusted_text: bool = False

    @property
    def weight(self) -> tuple[int, int, int]:
        """By what cases are compared."""
        people = len(self.trusted) + len(self.others)
        return len(self.trusted), people, self.newest

    def add(self, event: Event, report: Report, trusted: bool) -> None:
        """Take in a report; they come newest first, and each person counts once."""
        reporters = self.trusted if trusted else self.others
        if event.pubkey in reporters:
            return
        reporters.add(event.pubkey)
        self.types[report.type] += 1
        self.newest = max(self.newest, event.created_at)
        if not self.text or (trusted and not self._has_trusted_text):
            members: Any = loads(event.raw)
            if text := one_line(members["content"]):
                self.text = text[:_MOST_TEXT]
                self._has_trusted_text = trusted

    def reason(self, about_person: bool) -> str:
        """Why it should be looked at, in one line."""
        types = [f"{name} {self.types[name]}" for name in REPORT_TYPES]
        said = ", ".join([one for one in types if not one.endswith(" 0")])
        people = len(self.trusted) + len(self.others)
        said += f"; reported by {people}"
        if self.trusted:
            said += f", {len(self.trusted)} of them trusted"
        if self.text:
            said += f": {self.text}"
        return f"the author: {said}" if about_person else said


class Reported:
    """
    Finds what has been reported and nobody has decided about.

    Args:
        store: Where reports and events are.
        clock: Wall-clock time.
        banned: What moderators have decided about.
        nearest: Trusted people.
        is_trusted: Whether somebody is one.
    """

    def __init__(
        self,
        store: IEventStore,
        clock: IReactorTime,
        banned: Banned,
        nearest: Nearest,
        is_trusted: Callable[[bytes], bool],
    ) -> None:
        self._store = store
        self._clock = clock
        self._banned = banned
        self._nearest = nearest
        self._is_trusted = is_trusted

    async def undecided(self) -> list[tuple[bytes, str]]:
        """
        The ids of events that were reported, each with what was said of it.

        They are in the store, and neither they nor their authors are banned, nor have
        they been allowed. For a person who was reported stands that one's profile.

        Raises:
            StoreError: The store failed.
        """
        events, people = await self._cases()
        cases = [(case, id_, False) for id_, case in events.items()]
        cases += [(case, pubkey, True) for pubkey, case in people.items()]
        cases.sort(key=lambda one: one[0].weight, reverse=True)
        listed: dict[bytes, str] = {}
        for at in range(0, len(cases), _TOGETHER):
            some = cases[at : at + _TOGETHER]
            there = await self._there(
                [what for _, what, is_person in some if not is_person],
                [what for _, what, is_person in some if is_person],
            )
            for case, what, is_person in some:
                id_ = there.get((is_person, what))
                if id_ is not None:
                    listed.setdefault(id_, case.reason(is_person))
            if len(listed) >= MOST_LISTED:
                break
        return list(listed.items())[:MOST_LISTED]

    async def _cases(self) -> tuple[dict[bytes, _Case], dict[bytes, _Case]]:
        """What is said of events, by id, and of people, by key."""
        events: dict[bytes, _Case] = {}
        people: dict[bytes, _Case] = {}
        kinds = (REPORT,)
        trusted = tuple(self._nearest(MOST_PEOPLE))
        filters = [Filter(kinds=kinds, limit=MOST_REPORTS)]
        if trusted:
            filters.append(Filter(authors=trusted, kinds=kinds, limit=MOST_TRUSTED))
        async with aclosing(Pieces(self._clock).read(self._store, filters)) as found:
            async for raw in found:
                event = stored_event(raw)
                report = parse_report(event)
                if report is None or event.pubkey in self._banned.pubkeys:
                    continue
                trusts = self._is_trusted(event.pubkey)
                for id_ in report.events:
                    if self._is_open(id_):
                        case = events.setdefault(id_, _Case())
                        case.add(event, report, trusts)
                if report.person is not None and not report.events:
                    case = people.setdefault(report.person, _Case())
                    case.add(event, report, trusts)
        return events, people

    async def _there(
        self, ids: Sequence[bytes], people: Sequence[bytes]
    ) -> dict[tuple[bool, bytes], bytes]:
        """
        What of it is in the store, by what was reported: the ids of events.

        Args:
            ids: Of events.
            people: Whose profiles are looked for.
        """
        filters = []
        if ids:
            filters.append(Filter(ids=tuple(ids)))
        if people:
            filters.append(Filter(authors=tuple(people), kinds=(METADATA,)))
        there: dict[tuple[bool, bytes], bytes] = {}
        async with aclosing(Pieces(self._clock).read(self._store, filters)) as found:
            async for raw in found:
                event = stored_event(raw)
                if event.pubkey in self._banned.pubkeys or not self._is_open(event.id):
                    continue
                there[False, event.id] = event.id
                if event.kind == METADATA:
                    there[True, event.pubkey] = event.id
        return there

    def _is_open(self, id_: bytes) -> bool:
        """Whether nobody has decided about an event."""
        return id_ not in self._banned.events and id_ not in self._banned.allowed_events
