"""Tests for :mod:`nostrtx.relay.counting`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.hyperloglog import Registers, offset
from nostrtx.nostr.json import dumps
from nostrtx.settings.access import AuthSettings
from nostrtx.settings.limits import LimitSettings, TimingSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import RelayUnderTest, auth_message, req_message, seen
from tests.storage.events import NOW, make_event, public_key, signed_event

_VECTORS = Path(__file__).parent.parent / "vectors" / "hll.json"


class CountingTestCase(SynchronousTestCase):
    """A relay with some notes, and one client."""

    settings = Settings()

    def setUp(self) -> None:
        """Put everything together."""
        self.under_test = RelayUnderTest(self.settings)
        self.store = self.under_test.store
        self.client, self.session = self.under_test.connect()
        self.notes = [
            signed_event(1 + number % 2, created_at=NOW - number, tags=[["t", "x"]])
            for number in range(7)
        ]
        self.under_test.stored(*self.notes)

    def ask(self, *filters: object, id_: str = "q") -> None:
        """Send a COUNT; the turn does not end yet."""
        self.session.message_received(dumps(["COUNT", id_, *filters]))

    def count(self, *filters: object) -> list[Any]:
        """The one answer to a COUNT, after all turns."""
        self.ask(*filters)
        self.under_test.turns.settle()
        [answer] = self.client.heard()
        assert isinstance(answer, list)
        return answer

    def assert_closed(self, prefix: str, *filters: object) -> None:
        """Assert that a COUNT is refused, and by nothing else than one CLOSED."""
        verb, id_, reason = self.count(*filters)
        self.assertEqual((verb, id_), ("CLOSED", "q"))
        self.assertTrue(reason.startswith(prefix), reason)
        self.assertEqual(self.store.counts, [])


class CountTests(CountingTestCase):
    """What a COUNT is answered."""

    def test_number(self) -> None:
        """The answer is the number of events that match, and nothing follows."""
        self.assertEqual(self.count({}), ["COUNT", "q", {"count": 7}])
        self.assertEqual(self.count({"kinds": [9]}), ["COUNT", "q", {"count": 0}])
        self.under_test.publish(signed_event(content="late"))
        self.assertEqual(self.client.heard(), [])
        self.assertTrue(all(counting.closed for counting in self.store.counts))

    def test_union(self) -> None:
        """An event that two filters match is counted once."""
        author = {"authors": [public_key(1).hex()]}
        self.assertEqual(self.count(author, {"kinds": [1]}, {})[2], {"count": 7})

    def test_limits_do_not_apply(self) -> None:
        """Neither a filter's limit nor those of the relay make a count smaller."""
        self.under_test.stored(
            *[make_event(created_at=NOW - n, content=f"{n}") for n in range(600)]
        )
        for one in ({}, {"limit": 0}, {"limit": 3}, {"limit": 10**9}):
            self.assertEqual(self.count(one)[2], {"count": 607})

    def test_own_names(self) -> None:
        """A COUNT and a REQ of the same name have nothing to do with one another."""
        self.session.message_received(req_message("q", {"limit": 0}))
        self.client.heard()
        self.assertEqual(self.count({})[2], {"count": 7})
        note = signed_event(content="live")
        self.under_test.publish(note)
        self.assertEqual(self.client.heard(), [seen("q", note)])
        self.session.message_received(dumps(["CLOSE", "q"]))
        self.assertEqual(self.count({})[2], {"count": 8})

    def test_each_is_answered(self) -> None:
        """Counts of one name under way at the same time are answered one by one."""
        for _ in range(3):
            self.ask({})
        self.under_test.turns.settle()
        self.assertEqual(self.client.heard(), [["COUNT", "q", {"count": 7}]] * 3)

    def test_expired(self) -> None:
        """What has expired is not counted."""
        self.under_test.stored(signed_event(tags=[["expiration", str(NOW)]]))
        self.assertEqual(self.count({})[2], {"count": 7})


