"""Tests for :mod:`nostrtx.relay.reconciliation` (NIP-77), through sessions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.event import Event
from nostrtx.nostr.json import dumps
from nostrtx.nostr.negentropy.reconciliation import Initiator, Reconciliation
from nostrtx.nostr.negentropy.snapshot import Snapshot
from nostrtx.settings.access import AuthSettings
from nostrtx.settings.limits import NegentropySettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import RelayUnderTest, event_message
from tests.storage.events import NOW, make_event, public_key, signed_event

_VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "negentropy.json").read_text()
)

_NOTES = [make_event(created_at=NOW - n, content=f"{n}") for n in range(100)]


def snapshot_of(events: Sequence[Event]) -> Snapshot:
    """The set of some events."""
    return Snapshot.of((event.created_at, event.id) for event in events)


def first_message(events: Sequence[Event] = ()) -> str:
    """What a client that holds ``events`` begins with."""
    return Initiator(snapshot_of(events)).initiate().hex()


class ReconciliationTestCase(SynchronousTestCase):
    """A relay with a hundred notes, and one client."""

    settings = Settings(negentropy=NegentropySettings(max_events=200, max_sessions=3))

    def setUp(self) -> None:
        """Connect the client."""
        self.under_test = RelayUnderTest(self.settings)
        self.under_test.stored(*_NOTES)
        self.store = self.under_test.store
        self.client, self.session = self.under_test.connect()

    def say(self, *message: object, settle: bool = True) -> list[Any]:
        """Send a message; what the relay answers."""
        self.session.message_received(dumps(list(message)))
        if settle:
            self.under_test.turns.settle()
        return self.client.heard()

    def open(
        self, id_: str = "s", filter_: object = None, first: object = None
    ) -> list[Any]:
        """Open a session."""
        return self.say("NEG-OPEN", id_, filter_ or {}, first or first_message())

    def assert_err(self, heard: list[Any], prefix: str, id_: str = "s") -> None:
        """Assert that the session was refused, and is gone."""
        [[verb, name, reason, *_]] = heard
        self.assertEqual((verb, name), ("NEG-ERR", id_))
        self.assertTrue(reason.startswith(f"{prefix}: "), reason)
        [gone] = self.say("NEG-MSG", id_, first_message())
        self.assertEqual(gone[:2], ["NEG-ERR", id_])
        self.assertTrue(gone[2].startswith("closed: "), gone)

    def held(self, filter_: object = None, id_: str = "held") -> set[bytes]:
        """What the relay says it holds, to a client that holds nothing."""
        [[verb, name, text]] = self.open(id_, filter_)
        self.assertEqual((verb, name), ("NEG-MSG", id_))
        reconciled = Initiator(Snapshot.of([])).reconcile(bytes.fromhex(text))
        self.say("NEG-CLOSE", id_)
        return set(reconciled.need)

    def reconcile(
        self, mine: Sequence[Event], frame: int = 0
    ) -> tuple[set[bytes], ...]:
        """Reconcile as a client that holds ``mine``; what to send and to fetch."""
        initiator = Initiator(snapshot_of(mine), frame)
        have: set[bytes] = set()
        need: set[bytes] = set()
        [[verb, _, text]] = self.open(first=initiator.initiate().hex())
        while True:
            self.assertEqual(verb, "NEG-MSG")
            reconciled = initiator.reconcile(bytes.fromhex(text))
            have.update(reconciled.have)
            need.update(reconciled.need)
            if reconciled.message is None:
                self.assertEqual(self.say("NEG-CLOSE", "s"), [])
                return have, need
            [[verb, _, text]] = self.say("NEG-MSG", "s", reconciled.message.hex())


class ConversationTests(ReconciliationTestCase):
    """What is said, and in which order."""

    def test_reconcile(self) -> None:
        """Both sides' differences come out, whatever is common."""
        extra = [make_event(created_at=NOW - n, content="mine") for n in range(30)]
        have, need = self.reconcile([*_NOTES[10:], *extra])
        self.assertEqual(have, {event.id for event in extra})
        self.assertEqual(need, {event.id for event in _NOTES[:10]})

    def test_vectors(self) -> None:
        """The answers are byte for byte those of the reference."""
        for transcript in _VECTORS["transcripts"]:
            under_test = RelayUnderTest()
            client, session = under_test.connect()
            under_test.stored(
                *(
                    make_event(id=bytes.fromhex(id_), created_at=created_at)
                    for created_at, id_ in transcript["relay_items"]
                )
            )
            verb: list[object] = ["NEG-OPEN", "s", {}]
            messages = [message["hex"] for message in transcript["messages"]]
            for sent, answer in zip(messages[::2], messages[1::2], strict=False):
                session.message_received(dumps([*verb, sent]))
                under_test.turns.settle()
                heard = client.heard()
                self.assertEqual(heard, [["NEG-MSG", "s", answer]], transcript["name"])
                verb = ["NEG-MSG", "s"]

    def test_malformed(self) -> None:
        """Malformed messages end the session, never the connection."""
        wrong = [vector["hex"] for vector in _VECTORS["errors"]]
        for text in (*wrong, "6", " 61", "zz", 61, None, ["61"], {}):
            self.assert_err(self.say("NEG-OPEN", "s", {}, text), "invalid")
            self.open()
            self.assert_err(self.say("NEG-MSG", "s", text), "invalid")
        self.assertEqual(len(self.held()), 100)

    def test_upper_case(self) -> None:
        """Upper-case hexadecimal is taken, lower-case is sent."""
        [[_, _, text]] = self.open(first=first_message().upper())
        self.assertEqual(text, text.lower())

    def test_other_version(self) -> None:
        """Another version of the protocol is answered with the one spoken here."""
        for vector in _VECTORS["version"]:
            if vector["reply"] == "61":
                heard = self.open(first=vector["request"])
                self.assertEqual(heard, [["NEG-MSG", "s", "61"]])
                heard = self.say("NEG-MSG", "s", first_message())
                self.assertEqual(heard[0][0], "NEG-MSG")

    def test_unknown_session(self) -> None:
        """A message for a session that is not open is answered ``closed:``."""
        self.assert_err(self.say("NEG-MSG", "s", first_message()), "closed")

    def test_close(self) -> None:
        """NEG-CLOSE has no answer, for known and unknown sessions, and frees."""
        self.assertEqual(self.say("NEG-CLOSE", "nobody"), [])
        self.open()
        self.assertEqual(self.say("NEG-CLOSE", "s"), [])
        self.assert_err(self.say("NEG-MSG", "s", "61"), "closed")

    def test_names_of_their_own(self) -> None:
        """A subscription and a reconciliation may have one name."""
        self.open("x")
        self.assertEqual(len(self.say("REQ", "x", {"limit": 1})), 2)
        self.say("CLOSE", "x")
        self.assertEqual(self.say("NEG-MSG", "x", first_message())[0][0], "NEG-MSG")

    def test_open_again(self) -> None:
        """A NEG-OPEN takes the place of the session of that name."""
        self.open(filter_={"kinds": [1]})
        [[_, _, text]] = self.open(filter_={"kinds": [2]})
        self.assertEqual(text, "61" + "000002" + "00")
        self.store.hold_sets = True
        self.assertEqual(self.open(), [])
        self.store.hold_sets = False
        self.assertEqual(self.open(filter_={"kinds": [3]})[0][0], "NEG-MSG")
        self.store.sets[0].give()
        self.assertEqual(self.client.heard(), [])

    def test_snapshot(self) -> None:
        """What is stored meanwhile does not disturb a session."""
        initiator = Initiator(snapshot_of(_NOTES))
        self.open(first=initiator.initiate().hex())
        self.under_test.stored(make_event(content="new"))
        [[_, _, text]] = self.say("NEG-MSG", "s", initiator.initiate().hex())
        self.assertEqual(text, "61")
        self.assertEqual(len(self.held()), 101)


