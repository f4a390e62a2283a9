# -*- test-case-name: tests.relay.identification.test_policy -*-
"""
Only authors whose domain vouches for them may write (NIP-05).

What an author's latest kind 0 says is asked of the domain when the author first
writes; the event waits for the answer, and others go on. Answers are kept for a
while. Kind 0 itself is always taken, or nobody could ever state an identifier.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from nostrtx.interfaces.policies import IEventPolicy, Source, Taken
from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event, supersedes
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.identifiers import Identifier, confirms, stated_identifier
from nostrtx.nostr.kinds import DELETION_REQUEST, METADATA, REQUEST_TO_VANISH
from nostrtx.relay.finding import find_events
from nostrtx.relay.identification.lookup import LookupFailed
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings

#: Looks a domain's document up; fails with LookupFailed.
Fetch = Callable[[Identifier], Coroutine[Any, Any, bytes]]

#: How many authors are remembered, and how many profiles on their way.
MAX_KNOWN: Final = 20_000
_MAX_ARRIVING: Final = 1_000

#: How often a check begins anew because the profile changed meanwhile.
_MAX_ROUNDS: Final = 3

_REQUIRED: Final = "a verified NIP-05 identifier is required"


@attrs.define(slots=True, eq=False)
class _Verdict:
    """
    What is known of an author.

    Attributes:
        identifier: What the profile states; None if it states none.
        refusal: Why the author may not write; None if it may.
        profile: The id of the profile; None once it may have changed.
        asked_at: When the domain was asked last.
        verified_at: When it last vouched for the author.
        good_until: When it is to be asked again.
    """

    identifier: Identifier | None
    refusal: Rejected | None
    profile: bytes | None
    asked_at: float
    verified_at: float
    good_until: float


@implementer(IEventPolicy)
class IdentifierPolicy:
    """
    Refuses events of authors for whom no domain vouches.

    Args:
        store: Where profiles are.
        clock: Wall-clock time.
        settings: Whom to take, and how long answers hold.
    """

    _log = Logger()

    def __init__(
        self,
        store: IEventStore,
        clock: IReactorTime,
        settings: LiveSettings,
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._known: OrderedDict[bytes, _Verdict] = OrderedDict()
        self._arriving: OrderedDict[bytes, Event] = OrderedDict()
        self._checks: dict[bytes, list[Deferred[None]]] = {}
        self._waiting = 0
        self._tasks = BackgroundTasks()
        self._terms: tuple[object, ...] = ()
        settings.follow(self._apply)

    def start(self, fetch: Fetch) -> None:
        """Begin; ``fetch`` asks domains."""
        self._fetch = fetch

    def _apply(self, settings: Settings) -> None:
        nip05 = settings.nip05
        # A request to vanish is taken from anybody (NIP-62).
        self._open_kinds = frozenset({METADATA, REQUEST_TO_VANISH, *nip05.open_kinds})
        terms = nip05.required, nip05.allowed_domains, nip05.blocked_domains
        if terms != self._terms:
            # What was decided by others does not hold.
            self._terms = terms
            self._known.clear()

    def stop(self) -> None:
        """Ask no more."""
        self._tasks.cancel_all()

    def admit(self, event: Event, source: Source) -> Deferred[Taken | None] | None:
        """Let the event go on if its author is vouched for; that may take a while."""
        if event.kind == METADATA:
            self._profile_arrives(event)
        if event.kind in self._open_kinds:
            return None
        verdict = self._known.get(event.pubkey)
        if verdict is not None and self._holds(verdict):
            self._known.move_to_end(event.pubkey)
            if verdict.refusal is not None:
                raise verdict.refusal
            return None
        if self._waiting >= self._settings.now.nip05.max_waiting:
            raise Rejected(
                ReasonPrefix.RATE_LIMITED, "too many identifiers are being checked"
            )
        return Deferred.fromCoroutine(self._wait(event.pubkey))

    def note(self, event: Event, seq: int, now: float) -> None:
        """Take note of an event that may change a profile."""
        if event.kind == METADATA:
            arriving = self._arriving.get(event.pubkey)
            if arriving is not None and arriving.id == event.id:
                del self._arriving[event.pubkey]
            self._doubt(event.pubkey, event.id)
        elif event.kind in (DELETION_REQUEST, REQUEST_TO_VANISH):
            self._arriving.pop(event.pubkey, None)
            self._doubt(event.pubkey)

    def _holds(self, verdict: _Verdict) -> bool:
        return (
            verdict.profile is not None and self._clock.seconds() < verdict.good_until
        )

    def _profile_arrives(self, event: Event) -> None:
        """Remember a profile while it is on its way into the store."""
        current = self._arriving.get(event.pubkey)
        if current is None or supersedes(event, current.created_at, current.id):
            self._arriving[event.pubkey] = event
            if len(self._arriving) > _MAX_ARRIVING:
                self._arriving.popitem(last=False)
            self._doubt(event.pubkey, event.id)

    def _doubt(self, pubkey: bytes, profile: bytes | None = None) -> None:
        """The author's profile may be another than ``profile`` by now."""
        verdict = self._known.get(pubkey)
        if verdict is not None and verdict.profile != profile:
            verdict.profile = None

    async def _wait(self, pubkey: bytes) -> None:
        """
        Wait for a check of the author.

        Raises:
            Rejected: No domain vouches for it.
        """
        done: Deferred[None] = Deferred()
        waiting = self._checks.get(pubkey)
        self._waiting += 1
        try:
            if waiting is None:
                self._checks[pubkey] = [done]
                self._tasks.start(self._check(pubkey), "Checking an identifier")
            else:
                waiting.append(done)
            await done
        finally:
            self._waiting -= 1
        verdict = self._known.get(pubkey)
        if verdict is None:
            raise Rejected(ReasonPrefix.ERROR, "the identifier could not be checked")
        if verdict.refusal is not None:
            raise verdict.refusal

    async def _check(self, pubkey: bytes) -> None:
        try:
            for _ in range(_MAX_ROUNDS):
                profile = await self._profile(pubkey)
                verdict = await self._judge(pubkey, profile)
                self._known[pubkey] = verdict
                self._known.move_to_end(pubkey)
                if len(self._known) > MAX_KNOWN:
                    self._known.popitem(last=False)
                latest = self._arriving.get(pubkey)
                if latest is None or not _is_newer(latest, profile):
                    break
        except BaseException:
            # A doubtful verdict must not decide.
            self._known.pop(pubkey, None)
            raise
        finally:
            for done in self._checks.pop(pubkey):
                if not done.called:
                    done.callback(None)

    async def _profile(self, pubkey: bytes) -> Event | None:
        """The author's latest kind 0, stored or on its way."""
        wanted = Filter(authors=(pubkey,), kinds=(METADATA,), limit=1)
        stored = await find_events(self._store, [wanted], self._clock.seconds())
        found = stored[0] if stored else None
        arriving = self._arriving.get(pubkey)
        if arriving is not None and _is_newer(arriving, found):
            return arriving
        return found

    async def _judge(self, pubkey: bytes, profile: Event | None) -> _Verdict:
        settings = self._settings.now.nip05
        now = self._clock.seconds()
        before = self._known.get(pubkey)
        identifier = None if profile is None else stated_identifier(profile)
        verdict = _Verdict(
            identifier,
            None,
            b"" if profile is None else profile.id,
            now,
            -math.inf,
            now + settings.retry_seconds,
        )
        if identifier is None:
            verdict.refusal = Rejected(ReasonPrefix.RESTRICTED, _REQUIRED)
            return verdict
        verdict.refusal = self._domain_refusal(identifier)
        if verdict.refusal is not None:
            return verdict
        is_same = before is not None and before.identifier == identifier
        if is_same and before is not None:
            verdict.verified_at = before.verified_at
            if now < before.asked_at + settings.retry_seconds:
                # The profile changed, but not in this; the domain has just been asked.
                verdict.asked_at = before.asked_at
                verdict.refusal = before.refusal
                verdict.good_until = before.good_until
                return verdict
        try:
            document = await self._fetch(identifier)
        except CancelledError:
            raise
        except LookupFailed as failure:
            self._log.debug("A domain was asked in vain: {why}.", why=failure)
            keeps = settings.valid_seconds + settings.grace_seconds
            if not now < verdict.verified_at + keeps:
                verdict.refusal = Rejected(
                    ReasonPrefix.RESTRICTED,
                    f"{_REQUIRED}; {identifier.host} did not answer",
                )
            return verdict
        if confirms(document, identifier, pubkey):
            verdict.verified_at = now
            verdict.good_until = now + settings.valid_seconds
        else:
            verdict.verified_at = -math.inf
            verdict.refusal = Rejected(
                ReasonPrefix.RESTRICTED, f"{_REQUIRED}; {identifier} is not this key's"
            )
        return verdict

    def _domain_refusal(self, identifier: Identifier) -> Rejected | None:
        settings = self._settings.now.nip05
        allowed = settings.allowed_domains
        if identifier.is_in(settings.blocked_domains) or (
            allowed and not identifier.is_in(allowed)
        ):
            return Rejected(
                ReasonPrefix.BLOCKED,
                f"identifiers of {identifier.host} are not taken here",
            )
        return None


def _is_newer(profile: Event, other: Event | None) -> bool:
    return other is None or supersedes(profile, other.created_at, other.id)
