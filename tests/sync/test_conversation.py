"""Tests for :mod:`nostrtx.sync.conversation`."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.json import dumps, loads
from nostrtx.sync.conversation import (
    ANSWER_SECONDS,
    Conversation,
    DoesNotReconcile,
    Members,
    Refused,
    RelayTrouble,
)

_T = TypeVar("_T")

_ID = "ab" * 32
_RAW = dumps({"id": _ID})


class ConversationTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.sync.conversation.Conversation`."""

    def setUp(self) -> None:
        """A conversation with a key, and what is said in it."""
        self.clock = Clock()
        self.sent: list[bytes] = []
        self.events: list[Members] = []
        self.conversation = Conversation(self.sent.append, self.clock, self.prove)
        self.addCleanup(self.assert_clean)

    def assert_clean(self) -> None:
        """No time-out is left behind."""
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def prove(self, challenge: str) -> Members:
        """What stands for an authentication event here."""
        return {"id": f"proof of {challenge}"}

    def said(self) -> list[Any]:
        """What was said since the last time."""
        said = [loads(message) for message in self.sent]
        self.sent.clear()
        return said

    def hear(self, *message: object) -> None:
        """The relay says something."""
        self.conversation.message_received(dumps(list(message)))

    def begin(self, task: Coroutine[Deferred[Any], Any, _T]) -> Deferred[_T]:
        """Begin something."""
        return Deferred.fromCoroutine(task)

    def query(self) -> Deferred[None]:
        """Ask for events."""
        return self.begin(self.conversation.query([{"kinds": [1]}], self.take))

    def take(self, members: Members) -> bool:
        """Keep an event; those with an id of one letter are waited for."""
        self.events.append(members)
        return len(members["id"]) == 1

    def open(self) -> Deferred[tuple[str, bytes]]:
        """Begin to reconcile."""
        return self.begin(self.conversation.open_reconciliation({}, b"a"))

    def test_publish(self) -> None:
        """An event is answered by the OK that names it."""
        answer = self.begin(self.conversation.publish(_RAW, _ID))
        self.assertEqual(self.said(), [["EVENT", {"id": _ID}]])
        self.hear("OK", "cd" * 32, True, "")
        self.assertNoResult(answer)
        self.hear("OK", _ID, False, "blocked: \n no")
        self.assertEqual(self.successResultOf(answer), (False, "blocked: no"))

    def test_query(self) -> None:
        """Events arrive until EOSE; the subscription is closed then."""
        done = self.query()
        [[verb, name, filter_]] = self.said()
        self.assertEqual((verb, filter_), ("REQ", {"kinds": [1]}))
        self.hear("EVENT", name, {"id": "1"})
        self.hear("EVENT", "another", {"id": "2"})
        self.hear("EVENT", name, "no event")
        self.hear("EOSE", name)
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(self.events, [{"id": "1"}])
        self.assertEqual(self.said(), [["CLOSE", name]])
        self.hear("EVENT", name, {"id": "3"})
        self.assertEqual(len(self.events), 1)

    def test_closed(self) -> None:
        """A CLOSED fails the query with the relay's words."""
        done = self.query()
        self.hear("CLOSED", self.said()[0][1], "error: tired")
        self.assertEqual(str(self.failureResultOf(done, Refused).value), "error: tired")

    def test_reconcile(self) -> None:
        """Each message of a reconciliation gets its answer."""
        opened = self.open()
        [[verb, name, filter_, text]] = self.said()
        self.assertEqual((verb, filter_, text), ("NEG-OPEN", {}, "61"))
        self.hear("NEG-MSG", name, "6100")
        self.assertEqual(self.successResultOf(opened), (name, b"a\0"))
        answer = self.begin(self.conversation.reconcile(name, b"b"))
        self.assertEqual(self.said(), [["NEG-MSG", name, "62"]])
        self.hear("NEG-MSG", name, "zz")
        self.failureResultOf(answer, RelayTrouble)
        answer = self.begin(self.conversation.reconcile(name, b"b"))
        self.hear("NEG-ERR", name, "closed: too slow")
        self.failureResultOf(answer, Refused)
        self.said()
        self.conversation.close_reconciliation(name)
        self.assertEqual(self.said(), [["NEG-CLOSE", name]])

    def test_relays_without_reconciliation(self) -> None:
        """They say so in one way or another, or say nothing."""
        opened = self.open()
        self.hear("NEG-ERR", self.said()[0][1], "unsupported: off")
        self.failureResultOf(opened, DoesNotReconcile)
        opened = self.open()
        self.hear("NOTICE", "unknown command")
        self.hear("NOTICE", "really")
        self.clock.advance(3)
        failure = self.failureResultOf(opened, DoesNotReconcile)
        self.assertEqual(str(failure.value), "it says: unknown command")
        opened = self.open()
        self.clock.advance(ANSWER_SECONDS)
        self.failureResultOf(opened, DoesNotReconcile)

    def test_notices_that_mean_nothing(self) -> None:
        """A relay may say what it likes in a NOTICE and reconcile all the same."""
        self.hear("NOTICE", "welcome")
        opened = self.open()
        self.hear("NOTICE", "welcome")
        self.hear("NEG-MSG", self.said()[0][1], "61")
        self.assertEqual(self.successResultOf(opened)[1], b"a")

    def test_too_big(self) -> None:
        """The limit of a relay is part of its refusal."""
        opened = self.open()
        self.hear("NEG-ERR", self.said()[0][1], "blocked: too big", 1000)
        failure = self.failureResultOf(opened, Refused)
        self.assertIn("up to 1,000 events", str(failure.value))

    def test_authentication(self) -> None:
        """What was refused for want of authentication is asked once more after it."""
        self.hear("AUTH", "c1")
        done = self.query()
        self.hear("CLOSED", self.said()[0][1], "auth-required: who is there")
        self.assertEqual(self.said(), [["AUTH", {"id": "proof of c1"}]])
        self.hear("OK", "proof of c1", True, "")
        [[verb, name, _]] = self.said()
        self.assertEqual(verb, "REQ")
        self.hear("EOSE", name)
        self.assertIsNone(self.successResultOf(done))
        self.said()
        opened = self.open()
        self.hear("NEG-ERR", self.said()[0][1], "restricted: not for you")
        self.failureResultOf(opened, Refused)
        self.assertEqual(self.said(), [])

    def test_refused_authentication(self) -> None:
        """A proof that is not accepted is an error with the relay's words."""
        self.hear("AUTH", "c1")
        answer = self.begin(self.conversation.publish(_RAW, _ID))
        self.hear("OK", _ID, False, "auth-required: who is there")
        self.hear("OK", "proof of c1", False, "invalid: what a time to sign")
        failure = self.failureResultOf(answer, Refused)
        self.assertEqual(str(failure.value), "invalid: what a time to sign")

    def test_lost_connection(self) -> None:
        """With the connection everything fails, and nothing can be asked."""
        waiting: list[Deferred[Any]] = [
            self.query(),
            self.open(),
            self.begin(self.conversation.publish(_RAW, _ID)),
        ]
        self.said()
        self.conversation.connection_lost("gone")
        for one in [*waiting, self.query(), self.open()]:
            failure = self.failureResultOf(one, RelayTrouble)
            self.assertEqual(str(failure.value), "gone")
        self.conversation.close_reconciliation("x")
        self.assertEqual(self.said(), [])

    def test_silence(self) -> None:
        """A relay that does not answer is an error in time."""
        waiting: list[Deferred[Any]] = [
            self.query(),
            self.begin(self.conversation.publish(_RAW, _ID)),
        ]
        self.clock.advance(ANSWER_SECONDS)
        for one in waiting:
            self.failureResultOf(one, RelayTrouble)

    def test_slow(self) -> None:
        """A relay may take long for what it gives, as long as it gets on."""
        done = self.query()
        [[_, name, _]] = self.said()
        for _ in range(3):
            self.clock.advance(ANSWER_SECONDS - 1)
            self.hear("EVENT", name, {"id": "1"})
        self.clock.advance(ANSWER_SECONDS - 1)
        self.assertNoResult(done)
        self.hear("EVENT", name, {"id": "something else"})
        self.clock.advance(1)
        self.failureResultOf(done, RelayTrouble)

    def test_nonsense(self) -> None:
        """What makes no sense is passed over."""
        for text in (
            b"",
            b"{",
            b"5",
            b"[]",
            b'["OK"]',
            b'["EVENT","x"]',
            b'["AUTH",1]',
        ):
            self.conversation.message_received(text)
        for verb in ("OK", "EOSE", "CLOSED", "NEG-MSG", "NEG-ERR", "EVENT", "NOTICE"):
            self.hear(verb)
            self.hear(verb, None, None, None)
            self.hear(verb, "unknown", {}, "x")
        self.assertEqual(self.said(), [])
