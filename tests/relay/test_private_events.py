"""
Direct messages and gift wraps go to their parties only (NIP-04, NIP-17, NIP-59).

Tests for :mod:`nostrtx.relay.visibility` through whole sessions.
"""

from __future__ import annotations

from nostrtx.nostr.event import Event
from nostrtx.settings.access import AuthSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import accepted, seen
from tests.relay.visitor import VisitorTestCase
from tests.storage.events import NOW, public_key, signed_event

#: The secrets of those who write to one another; wraps are signed with another.
_ALICE, _BOB, _EVE, _THROWAWAY = 1, 2, 3, 9


def private(kind: int, *recipients: int, secret: int = _ALICE) -> Event:
    """An event of a private kind for some recipients."""
    tags = [["p", public_key(recipient).hex()] for recipient in recipients]
    return signed_event(secret, kind=kind, tags=tags, content="secret")


def hex_of(secret: int) -> str:
    """The public key of ``secret``, as filters have it."""
    return public_key(secret).hex()


class StoredTests(VisitorTestCase):
    """Private events in the answers to a REQ."""

    def setUp(self) -> None:
        """Have a message from Alice to Bob, a wrap for Bob and a note stored."""
        super().setUp()
        self.message = private(4, _BOB)
        self.wrap = private(1059, _BOB, secret=_THROWAWAY)
        self.note = signed_event(_ALICE, tags=[["p", hex_of(_BOB)]], created_at=NOW - 1)
        self.under_test.stored(self.message, self.wrap, self.note)

    def filters(self) -> list[dict[str, object]]:
        """Filters that match all three, in one way each."""
        events = (self.message, self.wrap, self.note)
        return [
            {},
            {"ids": [event.id.hex() for event in events]},
            {"authors": [hex_of(_ALICE), hex_of(_THROWAWAY)]},
            {"#p": [hex_of(_BOB)]},
            {"kinds": [1, 4, 1059]},
            {"since": NOW - 5, "until": NOW + 5},
            {"limit": 3},
        ]

    def test_stranger(self) -> None:
        """Without authentication they are left out, whatever the filter."""
        for filter_ in self.filters():
            answer = [one for one in self.visitor.ask(filter_) if one[0] != "AUTH"]
            self.assertEqual(answer, [seen("s", self.note), ["EOSE", "s"]])

    def test_somebody_else(self) -> None:
        """To somebody else they are not shown either."""
        eve = self.known(_EVE)
        for filter_ in self.filters():
            self.assertEqual(eve.ask(filter_), [seen("s", self.note), ["EOSE", "s"]])
        for event in (self.message, self.wrap):
            self.assertEqual(eve.ask({"ids": [event.id.hex()]}), [["EOSE", "s"]])

    def test_recipient(self) -> None:
        """The recipient gets everything."""
        bob = self.known(_BOB)
        everything = [
            *(seen("s", e) for e in (self.message, self.wrap, self.note)),
            ["EOSE", "s"],
        ]
        for filter_ in self.filters():
            self.assertCountEqual(bob.ask(filter_), everything)
            self.assertCountEqual(self.known(_EVE, _BOB).ask(filter_), everything)

    def test_author(self) -> None:
        """The author of a message gets it; of the wrap she is none."""
        self.assertCountEqual(
            self.known(_ALICE).ask({}),
            [seen("s", self.message), seen("s", self.note), ["EOSE", "s"]],
        )

    def test_conversation(self) -> None:
        """Either side may ask for what went to or came from the other."""
        answer = [seen("s", self.message), ["EOSE", "s"]]
        for secret in (_ALICE, _BOB):
            reader = self.known(secret)
            for filter_ in (
                {"kinds": [4], "authors": [hex_of(_ALICE)], "#p": [hex_of(_BOB)]},
                {"kinds": [4], "authors": [hex_of(_ALICE)]},
                {"kinds": [4], "#p": [hex_of(_BOB)]},
                {"kinds": [4]},
            ):
                self.assertEqual(reader.ask(filter_), answer)

    def test_only_private(self) -> None:
        """Who asks for nothing else must authenticate first."""
        self.visitor.ask({"kinds": [4]})
        for filters in (
            [{"kinds": [1059]}],
            [{"kinds": [4, 1059, 21059]}],
            [{"kinds": [4]}, {"kinds": [1059], "#p": [hex_of(_BOB)]}],
            [{"kinds": [4], "ids": [self.message.id.hex()]}],
        ):
            self.assert_closed(self.visitor.ask(*filters), "auth-required")
        self.under_test.publish(private(4, _BOB, _EVE))
        self.assertEqual(self.visitor.heard(), [])

    def test_only_of_others(self) -> None:
        """Who asks for what is between others is told that it is not to be had."""
        eve = self.known(_EVE)
        bobs = {"kinds": [1059], "#p": [hex_of(_BOB)]}
        for filters in (
            [bobs],
            [bobs, {"kinds": [4], "#p": [hex_of(_BOB)], "authors": [hex_of(_ALICE)]}],
        ):
            self.assert_closed(eve.ask(*filters), "restricted")
        mine = {"kinds": [1059], "#p": [hex_of(_EVE)]}
        self.assertEqual(eve.ask(bobs, mine), [["EOSE", "s"]])

    def test_limit(self) -> None:
        """What is left out does not use up a limit."""
        hidden = [
            signed_event(_THROWAWAY, kind=1059, created_at=NOW + n) for n in range(5)
        ]
        self.under_test.stored(*hidden)
        self.assertEqual(
            self.visitor.ask({"limit": 1}), [seen("s", self.note), ["EOSE", "s"]]
        )

    def test_one_of_several_recipients(self) -> None:
        """Each of several recipients gets the wrap, and nobody else."""
        wrap = private(1059, _ALICE, _EVE, 4, secret=_THROWAWAY)
        self.under_test.stored(wrap)
        by_id = {"ids": [wrap.id.hex()]}
        for secret in (_ALICE, _EVE, 4):
            reader = self.known(secret)
            for filter_ in (by_id, {"kinds": [1059], "#p": [hex_of(secret)]}):
                self.assertEqual(reader.ask(filter_), [seen("s", wrap), ["EOSE", "s"]])
        self.assertEqual(self.known(_BOB).ask(by_id), [["EOSE", "s"]])

    def test_several_keys(self) -> None:
        """A connection with several keys gets what each of them may see."""
        message = private(4, _EVE, secret=4)
        self.under_test.stored(message)
        both = self.known(_BOB, _EVE)
        self.assertCountEqual(
            both.ask({"kinds": [4, 1059]}),
            [
                *(seen("s", e) for e in (self.message, self.wrap, message)),
                ["EOSE", "s"],
            ],
        )

    def test_duplicate(self) -> None:
        """Who sends a wrap again hears that it is there, though not what it is."""
        ((_, _, is_accepted, reason),) = self.visitor.publish(self.wrap)
        self.assertTrue(is_accepted)
        self.assertTrue(reason.startswith("duplicate: "), reason)


