"""Events are deleted from groups, and whole groups (NIP-29)."""

from __future__ import annotations

from nostrtx.relay.own_events import ALONE_SECONDS
from tests.relay.fakes import seen
from tests.relay.groups.group_case import (
    ADMIN,
    BOB,
    CAROL,
    EVE,
    PIZZA,
    GroupCase,
    hex_of,
)
from tests.storage.events import signed_event


class DeleteEventTests(GroupCase):
    """Kind 9005 removes events from a group."""

    def test_removed(self) -> None:
        """The event is gone though somebody else wrote it, and does not come back."""
        self.create()
        note, other = self.do(BOB, 9), self.do(BOB, 9, content="other")
        self.do(ADMIN, 9005, ["e", note.id.hex()])
        self.assertFalse(self.under_test.store.holds(note))
        self.assertTrue(self.under_test.store.holds(other))
        self.refuse_event("blocked", note)

    def test_does_not_come_back(self) -> None:
        """Nor does it after a restart."""
        self.create()
        note = self.do(BOB, 9)
        self.do(ADMIN, 9005, ["e", note.id.hex()])
        self.restart()
        self.refuse_event("blocked", note)

    def test_only_of_this_group(self) -> None:
        """An admin of one group does not reach into another, nor outside."""
        self.create()
        self.do(CAROL, 9007, group="pasta")
        theirs = self.do(CAROL, 9, group="pasta")
        nobodys = signed_event(EVE)
        self.under_test.publish(nobodys)
        for event in (theirs, nobodys):
            self.refuse("invalid", ADMIN, 9005, ["e", event.id.hex()])
            self.assertTrue(self.under_test.store.holds(event))
        self.refuse("invalid", ADMIN, 9005, ["e", "11" * 32])
        self.refuse("invalid", ADMIN, 9005, ["e", "x"])
        self.refuse("invalid", ADMIN, 9005)

    def test_record_stays(self) -> None:
        """What was decided about a group cannot be taken off the record."""
        self.create()
        edit = self.do(ADMIN, 9002, ["name", "x"])
        self.refuse("blocked", ADMIN, 9005, ["e", edit.id.hex()])


class DeleteGroupTests(GroupCase):
    """Kind 9008 deletes a group."""

    def setUp(self) -> None:
        """Have a group with something in it, delete it, and keep another."""
        super().setUp()
        self.create()
        self.note = self.do(BOB, 9)
        self.do(CAROL, 9007, group="pasta")
        self.other = self.do(CAROL, 9, group="pasta")
        self.listening = self.known(BOB)
        self.listening.ask({"#h": [PIZZA]})
        self.end = self.do(ADMIN, 9008)

    def test_everything_goes(self) -> None:
        """Its events and what the relay told of it are gone; others are not."""
        self.assertFalse(self.under_test.store.holds(self.note))
        for kind in range(39000, 39006):
            self.assertIsNone(self.told(kind))
        self.assertTrue(self.under_test.store.holds(self.other))
        self.assertEqual(self.members("pasta"), {hex_of(CAROL)})
        self.assertEqual(self.ids(self.known(ADMIN), {"#h": [PIZZA]}), set())

    def test_told(self) -> None:
        """Who listens hears of the end."""
        self.assertIn(seen("s", self.end), self.listening.heard())

    def test_for_good(self) -> None:
        """It is neither written to nor made again, also after a restart."""
        for _ in range(2):
            for secret, kind in ((BOB, 9), (ADMIN, 9007), (EVE, 9021), (ADMIN, 9002)):
                self.refuse("blocked", secret, kind, content="again")
            self.refuse_event("blocked", self.note)
            self.restart()

    def test_finished_later(self) -> None:
        """What a crash left of it is removed at the next start."""
        left = self.event(BOB, 9, content="left")
        self.under_test.stored(left)
        self.restart()
        self.assertFalse(self.under_test.store.holds(left))

    def clearing(self) -> set[str]:
        """Of what groups there may be something left, as far as the relay knows."""
        access = self.under_test.relay._parts.auth.visibility.groups
        assert access is not None
        return access.clearing

    def test_nothing_left(self) -> None:
        """A start does not wait for other processes if there is nothing to remove."""
        leave = self.successResultOf(self.under_test.store.alone())
        self.restart()
        self.assertEqual(self.clearing(), set())
        leave()

    def test_hindered(self) -> None:
        """What cannot be removed is hidden, and removed as soon as may be."""
        left = self.event(BOB, 9, content="left")
        self.under_test.stored(left)
        leave = self.successResultOf(self.under_test.store.alone())
        self.restart()
        store, clock = self.under_test.store, self.under_test.clock
        clock.advance(ALONE_SECONDS)
        leave()
        self.assertTrue(store.holds(left))
        self.assertFalse(self.sees(self.known(ADMIN), left))
        self.assertEqual(self.clearing(), {PIZZA})
        clock.advance(10)
        self.assertFalse(store.holds(left))
        self.assertEqual(self.clearing(), set())

    def test_under_way(self) -> None:
        """What was being saved when the group was deleted does not stay either."""
        late, end = (
            self.event(CAROL, 9, group="pasta"),
            self.event(CAROL, 9008, group="pasta"),
        )
        store = self.under_test.store
        store.hold_saves = True
        visitor = self.stranger()
        visitor.publish(late)
        visitor.publish(end)
        slow, quick = store.saves
        store.hold_saves = False
        quick.succeed()
        slow.succeed()
        self.under_test.turns.settle()
        oks = [a[1:3] for a in visitor.heard() if a[0] == "OK"]
        self.assertCountEqual(oks, [[e.id.hex(), True] for e in (late, end)])
        self.assertFalse(store.holds(late))
