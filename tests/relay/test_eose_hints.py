"""Whether EOSE tells if everything was sent (NIP-67)."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.event import Event
from nostrtx.settings.limits import LimitSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import RelayUnderTest, req_message, seen
from tests.storage.events import NOW, make_event, signed_event

_SETTINGS = Settings(limits=LimitSettings(max_limit=8, default_limit=4))


class EoseHintTests(SynchronousTestCase):
    """Answers to a REQ, whole or cut."""

    def setUp(self) -> None:
        """A relay whose default limit is four events."""
        self.begin(True)

    def begin(self, has_hints: bool) -> None:
        """Start a relay, and connect a client."""
        self.under_test = RelayUnderTest(_SETTINGS, has_hints)
        self.client, self.session = self.under_test.connect()

    def store(self, count: int, kind: int = 1) -> list[Event]:
        """Have so many events stored, newest first."""
        events = [make_event(kind=kind, created_at=NOW - n) for n in range(count)]
        self.under_test.stored(*events)
        return events

    def ask(self, *filters: object) -> list[Any]:
        """The whole answer to a REQ, but for a challenge."""
        self.session.message_received(req_message("s", *filters))
        self.under_test.turns.settle()
        return [one for one in self.client.heard() if one[0] != "AUTH"]

    def eose(self, *filters: object) -> list[Any]:
        """The EOSE of an answer."""
        [*_, last] = self.ask(*filters)
        assert isinstance(last, list)
        return last

    def test_finish(self) -> None:
        """Where everything was sent, EOSE says so."""
        finish = ["EOSE", "s", ["finish"]]
        self.assertEqual(self.eose({}), finish)
        self.store(4)
        for one in ({}, {"limit": 4}, {"limit": 8}, {"kinds": [1]}, {"kinds": [7]}):
            self.assertEqual(self.eose(one), finish, one)
        self.assertEqual(self.eose({"ids": [], "limit": 0}), finish)

    def test_more(self) -> None:
        """Where something was cut off, by whatever limit, EOSE says so."""
        self.store(9)
        more = ["EOSE", "s", ["more"]]
        for one in ({}, {"limit": 3}, {"limit": 8}, {"limit": 999}, {"kinds": [1]}):
            self.assertEqual(self.eose(one), more, one)
        self.assertEqual(self.eose({"limit": 2}, {"kinds": [7]}), more)

    def test_unknown(self) -> None:
        """Where nothing was asked for, nothing is known."""
        self.store(2)
        self.assertEqual(self.eose({"limit": 0}), ["EOSE", "s"])

    def test_hidden(self) -> None:
        """What the client may not see does not count."""
        self.store(2)
        self.store(3, kind=4)
        self.assertEqual(self.eose({}), ["EOSE", "s", ["finish"]])

    def test_own_limit_keeps_seconds(self) -> None:
        """The relay's own limit does not part a second; the client's does."""
        crowd = [make_event(content=f"{n}") for n in range(6)]
        self.under_test.stored(*crowd, make_event(created_at=NOW - 1))
        self.assertEqual(len(self.ask({})), 6 + 1)
        self.assertEqual(len(self.ask({"limit": 5})), 5 + 1)
        self.assertNotEqual(self.eose({}), ["EOSE", "s", ["finish"]])
        self.under_test.stored(*[make_event(content=f"{n}") for n in range(6, 12)])
        self.assertEqual(len(self.ask({"limit": 999})), 12 + 1)

    def test_live_events_follow(self) -> None:
        """A hint changes nothing for what comes later."""
        self.assertEqual(self.eose({}), ["EOSE", "s", ["finish"]])
        note = signed_event()
        self.under_test.publish(note)
        self.assertEqual(self.client.heard(), [seen("s", note)])

    def test_over_many_turns(self) -> None:
        """A long answer has its hint as well."""
        self.store(9)
        self.under_test.store.page_events = 1
        self.assertEqual(self.eose({}), ["EOSE", "s", ["more"]])
        self.assertEqual(self.eose({"kinds": [7]}), ["EOSE", "s", ["finish"]])

    def test_off(self) -> None:
        """Where hints are turned off, EOSE has two members."""
        self.begin(False)
        self.store(9)
        for one in ({}, {"limit": 2}, {"kinds": [7]}):
            self.assertEqual(self.eose(one), ["EOSE", "s"])

    def test_on_by_default(self) -> None:
        """Hints are on unless they are turned off."""
        self.assertTrue(attrs.evolve(_SETTINGS).limits.eose_hints)
