"""Tests for :mod:`nostrtx.web.limits_in_words`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.settings.access import MembershipSettings, Nip05Settings
from nostrtx.settings.rates import RateSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.limits_in_words import in_words, limits_in_words


class NeededTests(SynchronousTestCase):
    """Who comes to publish reads beforehand what that needs."""

    def told(self, settings: Settings) -> dict[str, str]:
        """What is told of a relay beyond the defaults."""
        usual = limits_in_words(Settings())
        return dict(each for each in limits_in_words(settings) if each not in usual)

    def test_membership(self) -> None:
        """What only members may do is told; that there are members is no limit."""
        membership = MembershipSettings(enabled=True, open_kinds=(9,))
        self.assertEqual(
            self.told(Settings(membership=membership)),
            {"Membership": "to publish other than kind 9"},
        )
        membership = MembershipSettings(enabled=True, required="none")
        self.assertEqual(self.told(Settings(membership=membership)), {})
        membership = MembershipSettings(required="both")
        self.assertEqual(self.told(Settings(membership=membership)), {})

    def test_names(self) -> None:
        """That authors need a name at a domain is told, and at which."""
        nip05 = Nip05Settings(
            required=True, allowed_domains=("one.org", "two.org"), open_kinds=()
        )
        self.assertEqual(
            self.told(Settings(nip05=nip05)),
            {"A verified name": "to publish other than kind 0, at one.org or two.org"},
        )
        self.assertEqual(
            self.told(Settings(nip05=Nip05Settings(required=True))),
            {"A verified name": "to publish other than kinds 0, 5, 62"},
        )

    def test_rates(self) -> None:
        """Rates are told, those in shadow are not."""
        rates = RateSettings(
            address_events="3000/min", address_requests="1/s", pubkey_bytes="2000/d"
        )
        self.assertEqual(
            self.told(Settings(rates=rates)),
            {
                "Rates": "3,000 events per minute and address, "
                "1 request per second and address, 2,000 bytes per day and author"
            },
        )
        shadow = RateSettings(address_events="3000/min", shadow=True)
        self.assertEqual(self.told(Settings(rates=shadow)), {})


class InWordsTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.web.limits_in_words.in_words`."""

    def test_units(self) -> None:
        """Times are told in the largest unit that fits."""
        for seconds, words in (
            (0, "0 seconds"),
            (1, "1 second"),
            (90, "90 seconds"),
            (900, "15 minutes"),
            (3600, "1 hour"),
            (86400 * 365, "365 days"),
        ):
            self.assertEqual(in_words(seconds), words)
