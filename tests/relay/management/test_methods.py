"""Tests for :mod:`nostrtx.relay.management.methods`."""

from __future__ import annotations

from tests.relay.fakes import event_message
from tests.relay.management.management_case import (
    MODERATOR,
    OWNER,
    STRANGER,
    ManagementCase,
)
from tests.storage.events import public_key, signed_event

_ALICE, _BOB = public_key(11), public_key(12)


class BanningTests(ManagementCase):
    """Keys, events and addresses that are banned from afar."""

    def test_pubkey(self) -> None:
        """A banned key is refused until the ban is lifted."""
        client, session = self.under_test.connect()
        note = signed_event(11)
        self.assertIs(self.result("banpubkey", _ALICE.hex(), "spam"), True)
        session.message_received(event_message(note))
        self.under_test.turns.settle()
        reason = "blocked: this key is banned: spam"
        self.assertEqual(client.heard(), [["OK", note.id.hex(), False, reason]])
        self.assertIs(self.result("unbanpubkey", _ALICE.hex(), "sorry"), True)
        session.message_received(event_message(note))
        self.under_test.turns.settle()
        self.assertEqual(client.heard(), [["OK", note.id.hex(), True, ""]])

    def test_pubkeys(self) -> None:
        """The list tells what is banned now, and why."""
        self.assertEqual(self.result("listbannedpubkeys"), [])
        self.result("banpubkey", _ALICE.hex(), "ständig\nWerbung")
        self.result("banpubkey", _BOB.hex())
        listed = [
            {"pubkey": _ALICE.hex(), "reason": "ständig Werbung"},
            {"pubkey": _BOB.hex()},
        ]
        self.assertEqual(self.result("listbannedpubkeys"), listed)
        self.result("unbanpubkey", _ALICE.hex())
        self.assertEqual(self.result("listbannedpubkeys"), listed[1:])

    def test_again(self) -> None:
        """Doing again what is done is no error."""
        for _ in range(2):
            self.assertIs(self.result("banpubkey", _ALICE.hex()), True)
        for _ in range(2):
            self.assertIs(self.result("unbanpubkey", _ALICE.hex()), True)
            self.assertIs(self.result("unbanevent", "00" * 32), True)
            self.assertIs(self.result("unblockip", "203.0.113.7"), True)

    def test_those_in_charge(self) -> None:
        """Nobody bans owners or moderators from afar."""
        for secret in (OWNER, MODERATOR):
            key = public_key(secret).hex()
            self.assertIn("owners", self.error("banpubkey", key, by=MODERATOR))
        self.assertEqual(self.result("listbannedpubkeys"), [])

    def test_event(self) -> None:
        """A banned event is gone, and comes back only after the ban is lifted."""
        note = signed_event(11)
        self.under_test.publish(note)
        self.assertIs(self.result("banevent", note.id.hex(), "spam"), True)
        listed = [{"id": note.id.hex(), "reason": "spam"}]
        self.assertEqual(self.result("listbannedevents"), listed)
        self.assertEqual(self.under_test.store.events_after(0, 9), [])
        self.under_test.publish(note)
        self.assertEqual(self.under_test.store.events_after(0, 9), [])
        for lift in ("allowevent", "unbanevent"):
            self.assertIs(self.result("banevent", note.id.hex()), True)
            self.assertIs(self.result(lift, note.id.hex()), True)
            self.assertEqual(self.result("listbannedevents"), [])
            self.under_test.publish(note)
            self.assertEqual(len(self.under_test.store.events_after(0, 9)), 1)

    def test_address(self) -> None:
        """From a blocked address nobody can connect, nor from a blocked network."""
        refusal = self.under_test.relay.refusal
        self.assertIs(self.result("blockip", "203.0.113.7", "flood"), True)
        self.assertIs(self.result("blockip", "2001:DB8::/32"), True)
        self.assertEqual(
            self.result("listblockedips"),
            [{"ip": "203.0.113.7", "reason": "flood"}, {"ip": "2001:db8::/32"}],
        )
        self.assertEqual(
            refusal("203.0.113.7"), (403, "blocked: this address is banned: flood")
        )
        self.assertIsNotNone(refusal("2001:db8::1"))
        self.assertIs(self.result("unblockip", "203.0.113.7"), True)
        self.assertIsNone(refusal("203.0.113.7"))

    def test_everybody(self) -> None:
        """Nobody shuts out everybody from afar."""
        for network in ("0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"):
            self.assertIn("everybody", self.error("blockip", network))
        self.assertEqual(self.result("listblockedips"), [])
        self.assertIs(self.result("unblockip", "0.0.0.0/0"), True)

    def test_parameters(self) -> None:
        """What is not understood has no effect."""
        key = _ALICE.hex()
        for method in ("banpubkey", "unbanpubkey", "banevent", "unbanevent"):
            for params in ([], [None], [5], [key.upper()], [key[:-1]], [[key]]):
                self.assertIn("64 lower-case", self.error(method, *params))
        for method in ("blockip", "unblockip"):
            for param in (None, 5, "", "example.com", "300.1.1.1", "127.0.0.1"):
                self.assertTrue(self.error(method, param).startswith("invalid: "))
        for method, what in (("banpubkey", key), ("blockip", "203.0.113.7")):
            self.assertIn("the reason", self.error(method, what, 5))
        for method in ("listbannedpubkeys", "listbannedevents", "listblockedips"):
            self.assertEqual(self.result(method, "more", 5), [])


