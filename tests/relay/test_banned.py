"""Tests for :mod:`nostrtx.relay.banned`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import BanChange
from nostrtx.nostr.bans import Ban, BanKind
from nostrtx.nostr.errors import Rejected
from nostrtx.relay.banned import Banned
from tests.storage.events import ALICE, BOB, make_event


class BannedTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.banned.Banned`."""

    def setUp(self) -> None:
        """Nothing is banned at first."""
        self.banned = Banned()
        self.number = 0

    def change(self, ban: Ban, *, is_lifted: bool = False) -> Ban:
        """Take up a change."""
        self.number += 1
        self.banned.take(BanChange(self.number, ban, is_lifted))
        return ban

    def test_author(self) -> None:
        """An event of a banned author is refused with the reason, and hidden."""
        ban = self.change(Ban(BanKind.PUBKEY, ALICE.hex(), "spam"))
        alices, bobs = make_event(pubkey=ALICE), make_event(pubkey=BOB)
        refusal = self.assertRaises(Rejected, self.banned.check_event, alices)
        self.assertEqual(refusal.reason, "blocked: this key is banned: spam")
        self.banned.check_event(bobs)
        hidden = [self.banned.hides(event) for event in (alices, bobs)]
        self.assertEqual(hidden, [True, False])
        self.change(ban, is_lifted=True)
        self.banned.check_event(alices)
        self.assertFalse(self.banned.hides(alices))

    def test_order(self) -> None:
        """Bans are listed in the order in which they were made, as the store has it."""
        alices = self.change(Ban(BanKind.PUBKEY, ALICE.hex()))
        bobs = self.change(Ban(BanKind.PUBKEY, BOB.hex()))
        self.assertEqual(self.banned.bans(BanKind.PUBKEY), [alices, bobs])
        self.change(alices)
        self.assertEqual(self.banned.bans(BanKind.PUBKEY), [bobs, alices])
        first = self.change(Ban(BanKind.ADDRESS, "203.0.113.7"))
        second = self.change(Ban(BanKind.ADDRESS, "203.0.113.8"))
        self.change(first)
        self.assertEqual(self.banned.bans(BanKind.ADDRESS), [second, first])

    def test_vanishing(self) -> None:
        """Who is banned may still ask to vanish, and nobody is shown the request."""
        self.change(Ban(BanKind.PUBKEY, ALICE.hex()))
        request = make_event(kind=62, tags=[["relay", "ALL_RELAYS"]])
        self.banned.check_event(request)
        self.assertTrue(self.banned.hides(request))
        self.change(Ban(BanKind.EVENT, request.id.hex()))
        self.assertRaises(Rejected, self.banned.check_event, request)

    def test_allowed(self) -> None:
        """What was allowed is known, and is no ban."""
        key = self.change(Ban(BanKind.ALLOWED_PUBKEY, ALICE.hex(), "a friend"))
        note = make_event(pubkey=ALICE)
        event = self.change(Ban(BanKind.ALLOWED_EVENT, note.id.hex()))
        self.assertEqual(len(self.banned), 0)
        self.assertEqual(self.banned.allowed_pubkeys, {ALICE: key})
        self.assertEqual(self.banned.bans(BanKind.ALLOWED_EVENT), [event])
        self.assertEqual(self.banned.bans(BanKind.PUBKEY), [])
        self.banned.check_event(note)
        self.assertFalse(self.banned.hides(note))
        self.change(key, is_lifted=True)
        self.assertEqual(self.banned.allowed_pubkeys, {})

    def test_event(self) -> None:
        """A banned event is refused and hidden, others of its author are not."""
        one, other = make_event(content="1"), make_event(content="2")
        ban = self.change(Ban(BanKind.EVENT, one.id.hex()))
        refusal = self.assertRaises(Rejected, self.banned.check_event, one)
        self.assertEqual(refusal.reason, "blocked: this event is banned")
        self.assertTrue(self.banned.hides(one))
        self.banned.check_event(other)
        self.assertFalse(self.banned.hides(other))
        self.change(ban, is_lifted=True)
        self.banned.check_event(one)

    def test_key(self) -> None:
        """A banned key is of no use to authenticate."""
        self.change(Ban(BanKind.PUBKEY, ALICE.hex(), "spam"))
        refusal = self.assertRaises(Rejected, self.banned.check_key, ALICE)
        self.assertEqual(refusal.reason, "restricted: this key is banned: spam")
        self.banned.check_key(BOB)

    def test_address(self) -> None:
        """An address is banned by itself or by a network, until that is lifted."""
        self.assertIsNone(self.banned.of_address("203.0.113.7"))
        around = self.change(Ban(BanKind.ADDRESS, "203.0.113.0/24"))
        six = self.change(Ban(BanKind.ADDRESS, "2001:db8::1"))
        self.assertIs(self.banned.of_address("203.0.113.7"), around)
        self.assertIs(self.banned.of_address("2001:db8::1"), six)
        self.assertIsNone(self.banned.of_address("203.0.114.7"))
        self.change(around, is_lifted=True)
        self.assertIsNone(self.banned.of_address("203.0.113.7"))

    def test_all_of_a_kind(self) -> None:
        """The bans of each kind can be listed, each with its reason and time."""
        bans = [
            Ban(BanKind.PUBKEY, BOB.hex(), "spam", 5),
            Ban(BanKind.PUBKEY, ALICE.hex(), "", 6),
            Ban(BanKind.EVENT, ALICE.hex(), "illegal", 7),
            Ban(BanKind.ADDRESS, "203.0.113.0/24", "flood", 8),
        ]
        for ban in bans:
            self.change(ban)
        self.assertEqual(self.banned.bans(BanKind.PUBKEY), bans[:2])
        self.assertEqual(self.banned.bans(BanKind.EVENT), bans[2:3])
        self.assertEqual(self.banned.bans(BanKind.ADDRESS), bans[3:])
        self.assertEqual(len(self.banned), 4)
        self.change(bans[0], is_lifted=True)
        self.change(bans[0], is_lifted=True)
        self.assertEqual(self.banned.bans(BanKind.PUBKEY), bans[1:2])
