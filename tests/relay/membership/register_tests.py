"""
The rules of every register, whatever database it is in, as mixins of test cases.

A test case derives from :class:`RegisterTests` and from trial's, and provides ``make``
and ``database``.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import TYPE_CHECKING, TypeVar

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.interfaces.register import IRegisterDatabase, RegisterError
from nostrtx.nostr.membership import Role
from nostrtx.relay.membership.register import Contents, Invite, Outcome, Register
from tests.storage.events import ALICE, BOB, NOW, event_id

_CAROL = bytes.fromhex("cc" * 32)

_T = TypeVar("_T")

if TYPE_CHECKING:
    _TestCase = SynchronousTestCase
else:
    # trial must not run the tests by themselves, without a database.
    _TestCase = object


def side_by_side(calls: list[Callable[[], _T]]) -> list[_T]:
    """Make all calls at the same time, each in a thread; what they return."""
    barrier = Barrier(len(calls))

    def begin(call: Callable[[], _T]) -> _T:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(begin, calls))


class RegisterCase(_TestCase):
    """A register, as two processes see it."""

    def setUp(self) -> None:
        """Open it twice."""
        self.make()
        self.register = self.open()
        self.other = self.open()
        self._requests = 0

    def make(self) -> None:
        """Make room for a new register."""
        raise NotImplementedError

    def database(self) -> IRegisterDatabase:
        """The register's database, once more."""
        raise NotImplementedError

    def open(self) -> Register:
        """Open it once more."""
        register = Register(self.database())
        self.addCleanup(register.close)
        return register

    def join(self, pubkey: bytes, code: str, now: float = NOW) -> Outcome:
        """A request that was not made before."""
        self._requests += 1
        request = event_id(self._requests)
        return self.register.join(request, int(now), pubkey, code, now)

    def members(self) -> dict[bytes, tuple[str, ...]]:
        """As the other process sees them."""
        return self.other.contents().members