class LiveTests(VisitorTestCase):
    """Private events on their way to open subscriptions."""

    def test_parties_only(self) -> None:
        """They go live to their parties and to nobody else."""
        alice, bob, eve = (self.known(secret) for secret in (_ALICE, _BOB, _EVE))
        readers = (alice, bob, eve, self.visitor)
        for reader in readers:
            reader.ask({})
        for kind in (4, 1059, 21059):
            for event, expected in (
                (private(kind, _BOB), (alice, bob)),
                (private(kind, _BOB, _EVE, secret=_THROWAWAY), (bob, eve)),
                (private(kind, secret=_THROWAWAY), ()),
            ):
                self.under_test.publish(event)
                for reader in readers:
                    heard = [seen("s", event)] if reader in expected else []
                    self.assertEqual(reader.heard(), heard)

    def test_subscribed_before(self) -> None:
        """A subscription that is older than the authentication gets them after it."""
        self.visitor.ask({"kinds": [1, 1059], "#p": [hex_of(_BOB)]})
        self.under_test.publish(private(1059, _BOB, secret=_THROWAWAY))
        self.assertEqual(self.visitor.heard(), [])
        self.visitor.authenticate(_BOB)
        wrap = private(1059, _BOB, secret=_THROWAWAY + 1)
        self.under_test.publish(wrap)
        self.assertEqual(self.visitor.heard(), [seen("s", wrap)])

    def test_while_replaying(self) -> None:
        """What waits for the stored events to be sent is for the parties only, too."""
        self.under_test.store.hold_pages = True
        bob, eve = self.known(_BOB), self.known(_EVE)
        for reader in (bob, eve):
            reader.ask({})
        self.under_test.store.hold_pages = False
        wrap, note = private(1059, _BOB, secret=_THROWAWAY), signed_event()
        self.under_test.publish(wrap, note)
        for query in self.under_test.store.queries:
            if query.asked is not None:
                query.answer()
        self.under_test.turns.settle()
        self.assertEqual(bob.heard(), [["EOSE", "s"], seen("s", wrap), seen("s", note)])
        self.assertEqual(eve.heard(), [["EOSE", "s"], seen("s", note)])

    def test_ephemeral_wrap(self) -> None:
        """An ephemeral wrap is passed on and not kept."""
        bob = self.known(_BOB)
        bob.ask({"kinds": [21059], "#p": [hex_of(_BOB)]})
        wrap = private(21059, _BOB, secret=_THROWAWAY)
        self.assertEqual(self.visitor.publish(wrap), [accepted(wrap)])
        self.assertEqual(bob.heard(), [seen("s", wrap)])
        self.assertEqual(bob.ask({"kinds": [21059]}), [["EOSE", "s"]])


