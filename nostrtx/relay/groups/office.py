# -*- test-case-name: tests.relay.groups.test_moderation -*-
"""
Where groups are changed: moderation, requests to join and to leave (NIP-29).

One change is made after the other, each in one transaction with what the relay says
to it. In each matter (a member, the profile, the pins) the event dated last stands
for all who follow the events; so where an accepted change is not dated later than
the one before it, the relay says the same under its own key with a later date.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from nostrtx.interfaces.policies import Taken
from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.errors import ReasonPrefix, Rejected, invalid
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.group_state import Group
from nostrtx.nostr.groups import (
    CHANGES,
    CREATE_GROUP,
    CREATE_INVITE,
    DELETE_EVENT,
    DELETE_GROUP,
    EDIT_METADATA,
    JOIN_REQUEST,
    LEAVE_REQUEST,
    MODERATION,
    PUT_USER,
    REMOVE_USER,
    UPDATE_PINS,
    codes_of,
    group_ids,
    invite_code,
    named_events,
    named_users,
    powers,
    references,
    the_group_id,
)
from nostrtx.relay.flat_lock import FlatLock
from nostrtx.relay.groups.access import GroupAccess
from nostrtx.relay.groups.archive import Archive
from nostrtx.relay.groups.invites import Invites
from nostrtx.relay.groups.ledger import GroupLedger
from nostrtx.relay.own_events import Draft, OwnEvents
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings

#: How many changes may wait for one another, and how many other events for them.
MAX_WAITING: Final = 1000

#: What admins can do; the other kinds of the range mean nothing yet.
_UNDERSTOOD: Final = frozenset(
    {
        PUT_USER,
        REMOVE_USER,
        EDIT_METADATA,
        DELETE_EVENT,
        DELETE_GROUP,
        CREATE_INVITE,
        UPDATE_PINS,
    }
)

_HOUR: Final = 3600


def no_such_group() -> Rejected:
    """The refusal where there is no group, or none that the author may know of."""
    return Rejected(ReasonPrefix.BLOCKED, "there is no such group here")


def check_age(event: Event, now: float, hours: int) -> None:
    """
    Refuse an event that comes too late for its group.

    Raises:
        Rejected: ``invalid:``; it is older than so many hours, unless they are 0.
    """
    if hours and event.created_at < now - hours * _HOUR:
        raise invalid(f"groups take no events that are older than {hours} h")


class GroupOffice:
    """
    Takes what changes a group.

    Args:
        access: The groups.
        ledger: Keeps them.
        archive: Knows what was said before.
        own: Signs for the relay.
        clock: Wall-clock time.
        settings: The operator's rules.
    """

    _log = Logger()

    def __init__(
        self,
        access: GroupAccess,
        ledger: GroupLedger,
        archive: Archive,
        own: OwnEvents,
        clock: IReactorTime,
        settings: LiveSettings,
    ) -> None:
        self._access = access
        self._ledger = ledger
        self._archive = archive
        self._own = own
        self._clock = clock
        self._settings = settings
        self._invites = Invites(ledger, archive, settings)
        self._lock = FlatLock()
        self._waiting = 0
        self._settling = 0

    @property
    def pubkey(self) -> bytes:
        """The relay's public key, 32 bytes."""
        return self._own.pubkey

    @property
    def is_busy(self) -> bool:
        """Whether a change is under way, so that groups may soon be others."""
        return self._waiting > 0

    async def load(self) -> None:
        """
        Find all groups again; until then, changes wait.

        Raises:
            StoreError: The store failed.
        """
        await self._lock.acquire()
        try:
            await self._ledger.load()
            for event in await self._archive.find(Filter(kinds=(CREATE_INVITE,))):
                self._invites.note(event)
            self._access.is_loaded = True
        finally:
            self._lock.release()

    def note(self, event: Event) -> None:
        """Take note of what was stored, by whatever process."""
        self._ledger.note(event)
        if event.kind == CREATE_INVITE:
            self._invites.note(event)
        for id_ in group_ids(event.tags) & self._access.deleted:
            self._invites.forget_group(id_)
            if not self._ledger.is_epitaph(event):
                # It was on its way when the group was deleted.
                self._ledger.clear([id_])

    def forget(self, ids: Iterable[bytes]) -> None:
        """Take note that events were removed, by whatever process."""
        self._invites.forget(ids)

    async def settled(self) -> None:
        """
        Wait for the changes that have been taken up by now.

        Raises:
            Rejected: ``rate-limited:``, at once; too many wait already.
        """
        if self._settling >= MAX_WAITING:
            raise Rejected(ReasonPrefix.RATE_LIMITED, "too many events at a time")
        self._settling += 1
        try:
            await self._lock.acquire()
            self._lock.release()
        finally:
            self._settling -= 1

    def take(self, event: Event) -> Deferred[Taken | None]:
        """
        Make the change that ``event`` asks for.

        Returns:
            Fires when it is durable; fails with Rejected.

        Raises:
            Rejected: ``invalid:`` or ``rate-limited:``, at once.
        """
        id_ = the_group_id(event)
        if event.expiration is not None:
            raise invalid("what changes a group does not expire")
        if self._waiting >= MAX_WAITING:
            raise Rejected(ReasonPrefix.RATE_LIMITED, "too many changes at a time")
        self._waiting += 1
        return Deferred.fromCoroutine(self._take(event, id_))

    async def _take(self, event: Event, id_: str) -> Taken:
        asked_at = self._clock.seconds()
        try:
            await self._lock.acquire()
            try:
                # Other processes may have changed the group.
                leave = await self._own.alone(asked_at)
                try:
                    return await self._change(event, id_)
                finally:
                    leave()
            finally:
                self._lock.release()
        except StoreError as error:
            self._log.error("A group cannot be changed: {reason}", reason=error)
            raise Rejected(ReasonPrefix.ERROR, str(error)) from None
        finally:
            self._waiting -= 1

    async def _change(self, event: Event, id_: str) -> Taken:
        if not self._access.is_loaded:
            raise Rejected(ReasonPrefix.ERROR, "groups are being read; try again")
        if id_ in self._access.deleted:
            raise Rejected(ReasonPrefix.BLOCKED, "this group was deleted")
        if await self._archive.has(event):
            return Taken("duplicate: this relay has the event already")
        if await self._archive.is_withdrawn(event):
            raise Rejected(ReasonPrefix.BLOCKED, "deleted by its author")
        check_age(event, self._clock.seconds(), self._settings.now.groups.late_hours)
        group = self._access.groups.get(id_)
        if event.kind == CREATE_GROUP:
            await self._create(event, id_, group)
        elif group is None:
            raise no_such_group()
        elif event.kind == JOIN_REQUEST:
            await self._join(event, group)
        elif event.kind == LEAVE_REQUEST:
            await self._leave(event, group)
        else:
            await self._moderate(event, group)
        return Taken("")

    async def _create(self, event: Event, id_: str, group: Group | None) -> None:
        author = event.pubkey
        creators = _creators(self._settings.now)
        if creators is not None and author not in {*creators, self.pubkey}:
            raise Rejected(ReasonPrefix.RESTRICTED, "you may not make groups here")
        if group is not None:
            raise Rejected(ReasonPrefix.DUPLICATE, "there is a group of that name")
        if await self._archive.in_group(id_, sorted(MODERATION), 1):
            # They were not checked when they came; followers would believe them.
            raise Rejected(ReasonPrefix.BLOCKED, "the name was used before")
        tags = [["h", id_], ["p", author.hex(), "admin"]]
        draft = Draft(PUT_USER, tags, not_before=event.created_at)
        created = Group(id_, {author: ("admin",)})
        await self._ledger.save(event, None, created, [draft])

    async def _join(self, event: Event, group: Group) -> None:
        author = event.pubkey
        if author in group.members:
            raise Rejected(ReasonPrefix.DUPLICATE, "you are a member already")
        profile = group.profile
        if profile.closed or profile.hidden:
            now = self._clock.seconds()
            codes = codes_of(event)[:1]
            if not await self._invites.use(group, codes, self.pubkey, now):
                if profile.hidden:
                    raise no_such_group()
                raise Rejected(
                    ReasonPrefix.RESTRICTED,
                    "that invite code is not good; ask for another"
                    if codes
                    else "this group is closed; one needs an invite code",
                )
        await self._issue(event, group, PUT_USER)

    async def _leave(self, event: Event, group: Group) -> None:
        if event.pubkey not in group.members:
            if group.profile.hidden:
                raise no_such_group()
            raise Rejected(ReasonPrefix.DUPLICATE, "you are no member")
        await self._issue(event, group, REMOVE_USER)

    async def _issue(self, event: Event, group: Group, kind: int) -> None:
        """Grant a request: the relay itself adds or removes the author."""
        author = event.pubkey
        decided = await self._archive.decided_at(group.id, [author])
        tags = [["h", group.id], ["p", author.hex()]]
        draft = Draft(kind, tags, not_before=decided.get(author, 0) + 1)
        after = group.after(self._own.sign(draft))
        await self._ledger.save(event, group, after, [draft])

    async def _moderate(self, event: Event, group: Group) -> None:
        author, kind = event.pubkey, event.kind
        if author != self.pubkey and not group.may(author, kind):
            if group.profile.hidden and author not in group.members:
                raise no_such_group()
            raise Rejected(ReasonPrefix.RESTRICTED, "your role does not permit that")
        if kind not in _UNDERSTOOD:
            raise invalid(f"moderation events of kind {kind} mean nothing here")
        for reference in sorted(references(event)):
            if reference not in await self._archive.beginnings(group.id):
                raise invalid(f"there is no event {reference}… in this group")
        if kind == DELETE_GROUP:
            await self._ledger.bury(event, group)
            return
        if kind == DELETE_EVENT:
            await self._delete_events(event, group)
        if kind == CREATE_INVITE and self._invites.has(group.id, invite_code(event)):
            raise Rejected(ReasonPrefix.DUPLICATE, "there is such a code")
        if kind == REMOVE_USER:
            self._check_removal(event, group)
        after = group.after(event)
        await self._ledger.save(event, group, after, await self._restated(event, group))

    def _check_removal(self, event: Event, group: Group) -> None:
        users = named_users(event)
        if all(user not in group.members for user in users):
            raise Rejected(ReasonPrefix.DUPLICATE, "that is no member")
        is_above = event.pubkey == self.pubkey or group.may(event.pubkey, PUT_USER)
        if not is_above and any(powers(group.members.get(user, ())) for user in users):
            raise Rejected(
                ReasonPrefix.RESTRICTED, "your role removes ordinary members only"
            )

    async def _delete_events(self, event: Event, group: Group) -> None:
        ids = named_events(event)
        found = await self._archive.find(Filter(ids=tuple(dict.fromkeys(ids))))
        if not found or any(group.id not in group_ids(one.tags) for one in found):
            raise invalid("there is no such event in this group")
        if any(one.kind in CHANGES for one in found):
            raise Rejected(ReasonPrefix.BLOCKED, "what was decided stays on record")
        await self._ledger.remove([one.id for one in found])

    async def _restated(self, event: Event, group: Group) -> list[Draft]:
        """What the relay must say again, dated later than what was said before."""
        kind = event.kind
        h = ["h", group.id]
        if kind in (PUT_USER, REMOVE_USER):
            users = named_users(event)
            decided = await self._archive.decided_at(group.id, users)
            return [
                Draft(
                    kind, [h, ["p", user.hex(), *roles]], not_before=decided[user] + 1
                )
                for user, roles in users.items()
                if decided.get(user, -1) >= event.created_at
            ]
        if kind in (EDIT_METADATA, UPDATE_PINS):
            earlier = await self._archive.in_group(group.id, (kind,), 1)
            if earlier and earlier[0].created_at >= event.created_at:
                tags: Sequence[Sequence[str]] = [
                    tag for tag in event.tags if tag[0] != "previous"
                ]
                return [Draft(kind, tags, not_before=earlier[0].created_at + 1)]
        return []


def _creators(settings: Settings) -> frozenset[bytes] | None:
    """Who may make groups; None for anybody."""
    if settings.groups.create == "anyone":
        return None
    keys = (*settings.groups.creators, settings.relay.pubkey)
    return frozenset(bytes.fromhex(key) for key in keys if key)
