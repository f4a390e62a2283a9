"""What is in private groups is read by members only, on every way out (NIP-29)."""

from __future__ import annotations

from typing import Any

from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.event import Event
from nostrtx.nostr.json import dumps
from nostrtx.nostr.negentropy.reconciliation import Initiator
from nostrtx.nostr.negentropy.snapshot import Snapshot
from nostrtx.relay.groups.access import GroupAccess, kind_of
from nostrtx.relay.own_events import Draft
from nostrtx.relay.visibility import Visibility
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
from tests.relay.visitor import Visitor
from tests.storage.events import NOW, public_key, signed_event

_KINDS = (1, 5, 6, 7, 9, 1059, 10009, 30023)


class PrivateTests(GroupCase):
    """A private group."""

    def setUp(self) -> None:
        """Have one with events of many kinds, and a note outside."""
        super().setUp()
        self.create(["private"])
        wrap_for = ["p", hex_of(BOB)]
        self.inside = [self.do(BOB, kind, wrap_for) for kind in _KINDS]
        self.note = signed_event(BOB, created_at=NOW, tags=[["x", "y"]])
        self.under_test.publish(self.note)

    def filters(self) -> list[dict[str, Any]]:
        """Filters that match what is inside and outside, in one way each."""
        return [
            {},
            {"authors": [hex_of(BOB)]},
            {"kinds": [*_KINDS]},
            {"ids": [event.id.hex() for event in (*self.inside, self.note)]},
            {"since": NOW - 10},
        ]

    def test_stored(self) -> None:
        """Members get all of it, others what is outside, whatever the filter."""
        inside = {event.id.hex() for event in self.inside}
        for filter_ in self.filters():
            self.assertLessEqual(inside, self.ids(self.known(BOB), filter_))
            self.assertLessEqual(inside, self.ids(self.known(EVE, BOB), filter_))
            for visitor in (self.known(EVE), self.known()):
                found = self.ids(visitor, filter_)
                self.assertIn(self.note.id.hex(), found)
                self.assertEqual(found & inside, set())

    def test_moderation(self) -> None:
        """What admins do in it is in it, too."""
        filter_ = {"kinds": [9000, 9001, 9002, 9007]}
        self.assertEqual(self.ids(self.known(EVE), filter_), set())
        self.assertEqual(len(self.ids(self.known(BOB), filter_)), 4)

    def test_metadata(self) -> None:
        """The group itself is no secret."""
        found = self.ids(self.known(EVE), {"kinds": [39000, 39001, 39002, 39003]})
        self.assertEqual(len(found), 4)

    def test_asked_by_name(self) -> None:
        """Who asks for the group must authenticate, and be a member."""
        for filters in ([{"#h": [PIZZA]}], [{"kinds": [9], "#h": [PIZZA]}] * 2):
            visitor = self.stranger()
            answer = visitor.ask(*filters)
            self.assertEqual(answer[0][0], "AUTH")
            self.assert_closed(answer[1:], "auth-required")
            self.assert_closed(self.known(EVE).ask(*filters), "restricted")
            self.assertGreater(len(self.ids(self.known(BOB), *filters)), 0)

    def test_asked_among_others(self) -> None:
        """Who asks for other things as well gets those, and a challenge."""
        visitor = self.stranger()
        answer = visitor.ask({"#h": [PIZZA]}, {"ids": [self.note.id.hex()]})
        self.assertEqual([one[0] for one in answer], ["AUTH", "EVENT", "EOSE"])

    def test_counted(self) -> None:
        """Members count it, others what is outside; by its name they may not ask."""
        people = {BOB: 1 + len(_KINDS), EVE: 1}
        for one, number in people.items():
            count = dumps(["COUNT", "c", {"authors": [hex_of(BOB)]}])
            ((_, _, answer),) = self.known(one).say(count)
            self.assertEqual(answer["count"], number)
        by_name = dumps(["COUNT", "c", {"#h": [PIZZA], "kinds": [9]}])
        ((_, _, answer),) = self.known(BOB).say(by_name)
        self.assertEqual(answer["count"], 1)
        self.assert_closed(self.known(EVE).say(by_name), "restricted")
        self.assert_closed(self.stranger().say(by_name)[1:], "auth-required")

    def test_reconciled(self) -> None:
        """So it is with reconciliation."""
        inside = {event.id for event in self.inside}
        for one, expected in ((BOB, inside | {self.note.id}), (EVE, {self.note.id})):
            initiator = Initiator(Snapshot.of([]))
            begin = initiator.initiate().hex()
            message = dumps(["NEG-OPEN", "n", {"authors": [hex_of(BOB)]}, begin])
            ((verb, _, text),) = self.known(one).say(message)
            self.assertEqual(verb, "NEG-MSG")
            needed = initiator.reconcile(bytes.fromhex(text)).need
            self.assertEqual(set(needed), expected)
        by_name = dumps(["NEG-OPEN", "n", {"#h": [PIZZA]}, begin])
        for visitor, prefix in (
            (self.known(EVE), "restricted"),
            (self.stranger(), "auth-required"),
        ):
            verb, _, reason = visitor.say(by_name)[-1]
            self.assertEqual(verb, "NEG-ERR")
            self.assertTrue(reason.startswith(f"{prefix}: "), reason)

    def test_searched(self) -> None:
        """And with searches."""
        secret = self.do(BOB, 9, content="calzone")
        query = {"search": "calzone"}
        self.assertEqual(self.ids(self.known(BOB), query), {secret.id.hex()})
        self.assertEqual(self.ids(self.known(EVE), query), set())

    def test_live(self) -> None:
        """Live, members get it, others what is outside."""
        people = {one: self.known(one) for one in (ADMIN, BOB, EVE)}
        people[0] = self.stranger()
        for visitor in people.values():
            visitor.ask({"authors": [hex_of(BOB)], "since": NOW + 100})
            visitor.heard()
        self.under_test.clock.advance(200)
        for kind in (*_KINDS, 20001):
            event = self.do(BOB, kind, ["p", hex_of(BOB)], content="live")
            for one, visitor in people.items():
                may = one == BOB or (one == ADMIN and kind != 1059)
                expected = [seen("s", event)] if may else []
                self.assertEqual(visitor.heard(), expected, (one, kind))
        outside = signed_event(BOB, created_at=NOW + 200)
        self.under_test.publish(outside)
        for visitor in people.values():
            self.assertEqual(visitor.heard(), [seen("s", outside)])

    def test_removed_while_subscribed(self) -> None:
        """Who is removed gets nothing more, on subscriptions that were open before."""
        bob = self.known(BOB)
        bob.ask({"#h": [PIZZA]})
        first = self.do(ADMIN, 9)
        self.assertEqual(bob.heard()[-1], seen("s", first))
        self.do(ADMIN, 9001, ["p", hex_of(BOB)])
        self.do(ADMIN, 9, content="without Bob")
        self.assertEqual(bob.heard(), [])
        self.assert_closed(bob.ask({"#h": [PIZZA]}), "restricted")

    def test_removed_in_the_middle(self) -> None:
        """Nor what a query that was under way had yet to find."""
        bob = self.known(BOB)
        screen = Visibility((), None, self.access()).screen([public_key(BOB)])
        assert screen is not None
        self.assertTrue(screen.may_read(self.inside[0].raw))
        self.do(ADMIN, 9001, ["p", hex_of(BOB)])
        self.assertFalse(screen.may_read(self.inside[0].raw))
        self.assertFalse(self.sees(bob, self.inside[0]))

    def test_let_in_while_subscribed(self) -> None:
        """Who comes in gets what follows, on subscriptions that were open before."""
        carol = self.known(CAROL)
        carol.ask({"kinds": [9], "since": NOW + 50})
        self.do(CAROL, 9021)
        self.under_test.clock.advance(50)
        note = self.do(ADMIN, 9)
        self.assertEqual(carol.heard()[-1], seen("s", note))

    def test_opened_and_closed(self) -> None:
        """A group that is private no more is open to all, and the other way round."""
        first = self.inside[0]
        eve = self.known(EVE)
        for flags, is_seen in (([], True), ([["private"]], False)):
            self.do(ADMIN, 9002, *flags)
            self.assertEqual(self.sees(eve, first), is_seen)

    def test_restart(self) -> None:
        """It is as private after a restart."""
        self.restart()
        self.assertFalse(self.sees(self.known(EVE), self.inside[0]))
        self.assertTrue(self.sees(self.known(BOB), self.inside[0]))

    def test_not_loaded(self) -> None:
        """As long as groups are not read, what is in any is shown to nobody."""
        access = GroupAccess()
        readers = [public_key(BOB)]
        self.assertFalse(access.may_read(self.inside[0], readers))
        self.assertTrue(access.may_read(self.note, readers))
        self.assertIsNone(access.secretive_kinds())

    def test_being_cleared(self) -> None:
        """What is left of a deleted group is hidden until it is removed."""
        access = GroupAccess()
        access.is_loaded = True
        access.deleted.add(PIZZA)
        self.assertFalse(access.may_read(self.inside[0], [public_key(BOB)]))
        self.assertIsNotNone(access.secretive_kinds())
        access.clearing.add(PIZZA)
        self.assertIsNone(access.secretive_kinds())

    def access(self) -> GroupAccess:
        """What the relay knows of groups."""
        access = self.under_test.relay._parts.auth.visibility.groups
        assert access is not None
        return access