class NamingTests(ManagementCase):
    """What the relay says of itself, changed from afar."""

    def test_changed(self) -> None:
        """Name, description and icon are changed; an empty text takes it back."""
        presented = self.under_test.relay.presented
        self.assertIs(self.result("changerelayname", " Für alle "), True)
        self.assertIs(self.result("changerelaydescription", "one\ntwo"), True)
        self.assertIs(self.result("changerelayicon", "https://a.example/i.png"), True)
        self.assertEqual(presented().relay.name, "Für alle")
        self.assertEqual(presented().relay.description, "one\ntwo")
        self.assertEqual(presented().relay.icon, "https://a.example/i.png")
        self.result("changerelayname", "")
        self.assertEqual(presented().relay.name, "stated")

    def test_parameters(self) -> None:
        """What nobody could show is refused."""
        for method, bad in (
            ("changerelayname", ("x" * 101, "a\nb", 5, None)),
            ("changerelaydescription", ("x" * 10_001, "a\0b", ["x"])),
            (
                "changerelayicon",
                (
                    "icon.png",
                    "javascript:alert(1)",
                    "data:image/png;base64,",
                    "https://",
                    "https://a b/",
                    "https://[/",
                    "https://a/" + "x" * 2048,
                ),
            ),
        ):
            for text in bad:
                self.assertTrue(self.error(method, text).startswith("invalid: "))
        _, answer = self.signed(b'{"method":"changerelayname","params":["\\ud800"]}')
        self.assertTrue(answer["error"].startswith("invalid: "))
        self.assertEqual(self.under_test.relay.presented().relay.name, "stated")


class KindTests(ManagementCase):
    """Kinds that may be published, chosen from afar."""

    def published(self, kind: int, secret: int = STRANGER) -> str:
        """What becomes of an event of a kind: empty if it is taken."""
        client, session = self.under_test.connect()
        event = signed_event(secret, kind=kind, tags=[["relay", "ALL_RELAYS"]])
        session.message_received(event_message(event))
        self.under_test.turns.settle()
        ((_, _, _, reason),) = client.heard()
        return str(reason)

    def test_disallowed(self) -> None:
        """A kind that is disallowed is refused at once, and others are not."""
        self.assertIs(self.result("disallowkind", 4), True)
        self.assertEqual(self.published(4), "blocked: kind 4 is not allowed here")
        self.assertEqual(self.published(1), "")
        self.assertEqual(self.result("listallowedkinds"), [])

    def test_allowed_again(self) -> None:
        """To allow a kind that was disallowed shuts out no others."""
        self.result("disallowkind", 4)
        self.result("allowkind", 4)
        self.assertEqual((self.published(4), self.published(1)), ("", ""))
        self.assertEqual(self.result("listallowedkinds"), [])

    def test_list(self) -> None:
        """Once kinds are listed, only those are taken, and a request to vanish."""
        for kind in (7, 1, 7):
            self.assertIs(self.result("allowkind", kind), True)
        self.assertEqual(self.result("listallowedkinds"), [1, 7])
        self.assertEqual((self.published(1), self.published(7)), ("", ""))
        self.assertIn("kind 5 ", self.published(5))
        self.assertEqual(self.published(62), "")

    def test_last_of_the_list(self) -> None:
        """When the last one leaves the list, it is refused and all others are not."""
        self.result("allowkind", 1)
        self.result("disallowkind", 1)
        self.assertEqual(self.result("listallowedkinds"), [])
        self.assertIn("kind 1 ", self.published(1))
        self.assertEqual(self.published(7), "")

    def test_off_the_list(self) -> None:
        """A kind that leaves the list is refused, and may come back."""
        for kind in (1, 7):
            self.result("allowkind", kind)
        self.result("disallowkind", 1)
        self.assertEqual(self.result("listallowedkinds"), [7])
        self.assertIn("kind 1 ", self.published(1))
        self.result("allowkind", 1)
        self.assertEqual(self.published(1), "")

    def test_managers(self) -> None:
        """Owners and moderators may publish any kind."""
        self.result("disallowkind", 1)
        self.assertEqual(self.published(1, OWNER), "")
        self.assertEqual(self.published(1, MODERATOR), "")

    def test_moderator(self) -> None:
        """Moderators may read the list and not change it."""
        self.assertEqual(self.result("listallowedkinds", by=MODERATOR), [])
        for method in ("allowkind", "disallowkind"):
            self.assertIn("only owners", self.error(method, 1, by=MODERATOR))

    def test_parameters(self) -> None:
        """A kind is a number from 0 to 65535."""
        for bad in (None, True, "1", 1.5, -1, 65536, [1]):
            for method in ("allowkind", "disallowkind"):
                self.assertTrue(self.error(method, bad).startswith("invalid: "), bad)
        self.assertEqual(self.result("listallowedkinds"), [])
