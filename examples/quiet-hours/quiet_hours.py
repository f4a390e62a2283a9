"""A policy for nostrtx: at night (UTC), nobody publishes notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from nostrtx.interfaces.policies import (
    IEventPolicy,
    IPolicyPlugin,
    IRequestPolicy,
    PolicyContext,
    Source,
    Verb,
)
from nostrtx.nostr.bech32 import parse_pubkey
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter


@implementer(IEventPolicy, IRequestPolicy)
class QuietHours:
    """
    The policy.

    Args:
        begin: The hour at which the night begins.
        end: The hour at which it ends.
        awake: Public keys of those who may do everything.
        context: Knows what time it is.
    """

    def __init__(
        self, begin: int, end: int, awake: frozenset[bytes], context: PolicyContext
    ) -> None:
        self._begin = begin
        self._end = end
        self._awake = awake
        self._clock = context.clock

    def admit(self, event: Event, source: Source) -> None:
        """Refuse notes at night."""
        if event.kind == 1 and event.pubkey not in self._awake and self._is_night():
            raise Rejected(ReasonPrefix.BLOCKED, f"quiet until {self._end}:00 UTC")

    def check_request(
        self, verb: Verb, filters: Sequence[Filter], source: Source
    ) -> None:
        """Refuse to count at night, except for who has proved to be awake."""
        if verb == "COUNT" and not source.pubkeys & self._awake and self._is_night():
            raise Rejected(ReasonPrefix.RESTRICTED, "nothing is counted at night")

    def _is_night(self) -> bool:
        hour = datetime.fromtimestamp(self._clock.seconds(), UTC).hour
        if self._begin <= self._end:
            return self._begin <= hour < self._end
        return hour >= self._begin or hour < self._end


@implementer(IPlugin, IPolicyPlugin)
class QuietHoursPlugin:
    """Makes the policy of the operator's options."""

    name = "quiet-hours"
    description = "At night (UTC), nobody publishes notes."

    def make(self, options: Mapping[str, Any], context: PolicyContext) -> QuietHours:
        """The policy with these options; see :class:`IPolicyPlugin`."""
        unknown = set(options) - {"from", "to", "awake"}
        if unknown:
            raise ValueError(f"{min(unknown)!r} is no option")
        hours = [options.get("from", 22), options.get("to", 6)]
        if not all(type(hour) is int and 0 <= hour <= 23 for hour in hours):
            raise ValueError("from and to must be hours, 0 to 23")
        awake = frozenset(map(parse_pubkey, options.get("awake", [])))
        return QuietHours(hours[0], hours[1], awake, context)
