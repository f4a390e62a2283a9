"""Tests for :mod:`nostrtx.nostr.membership`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.membership import (
    JOIN_REQUEST,
    LEAVE_REQUEST,
    MEMBER_LIST,
    ROLE,
    Role,
    change_tags,
    check_leave_request,
    described_role,
    invite_tags,
    join_code,
    listed_members,
    member_list_tags,
    role_tags,
)
from tests.storage.events import ALICE, BOB, NOW, make_event


class ListTests(SynchronousTestCase):
    """What the relay says of its members."""

    def test_member_list(self) -> None:
        """A list names each member with its roles, in one order, and is protected."""
        self.assertEqual(
            member_list_tags({BOB: (), ALICE: ("a", "b")}),
            [["-"], ["member", ALICE.hex(), "a", "b"], ["member", BOB.hex()]],
        )

    def test_read_back(self) -> None:
        """What was written into a list is found in it."""
        members = {ALICE: ("a", "b"), BOB: ()}
        event = make_event(kind=MEMBER_LIST, tags=member_list_tags(members))
        self.assertEqual(listed_members(event), members)

    def test_no_keys(self) -> None:
        """What is no public key is nobody."""
        tags = [["member"], ["member", "x"], ["member", "ab"], ["p", BOB.hex()], ["-"]]
        self.assertEqual(listed_members(make_event(kind=MEMBER_LIST, tags=tags)), {})

    def test_changes_and_invitations(self) -> None:
        """News of a member and invitations are protected and name what they are for."""
        self.assertEqual(change_tags(BOB), [["-"], ["p", BOB.hex()]])
        self.assertEqual(invite_tags("code"), [["-"], ["claim", "code"]])

    def test_role(self) -> None:
        """A role's tags are those of the NIP's own example."""
        role = Role("28b7e50f", "king", "ruler of the relay", 37, 1)
        tags = role_tags(role)
        self.assertEqual(
            tags,
            [
                ["-"],
                ["d", "28b7e50f"],
                ["label", "king"],
                ["description", "ruler of the relay"],
                ["color", "37"],
                ["order", "1"],
            ],
        )
        self.assertEqual(described_role(make_event(kind=ROLE, tags=tags)), role)

    def test_role_of_which_little_is_said(self) -> None:
        """What is not stated has no tag; zero is stated."""
        self.assertEqual(role_tags(Role("x")), [["-"], ["d", "x"]])
        self.assertIn(["color", "0"], role_tags(Role("x", color=0)))
        tags = [["d", "x"], ["color", "red"], ["order", "-2"], ["label"]]
        self.assertEqual(
            described_role(make_event(kind=ROLE, tags=tags)), Role("x", order=-2)
        )


class RequestTests(SynchronousTestCase):
    """Requests to join and to leave."""

    def refusal(self, *, leave: bool = False, at: int = NOW, tags: object) -> str:
        """Why a request is refused."""
        assert isinstance(tags, list)
        kind = LEAVE_REQUEST if leave else JOIN_REQUEST
        event = make_event(kind=kind, created_at=at, tags=tags)
        check = check_leave_request if leave else join_code
        refused: Rejected = self.assertRaises(Rejected, check, event, NOW)
        self.assertIs(refused.prefix, ReasonPrefix.INVALID)
        return refused.message

    def test_join(self) -> None:
        """The code is that of the first claim; protection is not asked for."""
        for tags in ([["claim", "a"]], [["-"], ["x"], ["claim", "a"], ["claim", "b"]]):
            event = make_event(kind=JOIN_REQUEST, tags=tags)
            self.assertEqual(join_code(event, NOW), "a")

    def test_join_without_a_code(self) -> None:
        """Without a code, or with one of absurd length, it is malformed."""
        for tags in ([], [["-"]], [["claim"]], [["claim", ""]], [["claim", "x" * 257]]):
            self.assertIn("invite code", self.refusal(tags=tags))

    def test_leave(self) -> None:
        """A request to leave must be protected."""
        check_leave_request(make_event(kind=LEAVE_REQUEST, tags=[["-"]]), NOW)
        self.assertIn('"-"', self.refusal(leave=True, tags=[]))

    def test_just_now(self) -> None:
        """Both must be made within five minutes, before or after."""
        for leave in (False, True):
            for seconds in (-301, 301):
                why = self.refusal(
                    leave=leave, at=NOW + seconds, tags=[["-"], ["claim", "a"]]
                )
                self.assertIn("300 s", why)
            for seconds in (-300, 300):
                tags = [["-"], ["claim", "a"]]
                event = make_event(kind=1, created_at=NOW + seconds, tags=tags)
                self.assertEqual(join_code(event, NOW), "a")
                check_leave_request(event, NOW)