class MemberTests(RegisterCase):
    """Members and their roles."""

    def test_add_and_remove(self) -> None:
        """Each call tells whether it changed anything."""
        self.assertTrue(self.register.add_member(ALICE))
        self.assertFalse(self.register.add_member(ALICE))
        self.assertEqual(self.members(), {ALICE: ()})
        self.assertTrue(self.register.remove_member(ALICE))
        self.assertFalse(self.register.remove_member(ALICE))
        self.assertEqual(self.members(), {})

    def test_roles(self) -> None:
        """A member has the roles it was given last."""
        self.register.put_role(Role("b"))
        self.register.put_role(Role("a"))
        self.assertTrue(self.register.add_member(ALICE, ("b", "a")))
        self.assertFalse(self.register.add_member(ALICE, ("a", "b")))
        self.assertEqual(self.members(), {ALICE: ("a", "b")})
        self.assertTrue(self.register.add_member(ALICE, ("b",)))
        self.assertEqual(self.members(), {ALICE: ("b",)})

    def test_let_in(self) -> None:
        """Whoever is let in and was a member keeps all roles."""
        self.register.put_role(Role("a"))
        self.assertTrue(self.register.let_in(ALICE))
        self.assertEqual(self.members(), {ALICE: ()})
        self.register.add_member(ALICE, ("a",))
        self.assertFalse(self.register.let_in(ALICE))
        self.assertEqual(self.members(), {ALICE: ("a",)})

    def test_one_role(self) -> None:
        """A role is given and taken by itself."""
        for role in ("a", "b"):
            self.register.put_role(Role(role))
        self.register.add_member(ALICE, ("a",))
        self.assertTrue(self.register.give_role(ALICE, "b"))
        self.assertFalse(self.register.give_role(ALICE, "b"))
        self.assertEqual(self.members(), {ALICE: ("a", "b")})
        self.assertTrue(self.register.take_role(ALICE, "a"))
        self.assertFalse(self.register.take_role(ALICE, "a"))
        self.assertFalse(self.register.take_role(BOB, "b"))
        self.assertEqual(self.members(), {ALICE: ("b",)})
        self.assertRaises(RegisterError, self.register.give_role, ALICE, "c")
        self.assertRaises(RegisterError, self.register.give_role, BOB, "a")
        self.assertEqual(self.members(), {ALICE: ("b",)})

    def test_edit_role(self) -> None:
        """Only a role that is there can be edited."""
        self.assertRaises(RegisterError, self.register.edit_role, Role("a"))
        self.register.put_role(Role("a"))
        self.assertTrue(self.register.edit_role(Role("a", "A", "first", 3, 4)))
        roles = self.other.contents().roles
        self.assertEqual(roles, (Role("a", "A", "first", 3, 4),))

    def test_unknown_role(self) -> None:
        """A role that does not exist is given to nobody."""
        error = self.assertRaises(
            RegisterError, self.register.add_member, ALICE, ("x",)
        )
        self.assertEqual(str(error), "there is no role 'x'")
        self.assertEqual(self.members(), {})

    def test_define_roles(self) -> None:
        """Roles are defined, redefined, and removed from all who had them."""
        self.register.put_role(Role("a", "x"))
        self.register.put_role(Role("a", "king", "rules", 37, 1))
        self.register.add_member(ALICE, ("a",))
        self.assertEqual(
            self.other.contents().roles, (Role("a", "king", "rules", 37, 1),)
        )
        self.assertTrue(self.register.remove_role("a"))
        self.assertFalse(self.register.remove_role("a"))
        self.assertEqual(self.other.contents(), Contents({ALICE: ()}, ()))

    def test_removed_with_roles(self) -> None:
        """Who comes back has no roles from before."""
        self.register.put_role(Role("a"))
        self.register.add_member(ALICE, ("a",))
        self.register.remove_member(ALICE)
        self.register.add_member(ALICE)
        self.assertEqual(self.members(), {ALICE: ()})

    def test_restore(self) -> None:
        """What was published fills a new register, once, beside what is in it."""
        self.register.add_member(BOB)
        self.register.put_role(Role("a", "mine"))
        published = Contents({ALICE: ("a",), BOB: ()}, (Role("a"), Role("b")))
        self.assertTrue(self.register.restore(published))
        self.assertEqual(
            self.other.contents(),
            Contents({ALICE: ("a",), BOB: ()}, (Role("a", "mine"), Role("b"))),
        )
        self.register.remove_member(ALICE)
        self.assertFalse(self.other.restore(published))
        self.assertEqual(self.members(), {BOB: ()})


