"""Groups are made, changed and deleted by those who may (NIP-29)."""

from __future__ import annotations

from nostrtx.nostr.filters import Filter
from nostrtx.nostr.groups import ROLES
from nostrtx.settings.access import GroupSettings
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
from tests.storage.events import NOW, signed_event


class CreateTests(GroupCase):
    """Kind 9007 makes a group."""

    def test_creator_is_admin(self) -> None:
        """Whoever makes a group is its admin and first member."""
        self.do(ADMIN, 9007)
        self.assertEqual(self.told(39000), [["d", PIZZA]])
        self.assertEqual(
            self.told(39001), [["d", PIZZA], ["p", hex_of(ADMIN), "admin"]]
        )
        self.assertEqual(self.told(39002), [["d", PIZZA], ["p", hex_of(ADMIN)]])
        self.assertEqual(
            self.told(39003),
            [["d", PIZZA], *(["role", name, text] for name, text in ROLES.items())],
        )

    def test_relay_adds_creator(self) -> None:
        """The relay says with a 9000 of its own that the creator is admin."""
        self.do(ADMIN, 9007)
        (added,) = self.stored(Filter(kinds=(9000,)))
        self.assertEqual(added.pubkey.hex(), self.own)
        self.assertEqual(added.tags, [["h", PIZZA], ["p", hex_of(ADMIN), "admin"]])

    def test_name_is_taken(self) -> None:
        """A second group of one name is refused, the first stays as it is."""
        self.create()
        before = self.stored()
        self.refuse("duplicate", EVE, 9007)
        self.assertEqual([e.id for e in self.stored()], [e.id for e in before])

    def test_again(self) -> None:
        """The very event that made the group may be sent again."""
        event = self.do(ADMIN, 9007)
        (answer,) = self.visitor.publish(event)
        self.assertEqual(answer[2], True)
        self.assertTrue(answer[3].startswith("duplicate: "))

    def test_needs_h(self) -> None:
        """Without an h tag, with two or with an empty one, nothing is changed."""
        for kind in (9000, 9001, 9002, 9005, 9007, 9008, 9009, 9010, 9021, 9022):
            for tags in ([], [["h"]], [["h", ""]], [["h", "a"], ["h", "b"]]):
                self.refuse_event("invalid", signed_event(ADMIN, kind=kind, tags=tags))
        self.assertEqual(self.stored(), [])

    def test_does_not_expire(self) -> None:
        """What changes a group may not go away by itself."""
        self.refuse("invalid", ADMIN, 9007, ["expiration", str(NOW + 100)])

    def test_arbitrary_id(self) -> None:
        """Any text is the name of a group."""
        for name in ("_", "Ä b", "39000:x:y", "'\"\\"):
            self.do(ADMIN, 9007, group=name)
            self.assertEqual(self.members(name), {hex_of(ADMIN)})

    def test_name_with_a_past(self) -> None:
        """A name under which there are moderation events already is not given."""
        forged = self.event(EVE, 9000, ["p", hex_of(EVE), "admin"])
        self.under_test.stored(forged)
        self.refuse("blocked", ADMIN, 9007)

    def test_pipelined(self) -> None:
        """What a client sends without waiting for an answer is taken in its order."""
        self.under_test.store.hold_saves = True
        create, note = self.event(ADMIN, 9007), self.event(ADMIN, 9)
        visitor = self.stranger()
        self.assertEqual(visitor.publish(create) + visitor.publish(note), [])
        while self.under_test.store.saves:
            self.under_test.store.saves.pop(0).succeed()
            self.under_test.turns.settle()
        oks = [a[1:] for a in visitor.heard() if a[0] == "OK"]
        self.assertEqual(oks, [[e.id.hex(), True, ""] for e in (create, note)])


class CreatorsTests(GroupCase):
    """The operator says who makes groups."""

    groups = GroupSettings(enabled=True, create="listed", creators=(hex_of(BOB),))

    def test_listed(self) -> None:
        """Only those listed make groups."""
        self.refuse("restricted", ADMIN, 9007)
        self.do(BOB, 9007)
        self.assertEqual(self.members(), {hex_of(BOB)})


