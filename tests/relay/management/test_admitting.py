"""Tests for :mod:`nostrtx.relay.management.admitting`."""

from __future__ import annotations

import json

from nostrtx.settings.access import MembershipSettings
from tests.relay.management.management_case import MODERATOR, ManagementCase
from tests.storage.events import NOW, public_key, signed_event

_ALICE, _BOB = public_key(11), public_key(12)


class KeysTests(ManagementCase):
    """Keys that are allowed by name, on a relay without members."""

    def test_allowed(self) -> None:
        """Whom a moderator allows is on the list, with the reason, until taken off."""
        self.assertEqual(self.result("listallowedpubkeys"), [])
        for _ in range(2):
            self.assertIs(
                self.result("allowpubkey", _ALICE.hex(), "a\nfriend", by=MODERATOR),
                True,
            )
        self.result("allowpubkey", _BOB.hex())
        listed = [
            {"pubkey": _ALICE.hex(), "reason": "a friend"},
            {"pubkey": _BOB.hex()},
        ]
        self.assertEqual(self.result("listallowedpubkeys"), listed)
        for _ in range(2):
            self.assertIs(self.result("unallowpubkey", _ALICE.hex(), "sorry"), True)
        self.assertEqual(self.result("listallowedpubkeys"), listed[1:])
        self.assertEqual(self.result("listbannedpubkeys"), [])

    def test_banned(self) -> None:
        """Who is banned is allowed no longer, and who is allowed not banned."""
        self.result("allowpubkey", _ALICE.hex())
        self.result("banpubkey", _ALICE.hex())
        self.assertEqual(self.result("listallowedpubkeys"), [])
        self.result("allowpubkey", _ALICE.hex())
        self.assertEqual(self.result("listbannedpubkeys"), [])
        self.assertEqual(self.result("listallowedpubkeys"), [{"pubkey": _ALICE.hex()}])

    def test_parameters(self) -> None:
        """What is no key is refused."""
        for method in ("allowpubkey", "unallowpubkey"):
            self.assertIn("64 lower-case", self.error(method, "npub1x"))
        self.assertIn("the reason", self.error("allowpubkey", _ALICE.hex(), 5))
        self.assertEqual(self.result("listallowedpubkeys"), [])


class MembersTests(ManagementCase):
    """Members, let in from afar."""

    membership = MembershipSettings(enabled=True)

    def test_allowed(self) -> None:
        """Whom a moderator allows is a member, until it is taken back."""
        self.assertEqual(self.result("listallowedpubkeys"), [])
        for _ in range(2):
            self.assertIs(
                self.result("allowpubkey", _ALICE.hex(), "a friend", by=MODERATOR),
                True,
            )
        listed = [{"pubkey": _ALICE.hex()}]
        self.assertEqual(self.result("listallowedpubkeys"), listed)
        self.under_test.publish(signed_event(11, created_at=NOW))
        for _ in range(2):
            self.assertIs(self.result("unallowpubkey", _ALICE.hex()), True)
        self.assertEqual(self.result("listallowedpubkeys"), [])
        self.assertEqual(self.result("listbannedpubkeys"), [])

    def test_banned(self) -> None:
        """Who is banned is no member any more, and lifting the ban is not enough."""
        self.result("allowpubkey", _ALICE.hex())
        self.result("banpubkey", _ALICE.hex())
        self.assertEqual(self.result("listallowedpubkeys"), [])
        self.result("unbanpubkey", _ALICE.hex())
        self.assertEqual(self.result("listallowedpubkeys"), [])

    def test_allowed_again(self) -> None:
        """Who is allowed is not banned any more."""
        self.result("banpubkey", _ALICE.hex())
        self.result("allowpubkey", _ALICE.hex())
        self.assertEqual(self.result("listbannedpubkeys"), [])
        self.assertEqual(self.result("listallowedpubkeys"), [{"pubkey": _ALICE.hex()}])

    def test_supported(self) -> None:
        """Where there are members, the methods for them are told."""
        names = self.result("supportedmethods", by=MODERATOR)
        for name in ("allowpubkey", "unallowpubkey", "listallowedpubkeys"):
            self.assertIn(name, names)

    def test_parameters(self) -> None:
        """What is no key is refused."""
        for method in ("allowpubkey", "unallowpubkey"):
            self.assertIn("64 lower-case", self.error(method, "npub1x"))


