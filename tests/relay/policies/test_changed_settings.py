"""Tests that policies follow settings that change while a relay runs."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.edge import IClientSession
from nostrtx.settings.file import ConfigError
from nostrtx.settings.policies import RuleSettings
from nostrtx.settings.programs import PluginSettings
from nostrtx.settings.rates import RateSettings
from tests.relay.fakes import FakeClient, RelayUnderTest, event_message
from tests.relay.membership.membership_case import PoolReactor
from tests.storage.events import signed_event


class ChangedSettingsTests(SynchronousTestCase):
    """Settings that change under a client that is connected."""

    def setUp(self) -> None:
        """A relay that runs, without policies, and a client."""
        self.under_test = RelayUnderTest()
        relay = self.under_test.relay
        relay.start(PoolReactor(), 0)
        self.addCleanup(relay.stop)
        self.addCleanup(relay.drain)
        self.client: FakeClient
        self.session: IClientSession
        self.client, self.session = self.under_test.connect()

    def change(self, **tables: Any) -> None:
        """Read the settings again, with these tables."""
        settings = attrs.evolve(self.under_test.settings.now, **tables)
        _, faults = self.under_test.settings.change(settings)
        self.assertEqual(faults, [])

    def answer(self, kind: int, content: str) -> str:
        """What becomes of an event: empty if it is taken."""
        self.session.message_received(
            event_message(signed_event(kind=kind, content=content))
        )
        self.under_test.turns.settle()
        ((_, _, _, reason),) = self.client.heard()
        return str(reason)

    def test_rules(self) -> None:
        """A rule that is added holds at once, until it is gone."""
        self.assertEqual(self.answer(4, "1"), "")
        self.change(rules=(RuleSettings(kinds=(4,), verdict="refuse"),))
        self.assertTrue(self.answer(4, "2").startswith("blocked: "))
        self.assertEqual(self.answer(1, "3"), "")
        self.change(rules=())
        self.assertEqual(self.answer(4, "4"), "")

    def test_rates(self) -> None:
        """So does a rate."""
        self.change(rates=RateSettings(connection_events="1/h"))
        self.assertEqual(self.answer(1, "1"), "")
        self.assertTrue(self.answer(1, "2").startswith("rate-limited: "))
        self.change(rates=RateSettings())
        self.assertEqual(self.answer(1, "3"), "")

    def test_plugin_that_is_not_there(self) -> None:
        """If one thing cannot be had, nothing changes."""
        settings = attrs.evolve(
            self.under_test.settings.now,
            rules=(RuleSettings(kinds=(4,), verdict="refuse"),),
            plugins=(PluginSettings(name="nowhere"),),
        )
        self.assertRaises(ConfigError, self.under_test.settings.change, settings)
        self.assertEqual(self.answer(4, "1"), "")