class FilterTests(ReconciliationTestCase):
    """What a set holds."""

    def test_filter(self) -> None:
        """What matches the filter, which may stand in an array of one."""
        for filter_ in ({"since": NOW - 9}, [{"since": NOW - 9}]):
            self.assertEqual(self.held(filter_), {event.id for event in _NOTES[:10]})

    def test_limit(self) -> None:
        """A limit takes the newest; 0 is an empty set."""
        self.assertEqual(self.held({"limit": 3}), {e.id for e in _NOTES[:3]})
        self.assertEqual(self.held({"limit": 0}), set())

    def test_bad_filters(self) -> None:
        """A malformed filter is refused, and so is one that searches."""
        wrong: list[object] = [5, "x", [], [{}, {}], {"kinds": "1"}, {"limit": -1}]
        for filter_ in wrong:
            heard = self.say("NEG-OPEN", "s", filter_, first_message())
            self.assert_err(heard, "invalid")
        self.assert_err(self.say("NEG-OPEN", "s"), "invalid")
        many = [f"{n:064x}" for n in range(5001)]
        self.assert_err(self.open(filter_={"ids": many}), "invalid")
        self.assert_err(self.open(filter_={"search": "x"}), "unsupported")
        self.assert_err(self.open(filter_={"&t": ["x"]}), "unsupported")

    def test_expired(self) -> None:
        """What has expired is not named."""
        dying = make_event(tags=[["expiration", str(NOW + 5)]], kind=7)
        self.under_test.stored(dying)
        self.assertEqual(self.held({"kinds": [7]}), {dying.id})
        self.under_test.clock.advance(30)
        self.assertEqual(self.held({"kinds": [7]}), set())


