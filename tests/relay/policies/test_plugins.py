"""Tests for :mod:`nostrtx.relay.policies.plugins`, with the example of a plugin."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.interfaces.policies import (
    IEventPolicy,
    IPolicyPlugin,
    IRequestPolicy,
    PolicyContext,
    Source,
)
from nostrtx.nostr.errors import Rejected
from nostrtx.relay.policies.plugins import found_plugins, make_policy
from nostrtx.settings.file import ConfigError
from nostrtx.settings.programs import PluginSettings
from nostrtx.storage.memory import MemoryEventStore
from tests.relay.policies.example import install_example
from tests.storage.events import make_event

_HOUR = 3600


class PluginTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.relay.policies.plugins.make_policy`."""

    def setUp(self) -> None:
        """Install the example."""
        install_example(self)
        self.clock = Clock()
        self.context = PolicyContext(self.clock, MemoryEventStore())

    def make(self, name: str = "quiet-hours", **options: Any) -> Any:
        """The policy that these settings ask for."""
        return make_policy(PluginSettings(name, options), "plugins[0]", self.context)

    def test_found(self) -> None:
        """A plugin is found by its name and keeps its promises, as does its policy."""
        self.assertTrue(verifyObject(IPolicyPlugin, found_plugins()["quiet-hours"]))
        policy = self.make()
        self.assertTrue(verifyObject(IEventPolicy, policy))
        self.assertTrue(verifyObject(IRequestPolicy, policy))

    def test_decides(self) -> None:
        """The example does what it says, by its options."""
        night = make_event()
        awake = self.make(awake=[night.pubkey.hex()])
        asleep = self.make()
        for hour in (23, 1, 5):
            self.clock.advance(hour * _HOUR - self.clock.seconds())
            self.assertRaises(Rejected, asleep.admit, night, Source())
            self.assertIsNone(awake.admit(night, Source()))
            self.assertIsNone(asleep.admit(make_event(kind=7), Source()))
            self.assertRaises(Rejected, asleep.check_request, "COUNT", (), Source())
            asleep.check_request("REQ", (), Source())
            owner = Source("", frozenset([night.pubkey]))
            awake.check_request("COUNT", (), owner)
        self.clock.advance(12 * _HOUR)
        self.assertIsNone(asleep.admit(night, Source()))
        by_day = make_policy(
            PluginSettings("quiet-hours", {"from": 8, "to": 20}), "", self.context
        )
        self.assertRaises(Rejected, by_day.admit, night, Source())

    def test_unknown(self) -> None:
        """A name that no plugin has is refused, with those that there are."""
        error = self.assertRaises(ConfigError, self.make, "quite-hours")
        self.assertEqual(
            str(error),
            "plugins[0].name: there is no plugin 'quite-hours'; found: quiet-hours",
        )

    def test_options(self) -> None:
        """What a plugin does not take is refused in its words."""
        for options, words in (
            ({"form": 1}, "'form' is no option"),
            ({"to": 24}, "from and to must be hours, 0 to 23"),
            (
                {"awake": ["me"]},
                "a public key has 64 hexadecimal digits or begins with npub1;"
                " this has 2 characters",
            ),
        ):
            settings = PluginSettings("quiet-hours", dict(options))
            error = self.assertRaises(
                ConfigError, make_policy, settings, "plugins[0]", self.context
            )
            self.assertEqual(str(error), f"plugins[0].options: {words}")

    def test_fails(self) -> None:
        """A plugin that fails over its options is named, and the line where it does."""
        options: Any = {"awake": 7}
        settings = PluginSettings("quiet-hours", options)
        error = self.assertRaises(
            ConfigError, make_policy, settings, "plugins[0]", self.context
        )
        self.assertRegex(
            str(error),
            r"^plugins\[0\]\.options: the plugin fails with them: TypeError: .*"
            r"\(/.*\.py:\d+\)$",
        )