class SendingTests(VisitorTestCase):
    """Publishing, and taking back, what is private."""

    def test_anybody_may_send(self) -> None:
        """A wrap is taken from anybody: its author is nobody."""
        wrap = private(1059, _BOB, secret=_THROWAWAY)
        self.assert_accepted(self.visitor, wrap)
        self.assert_accepted(self.known(_ALICE), private(1059, _BOB, secret=10))

    def test_recipient_may_delete(self) -> None:
        """The recipient of a wrap may delete it, and then it does not come back."""
        wrap = private(1059, _BOB, secret=_THROWAWAY)
        self.assert_accepted(self.visitor, wrap)
        wishes = [
            signed_event(secret, kind=5, tags=[["e", wrap.id.hex()], ["k", "1059"]])
            for secret in (_EVE, _BOB)
        ]
        bob = self.known(_BOB)
        by_id = {"ids": [wrap.id.hex()]}
        self.assert_accepted(bob, wishes[0])
        self.assertEqual(bob.ask(by_id), [seen("s", wrap), ["EOSE", "s"]])
        self.assert_accepted(bob, wishes[1])
        self.assertEqual(bob.ask(by_id), [["EOSE", "s"]])
        self.assert_refused(self.visitor.publish(wrap), wrap, "blocked")


class OtherKindsTests(VisitorTestCase):
    """The operator says which kinds are private."""

    settings = Settings(auth=AuthSettings(private_kinds=(31234,)))

    def test_kinds(self) -> None:
        """Those are, and no others."""
        draft = signed_event(_ALICE, kind=31234)
        message = private(4, _BOB)
        self.under_test.stored(draft, message)
        self.assertEqual(self.visitor.ask({}), [seen("s", message), ["EOSE", "s"]])
        _, *closed = self.visitor.ask({"kinds": [31234]})
        self.assert_closed(closed, "auth-required")
        self.visitor.authenticate(_ALICE)
        self.assertEqual(
            self.visitor.ask({"kinds": [31234]}), [seen("s", draft), ["EOSE", "s"]]
        )


class NothingPrivateTests(VisitorTestCase):
    """A relay that shows everything to everybody."""

    settings = Settings(auth=AuthSettings(private_kinds=()))

    def test_everything(self) -> None:
        """Nobody is challenged, and direct messages are like notes."""
        message = private(4, _BOB)
        self.under_test.stored(message)
        self.assertEqual(
            self.visitor.ask({"kinds": [4]}), [seen("s", message), ["EOSE", "s"]]
        )
        live = private(1059, _BOB)
        self.assertEqual(self.visitor.publish(live), [accepted(live)])
        self.visitor.ask({})
        live = private(1059, _BOB, secret=5)
        self.assertEqual(self.visitor.publish(live), [seen("s", live), accepted(live)])
