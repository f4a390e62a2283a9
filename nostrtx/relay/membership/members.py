# -*- test-case-name: tests.relay.membership.test_members -*-
"""
Membership at work: requests are granted, and the relay tells who its members are.

The register is the truth. What the relay publishes follows from it: whatever changes
the register, and whenever the relay is ended, the difference to what was published
last is published next, a list together with the news of who came and went.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from nostrtx.interfaces.policies import IEventPolicy, Source, Taken
from nostrtx.interfaces.register import RegisterError
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.kinds import DELETION_REQUEST
from nostrtx.nostr.membership import (
    INVITE,
    JOIN_REQUEST,
    LEAVE_REQUEST,
    MEMBER_ADDED,
    MEMBER_LIST,
    MEMBER_REMOVED,
    RELAY_SIGNED,
    ROLE,
    change_tags,
    check_leave_request,
    described_role,
    invite_tags,
    join_code,
    listed_members,
    member_list_tags,
    role_tags,
)
from nostrtx.relay.flat_lock import FlatLock
from nostrtx.relay.membership.access import Access
from nostrtx.relay.membership.register import (
    Contents,
    Invite,
    Outcome,
    Register,
)
from nostrtx.relay.own_events import Draft, OwnEvents
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.settings.live import LiveSettings

_T = TypeVar("_T")

#: How often the register is looked at for changes by the command, in seconds.
WATCH_SECONDS: Final = 1.0

#: How many requests may be under way at a time.
MAX_REQUESTS: Final = 100

_DAY: Final = 86_400

_REFUSALS: Final = {
    Outcome.NO_SUCH_CODE: "that is an invalid invite code",
    Outcome.EXPIRED: "that invite code is expired",
}

_ALREADY: Final = {
    (JOIN_REQUEST, Outcome.UNCHANGED): "you are already a member of this relay",
    (LEAVE_REQUEST, Outcome.UNCHANGED): "you are no member of this relay",
    (JOIN_REQUEST, Outcome.REPEATED): "this request was granted before",
    (LEAVE_REQUEST, Outcome.REPEATED): "this request was granted before",
}


class InThread(Protocol):
    """Makes calls where they may wait for the disk: in a thread."""

    def __call__(self, call: Callable[[], _T], /) -> Deferred[_T]:
        """Call, and fire with the result."""


@implementer(IEventPolicy)
class Membership:
    """
    The members of a relay, who come and go.

    Args:
        access: Learns who is a member.
        own: Publishes for the relay.
        clock: Wall-clock time.
        random_bytes: Makes codes that nobody can guess.
        settings: What members may do.
        urls: The URLs by which clients know this relay.
    """

    _log = Logger()

    def __init__(
        self,
        access: Access,
        own: OwnEvents,
        clock: IReactorTime,
        random_bytes: Callable[[int], bytes],
        settings: LiveSettings,
        urls: Callable[[], Sequence[str]],
    ) -> None:
        self._access = access
        self._own = own
        self._clock = clock
        self._random_bytes = random_bytes
        self._settings = settings
        self._urls = urls
        self._tasks = BackgroundTasks()
        self._publishing = FlatLock()
        self._requests = 0
        self._is_stale = True

    def start(self, register: Register, in_thread: InThread) -> None:
        """
        Begin to serve members.

        Args:
            register: Open; closed by whoever opened it, after :meth:`stop`.
            in_thread: Makes a call in a thread.
        """
        self._register = register
        self._in_thread = in_thread
        self._access.members = register.contents().members
        self._tasks.start(self._watch(), "Watching the register of members")

    def stop(self) -> None:
        """Watch the register no more."""
        self._tasks.cancel_all()

    def admit(self, event: Event, source: Source) -> Deferred[Taken | None] | None:
        """Act upon requests to join and to leave; other events go on."""
        kind = event.kind
        if kind in RELAY_SIGNED and event.pubkey != self._own.pubkey:
            raise Rejected(
                ReasonPrefix.RESTRICTED, "events of this kind are the relay's own"
            )
        now = self._clock.seconds()
        register, made_at, author = self._register, event.created_at, event.pubkey
        if kind == JOIN_REQUEST:
            code = join_code(event, now)
            return self._begin(
                event, lambda: register.join(event.id, made_at, author, code, now)
            )
        if kind == LEAVE_REQUEST:
            check_leave_request(event, now)
            return self._begin(
                event, lambda: register.leave(event.id, made_at, author, now)
            )
        return None

    async def invitation(self, pubkeys: Sequence[bytes]) -> Event | None:
        """
        An invitation for the first of ``pubkeys`` that is a member's to give away.

        Raises:
            RegisterError: No code could be entered.
        """
        now = self._clock.seconds()
        for pubkey in pubkeys:
            fresh = Invite(
                self._random_bytes(16).hex(),
                self._settings.now.membership.invite_uses,
                int(now) + self._settings.now.membership.invite_days * _DAY,
                pubkey,
            )
            invite = await self._do(
                lambda: self._register.invite_by(pubkey, fresh, now)  # noqa: B023
            )
            if invite is not None:
                return self._own.sign(Draft(INVITE, invite_tags(invite.code)))
        return None

    @property
    def members(self) -> Collection[bytes]:
        """The public keys of all members."""
        return self._access.members.keys()

    async def change(self, change: Callable[[Register], bool]) -> None:
        """
        Change the register for the operator, and tell of it.

        Args:
            change: Does that, in a thread; gives whether anything is different now.

        Raises:
            RegisterError: The register cannot be changed that way, or not written.
        """
        if await self._do(lambda: change(self._register)):
            await self._tell()

    async def publish(self) -> None:
        """
        Take note of what is in the register, and tell what has changed.

        Raises:
            RegisterError: The register cannot be read.
            StoreError: Nothing was published; it will be tried again.
        """
        asked_at = self._clock.seconds()
        await self._publishing.acquire()
        try:
            self._is_stale = True
            if await self._news(await self._read()):
                # Every process of the relay looks at the register; one tells of it.
                leave = await self._own.alone(asked_at)
                try:
                    # Who was alone before may have told of more than was known here.
                    await self._own.publish(await self._news(await self._read()))
                finally:
                    leave()
            self._is_stale = False
        finally:
            self._publishing.release()

    def _begin(
        self, event: Event, change: Callable[[], Outcome]
    ) -> Deferred[Taken | None]:
        if self._requests >= MAX_REQUESTS:
            raise Rejected(ReasonPrefix.RATE_LIMITED, "too many requests at a time")
        self._requests += 1
        return Deferred.fromCoroutine(self._finish(event.kind, change))

    async def _finish(self, kind: int, change: Callable[[], Outcome]) -> Taken:
        try:
            return await self._grant(kind, change)
        finally:
            self._requests -= 1

    async def _grant(self, kind: int, change: Callable[[], Outcome]) -> Taken:
        try:
            outcome = await self._do(change)
        except RegisterError as error:
            self._log.error("A request cannot be granted: {reason}", reason=error)
            raise Rejected(ReasonPrefix.ERROR, "try again later") from None
        if outcome in _REFUSALS:
            raise Rejected(ReasonPrefix.RESTRICTED, _REFUSALS[outcome])
        if outcome is not Outcome.DONE:
            return Taken(f"duplicate: {_ALREADY[kind, outcome]}")
        await self._tell()
        if kind == LEAVE_REQUEST:
            return Taken("")
        urls = self._urls()
        return Taken(f"info: welcome to {urls[0] if urls else 'this relay'}!")

    async def _tell(self) -> None:
        try:
            await self.publish()
        except Exception:
            # The register is changed all the same; the watch tells of it later.
            self._log.failure("News of the members could not be published.")

    async def _watch(self) -> None:
        is_restored = False
        while True:
            try:
                if not is_restored:
                    await self._restore()
                    is_restored = True
                if await self._do(self._register.has_changed) or self._is_stale:
                    await self.publish()
            except CancelledError:
                raise
            except Exception:
                self._log.failure("Members could not be brought up to date.")
            await deferLater(self._clock, WATCH_SECONDS)

    async def _restore(self) -> None:
        """Take from what the relay has published what a new register lacks."""
        published = await self._published()
        if await self._do(lambda: self._register.restore(published)):
            self._is_stale = True
            if published.members:
                self._log.info("The register of members was filled from their list.")

    async def _read(self) -> Contents:
        contents = await self._do(self._register.contents)
        self._access.members = contents.members
        return contents

    async def _published(self) -> Contents:
        lists = await self._own.stored(MEMBER_LIST)
        roles = await self._own.stored(ROLE)
        return Contents(
            listed_members(lists[0]) if lists else {},
            tuple(map(described_role, roles)),
        )

    async def _news(self, contents: Contents) -> list[Draft]:
        """What is to be published for the register to be known."""
        lists = await self._own.stored(MEMBER_LIST)
        listed = listed_members(lists[0]) if lists else {}
        members = contents.members
        drafts = []
        if not lists or listed != members:
            for kind, keys in (
                (MEMBER_ADDED, members.keys() - listed.keys()),
                (MEMBER_REMOVED, listed.keys() - members.keys()),
            ):
                drafts += [Draft(kind, change_tags(key)) for key in sorted(keys)]
            drafts.append(Draft(MEMBER_LIST, member_list_tags(members)))
        described = {
            described_role(event).id: event for event in await self._own.stored(ROLE)
        }
        for role in contents.roles:
            event = described.pop(role.id, None)
            if event is None or described_role(event) != role:
                drafts.append(Draft(ROLE, role_tags(role)))
        for id_, event in described.items():
            address = f"{ROLE}:{self._own.pubkey.hex()}:{id_}"
            tags = [["a", address], ["e", event.id.hex()], ["k", str(ROLE)]]
            drafts.append(Draft(DELETION_REQUEST, tags, "", event.created_at))
        return drafts

    def _do(self, call: Callable[[], _T]) -> Deferred[_T]:
        return self._in_thread(call)
