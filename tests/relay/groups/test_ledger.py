"""Tests for :mod:`nostrtx.relay.groups.ledger`: what a restart and a fault leave."""

from __future__ import annotations

from nostrtx.interfaces.store import StoreError
from tests.relay.groups.group_case import (
    ADMIN,
    BOB,
    CAROL,
    EVE,
    PIZZA,
    GroupCase,
    hex_of,
)
from tests.storage.events import NOW, public_key, signed_event


class RestartTests(GroupCase):
    """Groups outlive the process."""

    def test_everything_is_found(self) -> None:
        """Members, roles, profile and pins are the same after a restart."""
        self.create(["private"], ["closed"], ["supported_kinds", "9", "9005"])
        self.do(ADMIN, 9000, ["p", hex_of(CAROL), "moderator", "baker"])
        self.do(ADMIN, 9000, ["p", hex_of(BOB), "waiter"])
        self.do(ADMIN, 9010, ["e", "11" * 32], ["a", f"30023:{hex_of(BOB)}:x"])
        told = {kind: self.told(kind) for kind in range(39000, 39006)}
        self.restart()
        note = self.do(BOB, 9)
        self.do(CAROL, 9005, ["e", note.id.hex()])
        self.refuse("blocked", BOB, 11)
        self.do(ADMIN, 9000, ["p", hex_of(EVE)])
        self.do(ADMIN, 9001, ["p", hex_of(EVE)])
        self.assertEqual({kind: self.told(kind) for kind in told}, told)

    def test_forged(self) -> None:
        """What others have stored about groups before is not believed."""
        self.under_test.stored(
            *(
                signed_event(EVE, kind=kind, tags=[["d", PIZZA], ["p", hex_of(EVE)]])
                for kind in range(39000, 39006)
            ),
            self.event(EVE, 9007, group="pasta"),
            self.event(EVE, 5, ["a", f"39000:{self.own}:{PIZZA}"]),
        )
        self.restart()
        self.refuse("blocked", EVE, 9, group="pasta")
        self.create()
        self.refuse("restricted", EVE, 9002, ["name", "mine"])

    def test_admin_vanishes(self) -> None:
        """Members stay when the one who added them deletes all of her events."""
        self.create()
        vanish = signed_event(
            ADMIN, kind=62, tags=[["relay", "ALL_RELAYS"]], created_at=NOW + 100
        )
        self.under_test.publish(vanish)
        self.restart()
        self.assertEqual(self.members(), {hex_of(ADMIN), hex_of(BOB)})
        self.do(BOB, 9)

    def test_deleted_event_does_not_work_again(self) -> None:
        """What its author has deleted does not change a group when it is sent again."""
        self.create()
        put = self.do(ADMIN, 9000, ["p", hex_of(CAROL)])
        self.do(ADMIN, 9001, ["p", hex_of(CAROL)])
        self.do(ADMIN, 5, ["e", put.id.hex()])
        told = [event.id for event in self.stored()]
        self.refuse_event("blocked", put)
        self.assertEqual([event.id for event in self.stored()], told)
        self.assertNotIn(hex_of(CAROL), self.members())

    def test_pubkeys(self) -> None:
        """The relay's key is not one of the people's in these tests."""
        self.assertNotIn(
            bytes.fromhex(self.own), map(public_key, (ADMIN, BOB, CAROL, EVE))
        )


class FaultTests(GroupCase):
    """When the store fails, or refuses."""

    def test_nothing_was_saved(self) -> None:
        """If saving fails, the group is as it was, and the next change is made."""
        self.create()
        told = self.told(39002)
        store = self.under_test.store
        store.hold_saves = True
        event = self.event(ADMIN, 9000, ["p", hex_of(CAROL)])
        visitor = self.stranger()
        visitor.publish(event)
        store.saves.pop().fail(StoreError("the disk is full"))
        self.under_test.turns.settle()
        self.assert_refused(visitor.heard(), event, "error")
        store.hold_saves = False
        self.refuse("duplicate", ADMIN, 9001, ["p", hex_of(CAROL)])
        self.assertEqual(self.told(39002), told)
        self.do(ADMIN, 9000, ["p", hex_of(CAROL)], content="again")

    def test_deleted_while_it_is_saved(self) -> None:
        """A change that its author deletes in that very moment is not made."""
        self.create()
        told = {kind: self.told(kind) for kind in range(39000, 39006)}
        store = self.under_test.store
        put = self.event(ADMIN, 9000, ["p", hex_of(CAROL)])
        wish = self.event(ADMIN, 5, ["e", put.id.hex()])
        store.hold_saves = True
        visitor = self.stranger()
        visitor.publish(put)
        self.under_test.stored(wish)
        store.hold_saves = False
        store.saves.pop().succeed()
        self.under_test.turns.settle()
        self.assert_refused(visitor.heard(), put, "blocked")
        self.assertEqual({kind: self.told(kind) for kind in told}, told)
        self.refuse("duplicate", ADMIN, 9001, ["p", hex_of(CAROL)])
        self.do(ADMIN, 9000, ["p", hex_of(CAROL)], content="meant this time")
        everybody = {hex_of(one) for one in (ADMIN, BOB, CAROL)}
        self.assertEqual(self.members(), everybody)
        self.restart()
        self.do(ADMIN, 9001, ["p", hex_of(CAROL)])
        self.assertEqual(self.members(), everybody - {hex_of(CAROL)})

    def test_deleted_while_it_is_made(self) -> None:
        """Nor is a group that is taken back in the moment in which it is made."""
        store = self.under_test.store
        make = self.event(ADMIN, 9007)
        store.hold_saves = True
        visitor = self.stranger()
        visitor.publish(make)
        self.under_test.stored(signed_event(ADMIN, kind=5, tags=[["e", make.id.hex()]]))
        store.hold_saves = False
        store.saves.pop().succeed()
        self.under_test.turns.settle()
        self.assert_refused(visitor.heard(), make, "blocked")
        self.assertEqual([self.told(kind) for kind in range(39000, 39006)], [None] * 6)
        self.refuse("blocked", ADMIN, 9)
        self.do(ADMIN, 9007, content="again")
        self.assertEqual(self.members(), {hex_of(ADMIN)})

    def test_unreadable(self) -> None:
        """If groups cannot be read, nothing in any is shown or taken."""
        self.create()
        note = self.do(BOB, 9)
        before = self.under_test.store.inner
        self.under_test = type(self.under_test)(self.settings)
        self.under_test.store.inner = before
        self.under_test.store.query_error = StoreError("broken")
        self.begin(self.under_test)
        self.under_test.store.query_error = None
        self.assertFalse(self.sees(self.known(BOB), note))
        for kind in (9, 9007, 9021):
            self.refuse("error", BOB, kind, content="x")

    def test_read_later(self) -> None:
        """Once the store can be read again the groups are known, without a restart."""
        self.create()
        before = self.under_test.store.inner
        self.under_test = type(self.under_test)(self.settings)
        self.under_test.store.inner = before
        self.under_test.store.query_error = StoreError("broken")
        self.begin(self.under_test)
        self.under_test.store.query_error = None
        self.under_test.clock.advance(1)
        self.under_test.turns.settle()
        self.do(BOB, 9)
