"""Tests for :mod:`nostrtx.relay.management.management`."""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from zope.interface.verify import verifyObject

from nostrtx.interfaces.edge import IManagement
from nostrtx.interfaces.policies import Source
from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.bans import Ban, BanKind
from nostrtx.nostr.errors import Rejected
from nostrtx.nostr.json import dumps
from nostrtx.settings.access import ManagementSettings
from nostrtx.settings.identity import RelaySettings
from tests.nostr.vectors import load
from tests.relay.management.management_case import (
    MODERATOR,
    OWNER,
    STRANGER,
    ManagementCase,
    authorization,
)
from tests.storage.events import BOB, NOW, public_key, signed_event

_BODY = dumps({"method": "banpubkey", "params": [BOB.hex()]})


class ManagementTests(ManagementCase):
    """Tests for :class:`nostrtx.relay.management.management.Management`."""

    def banned(self) -> list[str]:
        """The keys that are banned."""
        bans = self.under_test.relay.bans.banned.bans(BanKind.PUBKEY)
        return [ban.subject for ban in bans]

    def test_interface(self) -> None:
        """It provides what the edge needs."""
        self.assertTrue(verifyObject(IManagement, self.management))

    def test_off(self) -> None:
        """Where nobody is named nobody may manage, until somebody is."""
        named = self.under_test.settings.now
        self.under_test.settings.change(
            attrs.evolve(named, management=ManagementSettings())
        )
        self.assertEqual(self.signed(_BODY, OWNER)[0], 403)
        self.assertEqual(self.signed(_BODY, MODERATOR)[0], 403)
        self.under_test.settings.change(named)
        self.assertEqual(self.signed(_BODY, MODERATOR)[0], 200)

    def test_kinds_of_nobody(self) -> None:
        """Once nobody may manage, what was said of kinds does not hold any more."""
        self.result("disallowkind", 1)
        event = signed_event(STRANGER, content="one")
        kinds = self.under_test.relay.management.kinds
        self.assertRaises(Rejected, kinds.check_event, event, Source())
        named = self.under_test.settings.now
        self.under_test.settings.change(
            attrs.evolve(named, management=ManagementSettings())
        )
        kinds.check_event(event, Source())
        self.under_test.settings.change(named)
        self.assertRaises(Rejected, kinds.check_event, event, Source())

    def test_renamed(self) -> None:
        """What owners have said outlasts other settings; the rest follows those."""
        self.result("changerelayname", "theirs")
        relay = RelaySettings(name="stated", description="new", contact="mailto:a@b.c")
        settings = self.under_test.settings
        settings.change(attrs.evolve(settings.now, relay=relay))
        shown = self.under_test.relay.presented().relay
        self.assertEqual((shown.name, shown.description), ("theirs", "new"))

    def test_vectors(self) -> None:
        """Each authorization of the vectors has the effect that they say, or none."""
        vectors = load("http_auth")
        owner = load("keys")["keys"][0]["pubkey"]
        body = vectors["body"].encode()
        self.assertEqual(len(vectors["cases"]), 21)
        for case in vectors["cases"]:
            self.patch(self.management, "_owners", {owner})
            clock = self.under_test.clock
            self.patch(clock, "rightNow", vectors["now"])
            # Some differ only in how they are written.
            change = self.under_test.store.change_record
            self.successResultOf(change("used authorizations", lambda there: b"{}"))
            header = case["authorization"]
            header = None if header is None else header.encode()
            status, answer = self.post(header, body)
            if case["status"] == 200:
                self.assertEqual((status, answer), (200, {"result": True}), case)
                self.assertEqual(len(self.banned()), 1)
                bans = self.under_test.relay.bans
                lifting = bans.lift(BanKind.PUBKEY, self.banned()[0])
                self.successResultOf(Deferred.fromCoroutine(lifting))
            else:
                expected = 403 if "403" in str(case["status"]) else 401
                self.assertEqual(status, expected, case["name"])
                self.assertEqual(answer.keys(), {"error"})
            self.assertEqual(self.banned(), [], case["name"])

    def test_used_twice(self) -> None:
        """An authorization is good for one call only."""
        header = authorization(OWNER, _BODY, NOW)
        self.assertEqual(self.post(header, _BODY), (200, {"result": True}))
        self.assertEqual(self.result("unbanpubkey", BOB.hex()), True)
        status, answer = self.post(header, _BODY)
        self.assertEqual(status, 401)
        self.assertIn("used before", answer["error"])
        self.assertEqual(self.banned(), [])

    def test_query(self) -> None:
        """The query of the URL is part of what is signed."""
        self.assertEqual(self.signed(_BODY, query="a=b")[0], 200)
        header = authorization(OWNER, _BODY, NOW)
        self.assertEqual(self.post(header, _BODY, "a=b")[0], 401)

    def test_stranger(self) -> None:
        """Nobody else may do anything, not even ask what can be done."""
        for body in (_BODY, b'{"method":"supportedmethods"}', b"no JSON"):
            status, answer = self.signed(body, STRANGER)
            self.assertEqual(status, 403)
            self.assertTrue(answer["error"].startswith("restricted: "))
        self.assertEqual(self.banned(), [])
        # Nor does it use up any room in the store.
        self.assertIsNone(self.under_test.store.record("used authorizations"))

    def test_moderator(self) -> None:
        """A moderator may ban, but not change the relay."""
        self.result("banpubkey", BOB.hex(), by=MODERATOR)
        self.assertEqual(self.banned(), [BOB.hex()])
        error = self.error("changerelayname", "mine", by=MODERATOR)
        self.assertIn("only owners", error)
        self.assertEqual(self.under_test.relay.presented().relay.name, "stated")

    def test_banned_moderator(self) -> None:
        """Who was a moderator and was banned by the operator may do nothing."""
        ban = Ban(BanKind.PUBKEY, public_key(MODERATOR).hex())
        banning = self.under_test.relay.bans.put([ban])
        self.successResultOf(Deferred.fromCoroutine(banning))
        self.assertEqual(self.signed(_BODY, MODERATOR)[0], 403)

    def test_supported(self) -> None:
        """Each is told the methods that it can call, and all of those work."""
        self.assertEqual(
            self.result("supportedmethods"),
            [
                "allowevent",
                "allowkind",
                "allowpubkey",
                "banevent",
                "banpubkey",
                "blockip",
                "changerelaydescription",
                "changerelayicon",
                "changerelayname",
                "disallowkind",
                "listallowedkinds",
                "listallowedpubkeys",
                "listbannedevents",
                "listbannedpubkeys",
                "listblockedips",
                "listeventsneedingmoderation",
                "unallowpubkey",
                "unbanevent",
                "unbanpubkey",
                "unblockip",
            ],
        )
        names = self.result("supportedmethods", by=MODERATOR)
        self.assertIn("banpubkey", names)
        self.assertNotIn("changerelayname", names)
        for name in self.result("supportedmethods"):
            self.assertNotIn("no such method", str(self.call(name)))

    def test_unknown_method(self) -> None:
        """A method that is not there gets an error."""
        for name in ("createrole", "assignrole", "BANPUBKEY", ""):
            self.assertIn("no such method", self.error(name, "x"))

    def test_no_call(self) -> None:
        """What is no call gets the status for that."""
        for body in (b"", b"[]", b'{"method":5}', b"\xff"):
            status, answer = self.signed(body)
            self.assertEqual(status, 400)
            self.assertTrue(answer["error"].startswith("invalid: "))

    def test_store_fails(self) -> None:
        """Whoever calls is told what the store says, and nothing was done."""
        self.under_test.store.record_error = StoreError("the disk is full")
        self.assertEqual(self.error("banpubkey", BOB.hex()), "error: the disk is full")
        self.assertEqual(self.banned(), [])

    def test_fault(self) -> None:
        """A fault of the relay's own is logged, and says nothing of itself."""
        self.under_test.store.bans_error = ValueError("secret")
        self.assertEqual(self.signed(_BODY), (500, {"error": "error: internal error"}))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_logged(self) -> None:
        """What was done, and by whom, is in the log."""
        with capturedLogs() as events:
            self.result("banpubkey", BOB.hex(), "spam\n", [], 5)
            self.error("banpubkey")
        called = [event for event in events if "caller" in event]
        self.assertEqual(len(called), 1)
        self.assertEqual(called[0]["caller"], public_key(OWNER).hex())
        self.assertEqual(called[0]["method"], "banpubkey")
        self.assertEqual(called[0]["params"], f" '{BOB.hex()}' 'spam\\n' 5")

    def test_logged_in_short(self) -> None:
        """Of long parameters the beginning is in the log."""
        with capturedLogs() as events:
            self.result("changerelaydescription", "x" * 9999)
            self.result("listbannedpubkeys")
        long, none = [event["params"] for event in events if "caller" in event]
        self.assertTrue(long.startswith(" 'xxx") and long.endswith("xxx..."), long)
        self.assertLess(len(long), 400)
        self.assertEqual(none, "")

    def test_anything(self) -> None:
        """Parameters that a method does not know do no harm, whatever they are."""
        more = b"[" * 500 + b"]" * 500
        body = b'{"method":"listbannedpubkeys","params":["\\ud800",null,%b]}' % more
        self.assertEqual(self.signed(body), (200, {"result": []}))

    def test_starting(self) -> None:
        """Nothing is done before the bans are known."""
        self.under_test.relay.bans.loaded.is_past = False
        self.assertEqual(self.signed(_BODY)[0], 503)
        self.under_test.relay.bans.loaded.is_past = True
        self.assertEqual(self.signed(_BODY)[0], 200)

    def test_not_read(self) -> None:
        """Until it is known what owners have changed, clients are sent elsewhere."""
        self.assertEqual(self.under_test.relay.faults(), {})
        self.management.loaded.is_past = False
        self.assertIn("management", self.under_test.relay.faults())