class ElsewhereTests(GroupCase):
    """What another process of the relay has stored, of which this one is to hear."""

    def setUp(self) -> None:
        """Have Bob removed from a private group, by another process."""
        super().setUp()
        self.create(["private"])
        self.inside = self.do(ADMIN, 9)
        self.bob = self.known(BOB)
        store = self.under_test.store
        store.hold_log = True
        members = [tag for tag in self.told(39002) or () if tag[1] != hex_of(BOB)]
        now = int(self.under_test.clock.seconds())
        without = self.under_test.relay.own_events.sign(Draft(39002, members), now)
        self.successResultOf(store.inner.save_events([without]))

    def answer(self, *message: object) -> Any:
        """What Bob is told, once the log has been read and not before."""
        self.assertEqual(self.bob.say(dumps(list(message))), [])
        self.under_test.store.hold_log = False
        self.under_test.store.give_log()
        self.under_test.turns.settle()
        return self.bob.heard()

    def test_stored(self) -> None:
        """A query waits for it."""
        asked = {"ids": [self.inside.id.hex()]}
        self.assertEqual(self.answer("REQ", "s", asked), [["EOSE", "s"]])

    def test_counted(self) -> None:
        """A count waits for it."""
        ((_, _, answer),) = self.answer("COUNT", "c", {"ids": [self.inside.id.hex()]})
        self.assertEqual(answer["count"], 0)

    def test_reconciled(self) -> None:
        """Reconciliation waits for it."""
        initiator = Initiator(Snapshot.of([]))
        begin = initiator.initiate().hex()
        asked = {"ids": [self.inside.id.hex()]}
        ((verb, _, text),) = self.answer("NEG-OPEN", "n", asked, begin)
        self.assertEqual(verb, "NEG-MSG")
        self.assertEqual(list(initiator.reconcile(bytes.fromhex(text)).need), [])

    def test_given_up(self) -> None:
        """Who closes a reconciliation, or leaves, while it waits gets no answer."""
        begin = Initiator(Snapshot.of([])).initiate().hex()
        self.bob.say(dumps(["NEG-OPEN", "n", {}, begin]))
        self.bob.say(dumps(["NEG-CLOSE", "n"]))
        self.bob.say(dumps(["NEG-OPEN", "m", {}, begin]))
        self.bob.session.connection_lost()
        self.under_test.store.give_log()
        self.assertEqual(self.bob.heard(), [])

    def test_log_fails(self) -> None:
        """If the log cannot be read, the answer is an error."""
        self.under_test.store.log_error = StoreError("out of order")
        begin = Initiator(Snapshot.of([])).initiate().hex()
        answer = self.bob.say(dumps(["NEG-OPEN", "n", {}, begin]))
        self.assertEqual(answer, [["NEG-ERR", "n", "error: out of order"]])
        self.assertEqual(self.under_test.relay.statistics.reconciliations_refused, 1)


