"""Tests for :mod:`nostrtx.relay.ingest`."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.client_messages import EventMessage
from nostrtx.nostr.errors import Rejected
from nostrtx.nostr.event import Event
from nostrtx.relay.ingest import Ingest, check_limits
from nostrtx.relay.statistics import Statistics
from nostrtx.settings.access import AuthSettings
from nostrtx.settings.limits import LimitSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import (
    FakeClient,
    FakeTurns,
    HeldStore,
    accepted,
    auth_of,
    log_of,
)
from tests.storage.events import NOW, make_event, signed_event

_DUPLICATE = "duplicate: this relay has the event already"


def refused(event: Event, reason: str) -> list[Any]:
    """The OK for an event that is refused."""
    return ["OK", event.id.hex(), False, reason]


def duplicate(event: Event) -> list[Any]:
    """The OK for an event that the relay has."""
    return ["OK", event.id.hex(), True, _DUPLICATE]


def members_of(event: Event) -> dict[str, Any]:
    """The event as a client sends it."""
    members = json.loads(event.raw)
    assert isinstance(members, dict)
    return members


class IngestTestCase(SynchronousTestCase):
    """An ingest with a store that answers when told, and two clients."""

    limits = LimitSettings()
    auth = AuthSettings()

    def setUp(self) -> None:
        """Put everything together."""
        self.clock = Clock()
        self.clock.advance(NOW)
        self.turns = FakeTurns()
        self.store = HeldStore()
        self.statistics = Statistics()
        #: What happened, in order: deliveries, and answers of the first client.
        self.delivered: list[tuple[Event, int]] = []
        self.heard_at_delivery: list[int] = []
        self.client = FakeClient()
        self.other = FakeClient()
        self.ingest = Ingest(
            self.store,
            self.turns,
            self.clock,
            LiveSettings(Settings(limits=self.limits)),
            log_of(self.store, self.turns, self.clock, self.deliver),
            self.statistics,
        )

    def deliver(self, event: Event, seq: int, now: float) -> None:
        """Record a delivery, and how much the client had been told by then."""
        self.delivered.append((event, seq))
        self.heard_at_delivery.append(len(self.client.messages))

    def take(self, members: dict[str, Any], client: FakeClient | None = None) -> None:
        """Hand over one EVENT message, of a client that has not authenticated."""
        client = client or self.client
        self.ingest.submit(
            EventMessage(members), client, auth_of(client, self.clock, self.auth)
        )

    def submit(self, *events: Event, client: FakeClient | None = None) -> None:
        """Send ``events`` in one turn, which does not end yet."""
        for event in events:
            self.take(members_of(event), client or self.client)

    def send(self, *events: Event, client: FakeClient | None = None) -> list[Any]:
        """Send ``events`` and hear the answers, after all turns."""
        client = client or self.client
        self.submit(*events, client=client)
        self.turns.settle()
        return client.heard()

    def assert_balanced(self) -> None:
        """Every EVENT message was counted once for how it ended."""
        counted = self.statistics
        self.assertEqual(
            counted.events_received,
            counted.events_stored
            + counted.events_passed_on
            + counted.events_duplicate
            + counted.events_refused,
        )


class AcceptedTests(IngestTestCase):
    """Events that are stored, delivered and acknowledged."""

    def test_new(self) -> None:
        """A good event is stored, delivered under its place in the log, and OK."""
        event = signed_event()
        self.assertEqual(self.send(event), [accepted(event)])
        self.assertTrue(self.store.holds(event))
        self.assertEqual(
            [(one.raw, seq) for one, seq in self.delivered], [(event.raw, 1)]
        )
        self.assert_balanced()

    def test_ok_only_after_the_commit(self) -> None:
        """Neither OK nor delivery comes before the store has answered."""
        self.store.hold_saves = True
        event = signed_event()
        self.assertEqual(self.send(event), [])
        self.store.saves[0].commit()
        self.turns.settle()
        self.assertEqual((self.client.heard(), self.delivered), ([], []))
        self.store.saves[0].succeed()
        self.assertEqual(self.client.heard(), [accepted(event)])

    def test_delivery_before_ok(self) -> None:
        """Whoever hears OK may rely on the event being on its way to subscribers."""
        self.send(signed_event())
        self.assertEqual(self.heard_at_delivery, [0])

    def test_many_in_a_turn(self) -> None:
        """Each of many events gets exactly one OK, and is delivered in log order."""
        events = [signed_event(content=str(number)) for number in range(150)]
        answers = self.send(*events)
        self.assertCountEqual(answers, [accepted(event) for event in events])
        self.assertEqual([seq for _, seq in self.delivered], list(range(1, 151)))
        self.assertEqual(
            [event.id for event, _ in self.delivered], [event.id for event in events]
        )
        self.assert_balanced()

    def test_unknown_members(self) -> None:
        """Members that events do not have are dropped, and the event is good."""
        event = signed_event()
        members = {**members_of(event), "seen_on": ["x"]}
        self.take(members)
        self.turns.settle()
        self.assertEqual(self.client.heard(), [accepted(event)])
        self.assertTrue(self.store.holds(event))

    def test_replaceable(self) -> None:
        """A later version is stored, an older one refused and not delivered."""
        older, newer = (
            signed_event(kind=0, created_at=NOW - age, content=str(age))
            for age in (1, 0)
        )
        self.assertEqual(self.send(newer), [accepted(newer)])
        self.assertEqual(
            self.send(older), [refused(older, "duplicate: have a newer version")]
        )
        self.assertEqual(len(self.delivered), 1)
        self.assert_balanced()

    def test_deleted(self) -> None:
        """What its author deleted is refused, also when it was seen a moment ago."""
        event = signed_event()
        self.send(event)
        request = signed_event(kind=5, tags=[["e", event.id.hex()]])
        self.assertEqual(self.send(request), [accepted(request)])
        self.assertFalse(self.store.holds(event))
        self.assertEqual(
            self.send(event), [refused(event, "blocked: deleted by its author")]
        )
        self.assertFalse(self.store.holds(event))
        self.assert_balanced()

    def test_deleted_in_one_transaction(self) -> None:
        """An event and its deletion that come together leave it deleted."""
        event = signed_event()
        request = signed_event(kind=5, tags=[["e", event.id.hex()]])
        self.assertEqual(
            self.send(event, request), [accepted(event), accepted(request)]
        )
        self.assertEqual(
            self.send(event), [refused(event, "blocked: deleted by its author")]
        )

    def test_deleted_before_it_came(self) -> None:
        """A deletion request that arrives first keeps its target out."""
        event = signed_event()
        request = signed_event(kind=5, tags=[["e", event.id.hex()]])
        self.assertEqual(
            self.send(request, event),
            [accepted(request), refused(event, "blocked: deleted by its author")],
        )
        self.assertEqual(len(self.delivered), 1)

    def test_deleted_by_somebody_else(self) -> None:
        """Another author's request is stored, and the event stays a duplicate."""
        event = signed_event()
        self.send(event)
        self.send(signed_event(2, kind=5, tags=[["e", event.id.hex()]]))
        self.assertTrue(self.store.holds(event))
        self.assertEqual(self.send(event), [duplicate(event)])

    def test_vanished(self) -> None:
        """What vanished with its author is refused, also if it was just seen."""
        event = signed_event()
        later = signed_event(created_at=NOW + 1)
        request = signed_event(kind=62, tags=[["relay", "ALL_RELAYS"]])
        self.send(event, later)
        self.assertEqual(self.send(request), [accepted(request)])
        self.assertFalse(self.store.holds(event))
        self.assertEqual(
            self.send(event),
            [refused(event, "blocked: the author requested to vanish")],
        )
        self.assertEqual(
            self.send(later, request), [duplicate(request), duplicate(later)]
        )
        self.assert_balanced()

    def test_deleted_version(self) -> None:
        """A version that was deleted by its address is refused when sent again."""
        event = signed_event(kind=30023, tags=[["d", "x"]])
        self.send(event)
        address = f"30023:{event.pubkey.hex()}:x"
        self.send(signed_event(kind=5, tags=[["a", address]]))
        self.assertEqual(
            self.send(event), [refused(event, "blocked: deleted by its author")]
        )


