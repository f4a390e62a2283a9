# -*- test-case-name: tests.relay.test_session_auth -*-
"""
Who a client has proved to be (NIP-42).

A client is sent one challenge for its connection: at its start if the settings ask
for authentication, else when there is a reason. It may sign it with any number of
keys, one after the other, and is from then on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.interfaces import IReactorTime

from nostrtx.interfaces.edge import IClient
from nostrtx.interfaces.policies import Source, Verb
from nostrtx.nostr.authentication import check_authentication
from nostrtx.nostr.client_messages import AuthMessage
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import REQUEST_TO_VANISH
from nostrtx.nostr.protection import check_protection, is_protected
from nostrtx.nostr.relay_messages import auth, notice, ok
from nostrtx.relay.banned import Banned
from nostrtx.relay.groups.access import GroupAccess
from nostrtx.relay.membership.access import Access
from nostrtx.relay.policies.policies import Policies
from nostrtx.relay.visibility import Visibility
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings

#: After so many failed attempts a connection may not try again.
MAX_FAILURES: Final = 32

#: Close code for who may not be here (RFC 6455, "policy violation").
_NOT_WANTED: Final = 1008


class AuthRules:
    """
    When authentication is asked for, and how it is checked.

    Args:
        settings: ``auth``.
        urls: The URLs by which clients may know this relay.
        visibility: Says which events are private.
        clock: Wall-clock time.
        random_bytes: Makes challenges.
        access: Says what is for members only, if the relay has members.
        banned: Whose keys are of no use.
        policies: Are asked about requests.

    Attributes:
        known: The connections that have proved to own a key.
    """

    def __init__(
        self,
        settings: LiveSettings,
        urls: Callable[[], Sequence[str]],
        visibility: Visibility,
        clock: IReactorTime,
        random_bytes: Callable[[int], bytes],
        access: Access | None = None,
        banned: Banned | None = None,
        policies: Policies | None = None,
    ) -> None:
        self.policies = Policies() if policies is None else policies
        self.known: set[SessionAuth] = set()
        self.banned = Banned() if banned is None else banned
        self.access = access
        self.visibility = visibility
        self.urls = urls
        self.clock = clock
        self.random_bytes = random_bytes
        settings.follow(self._apply)

    def _apply(self, settings: Settings) -> None:
        auth = settings.auth
        self.must_read = auth.required in ("read", "both")
        self.must_write = auth.required in ("write", "both")
        self.at_start = self.must_read or self.must_write
        self.write_kinds = frozenset(auth.write_kinds)
        self.open_kinds = frozenset(auth.open_kinds)
        self.max_pubkeys = auth.max_pubkeys
        self.visibility.private_kinds = frozenset(auth.private_kinds)

    def close_banned(self) -> None:
        """Close all connections of those whose keys are banned by now."""
        for one in tuple(self.known):
            one.close_if_banned()


class SessionAuth(Source):
    """
    The authentication of one connection.

    Args:
        client: Gets challenges and answers.
        rules: When and how.
    """

    __slots__ = ("_challenge", "_client", "_failures", "_rules")

    def __init__(self, client: IClient, rules: AuthRules) -> None:
        super().__init__(client.address)
        self._client = client
        self._rules = rules
        self._challenge = ""
        self._failures = 0
        if rules.at_start:
            self.challenge()

    def challenge(self) -> None:
        """Send the challenge, unless the client has it."""
        if not self._challenge:
            self._challenge = self._rules.random_bytes(16).hex()
            self._client.send(auth(self._challenge))

    def authenticate(self, message: AuthMessage) -> None:
        """Take up an AUTH; its answer is an OK."""
        try:
            event = self._check(message)
        except Rejected as refusal:
            id_ = message.id
            reason = refusal.reason
            self._client.send(notice(reason) if id_ is None else ok(id_, False, reason))
            return
        self.pubkeys |= {event.pubkey}
        self._rules.known.add(self)
        self._client.send(ok(event.id.hex(), True, ""))

    def close_if_banned(self) -> None:
        """Close the connection if one of its keys is banned, and forget that key."""
        banned = self._rules.banned.pubkeys
        found = [pubkey for pubkey in self.pubkeys if pubkey in banned]
        if found:
            self.pubkeys -= frozenset(found)
            self._client.close(_NOT_WANTED, f"blocked: {banned[found[0]].because}")

    def connection_lost(self) -> None:
        """The connection is gone."""
        self._rules.known.discard(self)

    def may_publish(self, event: Event) -> bool:
        """Whether the client need not prove more than it has to publish ``event``."""
        return self._may_write(event.kind) and (
            event.pubkey in self.pubkeys or not is_protected(event)
        )

    def check_event(self, event: Event) -> None:
        """
        Refuse an event that this client may not publish.

        Its signature is good. A request to vanish is taken from anybody.

        Raises:
            Rejected: ``auth-required:`` after the challenge was sent,
                ``restricted:`` or ``blocked:``.
        """
        if event.kind == REQUEST_TO_VANISH:
            return
        if not self._may_write(event.kind):
            if self.pubkeys:
                raise self._members_only()
            raise self._required("to publish here")
        try:
            check_protection(event, self.pubkeys)
        except Rejected as refusal:
            if refusal.prefix is ReasonPrefix.AUTH_REQUIRED:
                self.challenge()
            raise

    def check_filters(self, verb: Verb, filters: Sequence[Filter]) -> None:
        """
        Refuse what this client may not ask for.

        Policies are asked last.

        Sends the challenge if authentication would show more.

        Raises:
            Rejected: ``auth-required:`` after the challenge was sent, or
                ``restricted:``, or what a policy says.
        """
        rules = self._rules
        visibility = rules.visibility
        if rules.access is not None and not rules.access.may_ask(filters, self.pubkeys):
            raise self._members_only()
        if visibility.groups is not None:
            self._check_groups(visibility.groups, filters)
        if not self.pubkeys:
            if rules.must_read and not self._asks_only_open(filters):
                raise self._required("to read here")
            if visibility.asks_only_private(filters):
                raise self._required("private events go to their parties only")
            if visibility.asks_for_private(filters):
                self.challenge()
        elif visibility.asks_only_private(filters) and visibility.asks_for_others(
            filters, self.pubkeys
        ):
            raise Rejected(
                ReasonPrefix.RESTRICTED, "private events go to their parties only"
            )
        try:
            rules.policies.check_request(verb, filters, self)
        except Rejected as refusal:
            if refusal.prefix is ReasonPrefix.AUTH_REQUIRED:
                self.challenge()
            raise

    def _check_groups(self, groups: GroupAccess, filters: Sequence[Filter]) -> None:
        if groups.asks_only_closed(filters, self.pubkeys):
            if not self.pubkeys:
                raise self._required("this group is for its members")
            raise Rejected(ReasonPrefix.RESTRICTED, "this group is for its members")
        if not self.pubkeys and groups.names_groups(filters):
            self.challenge()

    def _may_write(self, kind: int) -> bool:
        rules = self._rules
        if rules.access is not None and not rules.access.may_write(kind, self.pubkeys):
            return False
        if self.pubkeys:
            return True
        if rules.must_write and kind not in rules.open_kinds:
            return False
        return kind not in rules.write_kinds

    def _asks_only_open(self, filters: Sequence[Filter]) -> bool:
        return all(
            one.kinds and self._rules.open_kinds.issuperset(one.kinds)
            for one in filters
        )

    def _members_only(self) -> Rejected:
        if not self.pubkeys:
            return self._required("this is for members of the relay")
        return Rejected(ReasonPrefix.RESTRICTED, "this is for members of the relay")

    def _required(self, why: str) -> Rejected:
        self.challenge()
        return Rejected(ReasonPrefix.AUTH_REQUIRED, why)

    def _check(self, message: AuthMessage) -> Event:
        rules = self._rules
        if self._failures >= MAX_FAILURES:
            raise Rejected(ReasonPrefix.RATE_LIMITED, "too many failed attempts")
        try:
            event = check_authentication(
                message.members,
                {self._challenge} if self._challenge else set(),
                rules.urls(),
                rules.clock.seconds(),
            )
        except Rejected:
            self._failures += 1
            raise
        rules.banned.check_key(event.pubkey)
        if len(self.pubkeys) >= rules.max_pubkeys and event.pubkey not in self.pubkeys:
            raise Rejected(
                ReasonPrefix.RESTRICTED,
                f"at most {rules.max_pubkeys} keys for one connection",
            )
        return event
