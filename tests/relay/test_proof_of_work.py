"""
What work the relay asks for (NIP-13), through whole sessions.

Tests for :func:`nostrtx.relay.ingest.check_limits`.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.event import Event
from nostrtx.nostr.json import dumps
from nostrtx.nostr.proof_of_work import difficulty
from nostrtx.settings.access import AuthSettings
from nostrtx.settings.limits import LimitSettings
from nostrtx.settings.tree import Settings
from tests.nostr.vectors import load
from tests.relay.fakes import RelayUnderTest, event_message
from tests.relay.visitor import Visitor, VisitorTestCase
from tests.storage.events import signed_event

_VECTORS = load("pow")


def mined(bits: int, commitment: str | None, *, kind: int = 1) -> Event:
    """An event on which that much work was done, and no more."""
    for nonce in range(1 << 20):
        tag = ["nonce", str(nonce)]
        tags = [tag if commitment is None else [*tag, commitment]]
        event = signed_event(kind=kind, tags=tags)
        if difficulty(event.id) == bits:
            return event
    raise AssertionError("no luck")


class ProofOfWorkTests(VisitorTestCase):
    """A relay that asks for eight bits."""

    settings = Settings(limits=LimitSettings(min_pow_difficulty=8))

    def test_enough(self) -> None:
        """Enough work that was aimed at is enough."""
        self.assert_accepted(self.visitor, mined(8, "8"), mined(9, "9"))

    def test_too_little(self) -> None:
        """Too little is refused, and the reason tells how much is asked for."""
        for event in (signed_event(), mined(7, "8"), mined(7, "40")):
            ((verb, id_, is_accepted, reason),) = self.visitor.publish(event)
            self.assertEqual((verb, id_, is_accepted), ("OK", event.id.hex(), False))
            self.assertEqual(
                reason, f"pow: difficulty {difficulty(event.id)} is less than 8"
            )

    def test_luck(self) -> None:
        """Luck does not count: the work must have been aimed at."""
        for commitment in (None, "", "7", "x", " 8", "+8", "8.0", "\u00b2"):
            event = mined(8, commitment)
            self.assert_refused(self.visitor.publish(event), event, "pow")

    def test_every_kind(self) -> None:
        """Profiles and ephemeral events need it, requests to vanish do not."""
        for kind in (0, 5, 20001):
            event = signed_event(kind=kind)
            self.assert_refused(self.visitor.publish(event), event, "pow")
        self.assert_accepted(
            self.visitor,
            signed_event(kind=62, tags=[["relay", "ALL_RELAYS"]]),
        )

    def test_before_the_signature(self) -> None:
        """No signature is checked for an event with too little work."""
        event = signed_event()
        forged = event_message(event).replace(
            event.sig.hex().encode(), signed_event(2).sig.hex().encode()
        )
        ((_, _, is_accepted, reason),) = self.visitor.say(forged)
        self.assertEqual((is_accepted, reason.split(":")[0]), (False, "pow"))

    def test_stored_before(self) -> None:
        """An event that the relay has is not a duplicate without the work."""
        event = signed_event()
        self.under_test.stored(event)
        self.assert_refused(self.visitor.publish(event), event, "pow")


class WithAuthenticationTests(VisitorTestCase):
    """A relay that asks for work and for authentication."""

    settings = Settings(
        limits=LimitSettings(min_pow_difficulty=8),
        auth=AuthSettings(required="write"),
    )

    def test_order(self) -> None:
        """Work comes first, for it costs nothing to check; then authentication."""
        self.visitor.heard()
        lazy, worked = signed_event(), mined(8, "8")
        self.assert_refused(self.visitor.publish(lazy), lazy, "pow")
        self.assert_refused(self.visitor.publish(worked), worked, "auth-required")
        ((_, _, is_accepted, _),) = self.visitor.authenticate(1)
        self.assertTrue(is_accepted)
        self.assert_refused(self.visitor.publish(lazy), lazy, "pow")
        self.assert_accepted(self.visitor, worked)


class LuckCountsTests(VisitorTestCase):
    """A relay that does not ask what was aimed at."""

    settings = Settings(
        limits=LimitSettings(min_pow_difficulty=8, require_pow_commitment=False)
    )

    def test_luck(self) -> None:
        """The bits are all that counts."""
        self.assert_accepted(self.visitor, *(mined(8, text) for text in (None, "7")))
        event = mined(7, "8")
        self.assert_refused(self.visitor.publish(event), event, "pow")


class VectorTests(SynchronousTestCase):
    """The vectors of NIP-13."""

    def answer(self, minimum: int, members: dict[str, Any]) -> tuple[bool, str]:
        """How a relay with this minimum answers an EVENT: OK's last two members."""
        settings = Settings(limits=LimitSettings(min_pow_difficulty=minimum))
        visitor = Visitor(RelayUnderTest(settings))
        ((verb, id_, is_accepted, reason),) = visitor.say(dumps(["EVENT", members]))
        self.assertEqual((verb, id_), ("OK", members["id"]))
        return is_accepted, reason.partition(":")[0]

    def test_vectors(self) -> None:
        """Each event is taken by the relays that should, and by no other."""
        for case in _VECTORS["events"]:
            for minimum, expected in case["expect"].items():
                self.assertEqual(
                    self.answer(int(minimum), case["event"]),
                    (True, "") if expected else (False, "pow"),
                    (case["name"], minimum),
                )

    def test_example_of_the_nip(self) -> None:
        """The event that NIP-13 prints is taken at the difficulty it aimed at."""
        members = _VECTORS["nip13_example"]["event"]
        self.assertEqual(self.answer(20, members), (True, ""))
        self.assertEqual(self.answer(21, members), (False, "pow"))