class LimitTests(ReconciliationTestCase):
    """What is refused."""

    def test_too_big(self) -> None:
        """A set that is too large is refused with the limit."""
        more = [make_event(kind=2, content=f"{n}") for n in range(101)]
        self.under_test.stored(*more)
        [message] = self.open()
        self.assertEqual(
            message, ["NEG-ERR", "s", "blocked: this query is too big", 200]
        )
        self.assert_err([message], "blocked")
        self.assertEqual(len(self.held({"limit": 200})), 200)

    def test_too_many_sessions(self) -> None:
        """A connection has so many sessions at once; others stay as they are."""
        for id_ in "abc":
            self.open(id_)
        self.assert_err(self.open("d"), "rate-limited", "d")
        self.assertEqual(self.open("c")[0][0], "NEG-MSG")
        self.say("NEG-CLOSE", "a")
        self.assertEqual(self.open("d")[0][0], "NEG-MSG")

    def test_names(self) -> None:
        """A session's name has 1 to 64 characters."""
        self.assert_err(self.open(""), "invalid", "")
        self.assert_err(self.open("x" * 65), "invalid", "x" * 65)
        self.assertEqual(self.open("é" * 64)[0][0], "NEG-MSG")

    def test_silence(self) -> None:
        """A session in which the client says nothing ends, and says so."""
        self.open()
        self.under_test.clock.advance(119)
        self.assertEqual(self.say("NEG-MSG", "s", first_message())[0][0], "NEG-MSG")
        self.under_test.clock.advance(119)
        self.assertEqual(self.client.heard(), [])
        self.under_test.clock.advance(1)
        self.assert_err(self.client.heard(), "closed")

    def test_frame(self) -> None:
        """No answer is longer than the settings say."""
        relay = RelayUnderTest(
            Settings(negentropy=NegentropySettings(max_frame_bytes=4096))
        )
        notes = [
            make_event(created_at=NOW - n % 50, content=f"{n}") for n in range(900)
        ]
        relay.stored(*notes)
        client, session = relay.connect()
        initiator = Initiator(Snapshot.of([]))
        message: bytes | None = initiator.initiate()
        verb: list[object] = ["NEG-OPEN", "s", {}]
        need: set[bytes] = set()
        lengths = []
        while message is not None:
            session.message_received(dumps([*verb, message.hex()]))
            relay.turns.settle()
            [[_, _, text]] = client.heard()
            lengths.append(len(text))
            reconciled = initiator.reconcile(bytes.fromhex(text))
            need.update(reconciled.need)
            message, verb = reconciled.message, ["NEG-MSG", "s"]
        self.assertEqual(need, {note.id for note in notes})
        self.assertLessEqual(max(lengths), 2 * 4096)
        self.assertGreater(len(lengths), 5)

    def test_off(self) -> None:
        """A relay that does not reconcile says so."""
        relay = RelayUnderTest(Settings(negentropy=NegentropySettings(enabled=False)))
        client, session = relay.connect()
        session.message_received(dumps(["NEG-OPEN", "s", {}, first_message()]))
        [[verb, id_, reason]] = client.heard()
        self.assertEqual((verb, id_), ("NEG-ERR", "s"))
        self.assertTrue(reason.startswith("unsupported: "), reason)