class DuplicateTests(IngestTestCase):
    """One event that comes more than once."""

    def test_stored(self) -> None:
        """A second copy is acknowledged, and neither stored nor delivered again."""
        event = signed_event()
        self.send(event)
        self.assertEqual(self.send(event, client=self.other), [duplicate(event)])
        self.assertEqual((len(self.delivered), self.store.last_seq()), (1, 1))
        self.assert_balanced()

    def test_stored_long_ago(self) -> None:
        """So is a copy of what only the store remembers."""
        event = signed_event()
        self.successResultOf(self.store.save_events([event]))
        self.assertEqual(self.send(event), [duplicate(event)])
        self.assertEqual(self.delivered, [])

    def test_replaceable(self) -> None:
        """So is a copy of the current version."""
        event = signed_event(kind=3)
        self.send(event)
        self.assertEqual(self.send(event), [duplicate(event)])

    def test_in_flight_from_another_client(self) -> None:
        """A copy of what is being saved waits for that commit; both hear OK."""
        self.store.hold_saves = True
        event = signed_event()
        self.send(event)
        self.assertEqual(self.send(event, client=self.other), [])
        self.assertEqual(len(self.store.saves), 1)
        self.store.saves[0].succeed()
        self.turns.settle()
        self.assertEqual(self.client.heard(), [accepted(event)])
        self.assertEqual(self.other.heard(), [duplicate(event)])
        self.assertEqual((len(self.delivered), len(self.store.saves)), (1, 1))
        self.assert_balanced()

    def test_in_flight_from_the_same_client(self) -> None:
        """A client that sends an event twice in one turn hears two OKs."""
        event = signed_event()
        self.assertEqual(self.send(event, event), [accepted(event), duplicate(event)])
        self.assertEqual(len(self.delivered), 1)
        self.assert_balanced()

    def test_waiting_for_its_transaction(self) -> None:
        """A copy of what waits behind another transaction is saved once, too."""
        self.store.hold_saves = True
        self.send(signed_event(content="in work"))
        event = signed_event()
        self.send(event)
        self.send(event, client=self.other)
        self.store.saves[0].succeed()
        self.turns.settle()
        self.assertEqual([len(save.events) for save in self.store.saves], [1, 1])
        self.store.saves[1].succeed()
        self.assertEqual(self.other.heard(), [duplicate(event)])

    def test_in_flight_and_refused(self) -> None:
        """If the store refuses, so are all copies that waited."""
        self.store.hold_saves = True
        newer = signed_event(kind=0, content="newer")
        self.successResultOf(self.store.inner.save_events([newer]))
        event = signed_event(kind=0, created_at=NOW - 1)
        self.send(event)
        self.send(event, client=self.other)
        self.store.saves[0].succeed()
        answer = refused(event, "duplicate: have a newer version")
        self.assertEqual(
            (self.client.heard(), self.other.heard()), ([answer], [answer])
        )
        self.assert_balanced()

    def test_in_flight_and_failed(self) -> None:
        """If the store fails, all copies fail, and a later try succeeds."""
        self.store.hold_saves = True
        event = signed_event()
        self.send(event)
        self.send(event, client=self.other)
        self.store.saves[0].fail(StoreError("disk full"))
        answer = refused(event, "error: disk full")
        self.assertEqual(
            (self.client.heard(), self.other.heard()), ([answer], [answer])
        )
        self.store.hold_saves = False
        self.assertEqual(self.send(event), [accepted(event)])
        self.assert_balanced()

    def test_bad_copy(self) -> None:
        """A copy with a broken signature is never let through in another's wake."""
        self.store.hold_saves = True
        event = signed_event()
        bad = forged(event)
        self.assertEqual(
            self.send(bad, event), [refused(event, "invalid: bad signature")]
        )
        self.store.saves[0].succeed()
        self.assertEqual(self.client.heard(), [accepted(event)])
        self.assertTrue(self.store.holds(event))