class RightsTests(GroupCase):
    """Moderation is for those whose role permits it."""

    def test_strangers_and_members(self) -> None:
        """Neither strangers nor ordinary members moderate."""
        self.create()
        note = self.do(BOB, 9)
        for secret in (EVE, BOB):
            for kind, *tags in (
                (9000, ["p", hex_of(EVE), "admin"]),
                (9001, ["p", hex_of(ADMIN)]),
                (9002, ["name", "mine"]),
                (9005, ["e", note.id.hex()]),
                (9008,),
                (9009, ["code", "x"]),
                (9010, ["e", note.id.hex()]),
                (9020,),
            ):
                self.refuse("restricted", secret, kind, *tags)
        self.assertEqual(self.members(), {hex_of(ADMIN), hex_of(BOB)})
        self.assertTrue(self.under_test.store.holds(note))

    def test_moderator(self) -> None:
        """A moderator deletes and pins events and removes ordinary members only."""
        self.create()
        self.do(ADMIN, 9000, ["p", hex_of(CAROL), "moderator"])
        note = self.do(BOB, 9)
        self.do(CAROL, 9010, ["e", note.id.hex()])
        self.do(CAROL, 9005, ["e", note.id.hex()])
        self.refuse("restricted", CAROL, 9001, ["p", hex_of(ADMIN)])
        self.refuse("restricted", CAROL, 9000, ["p", hex_of(EVE)])
        self.do(CAROL, 9001, ["p", hex_of(BOB)])
        self.assertEqual(self.members(), {hex_of(ADMIN), hex_of(CAROL)})

    def test_rights_end(self) -> None:
        """Who is removed, or loses the role, moderates no more."""
        self.create()
        for change in ((9000, ["p", hex_of(BOB)]), (9001, ["p", hex_of(BOB)])):
            self.do(ADMIN, 9000, ["p", hex_of(BOB), "admin"])
            self.do(BOB, 9002, ["name", "Bob's"])
            self.do(ADMIN, *change)
            self.refuse("restricted", BOB, 9002, ["name", "still Bob's"])

    def test_relay_key(self) -> None:
        """What is signed with the relay's own key is always permitted."""
        self.create()
        self.do(1, 9001, ["p", hex_of(ADMIN)])
        self.assertEqual(self.members(), {hex_of(BOB)})

    def test_unknown_kind(self) -> None:
        """Kinds of the range that mean nothing are refused, not kept."""
        self.create()
        for kind in (9003, 9004, 9006, 9011, 9020):
            self.refuse("invalid", ADMIN, kind)

    def test_no_such_group(self) -> None:
        """Nothing moderates a group that is not there."""
        for kind in (9000, 9001, 9002, 9005, 9008, 9009, 9010, 9021, 9022):
            self.refuse("blocked", ADMIN, kind, ["p", hex_of(BOB)])


class UserTests(GroupCase):
    """Kinds 9000 and 9001 say who is a member."""

    def test_put(self) -> None:
        """Several may be added at once, with and without roles."""
        self.create()
        self.do(ADMIN, 9000, ["p", hex_of(CAROL)], ["p", hex_of(EVE), "moderator"])
        everybody = {hex_of(one) for one in (ADMIN, BOB, CAROL, EVE)}
        self.assertEqual(self.members(), everybody)
        self.assertIn(["p", hex_of(EVE), "moderator"], self.told(39001) or [])

    def test_roles_are_replaced(self) -> None:
        """A member who is put again has the new roles and no others."""
        self.create()
        self.do(ADMIN, 9000, ["p", hex_of(BOB), "admin", "baker"])
        self.assertIn(["p", hex_of(BOB), "admin", "baker"], self.told(39001) or [])
        self.do(ADMIN, 9000, ["p", hex_of(BOB), "baker"])
        self.assertEqual(len(self.told(39001) or []), 2)
        self.assertIn(["p", hex_of(BOB), "baker"], self.told(39002) or [])

    def test_remove(self) -> None:
        """Whoever is removed is no member; whoever is none cannot be removed."""
        self.create()
        self.do(ADMIN, 9001, ["p", hex_of(BOB)])
        self.assertEqual(self.members(), {hex_of(ADMIN)})
        self.refuse("duplicate", ADMIN, 9001, ["p", hex_of(BOB)])

    def test_malformed(self) -> None:
        """A user must be named, and by a public key."""
        self.create()
        for kind in (9000, 9001):
            for tag in (["x"], ["p"], ["p", "bob"], ["p", "AB" * 32]):
                self.refuse("invalid", ADMIN, kind, tag)

    def test_within_a_second(self) -> None:
        """Of changes in one second the last counts, also for who follows the events."""
        self.create()
        clock = self.under_test.clock
        at = clock.seconds()
        for number in range(6):
            clock.rightNow = at
            kind = 9001 if number % 2 == 0 else 9000
            self.do(ADMIN, kind, ["p", hex_of(BOB)], content=str(number))
            followed = self.stored(
                Filter(kinds=(9000, 9001), tags=(("p", (hex_of(BOB),)),))
            )
            self.assertEqual(followed[0].kind, kind)
            self.assertGreater(followed[0].created_at, followed[1].created_at)
            self.assertEqual(hex_of(BOB) in self.members(), kind == 9000)

    def test_older(self) -> None:
        """An admin whose clock is slow is obeyed all the same."""
        self.create()
        self.do(ADMIN, 9001, ["p", hex_of(BOB)], age=600)
        self.assertNotIn(hex_of(BOB), self.members())
        latest = self.stored(
            Filter(kinds=(9000, 9001), tags=(("p", (hex_of(BOB),)),), limit=1)
        )[0]
        self.assertEqual((latest.kind, latest.pubkey.hex()), (9001, self.own))