class InviteTests(RegisterCase):
    """Codes, and who joins with them."""

    def test_single_use(self) -> None:
        """A code for one is good for one."""
        self.register.add_invite(Invite("c"))
        self.assertIs(self.join(ALICE, "c"), Outcome.DONE)
        self.assertIs(self.join(BOB, "c"), Outcome.NO_SUCH_CODE)
        self.assertEqual(self.members(), {ALICE: ()})
        self.assertEqual(self.other.invites(), [])

    def test_used_up_at_once(self) -> None:
        """Once a call has returned, the code is used, in whatever process is left."""
        self.register.add_invite(Invite("c"))
        self.join(ALICE, "c")
        outcome = self.other.join(event_id(99), NOW, BOB, "c", NOW)
        self.assertIs(outcome, Outcome.NO_SUCH_CODE)

    def test_several_uses(self) -> None:
        """A code for some is good for as many."""
        self.register.add_invite(Invite("c", uses_left=2))
        self.assertIs(self.join(ALICE, "c"), Outcome.DONE)
        self.assertEqual(self.other.invites(), [Invite("c", uses_left=1)])
        self.assertIs(self.join(BOB, "c"), Outcome.DONE)
        self.assertIs(self.join(_CAROL, "c"), Outcome.NO_SUCH_CODE)

    def test_any_number(self) -> None:
        """A code without a number of uses is never used up."""
        self.register.add_invite(Invite("c", uses_left=None))
        for number in range(20):
            self.assertIs(self.join(event_id(number), "c"), Outcome.DONE)
        self.assertEqual(self.other.invites(), [Invite("c", uses_left=None)])

    def test_expired(self) -> None:
        """An expired code is good for nobody, from its second on."""
        self.register.add_invite(Invite("c", 5, NOW + 10))
        self.assertIs(self.join(ALICE, "c", NOW + 10), Outcome.EXPIRED)
        self.assertIs(self.join(ALICE, "c", NOW + 9.9), Outcome.DONE)

    def test_unknown(self) -> None:
        """A code that was never made, or that was revoked, is none."""
        self.assertIs(self.join(ALICE, "c"), Outcome.NO_SUCH_CODE)
        self.register.add_invite(Invite("c"))
        self.assertTrue(self.other.revoke_invite("c"))
        self.assertFalse(self.other.revoke_invite("c"))
        self.assertIs(self.join(ALICE, "c"), Outcome.NO_SUCH_CODE)

    def test_member_already(self) -> None:
        """Who is a member uses up nothing."""
        self.register.add_member(ALICE)
        self.register.add_invite(Invite("c"))
        self.assertIs(self.join(ALICE, "c"), Outcome.UNCHANGED)
        self.assertEqual(self.other.invites(), [Invite("c")])

    def test_replayed(self) -> None:
        """A request that was granted is not granted again after its author left."""
        self.register.add_invite(Invite("c", uses_left=None))
        request = event_id(901)
        arguments = (request, NOW, ALICE, "c", NOW)
        self.assertIs(self.register.join(*arguments), Outcome.DONE)
        leave = event_id(902)
        self.assertIs(self.other.leave(leave, NOW, ALICE, NOW), Outcome.DONE)
        self.assertIs(self.open().join(*arguments), Outcome.REPEATED)
        self.assertIs(self.join(ALICE, "c"), Outcome.DONE)
        self.assertIs(self.register.leave(leave, NOW, ALICE, NOW), Outcome.REPEATED)
        self.assertEqual(self.members(), {ALICE: ()})

    def test_leave(self) -> None:
        """Who leaves is no member; who is none cannot leave."""
        self.assertIs(
            self.register.leave(event_id(1), NOW, ALICE, NOW), Outcome.UNCHANGED
        )
        self.register.add_member(ALICE)
        self.assertIs(self.register.leave(event_id(1), NOW, ALICE, NOW), Outcome.DONE)
        self.assertEqual(self.members(), {})

    def test_requests_are_forgotten(self) -> None:
        """What its date alone forbids to repeat is not kept."""
        self.register.add_invite(Invite("c", uses_left=None))
        for number in range(5):
            self.join(event_id(number), "c", NOW + 1000 * number)
        database = self.database()
        self.addCleanup(database.close)
        database.open("", 1)
        with database.transaction():
            [(kept,)] = database.rows("SELECT count(*) FROM requests")
        self.assertEqual(kept, 1)

    def test_any_code(self) -> None:
        """A stranger's code may be any text; it is none of ours."""
        self.register.add_invite(Invite("ähm 'ü\U0001f600"))
        for code in ("\0", "c\0", "%s", "?", "'", "äh", "\U0001f600" * 200):
            self.assertIs(self.join(ALICE, code), Outcome.NO_SUCH_CODE, code)
        self.assertIs(self.join(ALICE, "ähm 'ü\U0001f600"), Outcome.DONE)

    def test_by_a_member(self) -> None:
        """A member has one open code at a time, and gets it again."""
        self.register.add_member(ALICE)
        first = Invite("c1", 1, NOW + 10, ALICE)
        self.assertEqual(self.register.invite_by(ALICE, first, NOW), first)
        second = Invite("c2", 1, NOW + 20, ALICE)
        self.assertEqual(self.register.invite_by(ALICE, second, NOW + 9), first)
        self.assertEqual(self.register.invite_by(ALICE, second, NOW + 10), second)
        self.assertEqual(self.other.invites(), [second])
        self.join(BOB, "c2", NOW + 10)
        third = Invite("c3", 1, NOW + 30, ALICE)
        self.assertEqual(self.register.invite_by(ALICE, third, NOW + 11), third)

    def test_by_nobody(self) -> None:
        """Who is no member has none to give, and codes of a former one are void."""
        invite = Invite("c", 1, NOW + 10, ALICE)
        self.assertIsNone(self.register.invite_by(ALICE, invite, NOW))
        self.register.add_member(ALICE)
        self.register.invite_by(ALICE, invite, NOW)
        self.register.remove_member(ALICE)
        self.assertEqual(self.other.invites(), [])

    def test_order(self) -> None:
        """Codes are listed by their expiration, those without one last."""
        for invite in (Invite("a"), Invite("b", 1, NOW + 2), Invite("c", 1, NOW + 1)):
            self.register.add_invite(invite)
        self.assertEqual([one.code for one in self.other.invites()], ["c", "b", "a"])
        self.register.add_invite(Invite("Z"))
        self.assertEqual([one.code for one in self.other.invites()][2:], ["Z", "a"])


