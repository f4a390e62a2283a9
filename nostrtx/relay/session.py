# -*- test-case-name: tests.relay.test_session -*-
"""
One client's session: its messages in, its subscriptions, its answers out.

The only place that turns a refusal of a REQ into CLOSED (NIP-01). Messages take
effect in the order in which they arrive.
"""

from __future__ import annotations

from zope.interface import implementer

from nostrtx.interfaces.edge import IClient, IClientSession
from nostrtx.nostr.client_messages import (
    AuthMessage,
    CloseMessage,
    CountMessage,
    EventMessage,
    NegCloseMessage,
    NegMsgMessage,
    NegOpenMessage,
    ReqMessage,
    parse,
)
from nostrtx.nostr.errors import ReasonPrefix, Rejected, invalid
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.json import dumps
from nostrtx.nostr.relay_messages import closed, notice
from nostrtx.relay.asked_filters import asked_filters
from nostrtx.relay.counting import ClientCounts
from nostrtx.relay.parts import RelayParts
from nostrtx.relay.reconciliation import ClientReconciliations
from nostrtx.relay.session_auth import SessionAuth
from nostrtx.relay.subscription import Subscription


@implementer(IClientSession)
class ClientSession:
    """
    What the relay holds for one connection.

    Args:
        client: The connection.
        parts: What all sessions share.
    """

    __slots__ = (
        "_auth",
        "_client",
        "_counts",
        "_parts",
        "_reconciliations",
        "_shut_down",
        "_subscriptions",
    )

    def __init__(self, client: IClient, parts: RelayParts) -> None:
        self._client = client
        self._parts = parts
        self._auth = SessionAuth(client, parts.auth)
        self._reconciliations = ClientReconciliations(
            client, self._auth, parts.reconciliations
        )
        self._counts = ClientCounts(client, self._auth, parts.counting)
        self._subscriptions: dict[str, Subscription] = {}
        self._shut_down = False
        parts.statistics.sessions += 1

    def message_received(self, text: bytes) -> None:
        """Take up one message of the client."""
        rates = self._parts.rates
        if rates.counts_bytes:
            rates.message_received(self._auth, len(text))
        try:
            message = parse(text)
        except Rejected as refusal:
            self._notice(refusal)
            return
        if type(message) is EventMessage:
            self._parts.ingest.submit(message, self._client, self._auth)
        elif type(message) is ReqMessage:
            self._subscribe(message)
        elif type(message) is CloseMessage:
            self._count("CLOSE")
            self._end(message.subscription_id)
        elif type(message) is CountMessage:
            self._counts.count(message)
        elif type(message) is AuthMessage:
            self._count("AUTH")
            self._auth.authenticate(message)
        elif type(message) is NegOpenMessage:
            self._reconciliations.open(message)
        elif type(message) is NegMsgMessage:
            self._count("NEG-MSG")
            self._reconciliations.go_on(message)
        elif type(message) is NegCloseMessage:
            self._count("NEG-CLOSE")
            self._reconciliations.close(message)
        else:
            self._notice(invalid("this message is not understood here"))

    def binary_received(self) -> None:
        """Say that messages are text (NIP-01)."""
        self._notice(invalid("messages are JSON in text frames"))

    def connection_lost(self) -> None:
        """End all subscriptions without a word."""
        self._shut_down = True
        for id_ in list(self._subscriptions):
            self._end(id_)
        self._counts.end_all()
        self._reconciliations.end_all()
        self._auth.connection_lost()
        self._parts.statistics.sessions -= 1

    def shut_down(self, why: str = "shutting down") -> None:
        """Close all subscriptions, and every later one."""
        self._shut_down = True
        for id_ in list(self._subscriptions):
            self.refuse(id_, Rejected(ReasonPrefix.ERROR, why))
        self._counts.shut_down(why)
        self._reconciliations.shut_down(why)

    def refuse(self, subscription_id: str, refusal: Rejected) -> None:
        """End a subscription, if it is open, and tell the client why."""
        self._end(subscription_id)
        self._client.send(closed(dumps(subscription_id), refusal.reason))

    def _count(self, verb: str) -> None:
        self._parts.statistics.measurements.verbs[verb] += 1

    def _notice(self, refusal: Rejected) -> None:
        self._parts.statistics.notices += 1
        self._client.send(notice(refusal.reason))

    def _subscribe(self, message: ReqMessage) -> None:
        self._parts.statistics.requests += 1
        id_ = message.subscription_id
        self._end(id_)
        try:
            filters = self._accept(message)
        except Rejected as refusal:
            self._parts.statistics.requests_refused += 1
            self.refuse(id_, refusal)
            return
        subscription = Subscription(self._client, self._auth, id_, self.refuse)
        self._subscriptions[id_] = subscription
        self._parts.fan_out.subscribe(subscription, filters)
        start, invitations = self._parts.queries.start, self._parts.invitations
        if invitations is not None and invitations.are_asked_for(filters, self._auth):
            invitations.send(subscription, filters, start)
        else:
            start(subscription, filters)

    def _accept(self, message: ReqMessage) -> list[Filter]:
        """
        The filters of a REQ, each with the limit that it will have.

        Raises:
            Rejected: The REQ is malformed or asks for too much.
        """
        limits = self._parts.settings.now.limits
        if self._shut_down:
            raise Rejected(ReasonPrefix.ERROR, "shutting down")
        asked = asked_filters(
            "REQ",
            message.subscription_id,
            message.filters,
            limits,
            self._parts.can_search,
        )
        if len(self._subscriptions) >= limits.max_subscriptions:
            raise Rejected(
                ReasonPrefix.RATE_LIMITED,
                f"too many subscriptions (max {limits.max_subscriptions})",
            )
        filters = [self._bounded(one) for one in asked]
        self._auth.check_filters("REQ", filters)
        if self._parts.invitations is not None:
            self._parts.invitations.check(filters, self._auth)
        return filters

    def _bounded(self, one: Filter) -> Filter:
        limits = self._parts.settings.now.limits
        if one.limit is not None and one.limit <= limits.max_limit:
            return one
        limit = limits.default_limit if one.limit is None else limits.max_limit
        return one.with_limit(min(limit, limits.max_limit), whole_seconds=True)

    def _end(self, subscription_id: str) -> None:
        subscription = self._subscriptions.pop(subscription_id, None)
        if subscription is not None:
            self._parts.fan_out.unsubscribe(subscription)
            if subscription.cancel_query is not None:
                subscription.cancel_query()
