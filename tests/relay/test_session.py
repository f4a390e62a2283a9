"""Tests for :mod:`nostrtx.relay.session`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.interfaces.edge import IClientSession
from nostrtx.settings.limits import LimitSettings
from nostrtx.settings.storing import SearchSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import (
    RelayUnderTest,
    accepted,
    close_message,
    event_message,
    req_message,
    seen,
)
from tests.storage.events import NOW, make_event, signed_event


def eose(id_: str) -> list[Any]:
    """The end of the stored events."""
    return ["EOSE", id_]


class SessionTestCase(SynchronousTestCase):
    """A relay with small limits, and one client."""

    settings = Settings(
        limits=LimitSettings(
            max_subscriptions=3,
            max_filters=2,
            max_filter_values=4,
            max_limit=5,
            default_limit=2,
        )
    )

    def setUp(self) -> None:
        """Connect the client."""
        self.under_test = RelayUnderTest(self.settings)
        self.statistics = self.under_test.relay.statistics
        self.client, self.session = self.under_test.connect()

    def say(self, message: bytes) -> list[Any]:
        """Send one message, and hear what comes of it."""
        self.session.message_received(message)
        self.under_test.turns.settle()
        return self.client.heard()

    def ask(self, id_: str, *filters: object) -> list[Any]:
        """Send a REQ, and hear what comes of it."""
        return self.say(req_message(id_, *filters))

    def refusal(self, id_: str, *filters: object) -> str:
        """The reason of the CLOSED that must be all the answer to a REQ."""
        ((verb, echo, reason),) = self.ask(id_, *filters)
        self.assertEqual((verb, echo), ("CLOSED", id_))
        self.assertIsInstance(reason, str)
        return str(reason)


class MessagesTests(SessionTestCase):
    """Messages of every kind, good and bad."""

    def test_interface(self) -> None:
        """A session is what the edge is promised."""
        self.assertTrue(verifyObject(IClientSession, self.session))

    def test_event(self) -> None:
        """An EVENT is taken in and acknowledged."""
        event = signed_event()
        self.assertEqual(self.say(event_message(event)), [accepted(event)])
        self.assertTrue(self.under_test.store.holds(event))

    def test_notice(self) -> None:
        """What is no message of the protocol gets one NOTICE and changes nothing."""
        event = signed_event()
        self.ask("s", {})
        for message in (
            b"",
            b"x",
            b"{}",
            b"[]",
            b"[1]",
            b'"EVENT"',
            b'["req","s",{}]',
            b'["NOPE"]',
            b'["EVENT"]',
            b'["EVENT",5]',
            b'["EVENT","s",%b]' % event.raw,
            b'["REQ"]',
            b'["REQ",5,{}]',
            b'["REQ",null]',
            b'["REQ","\\ud800",{}]',
            b'["CLOSE"]',
            b'["CLOSE",5]',
            b"[" * 5000,
            b"\xff",
        ):
            ((verb, text),) = self.say(message)
            self.assertEqual(verb, "NOTICE", message)
            self.assertTrue(text.startswith("invalid: "), text)
        self.assertEqual(self.statistics.notices, 19)
        self.under_test.publish(event)
        self.assertEqual(self.client.heard(), [seen("s", event)])

    def test_absurd_subscription_id(self) -> None:
        """A subscription id that is not worth echoing gets a NOTICE."""
        ((verb, _),) = self.ask("x" * 10_000, {})
        self.assertEqual(verb, "NOTICE")

    def test_binary(self) -> None:
        """A binary message is not looked at, and the client is told."""
        self.session.binary_received()
        ((verb, text),) = self.client.heard()
        self.assertEqual(verb, "NOTICE")
        self.assertTrue(text.startswith("invalid: "))

    def test_white_space(self) -> None:
        """White space around and inside the JSON is as good as none."""
        self.assertEqual(self.say(b' [ "REQ" ,\r\n"s", { } ]\n'), [eose("s")])

    def test_trailing_elements(self) -> None:
        """What follows the expected elements of EVENT and CLOSE is ignored."""
        event = signed_event()
        self.assertEqual(
            self.say(b'["EVENT",%b,"more",5]' % event.raw), [accepted(event)]
        )
        self.ask("s", {})
        self.assertEqual(self.say(b'["CLOSE","s",5]'), [])
        self.assertEqual(self.statistics.subscriptions, 0)


class RequestTests(SessionTestCase):
    """REQ: what is answered, and how much of it."""

    def setUp(self) -> None:
        """Have nine notes in the store, the last one the newest."""
        super().setUp()
        self.events = [make_event(created_at=NOW - 9 + age) for age in range(9)]
        self.newest = self.events[::-1]
        self.under_test.stored(*self.events)

    def test_stored_then_eose(self) -> None:
        """Stored events come newest first, then exactly one EOSE."""
        self.assertEqual(
            self.ask("s", {"limit": 3}),
            [*(seen("s", event) for event in self.newest[:3]), eose("s")],
        )
        self.assertEqual(self.statistics.events_sent, 3)

    def test_nothing_found(self) -> None:
        """If nothing matches there is one EOSE all the same."""
        self.assertEqual(self.ask("s", {"kinds": [7]}), [eose("s")])

    def test_default_limit(self) -> None:
        """A filter without limit gets the default number."""
        self.assertEqual(len(self.ask("s", {})), 2 + 1)

    def test_largest_limit(self) -> None:
        """A large limit is lowered without a word."""
        for limit in (5, 6, 10**9):
            self.assertEqual(len(self.ask("s", {"limit": limit})), 5 + 1)

    def test_limit_0(self) -> None:
        """A limit of 0 gives no stored events, but live ones."""
        self.assertEqual(self.ask("s", {"limit": 0}), [eose("s")])
        event = signed_event()
        self.under_test.publish(event)
        self.assertEqual(self.client.heard(), [seen("s", event)])

    def test_limits_are_per_filter(self) -> None:
        """Each filter has its own limit, and an event of both comes once."""
        answer = self.ask("s", {"limit": 2}, {"until": NOW - 5, "limit": 1})
        self.assertEqual(
            answer,
            [
                *(seen("s", event) for event in self.newest[:2]),
                seen("s", self.events[4]),
                eose("s"),
            ],
        )
        self.assertEqual(len(self.ask("s", {"limit": 3}, {"limit": 3})), 3 + 1)

    def test_since_after_until(self) -> None:
        """A time that never was matches nothing, now and later."""
        self.assertEqual(
            self.ask("s", {"since": 5, "until": 4}, {"until": 0}), [eose("s")]
        )
        self.under_test.publish(signed_event())
        self.assertEqual(self.client.heard(), [])

    def test_empty_list(self) -> None:
        """An empty list matches nothing; other filters of the REQ still work."""
        for name in ("ids", "authors", "kinds", "#t"):
            self.assertEqual(self.ask("s", {name: []}), [eose("s")])
        self.assertEqual(
            self.ask("s", {"ids": []}, {"limit": 1}),
            [seen("s", self.newest[0]), eose("s")],
        )

    def test_per_connection(self) -> None:
        """Two connections may use one subscription id without meeting."""
        other, session = self.under_test.connect()
        session.message_received(req_message("s", {"kinds": [7]}))
        self.ask("s", {"limit": 0})
        event = signed_event()
        self.under_test.publish(event)
        self.assertEqual(self.client.heard(), [seen("s", event)])
        self.assertEqual(other.heard(), [eose("s")])
        session.message_received(close_message("s"))
        event = signed_event(content="another")
        self.under_test.publish(event)
        self.assertEqual(self.client.heard(), [seen("s", event)])


class RefusedTests(SessionTestCase):
    """REQ: what is refused, each with one CLOSED that says why."""

    def test_no_filter(self) -> None:
        """At least one filter is needed."""
        self.assertEqual(self.refusal("s"), "invalid: REQ takes at least one filter")

    def test_subscription_id(self) -> None:
        """A subscription id has 1 to 64 characters, whatever their bytes."""
        self.assertEqual(self.refusal("", {}), "invalid: the subscription id is empty")
        self.assertEqual(
            self.refusal("x" * 65, {}),
            "invalid: a subscription id has at most 64 characters",
        )
        longest = "\U0001f600" * 64
        self.assertEqual(self.ask(longest, {}), [eose(longest)])

    def test_bad_filter(self) -> None:
        """A filter of the wrong form is refused, whichever of several it is."""
        key = "ab" * 32
        filters: list[object] = [
            5,
            None,
            [],
            {"ids": key},
            {"ids": [key.upper()]},
            {"ids": [key[:8]]},
            {"authors": [5]},
            {"#e": ["ab"]},
            {"#p": [key + "\n"]},
            {"kinds": [1.0]},
            {"kinds": [True]},
            {"kinds": "1"},
            {"since": "5"},
            {"since": None},
            {"until": 1.5},
            {"limit": -1},
            {"limit": True},
            {"#t": [1]},
            {"#t": "x"},
        ]
        for bad in filters:
            reason = self.refusal("s", {}, bad)
            self.assertTrue(reason.startswith("invalid: "), (bad, reason))
        self.assertEqual(self.statistics.subscriptions, 0)
        self.assertEqual(self.statistics.requests_refused, 19)

    def test_unknown_member(self) -> None:
        """A member that is not known is refused; ignoring it would widen the answer."""
        for name in ("#foo", "#1", "#-", "#", "Search", "id", "", "#\u00e9"):
            reason = self.refusal("s", {name: ["x"]})
            self.assertTrue(reason.startswith("unsupported: "), reason)

    def test_number_of_filters(self) -> None:
        """As many filters as the limit are answered, one more is refused."""
        self.assertEqual(self.ask("s", {}, {}), [eose("s")])
        self.assertEqual(self.refusal("s", {}, {}, {}), "invalid: more than 2 filters")

    def test_number_of_values(self) -> None:
        """Lists as long as the limit are answered, one more value is refused."""
        keys = [f"{number:064x}" for number in range(5)]
        for name, values in (
            ("ids", keys),
            ("authors", keys),
            ("kinds", [1, 2, 3, 6, 7]),
            ("#t", ["a", "b", "c", "d", "e"]),
        ):
            self.assertEqual(self.ask("s", {name: values[:4]}), [eose("s")])
            self.assertEqual(
                self.refusal("s", {name: values}),
                "invalid: more than 4 values in one list of a filter",
            )

    def test_number_of_subscriptions(self) -> None:
        """As many as the limit may be open; those stay as they are."""
        for id_ in "abc":
            self.assertEqual(self.ask(id_, {"limit": 0}), [eose(id_)])
        self.assertEqual(
            self.refusal("d", {}), "rate-limited: too many subscriptions (max 3)"
        )
        event = signed_event()
        self.under_test.publish(event)
        self.assertCountEqual(self.client.heard(), [seen(id_, event) for id_ in "abc"])
        self.say(close_message("a"))
        self.assertEqual(self.ask("d", {"limit": 0}), [eose("d")])

    def test_echo_is_escaped(self) -> None:
        """A strange subscription id comes back as it was."""
        name = 'a"\\\n\x01\u2028'
        self.assertEqual(self.refusal(name), "invalid: REQ takes at least one filter")


class WithoutSearchTests(SessionTestCase):
    """REQ where search (NIP-50) is off."""

    settings = Settings(search=SearchSettings(enabled=False))

    def test_refused(self) -> None:
        """A filter with a search is refused, also a blank one, and never widened."""
        for text in ("words", "", "language:en"):
            reason = self.refusal("s", {"kinds": [1]}, {"search": text})
            self.assertEqual(reason, "unsupported: search")
        self.assertEqual(self.statistics.subscriptions, 0)


class SearchTests(SessionTestCase):
    """REQ with a search (NIP-50)."""

    def test_live(self) -> None:
        """New events that have all the words, and match the rest, are delivered."""
        self.assertEqual(
            self.ask("s", {"search": "Red wine x:y", "kinds": [1]}), [eose("s")]
        )
        match = signed_event(content="wine, red")
        heard = self.say(event_message(match))
        self.assertCountEqual(heard, [accepted(match), seen("s", match)])
        for other in (
            signed_event(content="white wine"),
            signed_event(content="red wine", kind=11),
        ):
            self.assertEqual(self.say(event_message(other)), [accepted(other)])

    def test_wrong(self) -> None:
        """A search is a string of bounded length."""
        for wrong in (5, None, ["x"], "x" * 1000):
            reason = self.refusal("s", {"search": wrong})
            self.assertTrue(reason.startswith("invalid: search "), reason)


class ReplacingTests(SessionTestCase):
    """A REQ under a name that is open takes its place."""

    def test_old_filters_are_silent(self) -> None:
        """After the new REQ nothing comes for the old filters."""
        self.ask("s", {"kinds": [1]})
        self.assertEqual(self.ask("s", {"kinds": [7]}), [eose("s")])
        note, reaction = signed_event(kind=1), signed_event(kind=7)
        self.under_test.publish(note, reaction)
        self.assertEqual(self.client.heard(), [seen("s", reaction)])
        self.assertEqual(self.statistics.subscriptions, 1)

    def test_gets_its_own_stored_events(self) -> None:
        """The new REQ is answered from the store like any other."""
        event = make_event(kind=7)
        self.under_test.stored(event)
        self.ask("s", {"kinds": [1]})
        self.assertEqual(self.ask("s", {"kinds": [7]}), [seen("s", event), eose("s")])

    def test_not_counted_twice(self) -> None:
        """With all subscriptions taken, each can still be replaced."""
        for id_ in "abcabc":
            self.assertEqual(self.ask(id_, {}), [eose(id_)])
        self.assertEqual(self.statistics.subscriptions, 3)

    def test_refused(self) -> None:
        """If the new REQ is refused, the old subscription is gone as well."""
        self.ask("s", {})
        self.refusal("s", {"kinds": "x"})
        self.under_test.publish(signed_event())
        self.assertEqual(self.client.heard(), [])
        self.assertEqual(self.statistics.subscriptions, 0)

    def test_while_it_is_answered(self) -> None:
        """The old query stops in the middle; the new one has its own EOSE."""
        store = self.under_test.store
        events = [make_event(kind=kind, content=str(kind)) for kind in (1, 7)]
        self.under_test.stored(*events)
        store.hold_pages = True
        self.assertEqual(self.ask("s", {"kinds": [1]}), [])
        self.assertEqual(self.ask("s", {"kinds": [7]}), [])
        old, new = store.queries
        self.assertGreater(old.closed, 0)
        new.answer()
        self.under_test.turns.settle()
        self.assertEqual(self.client.heard(), [seen("s", events[1]), eose("s")])


class CloseTests(SessionTestCase):
    """CLOSE ends a subscription without a word."""

    def test_open(self) -> None:
        """Nothing follows a CLOSE, not even a CLOSED."""
        self.ask("s", {})
        self.assertEqual(self.say(close_message("s")), [])
        self.under_test.publish(signed_event())
        self.assertEqual(self.client.heard(), [])
        self.assertEqual(self.statistics.subscriptions, 0)

    def test_unknown(self) -> None:
        """A CLOSE for what is not open is no mistake."""
        self.assertEqual(self.say(close_message("s")), [])
        self.assertEqual(self.say(close_message("")), [])
        self.assertEqual(self.statistics.subscriptions, 0)

    def test_in_the_same_breath(self) -> None:
        """REQ and CLOSE in one turn never leave the subscription open."""
        self.under_test.store.hold_pages = True
        self.session.message_received(req_message("s", {}))
        self.session.message_received(close_message("s"))
        self.under_test.turns.settle()
        self.assertEqual(self.client.heard(), [])
        self.assertEqual(self.statistics.subscriptions, 0)
        self.under_test.publish(signed_event())
        self.assertEqual(self.client.heard(), [])

    def test_reuse(self) -> None:
        """The name may be used again."""
        self.ask("s", {})
        self.say(close_message("s"))
        self.assertEqual(self.ask("s", {}), [eose("s")])


class EndTests(SessionTestCase):
    """The end of a connection, and of the relay."""

    def test_connection_lost(self) -> None:
        """All that was held is released, and nothing is sent any more."""
        self.ask("a", {})
        self.under_test.store.hold_pages = True
        self.ask("b", {})
        self.session.message_received(event_message(signed_event()))
        self.session.connection_lost()
        self.under_test.turns.settle()
        self.assertEqual(self.statistics.subscriptions, 0)
        self.assertEqual(self.statistics.sessions, 0)
        self.assertGreater(self.under_test.store.queries[1].closed, 0)
        self.client.heard()
        self.under_test.publish(signed_event(content="later"))
        self.assertEqual(self.client.heard(), [])

    def test_request_after_it(self) -> None:
        """A REQ that was still on its way opens nothing."""
        self.session.connection_lost()
        self.ask("s", {})
        self.assertEqual(self.statistics.subscriptions, 0)

    def test_gauges(self) -> None:
        """However many come and go, the gauges are back where they were."""
        others = [self.under_test.connect()[1] for _ in range(5)]
        self.assertEqual(self.statistics.sessions, 6)
        for number, session in enumerate(others):
            for id_ in "abcab":
                session.message_received(req_message(id_, {"kinds": [6 + number]}))
            session.message_received(close_message("a"))
        self.under_test.turns.settle()
        self.assertEqual(self.statistics.subscriptions, 10)
        for session in others:
            session.connection_lost()
        self.assertEqual(self.statistics.sessions, 1)
        self.assertEqual(self.statistics.subscriptions, 0)

    def test_shut_down(self) -> None:
        """Every open subscription is closed with a word, answered or not."""
        self.ask("a", {})
        self.under_test.store.hold_pages = True
        self.ask("b", {})
        self.session.shut_down()
        self.under_test.turns.settle()
        self.assertCountEqual(
            self.client.heard(),
            [["CLOSED", id_, "error: shutting down"] for id_ in "ab"],
        )
        self.assertEqual(self.statistics.subscriptions, 0)
        self.under_test.publish(signed_event())
        self.assertEqual(self.client.heard(), [])

    def test_request_while_shutting_down(self) -> None:
        """Later REQs are refused, CLOSE is as silent as ever."""
        self.session.shut_down()
        self.assertEqual(self.refusal("s", {}), "error: shutting down")
        self.assertEqual(self.say(close_message("s")), [])

    def test_lost_after_shutting_down(self) -> None:
        """A connection that ends after that is counted once."""
        self.ask("s", {})
        self.session.shut_down()
        self.session.connection_lost()
        self.assertEqual(self.statistics.sessions, 0)
        self.assertEqual(self.statistics.subscriptions, 0)
