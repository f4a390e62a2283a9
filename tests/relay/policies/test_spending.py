"""Tests for :mod:`nostrtx.relay.policies.spending`."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.policies import Source
from nostrtx.nostr import json
from nostrtx.nostr.errors import RateLimited
from nostrtx.nostr.event import Event
from nostrtx.relay.policies.rates import Rates
from nostrtx.relay.policies.spending import MOST_TOLD, SPENDING, Spending
from nostrtx.settings.rates import RateSettings
from tests.relay.company import Company
from tests.storage.events import signed_event

_EVENT = signed_event()


@attrs.define(eq=False)
class Node:
    """One process: its rates, and one client that is connected to it."""

    rates: Rates
    source: Source

    def takes(self, times: int, source: Source | None = None) -> int:
        """How many events from the client's address it takes, of so many."""
        taken = 0
        for _ in range(times):
            try:
                self.rates.check_event(_EVENT, source or self.source)
            except RateLimited:
                continue
            taken += 1
        return taken

    def admits(self, times: int, event: Event = _EVENT) -> int:
        """How many events of one author it takes, of so many."""
        taken = 0
        for _ in range(times):
            try:
                self.rates.admit(event, self.source)
            except RateLimited:
                continue
            taken += 1
        return taken


class SpendingTests(SynchronousTestCase):
    """Rates over several processes."""

    def setUp(self) -> None:
        """Nobody is there at first."""
        self.company = Company()

    def node(self, name: str, **rates: Any) -> Node:
        """One more process."""
        roll_call = self.company.process(name)
        node = Node(
            Rates(RateSettings(**rates), self.company.clock), Source("192.0.2.1")
        )
        Spending(roll_call, node.rates)
        self.company.join(name, roll_call)
        return node

    def told(self, name: str) -> list[bytes]:
        """What a process has told of spending."""
        published = self.company.buses[name].published
        return [message for topic, message in published if topic == SPENDING]

    def test_address(self) -> None:
        """What an address spends in one process is missing in the others."""
        one, other = (self.node(name, address_events="600/h") for name in "ab")
        self.company.beat()
        self.assertEqual(one.takes(400), 400)
        self.company.beat(2)
        self.assertEqual(other.takes(1000), 200)
        self.company.beat(2)
        self.assertEqual(one.takes(1000), 0)

    def test_author(self) -> None:
        """So it is with authors."""
        one, other = (self.node(name, pubkey_events="10/d") for name in "ab")
        self.company.beat()
        self.assertEqual(one.admits(4), 4)
        self.company.beat(2)
        self.assertEqual(other.admits(20), 6)

    def test_connection(self) -> None:
        """A connection is in one process, which tells nobody of it."""
        one, _ = (self.node(name, connection_events="10/d") for name in "ab")
        self.company.beat()
        one.takes(10)
        self.company.beat(2)
        self.assertEqual(self.told("a"), [])

    def test_alone(self) -> None:
        """A process that is alone tells nothing, and keeps nothing for later."""
        one = self.node("a", address_events="10/d")
        one.takes(10)
        self.company.beat(2)
        self.node("b", address_events="10/d")
        self.company.beat(2)
        self.assertEqual(self.told("a"), [])

    def test_over_time(self) -> None:
        """Three processes let through no more than one would, but for a second."""
        nodes = [self.node(name, address_events="60/min") for name in "abc"]
        self.company.beat()
        taken = 0
        for _ in range(240):
            taken += sum(node.takes(5) for node in nodes)
            self.company.beat()
        # A full bucket, four minutes, and what came before the first was told.
        self.assertLessEqual(taken, 60 + 240 + 30)
        self.assertGreaterEqual(taken, 240)

    def test_not_told(self) -> None:
        """What could not be told is told when it can be."""
        one, other = (self.node(name, address_events="10/d") for name in "ab")
        self.company.beat()
        one.takes(6)
        self.company.buses["a"].is_full = True
        self.company.beat(2)
        self.company.buses["a"].is_full = False
        self.company.beat(2)
        self.assertEqual(other.takes(20), 4)

    def test_bounded_messages(self) -> None:
        """However many addresses there are, a message is not large."""
        one, other = (self.node(name, address_events="5/d") for name in "ab")
        self.company.beat()
        sources = [
            Source(f"10.1.{number // 250}.{number % 250}")
            for number in range(MOST_TOLD + 500)
        ]
        for source in sources:
            one.takes(5, source)
        self.company.beat(3)
        told = self.told("a")
        decoded: list[Any] = [json.loads(message) for message in told]
        sizes = [len(message["address_events"]) for message in decoded]
        self.assertEqual(sizes, [MOST_TOLD, 500])
        self.assertLess(max(map(len, told)), 50_000)
        self.assertEqual(sum(other.takes(1, source) for source in sources), 0)

    def test_rate_unknown_here(self) -> None:
        """What a process has no rate for does not matter to it."""
        one = self.node("a", address_events="10/d")
        other = self.node("b", pubkey_events="10/d")
        self.company.beat()
        one.takes(10)
        with capturedLogs() as logs:
            self.company.beat(2)
        self.assertEqual([one for one in logs if "reason" in one], [])
        self.assertEqual(other.admits(20), 10)

    def test_not_understood(self) -> None:
        """What makes no sense is told in the log, and takes nothing from anybody."""
        one = self.node("a", address_events="10/d", pubkey_events="10/d")
        self.node("b")
        self.company.beat()
        for message in (
            b"",
            b"[]",
            b'{"address_events":[]}',
            b'{"address_events":{"192.0.2.1":-5}}',
            b'{"address_events":{"192.0.2.1":"9"}}',
            b'{"address_events":{"192.0.2.1":1.5}}',
            b'{"address_events":{"192.0.2.1":true}}',
            b'{"pubkey_events":{"xyz":1}}',
        ):
            with capturedLogs() as logs:
                self.company.buses["b"].publish(SPENDING, message)
            self.assertEqual([one["sender"] for one in logs], ["b"], message)
        self.assertEqual(one.takes(20), 10)


class ClockTests(SynchronousTestCase):
    """Processes whose clocks differ."""

    def test_clocks_differ(self) -> None:
        """Amounts are told, so it does not matter what time it is elsewhere."""
        late = Clock()
        late.advance(100_000)
        rates = Rates(RateSettings(address_events="10/d"), late)
        rates.spent_elsewhere("address_events", "192.0.2.1", 4)
        node = Node(rates, Source("192.0.2.1"))
        self.assertEqual(node.takes(20), 6)
