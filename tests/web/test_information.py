"""Tests for :mod:`nostrtx.web.information`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from nostrtx import __version__
from nostrtx.settings.access import (
    AuthSettings,
    GroupSettings,
    ManagementSettings,
    MembershipSettings,
)
from nostrtx.settings.identity import DiscoverySettings, RelaySettings
from nostrtx.settings.limits import LimitSettings, NegentropySettings
from nostrtx.settings.policies import RuleSettings
from nostrtx.settings.storing import SearchSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.information import information_of, wants_information


class InformationOfTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.web.information.information_of`."""

    def test_limits(self) -> None:
        """Each limit that is announced is the setting that is enforced."""
        limits = LimitSettings(
            max_message_bytes=2001,
            max_subscriptions=2002,
            max_limit=2003,
            default_limit=1004,
            max_event_tags=2005,
            max_content_length=2006,
            created_at_lower_seconds=2007,
            created_at_upper_seconds=2008,
            min_pow_difficulty=29,
        )
        self.assertEqual(
            information_of(Settings(limits=limits))["limitation"],
            {
                "max_message_length": 2001,
                "max_subscriptions": 2002,
                "max_subid_length": 64,
                "max_limit": 2003,
                "default_limit": 1004,
                "max_event_tags": 2005,
                "max_content_length": 2006,
                "created_at_lower_limit": 2007,
                "created_at_upper_limit": 2008,
                "min_pow_difficulty": 29,
                "auth_required": False,
                "payment_required": False,
                "restricted_writes": True,
            },
        )

    def test_relay(self) -> None:
        """All that the operator says of the relay is told."""
        said: dict[str, Any] = {
            "name": "n",
            "description": "d",
            "contact": "mailto:a@example.com",
            "pubkey": "ab" * 32,
            "icon": "https://example.com/i.png",
            "banner": "https://example.com/b.png",
            "terms_of_service": "https://example.com/t",
        }
        document = information_of(Settings(relay=RelaySettings(**said)))
        self.assertEqual({name: document[name] for name in said}, said)
        self.assertEqual(document["version"], __version__)


class ConditionsTests(SynchronousTestCase):
    """What a relay says of authentication and work."""

    def limitation(self, settings: Settings) -> tuple[bool, bool]:
        """Whether authentication is required, and writing restricted."""
        stated = information_of(settings)["limitation"]
        return stated["auth_required"], stated["restricted_writes"]

    def test_authentication(self) -> None:
        """Authentication is required where nothing works without."""
        for required, expected in (
            ("none", (False, False)),
            ("read", (False, False)),
            ("write", (False, True)),
            ("both", (True, True)),
        ):
            settings = Settings(auth=AuthSettings(required=required))
            self.assertEqual(self.limitation(settings), expected, required)
            membership = MembershipSettings(enabled=True, required=required)
            settings = Settings(membership=membership)
            self.assertEqual(self.limitation(settings), expected, required)

    def test_restricted_writes(self) -> None:
        """Kinds that need authentication restrict writing, and so does work."""
        for settings in (
            Settings(auth=AuthSettings(write_kinds=(1,))),
            Settings(limits=LimitSettings(min_pow_difficulty=1)),
        ):
            self.assertEqual(self.limitation(settings), (False, True))

    def test_restricting_rules(self) -> None:
        """Rules that are about who somebody is, or about work, restrict writing."""
        for restricts, *rules in (
            (True, RuleSettings(not_authors=("allowed",))),
            (True, RuleSettings(authenticated=False)),
            (True, RuleSettings(verdict="pow", pow=8)),
            (True, RuleSettings(trust=1, verdict="accept"), RuleSettings()),
            (False, RuleSettings(not_authors=("allowed",), shadow=True)),
            (False, RuleSettings(not_authors=("allowed",), on="request")),
            (False, RuleSettings(authors=("spammers",))),
            (False, RuleSettings(addresses=("203.0.113.0/24",))),
            (False, RuleSettings(kinds=(4,)), RuleSettings(words=("casino",))),
            (False, RuleSettings(trust=1, verdict="accept")),
        ):
            settings = Settings(rules=tuple(rules))
            self.assertEqual(self.limitation(settings), (False, restricts), rules)

    def test_eose_hints(self) -> None:
        """Hints in EOSE are announced only where they are sent."""
        for is_on in (True, False):
            settings = Settings(limits=LimitSettings(eose_hints=is_on))
            nips = information_of(settings)["supported_nips"]
            self.assertEqual(67 in nips, is_on)
            self.assertTrue({45, 62} <= set(nips))

    def test_nips(self) -> None:
        """What is claimed of private messages and work is what is on."""
        for settings, claimed in (
            (Settings(), {4, 17, 42, 59, 70}),
            (
                Settings(limits=LimitSettings(min_pow_difficulty=8)),
                {4, 13, 17, 42, 59, 70},
            ),
            (
                Settings(rules=(RuleSettings(verdict="pow", pow=8),)),
                {4, 13, 17, 42, 59, 70},
            ),
            (Settings(auth=AuthSettings(private_kinds=(1059,))), {17, 42, 59, 70}),
            (Settings(auth=AuthSettings(private_kinds=())), {42, 70}),
        ):
            nips = set(information_of(settings)["supported_nips"])
            self.assertEqual(nips & {4, 13, 17, 42, 59, 70}, claimed)


