# -*- test-case-name: tests.relay.policies.test_rates -*-
"""
How fast clients may publish, ask and connect: by address, connection and author.

What comes from an address or over a connection is counted before the signature is
checked, so that it costs next to nothing to refuse it; what an author publishes only
afterwards, for anybody can write anybody's name on an event.

What is refused is not counted: who waits as long as told is served. Only bytes are
counted of every message, as long as there are any left.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from ipaddress import IPv6Address, ip_address
from itertools import count
from typing import Final

import attrs
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from nostrtx.interfaces.policies import (
    IConnectionPolicy,
    IEventCheck,
    IEventPolicy,
    IRequestPolicy,
    Source,
    Verb,
)
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.relay.networks import address_group
from nostrtx.relay.policies.buckets import take_both
from nostrtx.relay.policies.limit import Limit
from nostrtx.relay.policies.verdicts import REFUSED, Step, VerdictRecord
from nostrtx.settings.checks import UNIX_PROXY, parse_network
from nostrtx.settings.rates import RateSettings, parse_rate

#: What all rates together are called among policies.
NAME: Final = "rates"

#: The settings that are rates.
RATES: Final = tuple(
    name
    for name in attrs.fields_dict(RateSettings)
    if name.startswith(("address_", "connection_", "pubkey_"))
)

#: Two rates that are asked together.
_Pair = tuple[Limit | None, Limit | None]

#: One that is used up, and in how many seconds there will be something again.
_UsedUp = tuple[Limit, float]


@attrs.define(slots=True, eq=False)
class Meter:
    """
    What is known of one connection.

    Attributes:
        number: What the connection is counted under.
        edition: Of the settings, by which the next was found.
        group: What its address is counted under; empty if it is exempt.
        over: The rate that leaves no bytes for the message at hand, and for how long.
    """

    number: int
    edition: int = 0
    group: str = ""
    over: _UsedUp | None = None


class Exempt:
    """
    Addresses to which no rate applies.

    Args:
        named: As in the settings.
    """

    def __init__(self, named: Sequence[str]) -> None:
        self._networks = [parse_network(text) for text in named if text != UNIX_PROXY]
        self._unix = UNIX_PROXY in named

    def __contains__(self, address: str) -> bool:
        if not address:
            return self._unix
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._networks)


@implementer(IEventCheck, IEventPolicy, IRequestPolicy, IConnectionPolicy)
class Rates:
    """
    All rates of a relay.

    In shadow they refuse as ever: whoever asks them is to make nothing of it.

    Args:
        settings: ``[rates]``.
        clock: Wall-clock time.

    Attributes:
        limits: Those that are set, by name.
        counts_bytes: Whether :meth:`message_received` has anything to do.
    """

    def __init__(self, settings: RateSettings, clock: IReactorTime) -> None:
        self._seconds = clock.seconds
        self._began = clock.seconds()
        self._latest = 0.0
        self._numbers = count(1)
        self._edition = 0
        self.limits: dict[str, Limit] = {}
        self.apply(settings)

    def apply(self, settings: RateSettings) -> None:
        """
        Go by these settings from now on, also for clients that are connected.

        A rate that has not changed counts on; any other begins anew.
        """
        before, self.limits = self.limits, {}
        for name in RATES:
            rate = parse_rate(getattr(settings, name))
            if rate is None:
                continue
            limit = before.get(name)
            if limit is None or limit.rate != rate:
                limit = Limit(name, rate)
            self.limits[name] = limit
        self._exempt = Exempt(settings.exempt)
        self._shadow = settings.shadow
        self._edition += 1
        limit_of = self.limits.get
        self._bytes = limit_of("address_bytes"), limit_of("connection_bytes")
        self._events = limit_of("address_events"), limit_of("connection_events")
        self._requests = limit_of("address_requests"), limit_of("connection_requests")
        self._author = limit_of("pubkey_events"), limit_of("pubkey_bytes")
        self._connections = limit_of("address_connections")
        self.counts_bytes = any(self._bytes)
        # Most relays have few rates, or none.
        self._counts_events = self.counts_bytes or any(self._events)
        self._counts_requests = self.counts_bytes or any(self._requests)
        self._counts_authors = any(self._author)

    def message_received(self, source: Source, size: int) -> None:
        """Count the bytes of a message; if none are left, it will be refused."""
        meter = source.meter
        if meter is None or meter.edition != self._edition:
            meter = self._read(source)
        if group := meter.group:
            meter.over = self._take(self._bytes, group, size, meter.number, size)

    def check_event(self, event: Event, source: Source) -> None:
        """Refuse an event if its address or its connection has sent too many."""
        if self._counts_events:
            self._check(self._events, source)

    def check_request(
        self, verb: Verb, filters: Sequence[Filter], source: Source
    ) -> None:
        """Refuse a request if its address or its connection has made too many."""
        if self._counts_requests:
            self._check(self._requests, source)

    def admit(self, event: Event, source: Source) -> None:
        """Refuse an event if its author has published too much."""
        if not self._counts_authors:
            return
        meter = source.meter
        if meter is None or meter.edition != self._edition:
            meter = self._read(source)
        if meter.group:
            author = event.pubkey
            used_up = self._take(self._author, author, 1, author, len(event.raw))
            if used_up is not None:
                self._refuse(*used_up)

    def check_connection(self, address: str) -> None:
        """Refuse a connection if its address has opened too many."""
        if self._connections is None or address in self._exempt:
            return
        used_up = self._take((self._connections, None), _group(address), 1, 0, 1)
        if used_up is not None:
            self._refuse(*used_up)

    def spent_elsewhere(self, name: str, key: Hashable, amount: int) -> None:
        """Take note of what a client has spent in another process."""
        limit = self.limits.get(name)
        if limit is not None:
            now = max(self._seconds() - self._began, self._latest)
            limit.take_elsewhere(key, now, amount)

    def expect(self, record: VerdictRecord) -> None:
        """Have it told of each rate that it was not used up yet."""
        for name in self.limits:
            verdicts = record.of(NAME, _step(name), not self._shadow)
            verdicts.expect(REFUSED, name)

    def _read(self, source: Source) -> Meter:
        """The meter of a connection, by the settings as they are now."""
        meter: Meter | None = source.meter
        if meter is None:
            meter = source.meter = Meter(next(self._numbers))
        meter.edition = self._edition
        is_exempt = source.address in self._exempt
        meter.group = "" if is_exempt else _group(source.address)
        meter.over = None
        return meter

    def _check(self, limits: _Pair, source: Source) -> None:
        meter = source.meter
        if meter is None or meter.edition != self._edition:
            meter = self._read(source)
        if group := meter.group:
            used_up = meter.over or self._take(limits, group, 1, meter.number, 1)
            if used_up is not None:
                self._refuse(*used_up)

    def _take(
        self,
        limits: _Pair,
        one_key: Hashable,
        one_amount: int,
        other_key: Hashable,
        other_amount: int,
    ) -> _UsedUp | None:
        """Take out of both buckets; if one is empty, out of none, and that is it."""
        one, other = limits
        now = self._seconds() - self._began
        if now < self._latest:
            # The clock was set back: nobody is to wait until it is there again.
            self._began -= self._latest - now
            now = self._latest
        self._latest = now
        return take_both(one, one_key, one_amount, other, other_key, other_amount, now)

    def _refuse(self, limit: Limit, wait: float) -> None:
        raise limit.reached(wait, self._seconds() - self._began, self._shadow)


def _step(rate: str) -> Step:
    """When a rate is looked at; rates of bytes are, at requests, too."""
    if rate.startswith("pubkey_"):
        return "admit"
    if rate.endswith("_connections"):
        return "connect"
    return "request" if rate.endswith("_requests") else "check"


def _group(address: str) -> str:
    """What an address is counted under that is not exempt."""
    return address_group(address) or address or UNIX_PROXY