def forged(event: Event) -> Event:
    """The same event with a signature that signs something else."""
    other = signed_event(content=event.raw.decode())
    raw = event.raw.replace(event.sig.hex().encode(), other.sig.hex().encode())
    return Event(
        event.id,
        event.pubkey,
        event.created_at,
        event.kind,
        event.tags,
        other.sig,
        raw,
    )


class EphemeralTests(IngestTestCase):
    """Events that are passed on and never stored (NIP-01)."""

    def test_passed_on(self) -> None:
        """It is delivered with no place in the log, then OK; the store is left out."""
        for kind in (20000, 29999):
            event = signed_event(kind=kind)
            self.assertEqual(self.send(event), [accepted(event)])
            self.assertFalse(self.store.holds(event))
        self.assertEqual([seq for _, seq in self.delivered], [0, 0])
        self.assertEqual(self.heard_at_delivery, [0, 0])
        self.assertEqual(self.statistics.events_passed_on, 2)
        self.assert_balanced()

    def test_boundaries(self) -> None:
        """The kinds next to the ephemeral ones are stored."""
        for kind in (19999, 30000):
            event = signed_event(kind=kind)
            self.send(event)
            self.assertTrue(self.store.holds(event))

    def test_duplicate(self) -> None:
        """A copy within the last while is acknowledged and not delivered again."""
        event = signed_event(kind=20001)
        self.send(event)
        self.assertEqual(self.send(event, client=self.other), [duplicate(event)])
        self.assertEqual(len(self.delivered), 1)
        self.assert_balanced()

    def test_duplicate_in_flight(self) -> None:
        """So is a copy whose signature was checked together with the first's."""
        event = signed_event(kind=20001)
        self.assertEqual(self.send(event, event), [accepted(event), duplicate(event)])
        self.assertEqual(len(self.delivered), 1)
        self.assert_balanced()

    def test_bad_signature(self) -> None:
        """A forgery is not delivered, and does not keep the real one out."""
        event = signed_event(kind=20001)
        self.assertEqual(
            self.send(forged(event)), [refused(event, "invalid: bad signature")]
        )
        self.assertEqual(self.delivered, [])
        self.assertEqual(self.send(event), [accepted(event)])

    def test_expired(self) -> None:
        """An expired one is refused like any other event."""
        event = signed_event(kind=20001, tags=[["expiration", str(NOW)]])
        self.assertEqual(
            self.send(event), [refused(event, "invalid: event has expired")]
        )