class MembershipTests(SynchronousTestCase):
    """What a relay with members, or with search, says."""

    def test_reconciliation(self) -> None:
        """NIP-77 is claimed where reconciling is on."""
        for enabled in (True, False):
            settings = Settings(negentropy=NegentropySettings(enabled=enabled))
            nips = information_of(settings)["supported_nips"]
            self.assertEqual(77 in nips, enabled)

    def test_groups(self) -> None:
        """NIP-29 is claimed where there are groups; they need a key."""
        for enabled in (True, False):
            settings = Settings(groups=GroupSettings(enabled=enabled))
            nips = information_of(settings)["supported_nips"]
            self.assertEqual(29 in nips, enabled)
            self.assertEqual(settings.signs, enabled)

    def test_search(self) -> None:
        """NIP-50 is claimed where search is on."""
        for enabled in (True, False):
            settings = Settings(search=SearchSettings(enabled=enabled))
            nips = information_of(settings)["supported_nips"]
            self.assertEqual(50 in nips, enabled)

    def test_on_and_off(self) -> None:
        """NIP-43 is claimed where it is on, and its condition on writing stated."""
        for enabled, required, restricts in (
            (False, "both", False),
            (True, "read", False),
            (True, "write", True),
            (True, "both", True),
        ):
            membership = MembershipSettings(enabled=enabled, required=required)
            document = information_of(Settings(membership=membership), "ab" * 32)
            self.assertEqual(43 in document["supported_nips"], enabled)
            self.assertEqual(document["limitation"]["restricted_writes"], restricts)
            self.assertEqual(document["self"], "ab" * 32)


class AnnouncementTests(SynchronousTestCase):
    """What a relay that announces itself says."""

    def test_on_and_off(self) -> None:
        """NIP-66 is claimed where the relay announces itself."""
        for announce in (False, True):
            settings = Settings(discovery=DiscoverySettings(announce=announce))
            nips = information_of(settings)["supported_nips"]
            self.assertEqual(66 in nips, announce)


class ManagedTests(SynchronousTestCase):
    """What a relay that is managed from afar says."""

    def test_on_and_off(self) -> None:
        """Where somebody may manage it, NIP-86 is claimed, and what belongs to it."""
        for keys, claimed in (((), set()), (("ab" * 32,), {56, 86, 98})):
            for management in (
                ManagementSettings(owners=keys),
                ManagementSettings(moderators=keys),
            ):
                settings = Settings(management=management)
                nips = set(information_of(settings)["supported_nips"])
                self.assertEqual(nips & {56, 86, 98}, claimed)


class WantsInformationTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.web.information.wants_information`."""

    def test_wanted(self) -> None:
        """The type may stand anywhere in the list, with parameters, in any case."""
        for accept in (
            "application/nostr+json",
            "APPLICATION/NOSTR+JSON",
            "application/nostr+json, */*;q=0.5",
            "text/html,application/nostr+json ; q=0.9;x=y",
            "application/nostr+json;q=0.01",
            "application/nostr+json;charset=utf-8",
        ):
            self.assertTrue(wants_information(accept), accept)

    def test_not_wanted(self) -> None:
        """Other types do not ask for it, however similar."""
        for accept in (
            "",
            "*/*",
            "application/*",
            "application/json",
            "application/nostr+json+rpc",
            "x-application/nostr+json",
            "application/nostr+json;q=0",
            "application/nostr+json; q=0.000",
        ):
            self.assertFalse(wants_information(accept), accept)