class SideBySideTests(RegisterCase):
    """Several processes that use the register at the same time."""

    def test_provided(self) -> None:
        """The database keeps the form of its promise."""
        self.assertTrue(verifyObject(IRegisterDatabase, self.database()))

    def test_changes_of_others(self) -> None:
        """Each change by another process is noticed once, one's own is not."""
        self.assertFalse(self.register.has_changed())
        self.register.add_member(ALICE)
        self.register.contents()
        self.assertFalse(self.register.has_changed())
        self.other.contents()
        self.assertFalse(self.register.has_changed())
        self.other.add_member(BOB)
        self.assertTrue(self.register.has_changed())
        self.assertFalse(self.register.has_changed())

    def test_change_of_another_before_ones_own(self) -> None:
        """One's own change does not hide one that another process made before."""
        self.other.add_member(BOB)
        self.register.add_member(ALICE)
        self.assertTrue(self.register.has_changed())
        self.assertFalse(self.register.has_changed())

    def test_reopened(self) -> None:
        """What was entered is there after it was closed."""
        self.register.add_member(ALICE)
        self.register.add_invite(Invite("c", 3, NOW, BOB))
        self.register.close()
        self.other.close()
        again = self.open()
        self.assertEqual(again.contents().members, {ALICE: ()})
        self.assertEqual(again.invites(), [Invite("c", 3, NOW, BOB)])

    def test_one_code(self) -> None:
        """However many ask at the same time, a code for three lets in three."""
        registers = [self.open() for _ in range(8)]
        for round_ in range(5):
            self.register.add_invite(Invite("c", 3))
            people = [event_id(100 * round_ + n) for n in range(len(registers))]
            outcomes = side_by_side(
                [
                    partial(register.join, person, NOW, person, "c", NOW)
                    for register, person in zip(registers, people, strict=True)
                ]
            )
            self.assertEqual(outcomes.count(Outcome.DONE), 3)
            self.assertEqual(outcomes.count(Outcome.NO_SUCH_CODE), 5)
            self.assertEqual(len(self.members()), 3 * (round_ + 1))

    def test_one_process_that_asks_much(self) -> None:
        """Calls of several threads on one register get in nobody's way."""
        self.register.add_invite(Invite("c", 3))
        people = [event_id(n) for n in range(8)]
        outcomes = side_by_side(
            [
                partial(self.register.join, person, NOW, person, "c", NOW)
                for person in people
            ]
        )
        self.assertEqual(outcomes.count(Outcome.DONE), 3)

    def test_opened_at_once(self) -> None:
        """Processes that begin at the same time make one register together."""
        self.make()
        registers = side_by_side([self.open] * 6)
        registers[0].add_member(ALICE)
        for register in registers:
            self.assertEqual(register.contents().members, {ALICE: ()})

    def test_nothing_by_halves(self) -> None:
        """A change that cannot be made whole is not made, and others are later."""
        self.register.put_role(Role("a"))
        self.assertRaises(RegisterError, self.register.add_member, ALICE, ("a", "b"))
        self.register.add_invite(Invite("c"))
        self.assertRaises(RegisterError, self.register.add_invite, Invite("c"))
        self.assertEqual(self.members(), {})
        self.assertTrue(self.register.add_member(ALICE, ("a",)))

    def test_later_version(self) -> None:
        """A register of a later version is left alone."""
        error = self.assertRaises(RegisterError, self.database().open, "", 2)
        self.assertIn("its version is 1, not 2", str(error))


class RegisterTests(MemberTests, InviteTests, SideBySideTests):
    """All rules."""