class HiddenTests(GroupCase):
    """A hidden group."""

    def setUp(self) -> None:
        """Have one that is private as well."""
        super().setUp()
        self.create(["private"], ["hidden"])
        self.note = self.do(BOB, 9)

    def test_metadata(self) -> None:
        """Members get what the relay tells of it; to others there is no such thing."""
        filters = [
            {"kinds": [39000, 39001, 39002, 39003]},
            {"#d": [PIZZA]},
            {"authors": [self.own]},
        ]
        for filter_ in filters:
            self.assertLessEqual(4, len(self.ids(self.known(BOB), filter_)))
            self.assertEqual(self.ids(self.known(EVE), filter_), set())

    def test_live(self) -> None:
        """Nor do others hear of changes."""
        eve, bob = self.known(EVE), self.known(BOB)
        for visitor in (eve, bob):
            visitor.ask({"kinds": [39000, 9002], "since": NOW})
            visitor.heard()
        self.do(ADMIN, 9002, ["hidden"], ["name", "x"])
        self.assertEqual(eve.heard(), [])
        self.assertEqual(len(bob.heard()), 2)

    def test_no_hint(self) -> None:
        """Others cannot tell it from a group that does not exist."""
        for visitor in (self.stranger(), self.known(EVE)):
            answers = [
                [one[:1] for one in visitor.ask({"#h": [name]}, id_=name)]
                for name in (PIZZA, "nothing", PIZZA)
            ]
            self.assertEqual(answers[1:], [[["EOSE"]]] * 2)
        self.do(ADMIN, 9002, ["hidden"], ["private"], ["restricted"])
        for kind in (9, 9002, 9021, 9022, 9000):
            reasons = {
                self.refuse("blocked", EVE, kind, ["p", hex_of(EVE)], group=name)
                for name in (PIZZA, "nothing")
            }
            self.assertEqual(len(reasons), 1)

    def test_not_private(self) -> None:
        """If it is not private, what is in it can be read, but not its rules."""
        edit = self.do(ADMIN, 9002, ["hidden"])
        eve = self.known(EVE)
        self.assertTrue(self.sees(eve, self.note))
        self.assertFalse(self.sees(eve, edit))
        self.assertTrue(self.sees(self.known(BOB), edit))

    def test_invited(self) -> None:
        """Who has a code gets in."""
        self.do(ADMIN, 9009, ["code", "abc"])
        self.do(EVE, 9021, ["code", "abc"])
        self.assertTrue(self.sees(self.known(EVE), self.note))


