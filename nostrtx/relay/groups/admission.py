# -*- test-case-name: tests.relay.groups.test_writing -*-
"""
What may be written to groups (NIP-29).

Every event with an ``h`` tag is looked at, of whatever kind; what changes a group
goes to the ``GroupOffice``.
"""

from __future__ import annotations

from collections.abc import Collection, Set

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from nostrtx.interfaces.policies import IEventPolicy, Source, Taken
from nostrtx.nostr.errors import ReasonPrefix, Rejected, invalid
from nostrtx.nostr.event import Event
from nostrtx.nostr.group_state import Group
from nostrtx.nostr.groups import CHANGES, RELAY_SIGNED, group_ids, references
from nostrtx.nostr.kinds import REQUEST_TO_VANISH
from nostrtx.relay.groups.access import GroupAccess, is_in_group
from nostrtx.relay.groups.archive import Archive
from nostrtx.relay.groups.office import GroupOffice, check_age, no_such_group
from nostrtx.settings.live import LiveSettings


@implementer(IEventPolicy)
class GroupAdmission:
    """
    The rule that keeps groups.

    Args:
        access: The groups.
        office: Takes what changes a group.
        archive: Knows to what events may refer.
        clock: Wall-clock time.
        settings: The operator's rules.
    """

    def __init__(
        self,
        access: GroupAccess,
        office: GroupOffice,
        archive: Archive,
        clock: IReactorTime,
        settings: LiveSettings,
    ) -> None:
        self._access = access
        self._office = office
        self._archive = archive
        self._clock = clock
        self._settings = settings

    def admit(
        self, event: Event, source: Source
    ) -> Deferred[Taken | None] | Taken | None:
        """Decide about an event for a group; others go on."""
        kind = event.kind
        if kind in CHANGES:
            return self._office.take(event)
        if kind in RELAY_SIGNED:
            if event.pubkey != self._office.pubkey:
                raise Rejected(
                    ReasonPrefix.RESTRICTED, "only the relay tells of its groups"
                )
            return None
        if not is_in_group(event) or kind == REQUEST_TO_VANISH:
            return None
        if not self._access.is_loaded:
            raise Rejected(ReasonPrefix.ERROR, "groups are being read; try again")
        if self._office.is_busy:
            return Deferred.fromCoroutine(self._check_later(event))
        return self._check_all(event)

    async def _check_later(self, event: Event) -> None:
        """Check an event once groups are what they will be by its turn."""
        await self._office.settled()
        waiting = self._check_all(event)
        if waiting is not None:
            await waiting

    def _check_all(self, event: Event) -> Deferred[Taken | None] | None:
        checked = [
            group
            for id_ in sorted(group_ids(event.tags))
            if (group := self._check(id_, event)) is not None
        ]
        referred = references(event)
        if checked and (referred or self._settings.now.groups.min_references):
            return Deferred.fromCoroutine(self._check_references(checked, referred))
        return None

    def _check(self, id_: str, event: Event) -> Group | None:
        """The group, if there is one to which this event may be written."""
        access, settings = self._access, self._settings.now.groups
        if id_ in access.deleted:
            raise Rejected(ReasonPrefix.BLOCKED, "this group was deleted")
        group = access.groups.get(id_)
        if group is None:
            if settings.unknown == "refuse":
                raise no_such_group()
            return None
        profile = group.profile
        if profile.restricted and event.pubkey not in group.members:
            if profile.hidden:
                raise no_such_group()
            raise Rejected(ReasonPrefix.RESTRICTED, "only members write to this group")
        supported = profile.supported_kinds
        if supported is not None and event.kind not in supported:
            raise Rejected(
                ReasonPrefix.BLOCKED, f"this group does not take kind {event.kind}"
            )
        check_age(event, self._clock.seconds(), settings.late_hours)
        return group

    async def _check_references(
        self, groups: Collection[Group], referred: Set[str]
    ) -> None:
        for group in groups:
            known = await self._archive.beginnings(group.id)
            check_references(referred, known, self._settings.now.groups.min_references)


def check_references(referred: Set[str], known: Collection[str], least: int) -> None:
    """
    Refuse an event that refers to what is not in its group, or to too little.

    Raises:
        Rejected: ``invalid:``
    """
    for reference in sorted(referred):
        if reference not in known:
            raise invalid(f"there is no event {reference}… in this group")
    if len(referred) < min(least, len(known)):
        raise invalid(f"at least {least} previous events must be referred to")
