"""Tests for :mod:`nostrtx.relay.allowed`, in a whole relay."""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.policies import Source
from nostrtx.nostr.bans import Ban, BanKind
from nostrtx.nostr.errors import Rejected
from nostrtx.settings.access import ManagementSettings, MembershipSettings
from nostrtx.settings.policies import RuleSettings
from nostrtx.settings.storing import StoreSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import RelayUnderTest
from tests.relay.membership.membership_case import PoolReactor
from tests.storage.events import public_key, signed_event

_OWNER, _MODERATOR, _ALICE, _BOB = 1, 2, 11, 12

_RULES = (RuleSettings(not_authors=("allowed",), reason="restricted: ask for it"),)


class AllowedKeysTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.allowed.AllowedKeys`."""

    def start(self, membership: MembershipSettings) -> None:
        """Start a relay that takes events of those who are allowed only."""
        self.under_test = RelayUnderTest(
            Settings(
                store=StoreSettings(url="memory:"),
                membership=membership,
                management=ManagementSettings(
                    owners=(public_key(_OWNER).hex(),),
                    moderators=(public_key(_MODERATOR).hex(),),
                ),
                rules=_RULES,
            )
        )
        self.relay = self.under_test.relay
        self.relay.start(PoolReactor(), 0)
        self.addCleanup(self.relay.stop)
        self.addCleanup(self.relay.drain)

    def allowed(self) -> set[int]:
        """Whose events are taken."""
        taken = set()
        for secret in (_OWNER, _MODERATOR, _ALICE, _BOB):
            try:
                self.relay.rule_book.check_event(signed_event(secret), Source())
            except Rejected as refusal:
                self.assertEqual(refusal.reason, "restricted: ask for it")
            else:
                taken.add(secret)
        return taken

    def test_by_name(self) -> None:
        """Owners, moderators, and whoever was allowed may publish, at once."""
        self.start(MembershipSettings())
        self.assertEqual(self.allowed(), {_OWNER, _MODERATOR})
        alice = public_key(_ALICE).hex()
        allowing = self.relay.bans.put([Ban(BanKind.ALLOWED_PUBKEY, alice)])
        self.successResultOf(Deferred.fromCoroutine(allowing))
        self.assertEqual(self.allowed(), {_OWNER, _MODERATOR, _ALICE})
        ending = self.relay.bans.lift(BanKind.ALLOWED_PUBKEY, alice)
        self.successResultOf(Deferred.fromCoroutine(ending))
        self.assertEqual(self.allowed(), {_OWNER, _MODERATOR})

    def test_other_managers(self) -> None:
        """Who becomes a moderator is allowed at once, and who was one no longer."""
        self.start(MembershipSettings())
        self.assertEqual(self.allowed(), {_OWNER, _MODERATOR})
        settings = self.under_test.settings
        other = ManagementSettings(moderators=(public_key(_BOB).hex(),))
        settings.change(attrs.evolve(settings.now, management=other))
        self.assertEqual(self.allowed(), {_BOB})

    def test_other_rules(self) -> None:
        """Rules that are read later are about those who are allowed then."""
        self.start(MembershipSettings())
        settings = self.under_test.settings
        settings.change(attrs.evolve(settings.now, rules=()))
        self.assertEqual(self.allowed(), {_OWNER, _MODERATOR, _ALICE, _BOB})
        bob = public_key(_BOB).hex()
        allowing = self.relay.bans.put([Ban(BanKind.ALLOWED_PUBKEY, bob)])
        self.successResultOf(Deferred.fromCoroutine(allowing))
        settings.change(attrs.evolve(settings.now, rules=_RULES))
        self.assertEqual(self.allowed(), {_OWNER, _MODERATOR, _BOB})

    def test_members(self) -> None:
        """On a relay with members these are they, and none that was allowed before."""
        self.start(MembershipSettings(enabled=True, required="none"))
        before = [Ban(BanKind.ALLOWED_PUBKEY, public_key(_BOB).hex())]
        self.successResultOf(Deferred.fromCoroutine(self.relay.bans.put(before)))
        self.assertEqual(self.allowed(), {_OWNER, _MODERATOR})
        membership = self.relay._membership
        assert membership is not None
        alice = public_key(_ALICE)
        changing = membership.change(lambda register: register.let_in(alice))
        self.successResultOf(Deferred.fromCoroutine(changing))
        self.assertEqual(self.allowed(), {_OWNER, _MODERATOR, _ALICE})