class RefusedTests(IngestTestCase):
    """Events that are not let in; each is answered once."""

    def refusal(self, event: Event) -> str:
        """What the client hears of ``event``, which must be one refusal."""
        ((verb, id_, is_accepted, reason),) = self.send(event)
        self.assertEqual((verb, id_, is_accepted), ("OK", event.id.hex(), False))
        self.assertEqual((self.delivered, self.store.last_seq()), ([], 0))
        self.assert_balanced()
        self.assertIsInstance(reason, str)
        return str(reason)

    def test_bad_signature(self) -> None:
        """A signature of something else is refused."""
        self.assertEqual(self.refusal(forged(signed_event())), "invalid: bad signature")

    def test_key_off_the_curve(self) -> None:
        """An author whose key is no point of the curve is refused, not crashed on."""
        event = make_event(pubkey=b"\xff" * 32)
        self.assertEqual(self.refusal(event), "invalid: bad signature")

    def test_wrong_id(self) -> None:
        """An id that is not the hash is refused under that id."""
        event = make_event(id=b"\x01" * 32)
        self.assertTrue(self.refusal(event).startswith("invalid: "))

    def test_bad_shape(self) -> None:
        """Whatever a member is instead of what it should be, there is one OK false."""
        good = members_of(signed_event())
        for name, value in (
            ("pubkey", 5),
            ("pubkey", good["pubkey"].upper() + "\n"),
            ("created_at", True),
            ("created_at", 1.5),
            ("created_at", -1),
            ("kind", "1"),
            ("kind", 65536),
            ("tags", {}),
            ("tags", [[1]]),
            ("tags", [[]]),
            ("content", None),
            ("content", "\ud800"),
            ("sig", ""),
        ):
            self.take({**good, name: value})
            self.turns.settle()
            ((verb, id_, is_accepted, reason),) = self.client.heard()
            self.assertEqual((verb, id_, is_accepted), ("OK", good["id"], False))
            self.assertTrue(reason.startswith("invalid: "), reason)
        self.assert_balanced()

    def test_missing_member(self) -> None:
        """An event without one of its members is refused, and which one is told."""
        good = members_of(signed_event())
        for name in ("pubkey", "created_at", "kind", "tags", "content", "sig"):
            members = {key: value for key, value in good.items() if key != name}
            self.take(members)
            self.assertEqual(
                self.client.heard(),
                [["OK", good["id"], False, f"invalid: the event has no {name}"]],
            )

    def test_no_id(self) -> None:
        """Without an id to answer with, the client hears one NOTICE."""
        good = members_of(signed_event())
        for id_ in (None, 5, "\ud800", "a" * 257):
            self.take({**good, "id": id_})
            self.turns.settle()
            ((verb, text),) = self.client.heard()
            self.assertEqual(verb, "NOTICE")
            self.assertTrue(text.startswith("invalid: "))
        self.assertEqual(self.statistics.notices, 4)
        self.assert_balanced()

    def test_odd_id(self) -> None:
        """A short id that is none is echoed as it was written."""
        for id_ in ("", 'a"b', "\u20ac", "\x00"):
            members = {**members_of(signed_event()), "id": id_}
            self.take(members)
            ((verb, echo, is_accepted, _),) = self.client.heard()
            self.assertEqual((verb, echo, is_accepted), ("OK", id_, False))

    def test_authentication(self) -> None:
        """Events that authenticate to a server are not for publishing."""
        for kind in (22242, 27235):
            self.assertEqual(
                self.refusal(signed_event(kind=kind)),
                f"invalid: events of kind {kind} are not for publishing",
            )

    def test_expired(self) -> None:
        """An event is refused from the second of its expiration on."""
        event = signed_event(tags=[["expiration", str(NOW)]])
        self.assertEqual(self.refusal(event), "invalid: event has expired")

    def test_expired_meanwhile(self) -> None:
        """Once expired, even an event that was stored is no duplicate any more."""
        event = signed_event(tags=[["expiration", str(NOW + 1)]])
        self.assertEqual(self.send(event), [accepted(event)])
        self.assertEqual(self.send(event), [duplicate(event)])
        self.clock.advance(1)
        self.assertEqual(
            self.send(event), [refused(event, "invalid: event has expired")]
        )

    def test_swept_meanwhile(self) -> None:
        """
        What the store has dropped is not called a duplicate.

        An expiring event may leave the store at any time, so it is the store that
        is asked.
        """
        event = signed_event(tags=[["expiration", str(NOW + 10)]])
        self.send(event)
        self.successResultOf(self.store.delete_expired(NOW + 20))
        self.assertEqual(self.send(event), [accepted(event)])

    def test_store_failure(self) -> None:
        """A store that fails is answered with its words, and nothing is delivered."""
        self.store.save_error = StoreError("disk full")
        self.assertEqual(self.refusal(signed_event()), "error: disk full")

    def test_store_broken(self) -> None:
        """What else goes wrong there is logged, and told without details."""
        self.store.save_error = ZeroDivisionError("secret")
        self.assertEqual(self.refusal(signed_event()), "error: internal error")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class LimitsTests(SynchronousTestCase):
    """What the settings rule out, each at its exact bound."""

    limits = LimitSettings(
        max_event_tags=3,
        max_content_length=5,
        created_at_lower_seconds=100,
        created_at_upper_seconds=10,
    )

    def outcome(self, event: Event, content: str = "", now: float = NOW) -> str:
        """Why ``event`` is refused as it comes in; empty if it is taken."""
        try:
            check_limits(event, content, self.limits, now)
        except Rejected as refusal:
            return refusal.reason
        return ""

    def test_future(self) -> None:
        """An event may be dated as far ahead as the limit, and no second more."""
        self.assertEqual(self.outcome(make_event(created_at=NOW + 10)), "")
        self.assertEqual(
            self.outcome(make_event(created_at=NOW + 11)),
            "invalid: created_at is too far in the future, at most 10 s are taken",
        )

    def test_past(self) -> None:
        """An event may be as old as the limit, and no second more."""
        self.assertEqual(self.outcome(make_event(created_at=NOW - 100)), "")
        self.assertEqual(
            self.outcome(make_event(created_at=NOW - 101)),
            "invalid: created_at is too far in the past, at most 100 s are taken",
        )

    def test_any_age(self) -> None:
        """A lower limit of 0 takes events of any age."""
        self.limits = LimitSettings()
        self.assertEqual(self.outcome(make_event(created_at=0)), "")

    def test_tags(self) -> None:
        """As many tags as the limit are taken, and not one more."""
        self.assertEqual(self.outcome(make_event(tags=[["t", "x"]] * 3)), "")
        self.assertEqual(
            self.outcome(make_event(tags=[["t", "x"]] * 4)), "invalid: more than 3 tags"
        )

    def test_content(self) -> None:
        """Content is counted in characters, not bytes."""
        self.assertEqual(self.outcome(make_event(), "\U0001f600" * 5), "")
        self.assertEqual(
            self.outcome(make_event(), "a" * 6),
            "invalid: content of more than 5 characters",
        )

    def test_expiration(self) -> None:
        """An event is taken until the second of its expiration."""
        event = make_event(tags=[["expiration", str(NOW)]])
        self.assertEqual(self.outcome(event, now=NOW - 0.5), "")
        self.assertEqual(self.outcome(event, now=NOW), "invalid: event has expired")

    def test_no_expiration(self) -> None:
        """What is no decimal number is no expiration."""
        for value in ("", "abc", "-5", "1.5", " 17", "1_000", "\u0661", "9" * 21):
            event = make_event(tags=[["expiration", value]])
            self.assertEqual(self.outcome(event), "")
        self.assertEqual(self.outcome(make_event(tags=[["expiration"]])), "")


