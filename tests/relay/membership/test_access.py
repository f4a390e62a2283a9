"""Tests for :mod:`nostrtx.relay.membership.access`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.filters import Filter
from nostrtx.relay.membership.access import Access
from nostrtx.settings.access import MembershipSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from tests.storage.events import ALICE, BOB


def access(required: str) -> Access:
    """What Alice, a member, may do alone; kind 7 is open."""
    membership = MembershipSettings(enabled=True, required=required, open_kinds=(7,))
    made = Access(LiveSettings(Settings(membership=membership)))
    made.members = {ALICE: ()}
    return made


class AccessTests(SynchronousTestCase):
    """Who may do what."""

    def test_member(self) -> None:
        """One key of several is enough to be a member."""
        for pubkeys, is_member in (
            ((), False),
            ((BOB,), False),
            ((ALICE,), True),
            ((BOB, ALICE), True),
        ):
            self.assertEqual(access("none").is_member(pubkeys), is_member)

    def test_writing(self) -> None:
        """Only where writing is for members, others may not write."""
        for required, others_may in (
            ("none", True),
            ("read", True),
            ("write", False),
            ("both", False),
        ):
            doors = access(required)
            self.assertEqual(doors.may_write(1, ()), others_may, required)
            self.assertEqual(doors.may_write(1, (BOB,)), others_may, required)
            self.assertTrue(doors.may_write(1, (ALICE,)), required)

    def test_reading(self) -> None:
        """Only where reading is for members, others may not read."""
        filters = [Filter(kinds=(1,))]
        for required, others_may in (
            ("none", True),
            ("write", True),
            ("read", False),
            ("both", False),
        ):
            doors = access(required)
            for pubkeys, may in (((), others_may), ((ALICE,), True)):
                self.assertEqual(doors.may_read(1, pubkeys), may, required)
                self.assertEqual(doors.may_ask(filters, pubkeys), may, required)

    def test_open_kinds(self) -> None:
        """What is open is open to all, and so are requests to the relay."""
        doors = access("both")
        for kind in (7, 28934, 28936):
            self.assertTrue(doors.may_write(kind, ()))
        for kind in (7, 28935):
            self.assertTrue(doors.may_read(kind, ()))
            self.assertTrue(doors.may_ask([Filter(kinds=(kind,))], ()))
        for filters in (
            [Filter()],
            [Filter(kinds=(7, 1))],
            [Filter(kinds=(7,)), Filter()],
        ):
            self.assertFalse(doors.may_ask(filters, ()))