class MetadataTests(GroupCase):
    """Kind 9002 states the profile; the relay tells it in 39000."""

    def test_all_fields(self) -> None:
        """Texts, flags and kinds are told as they were stated."""
        self.create()
        stated = [
            ["name", "Pizza Lovers"],
            ["picture", "https://pizza.com/pizza.png"],
            ["banner", "https://pizza.com/banner.png"],
            ["about", "a group for people who love pizza"],
            ["private"],
            ["restricted"],
            ["hidden"],
            ["closed"],
            ["supported_kinds", "9", "11"],
        ]
        self.do(ADMIN, 9002, *stated)
        self.assertEqual(self.told(39000), [["d", PIZZA], *stated])

    def test_replaced(self) -> None:
        """What an edit leaves out is gone; an empty list of kinds is none at all."""
        self.create(["private"], ["closed"])
        self.do(ADMIN, 9002, ["about", "x"], ["supported_kinds"])
        self.assertEqual(
            self.told(39000), [["d", PIZZA], ["about", "x"], ["supported_kinds"]]
        )

    def test_malformed(self) -> None:
        """Kinds are numbers; there are no subgroups here."""
        self.create()
        for tag in (
            ["supported_kinds", "x"],
            ["supported_kinds", "70000"],
            ["supported_kinds", "-1"],
            ["parent", "food"],
            ["child", "funghi"],
        ):
            self.refuse("invalid", ADMIN, 9002, tag)

    def test_strictly_later(self) -> None:
        """Each version is dated later than the one before, however quick they come."""
        self.create()
        clock = self.under_test.clock
        at, dates = clock.seconds(), []
        for number in range(5):
            clock.rightNow = at
            self.do(ADMIN, 9002, ["name", str(number)])
            own = bytes.fromhex(self.own)
            (told,) = self.stored(Filter(kinds=(39000,), authors=(own,)))
            self.assertIn(["name", str(number)], told.tags)
            dates.append(told.created_at)
        self.assertEqual(dates, sorted(set(dates)))

    def test_only_what_changes(self) -> None:
        """What an event does not change is not told again."""
        self.create()
        before = {e.kind: e.id for e in self.stored() if e.kind >= 39000}
        self.do(ADMIN, 9002, ["name", "x"])
        after = {e.kind: e.id for e in self.stored() if e.kind >= 39000}
        self.assertEqual(
            [kind for kind in before if before[kind] != after[kind]], [39000]
        )

    def test_only_the_relay(self) -> None:
        """Nobody else tells of groups, not even an admin."""
        self.create()
        for kind in range(39000, 39006):
            for secret in (ADMIN, EVE):
                self.refuse_event(
                    "restricted",
                    signed_event(secret, kind=kind, tags=[["d", PIZZA]]),
                )

    def test_live(self) -> None:
        """Subscribers are told of every change as it is made."""
        self.create()
        self.visitor.ask({"kinds": [39000, 9002], "since": NOW})
        edit = self.do(ADMIN, 9002, ["name", "x"])
        heard = [m for m in self.visitor.heard() if m[0] == "EVENT"]
        self.assertEqual(heard[0], seen("s", edit))
        self.assertEqual(heard[1][2]["tags"], [["d", PIZZA], ["name", "x"]])


class PinTests(GroupCase):
    """Kind 9010 states what is pinned; the relay tells it in 39005."""

    def test_order(self) -> None:
        """Pins are told in the order of the last list, and can be cleared."""
        self.create()
        self.assertIsNone(self.told(39005))
        one = ["e", "11" * 32]
        two = ["a", f"30023:{hex_of(BOB)}:x:y"]
        for pins in ([one, two], [two, one], [two], []):
            self.do(ADMIN, 9010, *pins)
            self.assertEqual(self.told(39005), [["d", PIZZA], *pins])

    def test_malformed(self) -> None:
        """Pins are ids and addresses, and not too many."""
        self.create()
        for tags in (
            [["e", "x"]],
            [["e"]],
            [["a", "x"]],
            [["a", f"x:{hex_of(BOB)}:"]],
            [["a", "30023:bob:"]],
            [["e", "11" * 32]] * 101,
        ):
            self.refuse("invalid", ADMIN, 9010, *tags)