class WorkTests(ReconciliationTestCase):
    """What happens while an answer is in work."""

    def test_waiting_messages(self) -> None:
        """Messages that come early are answered in their order."""
        self.store.hold_sets = True
        self.open()
        heard = self.say("NEG-MSG", "s", first_message(_NOTES))
        self.assertEqual(heard, [])
        self.store.sets[0].give()
        self.under_test.turns.settle()
        answers = [text for _, _, text in self.client.heard()]
        peer = Reconciliation(snapshot_of(_NOTES))
        self.assertEqual(
            answers,
            [
                peer.answer(bytes.fromhex(first_message(mine))).hex()
                for mine in ((), _NOTES)
            ],
        )

    def test_too_many_waiting_messages(self) -> None:
        """Who does not wait for answers at all is refused."""
        self.store.hold_sets = True
        self.open()
        heard = [self.say("NEG-MSG", "s", first_message()) for _ in range(4)]
        self.assertEqual(heard[:3], [[], [], []])
        self.assert_err(heard[3], "rate-limited")
        self.store.sets[0].give()
        self.assertEqual(self.client.heard(), [])

    def test_other_work_goes_on(self) -> None:
        """While a set is sought, the client publishes and queries."""
        self.store.hold_sets = True
        self.open()
        event = signed_event(created_at=NOW)
        self.session.message_received(event_message(event))
        self.under_test.turns.settle()
        self.assertEqual(self.client.heard()[0][:3], ["OK", event.id.hex(), True])
        self.assertEqual(len(self.say("REQ", "r", {"limit": 2})), 3)

    def test_slow_reader(self) -> None:
        """No answer is made for a client that does not take the ones it has."""
        self.client.full = True
        self.assertEqual(self.open(), [])
        self.client.empty()
        self.under_test.turns.settle()
        self.assertEqual(self.client.heard()[0][0], "NEG-MSG")

    def test_lost_connection(self) -> None:
        """With the connection all sessions are gone, and nothing runs on."""
        self.open("a")
        self.store.hold_sets = True
        self.open("b", {"limit": 5})
        self.session.connection_lost()
        self.assertTrue(self.store.sets[0].answer.called)
        self.under_test.turns.settle()
        self.assertEqual(self.client.heard(), [])
        self.under_test.relay.stop()
        self.assertEqual(self.under_test.clock.getDelayedCalls(), [])

    def test_shut_down(self) -> None:
        """When the relay stops, all sessions are told, and later ones refused."""
        self.open("a")
        self.session.shut_down()
        [[verb, id_, reason]] = self.client.heard()
        self.assertEqual((verb, id_), ("NEG-ERR", "a"))
        self.assertTrue(reason.startswith("closed: "))
        self.assert_err(self.open("b"), "closed", "b")

    def test_store_fails(self) -> None:
        """A store that fails ends the session and nothing else."""
        self.store.hold_sets = True
        self.open()
        self.store.sets[0].answer.errback(StoreError("the disk is gone"))
        self.assert_err(self.client.heard(), "error")

    def test_fault(self) -> None:
        """A fault of ours is logged, and the client hears that there was one."""
        self.store.hold_sets = True
        self.open()
        self.store.sets[0].answer.errback(ZeroDivisionError("secret"))
        heard = self.client.heard()
        self.assertNotIn("secret", heard[0][2])
        self.assert_err(heard, "error")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class AuthTests(ReconciliationTestCase):
    """Who may reconcile what (NIP-42)."""

    settings = Settings(auth=AuthSettings(required="read"))

    def test_auth_required(self) -> None:
        """Where reading needs authentication, so does reconciling."""
        challenge, *heard = self.open()
        self.assertEqual(challenge[0], "AUTH")
        self.assert_err(heard, "auth-required")


class PrivateEventTests(ReconciliationTestCase):
    """Private events are named to their parties only."""

    settings = Settings()

    def test_hidden(self) -> None:
        """Nobody learns of others' private events; asking for them needs AUTH."""
        letter = make_event(kind=4, tags=[["p", public_key(2).hex()]])
        self.under_test.stored(letter)
        self.assertNotIn(letter.id, self.held())
        challenge, *heard = self.open(filter_={"kinds": [4]})
        self.assertEqual(challenge[0], "AUTH")
        self.assert_err(heard, "auth-required")


class RandomSetsTests(ReconciliationTestCase):
    """Any two sets are reconciled."""

    @given(
        mine=st.sets(st.integers(0, 400)),
        theirs=st.sets(st.integers(0, 400)),
        seconds=st.sampled_from([1, 7, 1000]),
    )
    @examples(max_examples=60, deadline=None)
    def test_any(self, mine: set[int], theirs: set[int], seconds: int) -> None:
        """The differences come out exactly, however events share their seconds."""

        def notes(numbers: set[int]) -> list[Event]:
            return [
                make_event(created_at=NOW - n % seconds, content=f"{n}")
                for n in sorted(numbers)
            ]

        self.under_test = RelayUnderTest()
        self.under_test.stored(*notes(theirs))
        self.client, self.session = self.under_test.connect()
        have, need = self.reconcile(notes(mine))
        self.assertEqual(have, {event.id for event in notes(mine - theirs)})
        self.assertEqual(need, {event.id for event in notes(theirs - mine)})
