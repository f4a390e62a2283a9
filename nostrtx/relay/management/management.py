# -*- test-case-name: tests.relay.management.test_management -*-
"""
Who may manage the relay from afar, and what comes of it (NIP-86, NIP-98).

A call is done only if it was signed a moment ago, for this relay and for nothing but
this call, by an owner or a moderator, and was not done before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from nostrtx.interfaces.edge import IManagement
from nostrtx.interfaces.processes import IBroadcaster
from nostrtx.interfaces.register import RegisterError
from nostrtx.interfaces.store import IEventStore, StoreError
from nostrtx.nostr.authentication import check_http_authentication
from nostrtx.nostr.bans import BanError
from nostrtx.nostr.errors import Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.management import (
    Call,
    CallError,
    NotACallError,
    error_of_call,
    parse_call,
    result_of_call,
)
from nostrtx.relay.allowed import with_managers
from nostrtx.relay.bans import Bans
from nostrtx.relay.management.kept import Keeping
from nostrtx.relay.management.kinds import AllowedKinds
from nostrtx.relay.management.method import Method
from nostrtx.relay.management.methods import methods
from nostrtx.relay.management.profile import Profile
from nostrtx.relay.management.reported import Reported
from nostrtx.relay.management.used_once import UsedOnce
from nostrtx.relay.membership.members import Membership
from nostrtx.relay.moment import Moment
from nostrtx.relay.policies.rule_book import RuleBook
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings

#: How much of the parameters of a call is logged, in characters.
_MOST_SHOWN: Final = 300


@implementer(IManagement)
class Management:
    """
    Answers calls to manage the relay.

    Args:
        settings: ``management``, ``relay`` and ``cluster``.
        store: Where lasts what is changed.
        broadcaster: Hears from other processes, and tells them.
        clock: Wall-clock time.
        bans: Of the relay.
        membership: Its members, if it has any.
        rule_book: Knows whom the roots trust.
        urls: The URLs by which clients know this relay.

    Attributes:
        profile: What the relay says of itself.
        kinds: What may be published, to be asked about events.
    """

    _log = Logger()

    def __init__(
        self,
        settings: LiveSettings,
        store: IEventStore,
        broadcaster: IBroadcaster,
        clock: IReactorTime,
        bans: Bans,
        membership: Membership | None,
        rule_book: RuleBook,
        urls: Callable[[], Sequence[str]],
    ) -> None:
        started = settings.now
        poll_seconds = started.cluster.poll_seconds
        self._keeping = Keeping(store, broadcaster, clock, poll_seconds)
        self.profile = Profile(self._keeping, started.relay)
        self.kinds = AllowedKinds(self._keeping)
        self._used = UsedOnce(store, clock)
        self._bans = bans
        self._rule_book = rule_book
        self._urls = urls
        self._clock = clock
        reported = Reported(store, clock, bans.banned, self._nearest, self._is_trusted)
        self._methods = methods(
            bans, membership, self.profile, self.kinds, reported, settings, clock
        )
        settings.follow(self._apply)

    def _apply(self, settings: Settings) -> None:
        self._owners = frozenset(settings.management.owners)
        self._moderators = frozenset(settings.management.moderators)
        self._managers = with_managers((), settings.management)
        self.profile.restate(settings.relay)
        self.kinds.managed_by(self._managers)

    @property
    def loaded(self) -> Moment:
        """When all that owners have changed has been read since the start."""
        return self._keeping.loaded

    def start(self) -> None:
        """Follow what owners change; the store is open."""
        self._keeping.start()

    def stop(self) -> None:
        """Follow it no more."""
        self._keeping.stop()

    def answer(
        self, authorization: bytes | None, query: str, body: bytes
    ) -> Deferred[tuple[int, bytes]]:
        """See :meth:`IManagement.answer`."""
        return Deferred.fromCoroutine(self._answer(authorization, query, body))

    async def _answer(
        self, authorization: bytes | None, query: str, body: bytes
    ) -> tuple[int, bytes]:
        try:
            event = self._authorized(authorization, query, body)
        except Rejected as refusal:
            return 401, error_of_call(str(refusal))
        known = self._methods_for(event)
        if not known:
            return 403, error_of_call("restricted: you may not manage this relay")
        if not self._bans.loaded.is_past:
            return 503, error_of_call("error: the relay is starting")
        try:
            if not await self._used.use(event):
                return 401, error_of_call("invalid: this event was used before")
            call = parse_call(body)
            result = await self._do(call, known)
        except NotACallError as error:
            return 400, error_of_call(f"invalid: {error}")
        except (CallError, BanError) as error:
            return 200, error_of_call(f"invalid: {error}")
        except (StoreError, RegisterError) as error:
            self._log.error("A call failed: {reason}.", reason=error)
            return 200, error_of_call(f"error: {error}")
        except CancelledError:
            raise
        except Exception:
            self._log.failure("A call failed.")
            return 500, error_of_call("error: internal error")
        self._log.info(
            "{caller} has called {method}{params}.",
            caller=event.pubkey.hex(),
            method=call.method,
            params=_shown(call),
        )
        return 200, result_of_call(result)

    def _authorized(
        self, authorization: bytes | None, query: str, body: bytes
    ) -> Event:
        """
        The event that authorizes a call.

        Raises:
            Rejected: There is none, or it does not.
        """
        urls = [f"{url}?{query}" if query else url for url in self._urls()]
        return check_http_authentication(
            authorization,
            "POST",
            urls,
            body,
            self._clock.seconds(),
            payload_required=True,
        )

    def _methods_for(self, event: Event) -> dict[str, Method]:
        """The methods that an event's author may call."""
        caller = event.pubkey.hex()
        if caller in self._owners:
            return self._methods
        # The operator may ban a moderator with the command.
        if caller not in self._moderators or event.pubkey in self._bans.banned.pubkeys:
            return {}
        return {
            name: method
            for name, method in self._methods.items()
            if not method.is_for_owners
        }

    def _nearest(self, most: int) -> list[bytes]:
        """Whose reports count first: those in charge, and whom the roots trust."""
        return [*self._managers, *self._rule_book.nearest(most)][:most]

    def _is_trusted(self, pubkey: bytes) -> bool:
        return pubkey in self._managers or self._rule_book.is_trusted(pubkey)

    async def _do(self, call: Call, known: dict[str, Method]) -> object:
        if call.method == "supportedmethods":
            return sorted(known)
        method = known.get(call.method)
        if method is not None:
            return await method.do(call)
        if call.method in self._methods:
            raise CallError("only owners of this relay may do that")
        raise CallError("this relay has no such method")


def _shown(call: Call) -> str:
    """With what something was done, in one line for the log."""
    shown = "".join(
        [f" {param!a}" for param in call.params if isinstance(param, str | int)]
    )
    return f"{shown[:_MOST_SHOWN]}..." if len(shown) > _MOST_SHOWN else shown
