"""Tests for :mod:`nostrtx.settings.live`."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.settings.access import MembershipSettings
from nostrtx.settings.edge import ListenSettings
from nostrtx.settings.file import ConfigError
from nostrtx.settings.identity import RelaySettings
from nostrtx.settings.limits import LimitSettings
from nostrtx.settings.live import AT_START, LiveSettings, differences
from nostrtx.settings.storing import SearchSettings, StoreSettings
from nostrtx.settings.tree import Settings
from tests.live.relay_process import ROOT


class DifferencesTests(SynchronousTestCase):
    """What is told of a change."""

    def told(self, old: Settings, new: Settings) -> list[str]:
        """The lines."""
        return [str(change) for change in differences(old, new)]

    def test_values(self) -> None:
        """Each setting is named with both values, as the file spells them."""
        new = Settings(
            relay=RelaySettings(name="ours"),
            limits=LimitSettings(max_limit=7, eose_hints=False),
        )
        self.assertEqual(
            self.told(Settings(), new),
            [
                'relay.name: "ours", was "nostrtx"',
                "limits.max_limit: 7, was 5000",
                "limits.eose_hints: false, was true",
            ],
        )
        self.assertEqual(self.told(new, new), [])

    def test_secret(self) -> None:
        """What is not for every eye is not told, whether it waits or not."""
        new = Settings(store=StoreSettings(url="postgresql://u:secret@h/d"))
        self.assertEqual(self.told(Settings(), new), ["store.url: needs a restart"])
        self.assertNotIn("secret", repr(differences(Settings(), new)))

    def test_at_start(self) -> None:
        """What is said to need a restart exists; all else is said to change at once."""
        tables = {field.name for field in attrs.fields(Settings)}
        settings = {
            f"{table}.{field.name}"
            for table in tables
            if attrs.has(type(getattr(Settings(), table)))
            for field in attrs.fields(type(getattr(Settings(), table)))
        }
        self.assertEqual(AT_START - tables - settings, set())
        new = Settings(listen=ListenSettings(endpoints=("tcp:1",)))
        self.assertEqual(
            self.told(Settings(), new), ["listen.endpoints: needs a restart"]
        )


class DocumentationTests(SynchronousTestCase):
    """What operators read."""

    def test_at_start(self) -> None:
        """All that needs a restart stands in the guide."""
        guide = (ROOT / "docs" / "operations.md").read_text()
        for name in AT_START:
            self.assertIn(f"`{name}`", guide)


class LiveSettingsTests(SynchronousTestCase):
    """Settings that are replaced."""

    def setUp(self) -> None:
        """The defaults hold."""
        self.live = LiveSettings(Settings())
        self.limits = Settings(limits=LimitSettings(max_limit=7))

    def test_change(self) -> None:
        """Followers hear what holds, and what is to hold, every time it was read."""
        heard: list[int] = []
        self.live.follow(lambda settings: heard.append(settings.limits.max_limit))
        self.live.change(self.limits)
        self.live.change(self.limits)
        self.assertEqual(heard, [5000, 7, 7])
        self.assertEqual(self.live.now, self.limits)

    def test_waiting(self) -> None:
        """What is looked at at the start stays as it was, and is told every time."""
        wanted = attrs.evolve(
            self.limits,
            store=StoreSettings(url="memory:"),
            membership=MembershipSettings(enabled=True, invite_uses=3),
        )
        for _ in range(2):
            changes, _ = self.live.change(wanted)
            self.assertEqual(
                [change.name for change in changes if change.waits],
                ["store.url", "membership.enabled"],
            )
            self.assertEqual(self.live.now.store, StoreSettings())
            self.assertEqual(
                self.live.now.membership, MembershipSettings(invite_uses=3)
            )
            self.assertEqual(self.live.now.limits.max_limit, 7)

    def test_check(self) -> None:
        """A check that fails keeps all as it was, and nobody hears of it."""
        heard: list[Settings] = []

        def check(settings: Settings) -> None:
            if settings.limits.max_limit < 10:
                raise ConfigError("limits.max_limit: too low for this")

        self.live.check_first(check)
        self.live.follow(heard.append)
        self.assertRaises(ConfigError, self.live.change, self.limits)
        self.assertEqual(heard, [Settings()])
        self.assertEqual(self.live.now, Settings())

    def test_failing_follower(self) -> None:
        """One that cannot follow hinders no other."""
        heard: list[Settings] = []
        trouble = ValueError("on purpose")

        def fail(settings: Settings) -> None:
            if settings == self.limits:
                raise trouble

        self.live.follow(fail)
        self.live.follow(heard.append)
        _, faults = self.live.change(self.limits)
        self.assertEqual(faults, [trouble])
        self.assertEqual(heard, [Settings(), self.limits])

    def test_amended(self) -> None:
        """What cannot hold here never does, and is no change either."""
        self.live.amend(
            lambda settings: attrs.evolve(
                settings, search=SearchSettings(enabled=False)
            )
        )
        self.assertFalse(self.live.now.search.enabled)
        changes, _ = self.live.change(Settings())
        self.assertEqual(changes, [])
        self.assertFalse(self.live.now.search.enabled)