class RolesTests(ManagementCase):
    """Roles, defined and given from afar."""

    membership = MembershipSettings(enabled=True)

    def published(self, kind: int) -> list[list[list[str]]]:
        """The tags of what the relay has published of a kind and still stands."""
        raws = [raw for _, raw in self.under_test.store.events_after(0, 99)]
        events = [json.loads(raw) for raw in raws]
        return [event["tags"] for event in events if event["kind"] == kind]

    def roles(self) -> list[str]:
        """Those that one member has, by what the relay publishes."""
        ((_, *members),) = self.published(13534)
        self.assertEqual([tag[:2] for tag in members], [["member", _ALICE.hex()]])
        return members[0][2:]

    def test_defined(self) -> None:
        """Everybody sees what roles there are, and how they are changed."""
        self.assertIs(self.result("createrole", "vip", "Gäste", "", 120, 1), True)
        (tags,) = self.published(33534)
        self.assertIn(["label", "Gäste"], tags)
        self.assertIs(self.result("editrole", "vip", "Freunde", "all", 0, -1), True)
        (tags,) = self.published(33534)
        self.assertIn(["label", "Freunde"], tags)
        self.assertIs(self.result("deleterole", "vip"), True)
        self.assertEqual(self.published(33534), [])
        self.assertIs(self.result("deleterole", "vip"), True)
        self.assertIn("no role", self.error("editrole", "vip"))

    def test_given(self) -> None:
        """A member gets one role more, or one less."""
        for role in ("a", "b"):
            self.result("createrole", role)
        self.result("allowpubkey", _ALICE.hex())
        for role in ("a", "b", "b"):
            self.assertIs(self.result("assignrole", _ALICE.hex(), role), True)
        self.assertEqual(self.roles(), ["a", "b"])
        self.result("allowpubkey", _ALICE.hex())
        self.assertEqual(self.roles(), ["a", "b"])
        for _ in range(2):
            self.assertIs(self.result("unassignrole", _ALICE.hex(), "a"), True)
            self.assertEqual(self.roles(), ["b"])

    def test_nothing_to_give(self) -> None:
        """There must be both the member and the role."""
        self.result("createrole", "a")
        self.assertIn("no such member", self.error("assignrole", _ALICE.hex(), "a"))
        self.result("allowpubkey", _ALICE.hex())
        self.assertIn("no role", self.error("assignrole", _ALICE.hex(), "b"))
        self.assertEqual(self.roles(), [])

    def test_moderators(self) -> None:
        """Roles are for owners to define and to give."""
        for method in ("createrole", "editrole", "deleterole"):
            self.assertIn("only owners", self.error(method, "a", by=MODERATOR))
        for method in ("assignrole", "unassignrole"):
            error = self.error(method, _ALICE.hex(), "a", by=MODERATOR)
            self.assertIn("only owners", error)

    def test_parameters(self) -> None:
        """What cannot be a role is refused."""
        for params in (
            [],
            [""],
            [" "],
            [5],
            ["a\nb"],
            ["x" * 65],
            ["a", 5],
            ["a", "x" * 101],
            ["a", "", "x" * 1001],
            ["a", "", "", 361],
            ["a", "", "", -1],
            ["a", "", "", "red"],
            ["a", "", "", True],
            ["a", "", "", 1.5],
            ["a", "", "", 5, 2**70],
        ):
            for method in ("createrole", "editrole"):
                self.assertTrue(self.error(method, *params).startswith("invalid: "))
        for method in ("assignrole", "unassignrole"):
            self.assertIn("64 lower-case", self.error(method, "npub1x", "a"))
            self.assertIn("the role", self.error(method, _ALICE.hex()))
        self.assertEqual(self.published(33534), [])
