"""Joining and leaving groups, with and without invite codes (NIP-29)."""

from __future__ import annotations

from nostrtx.nostr.filters import Filter
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

_DAY = 86_400


class JoinTests(GroupCase):
    """Kind 9021 asks to be let in."""

    def test_open_group(self) -> None:
        """Into an open group everybody gets; the relay says so with a 9000."""
        self.create()
        self.visitor.ask({"kinds": [9000], "#p": [hex_of(CAROL)]})
        self.visitor.heard()
        self.do(CAROL, 9021)
        self.assertIn(hex_of(CAROL), self.members())
        added = self.stored(Filter(kinds=(9000,)))[0]
        self.assertEqual(added.pubkey.hex(), self.own)
        self.assertEqual(added.tags, [["h", PIZZA], ["p", hex_of(CAROL)]])
        self.assertEqual(self.visitor.heard(), [seen("s", added)])

    def test_member(self) -> None:
        """A member who asks is told that it is not necessary."""
        self.create()
        for secret in (ADMIN, BOB):
            self.refuse("duplicate", secret, 9021)

    def test_closed(self) -> None:
        """Into a closed group nobody gets without a good code."""
        self.create(["closed"])
        reason = self.refuse("restricted", CAROL, 9021)
        self.assertIn("invite", reason)
        self.refuse("restricted", CAROL, 9021, ["code", "guessed"])
        self.assertNotIn(hex_of(CAROL), self.members())

    def test_joins_again(self) -> None:
        """Who has left an open group may come again, even within one second."""
        self.create()
        at = self.under_test.clock.seconds()
        for number, kind in enumerate((9021, 9022) * 3):
            self.under_test.clock.rightNow = at
            self.do(CAROL, kind, content=str(number))
            self.assertEqual(hex_of(CAROL) in self.members(), kind == 9021)
            latest = self.stored(
                Filter(kinds=(9000, 9001), tags=(("p", (hex_of(CAROL),)),))
            )[0]
            self.assertEqual(latest.kind, 9000 if kind == 9021 else 9001)

    def test_old_request(self) -> None:
        """A request that was granted does not work again after one has left."""
        self.create()
        request = self.do(CAROL, 9021)
        self.do(CAROL, 9022)
        (answer,) = self.stranger().publish(request)
        self.assertEqual(answer[2], True)
        self.assertTrue(answer[3].startswith("duplicate: "))
        self.assertNotIn(hex_of(CAROL), self.members())


class LeaveTests(GroupCase):
    """Kind 9022 asks to be let go."""

    def test_leave(self) -> None:
        """The relay removes the member and says so with a 9001."""
        self.create()
        self.do(BOB, 9022)
        self.assertEqual(self.members(), {hex_of(ADMIN)})
        (removed,) = self.stored(Filter(kinds=(9001,)))
        self.assertEqual(removed.pubkey.hex(), self.own)
        self.assertEqual(removed.tags, [["h", PIZZA], ["p", hex_of(BOB)]])

    def test_no_member(self) -> None:
        """Who is no member cannot leave."""
        self.create()
        self.refuse("duplicate", EVE, 9022)

    def test_admin(self) -> None:
        """An admin who leaves is one no more."""
        self.create()
        self.do(ADMIN, 9022)
        self.assertEqual(self.told(39001), [["d", PIZZA]])
        self.refuse("restricted", ADMIN, 9002, ["name", "x"])


class InviteTests(GroupCase):
    """Kind 9009 makes a code for a closed group."""

    def setUp(self) -> None:
        """Have a closed group and a code."""
        super().setUp()
        self.create(["closed"])
        self.invite = self.do(ADMIN, 9009, ["code", "abc"])

    def test_lets_in(self) -> None:
        """Who has the code gets in."""
        self.do(CAROL, 9021, ["code", "abc"])
        self.assertIn(hex_of(CAROL), self.members())

    def test_once(self) -> None:
        """It lets in one, also if the relay is restarted in between."""
        self.do(CAROL, 9021, ["code", "abc"])
        self.refuse("restricted", EVE, 9021, ["code", "abc"])
        self.restart()
        self.refuse("restricted", EVE, 9021, ["code", "abc"])
        self.refuse_event("blocked", self.invite)

    def test_restart(self) -> None:
        """It is good after a restart."""
        self.restart()
        self.do(CAROL, 9021, ["code", "abc"])

    def test_other_group(self) -> None:
        """It is good for its group only."""
        self.create(["closed"], group="pasta")
        self.refuse("restricted", CAROL, 9021, ["code", "abc"], group="pasta")

    def test_expires(self) -> None:
        """After some days it is good no more."""
        self.under_test.clock.advance(7 * _DAY)
        self.refuse("restricted", CAROL, 9021, ["code", "abc"])

    def test_taken_back(self) -> None:
        """The admin who made it may delete it; then it is good no more."""
        self.do(ADMIN, 5, ["e", self.invite.id.hex()])
        self.refuse("restricted", CAROL, 9021, ["code", "abc"])

    def test_inviter_removed(self) -> None:
        """The codes of an admin who is removed are good no more."""
        self.do(ADMIN, 9000, ["p", hex_of(BOB), "admin"])
        self.do(BOB, 9009, ["code", "bobs"])
        self.do(ADMIN, 9001, ["p", hex_of(BOB)])
        self.refuse("restricted", CAROL, 9021, ["code", "bobs"])

    def test_forged(self) -> None:
        """A code that somebody stored without being asked about it is none."""
        self.under_test.stored(self.event(EVE, 9009, ["code", "eves"]))
        self.restart()
        self.refuse("restricted", EVE, 9021, ["code", "eves"])

    def test_malformed(self) -> None:
        """An event makes one code, that there was not before."""
        for tags in ([], [["code"]], [["code", ""]], [["code", "a"], ["code", "b"]]):
            self.refuse("invalid", ADMIN, 9009, *tags)
        self.refuse("duplicate", ADMIN, 9009, ["code", "abc"])

    def test_not_shown(self) -> None:
        """Codes are shown to admins only, used or not, stored or live."""
        listening = {one: self.known(one) for one in (ADMIN, BOB, EVE)}
        for visitor in listening.values():
            visitor.ask({"kinds": [9009, 9021], "since": self.invite.created_at + 1})
            visitor.heard()
        other = self.do(ADMIN, 9009, ["code", "xyz"])
        joined = self.do(CAROL, 9021, ["code", "xyz"])
        for one, visitor in listening.items():
            is_admin = one == ADMIN
            expected = [seen("s", e) for e in (other, joined)] if is_admin else []
            self.assertEqual(visitor.heard(), expected)
            for event in (self.invite, joined):
                self.assertEqual(self.sees(visitor, event), is_admin)
        self.assertFalse(self.sees(self.visitor, self.invite))


class ReusableTests(GroupCase):
    """Codes that let in any number, for any time."""

    groups = GroupSettings(enabled=True, invite_once=False, invite_days=0)

    def test_any_number(self) -> None:
        """Such a code is good until it is taken back."""
        self.create(["closed"])
        invite = self.do(ADMIN, 9009, ["code", "abc"])
        self.do(CAROL, 9021, ["code", "abc"])
        self.under_test.clock.advance(1000 * _DAY)
        self.do(EVE, 9021, ["code", "abc"])
        self.do(EVE, 9022)
        self.do(ADMIN, 5, ["e", invite.id.hex()])
        self.refuse("restricted", EVE, 9021, ["code", "abc"])