class NoSignatureWorkTests(IngestTestCase):
    """Nothing dear is done for what is refused anyway."""

    limits = LimitSettings(max_content_length=5)

    def test_refused_before_the_signature(self) -> None:
        """An event beyond the limits is refused at once, without any turn."""
        event = signed_event(content="123456")
        self.submit(event)
        self.assertEqual(
            self.client.heard(),
            [refused(event, "invalid: content of more than 5 characters")],
        )
        self.assertFalse(self.turns.wanted)


class VanishRequestTests(IngestTestCase):
    """Whatever a relay asks of others, anybody may vanish."""

    limits = LimitSettings(min_pow_difficulty=200)
    auth = AuthSettings(required="both")

    def test_taken_from_anybody(self) -> None:
        """A request to vanish needs neither proof of work nor authentication."""
        request = signed_event(kind=62, tags=[["relay", "ALL_RELAYS"]])
        self.assertEqual(self.send(request)[-1], accepted(request))
        _, _, is_accepted, reason = self.send(signed_event())[-1]
        self.assertEqual((is_accepted, reason[:5]), (False, "pow: "))


class DrainTests(IngestTestCase):
    """Stopping without losing anybody's answer."""

    def test_idle(self) -> None:
        """With nothing under way it is done at once."""
        self.assertIsNone(self.successResultOf(self.ingest.drain()))

    def test_waits(self) -> None:
        """It is done when every event is answered: checked, saved and delivered."""
        self.store.hold_saves = True
        event, second = signed_event(), signed_event(content="second")
        self.submit(event)
        drained = self.ingest.drain()
        self.turns.settle()
        self.assertNoResult(drained)
        self.submit(second)
        self.store.saves[0].succeed()
        self.assertIsNone(self.successResultOf(drained))
        self.assertEqual(
            self.client.heard(),
            [refused(second, "error: shutting down"), accepted(event)],
        )

    def test_waits_for_duplicates(self) -> None:
        """Copies that wait for a commit are waited for, too."""
        self.store.hold_saves = True
        event = signed_event()
        self.submit(event, event, signed_event(kind=20001), forged(event))
        drained = self.ingest.drain()
        self.turns.settle()
        self.assertNoResult(drained)
        self.store.saves[0].fail(StoreError("disk full"))
        self.assertIsNone(self.successResultOf(drained))
        self.assertEqual(len(self.client.heard()), 4)

    def test_refuses_later_ones(self) -> None:
        """What comes afterwards is refused."""
        self.successResultOf(self.ingest.drain())
        event = signed_event()
        self.assertEqual(self.send(event), [refused(event, "error: shutting down")])
        self.assertFalse(self.store.holds(event))
        self.assert_balanced()

    def test_twice(self) -> None:
        """Whoever asks again waits for the same end."""
        self.store.hold_saves = True
        self.send(signed_event())
        first, second = self.ingest.drain(), self.ingest.drain()
        self.store.saves[0].succeed()
        self.assertIsNone(self.successResultOf(first))
        self.assertIsNone(self.successResultOf(second))