class RefusedTests(CountingTestCase):
    """COUNTs that are not answered with a number."""

    settings = Settings(
        limits=LimitSettings(max_filters=2, max_filter_values=3, max_subscriptions=2)
    )

    def test_malformed(self) -> None:
        """What is no filter, or none at all, is refused as in a REQ."""
        for filters in ([], [5], [{"kinds": "1"}], [{"limit": -1}], [{"ids": ["a"]}]):
            self.assert_closed("invalid: ", *filters)
        self.assert_closed("unsupported: ", {"foo": 1})
        self.assertEqual(self.under_test.relay.statistics.counts_refused, 6)

    def test_name(self) -> None:
        """Names have one to 64 characters."""
        for id_ in ("", "q" * 65):
            self.ask({}, id_=id_)
            [(verb, name, reason)] = self.client.heard()
            self.assertEqual((verb, name, reason[:9]), ("CLOSED", id_, "invalid: "))

    def test_too_much(self) -> None:
        """Filters and values are limited as in a REQ."""
        self.assert_closed("invalid: ", {}, {}, {})
        self.assert_closed("invalid: ", {"kinds": [1, 2, 3, 4]})

    def test_too_many_at_once(self) -> None:
        """Counts under way are limited; when they are answered, others may follow."""
        for _ in range(3):
            self.ask({})
        [(verb, _, reason)] = self.client.heard()
        self.assertEqual((verb, reason[:14]), ("CLOSED", "rate-limited: "))
        self.under_test.turns.settle()
        self.assertEqual(len(self.client.heard()), 2)
        self.assertEqual(self.count({})[2], {"count": 7})

    def test_store_fails(self) -> None:
        """If the store fails, the reason is told; what is our fault is not."""
        self.store.count_error = StoreError("the disk is gone")
        self.assertEqual(self.count({}), ["CLOSED", "q", "error: the disk is gone"])
        self.store.count_error = ValueError("a secret")
        self.assertEqual(self.count({}), ["CLOSED", "q", "error: internal error"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertTrue(all(counting.closed for counting in self.store.counts))

    def test_shutting_down(self) -> None:
        """At the end every COUNT that waits is closed, and every later one."""
        self.ask({}, id_="a")
        self.session.shut_down()
        self.ask({}, id_="b")
        self.under_test.turns.settle()
        gone = "error: shutting down"
        self.assertEqual(
            self.client.heard(), [["CLOSED", "a", gone], ["CLOSED", "b", gone]]
        )

    def test_connection_lost(self) -> None:
        """Nothing is counted for a client that has left."""
        self.store.count_steps = 3
        self.ask({}, id_="a")
        self.under_test.turns.take()
        self.ask({}, id_="b")
        self.session.connection_lost()
        self.under_test.turns.settle()
        self.assertEqual(self.client.heard(), [])
        self.assertEqual([one.closed for one in self.store.counts], [True])


class PrivateTests(CountingTestCase):
    """Counts of what not everybody may read."""

    settings = Settings(auth=AuthSettings(private_kinds=(4,)))

    def setUp(self) -> None:
        """Store three messages, of which one is for the key 5."""
        super().setUp()
        self.under_test.stored(
            *[
                signed_event(secret, kind=4, tags=[["p", public_key(to).hex()]])
                for secret, to in ((1, 2), (2, 1), (1, 5))
            ]
        )

    def test_only_private(self) -> None:
        """Private kinds alone are not counted for a stranger, who is challenged."""
        self.ask({"kinds": [4]})
        [(first, challenge), (verb, id_, reason)] = self.client.heard()
        self.assertEqual((first, verb, id_), ("AUTH", "CLOSED", "q"))
        self.assertTrue(reason.startswith("auth-required: "), reason)
        self.session.message_received(auth_message(challenge, 5))
        self.client.heard()
        own = {"kinds": [4], "#p": [public_key(5).hex()]}
        self.assertEqual(self.count(own)[2]["count"], 1)
        self.assertEqual(self.count({"kinds": [4]})[2]["count"], 1)
        writer, recipient = public_key(1).hex(), public_key(2).hex()
        others = {"kinds": [4], "authors": [writer], "#p": [recipient]}
        _, _, reason = self.count(others)
        self.assertTrue(reason.startswith("restricted: "), reason)

    def test_mixed(self) -> None:
        """Where other kinds match as well, what is hidden is not counted."""
        self.ask({"kinds": [1, 4]})
        self.under_test.turns.settle()
        self.assertEqual(self.client.heard()[-1], ["COUNT", "q", {"count": 7}])


class ManyTurnsTests(CountingTestCase):
    """Counts that take long."""

    settings = Settings(
        timing=TimingSettings(query_slice_seconds=0.005, query_budget_seconds=1.0)
    )

    def test_turns(self) -> None:
        """A long count lets others go first, and is exact in the end."""
        self.store.count_steps = 4
        self.store.count_seconds = 0.005
        self.ask({})
        for _ in range(3):
            self.under_test.turns.take()
            self.assertEqual(self.client.heard(), [])
        self.under_test.turns.settle()
        self.assertEqual(self.client.heard(), [["COUNT", "q", {"count": 7}]])

    def test_others_in_between(self) -> None:
        """Counts share a slice: one that begins later may end earlier."""
        self.store.count_steps = 3
        self.store.count_seconds = 0.005
        self.ask({}, id_="long")
        self.under_test.turns.take()
        self.store.count_steps = 1
        self.ask({}, id_="short")
        self.under_test.turns.settle()
        self.assertEqual([one[1] for one in self.client.heard()], ["long", "short"])

    def test_budget(self) -> None:
        """When its time is used up, a count is what was counted so far."""
        self.store.count_steps = 100
        self.store.count_seconds = 0.3
        answer = self.count({"#t": ["x"]})
        self.assertEqual(answer, ["COUNT", "q", {"count": 4, "approximate": True}])
        self.assertTrue(self.store.counts[0].closed)


class HyperLogLogTests(CountingTestCase):
    """The registers that come with some counts."""

    def test_vector(self) -> None:
        """The registers are those that other relays compute for these authors."""
        example = json.loads(_VECTORS.read_text(encoding="utf-8"))["example"]
        [(name, [value])] = [
            (name, value)
            for name, value in example["filter"].items()
            if name.startswith("#")
        ]
        self.under_test.stored(
            *[
                make_event(
                    pubkey=bytes.fromhex(author["pubkey"]),
                    kind=7,
                    tags=[[name[1:], value]],
                    content=content,
                )
                for author in example["pubkeys"]
                for content in "+-"
            ]
        )
        answer = self.count(example["filter"])[2]
        self.assertEqual(answer, {"count": 80, "hll": example["hll"]})

    def test_nothing(self) -> None:
        """Where nothing matches, all registers are zero."""
        answer = self.count({"#t": ["nothing"]})[2]
        self.assertEqual(answer, {"count": 0, "hll": "00" * 256})

    def test_authors_not_events(self) -> None:
        """However much an author wrote, the registers are the same."""
        answer = self.count({"#t": ["x"]})[2]
        place = offset([Filter(tags=(("t", ("x",)),))])
        assert place is not None
        registers = Registers(place)
        for secret in (1, 2):
            registers.add(public_key(secret))
        self.assertEqual(answer, {"count": 7, "hll": registers.hex()})

    def test_not_eligible(self) -> None:
        """Without one filter with one tag value there are no registers."""
        one, two = {"#t": ["x"]}, {"#t": ["x", "y"]}
        cases: list[list[dict[str, list[str]]]] = [[{}], [two], [one, one]]
        for filters in cases:
            self.assertEqual(set(self.count(*filters)[2]), {"count"}, filters)
