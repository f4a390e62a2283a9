# -*- test-case-name: tests.relay.test_fan_out -*-
"""
Live delivery: every new event to every subscription that it matches.

What the messages of an event have in common is made once, however many clients get
it, and each subscription gets it once.
"""

from __future__ import annotations

from collections.abc import Sequence

from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.relay.banned import Banned
from nostrtx.relay.statistics import Statistics
from nostrtx.relay.subscription import Subscription
from nostrtx.relay.subscription_index import SubscriptionIndex
from nostrtx.relay.visibility import Visibility


class FanOut:
    """
    All open subscriptions of this process.

    Args:
        visibility: Says who may read an event.
        statistics: Counts deliveries.
        banned: What is delivered to nobody, from whatever process it comes.
    """

    def __init__(
        self,
        visibility: Visibility,
        statistics: Statistics,
        banned: Banned | None = None,
    ) -> None:
        self._banned = Banned() if banned is None else banned
        self._index: SubscriptionIndex[Subscription] = SubscriptionIndex()
        self._visibility = visibility
        self._statistics = statistics

    def subscribe(self, subscription: Subscription, filters: Sequence[Filter]) -> None:
        """
        Begin to deliver to ``subscription``; before its stored query starts.

        So every event is found by the query, by the index, or by both, and the
        subscription's floor tells which.
        """
        subscription.indexed = self._index.add(subscription, filters)
        self._statistics.subscriptions += 1

    def unsubscribe(self, subscription: Subscription) -> None:
        """Deliver nothing more to ``subscription``."""
        self._index.remove(subscription.indexed)  # type: ignore[arg-type]
        subscription.indexed = ()
        self._statistics.subscriptions -= 1

    def deliver(self, event: Event, seq: int, now: float) -> None:
        """
        Send a new event to the subscriptions it matches.

        Args:
            event: Committed, unless it is ephemeral.
            seq: Its place in the arrival log; 0 for an ephemeral event.
            now: Seconds since 1970.
        """
        subscriptions = self._index.matching(event)
        if not subscriptions or self._banned.hides(event):
            return
        may_read = self._visibility.may_read
        is_restricted = self._visibility.is_restricted(event)
        if not is_restricted and not may_read(event, (), now):
            return
        body = event.raw + b"]"
        overrun = []
        delivered = 0
        for subscription in subscriptions:
            if seq and seq <= subscription.floor:
                continue
            if is_restricted and not may_read(event, subscription.auth.pubkeys, now):
                continue
            if subscription.waiting is None:
                subscription.client.send_shared(subscription.prefix, body)
                delivered += 1
            elif not subscription.hold_back(seq, body):
                overrun.append(subscription)
        self._statistics.events_delivered += delivered
        for subscription in overrun:
            subscription.refuse(
                Rejected(
                    ReasonPrefix.ERROR,
                    "live events pile up behind the stored ones; read faster",
                )
            )