class EveryPathTests(GroupCase):
    """Stores ask the screen; it says what the predicate says."""

    def check(self) -> None:
        """Assert that the screen hides what may not be read, and asks for all that."""
        access = self.under_test.relay._parts.auth.visibility.groups
        visibility = Visibility((4, 1059), None, access)
        hidden = 0
        for secrets in ((), (BOB,), (EVE,), (ADMIN, EVE)):
            readers = [public_key(one) for one in secrets]
            screen = visibility.screen(readers)
            assert screen is not None
            for event in self.stored():
                may_read = visibility.may_read(event, readers, NOW)
                self.assertEqual(kind_of(event.raw), event.kind)
                self.assertEqual(screen.may_read(event.raw), may_read)
                is_asked = screen.kinds is None or event.kind in screen.kinds
                self.assertTrue(may_read or is_asked, event.kind)
                self.assertFalse(screen.hides_all)
                if readers:
                    anybody = visibility.may_read(event, (), NOW)
                    self.assertTrue(may_read or not anybody)
                    restricted = visibility.is_restricted(event)
                    self.assertTrue(anybody or restricted)
                hidden += not may_read
        self.assertGreater(hidden, 0)

    def test_agrees(self) -> None:
        """For open, hidden, private and deleted groups, and for private kinds."""
        self.under_test.publish(
            signed_event(BOB), signed_event(BOB, kind=4, tags=[["p", hex_of(ADMIN)]])
        )
        self.create()
        for kind in (*_KINDS, 4):
            self.do(BOB, kind, ["p", hex_of(EVE)])
        self.do(ADMIN, 9009, ["code", "abc"])
        self.check()
        self.do(ADMIN, 9002, ["hidden"])
        self.check()
        self.do(ADMIN, 9002, ["private"])
        self.check()
        self.do(CAROL, 9007, group="pasta")
        self.do(CAROL, 9008, group="pasta")
        self.check()


class ManyGroupsTests(GroupCase):
    """An event for two groups."""

    groups = GroupSettings(enabled=True, unknown="accept")

    def test_private_in_one(self) -> None:
        """If one of its groups is private, it is for that group's members."""
        self.create(["private"])
        self.create(group="pasta")
        for other in ("pasta", "unknown"):
            event = self.do(BOB, 9, ["h", other], content=other)
            self.assertFalse(self.sees(self.known(EVE), event))
            self.assertTrue(self.sees(self.known(BOB), event))


class OffTests(GroupCase):
    """A relay without groups."""

    groups = GroupSettings()

    def begin(self, under_test: object) -> None:
        """Nothing to start."""

    def test_nothing_is_hidden(self) -> None:
        """Everything is shown, and nobody is asked to authenticate."""
        event: Event = self.do(EVE, 9, ["code", "x"])
        answer = Visitor(self.under_test).ask({"#h": [PIZZA]})
        self.assertEqual(answer, [seen("s", event), ["EOSE", "s"]])
