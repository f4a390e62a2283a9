"""Tests for :mod:`nostrtx.relay.stored_queries`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import StoreError
from nostrtx.relay import subscription as subscription_module
from nostrtx.settings.limits import LimitSettings, TimingSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import (
    FakeClient,
    RelayUnderTest,
    close_message,
    event_message,
    req_message,
    seen,
)
from tests.storage.events import NOW, make_event, signed_event

#: Ten notes, the newest first: the order of an answer.
_NOTES = [make_event(created_at=NOW - age) for age in range(10)]


def answer(id_: str, notes: int = 10) -> list[Any]:
    """All that a REQ for some of the notes is answered."""
    return [*(seen(id_, event) for event in _NOTES[:notes]), ["EOSE", id_]]


class StoredQueriesTestCase(SynchronousTestCase):
    """A relay with ten notes, whose store answers as the test says."""

    def setUp(self) -> None:
        """Connect a client."""
        self.under_test = RelayUnderTest(
            Settings(
                timing=TimingSettings(query_slice_seconds=0.005, query_budget_seconds=2)
            )
        )
        self.store = self.under_test.store
        self.turns = self.under_test.turns
        self.statistics = self.under_test.relay.statistics
        self.under_test.stored(*_NOTES)
        self.client, self.session = self.under_test.connect()

    def ask(self, id_: str = "s", **condition: object) -> None:
        """Send a REQ for the notes."""
        self.session.message_received(req_message(id_, {"kinds": [1], **condition}))


class PagesTests(StoredQueriesTestCase):
    """An answer in one page or in many."""

    def test_at_once(self) -> None:
        """An answer of one page is given in the turn in which it was asked for."""
        self.ask()
        self.assertEqual(self.client.heard(), answer("s"))
        self.assertEqual(self.store.queries[0].closed, 1)

    def test_one_page_a_turn(self) -> None:
        """A longer answer comes a page a turn, in order, with one EOSE at its end."""
        self.store.page_events = 3
        self.ask()
        self.assertEqual(self.client.heard(), answer("s")[:3])
        self.turns.take()
        self.assertEqual(self.client.heard(), answer("s")[3:6])
        self.turns.settle()
        self.assertEqual(self.client.heard(), answer("s")[6:])
        self.assertEqual(self.store.queries[0].closed, 1)
        self.assertEqual(self.statistics.events_sent, 10)

    def test_empty_page(self) -> None:
        """A page without events is not the end unless it says so."""
        self.store.page_events = 0
        self.ask()
        for _ in range(5):
            self.turns.take()
        self.assertEqual(self.client.heard(), [])
        self.store.page_events = 100
        self.turns.settle()
        self.assertEqual(self.client.heard(), answer("s"))

    def test_late_pages(self) -> None:
        """A store may take its time for each page."""
        self.store.page_events = 5
        self.store.hold_pages = True
        self.ask()
        self.turns.settle()
        self.assertEqual(self.client.heard(), [])
        (query,) = self.store.queries
        query.answer()
        self.turns.settle()
        self.assertEqual(self.client.heard(), answer("s")[:5])
        query.answer()
        self.assertEqual(self.client.heard(), answer("s")[5:])
        self.turns.settle()
        self.assertEqual(query.closed, 1)
        self.assertEqual(self.client.heard(), [])


class EndTests(StoredQueriesTestCase):
    """Queries that end before their last page."""

    def setUp(self) -> None:
        """Have the answer come in pages of three."""
        super().setUp()
        self.store.page_events = 3

    def assert_silent(self) -> None:
        """Nothing follows: no stored event, no EOSE, no live event."""
        self.client.heard()
        self.under_test.publish(signed_event())
        self.turns.settle()
        self.assertEqual(self.client.heard(), [])
        self.assertEqual([query.closed for query in self.store.queries], [1])
        self.assertEqual(self.statistics.subscriptions, 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_close_between_pages(self) -> None:
        """A CLOSE between two pages ends the query."""
        self.ask()
        self.session.message_received(close_message("s"))
        self.assert_silent()

    def test_close_while_the_store_works(self) -> None:
        """So does one while a page is waited for."""
        self.store.hold_pages = True
        self.ask()
        self.session.message_received(close_message("s"))
        self.assert_silent()

    def test_close_while_the_client_is_full(self) -> None:
        """So does one while the client takes nothing."""
        self.ask()
        self.client.full = True
        self.turns.settle()
        self.assertEqual(len(self.client.ready), 1)
        self.session.message_received(close_message("s"))
        self.assertEqual(self.client.ready, [])
        self.assert_silent()

    def test_connection_lost(self) -> None:
        """A lost connection ends all of its queries."""
        self.ask()
        self.session.connection_lost()
        self.assert_silent()
        self.assertEqual(self.statistics.measurements.unfinished, {"given_up": 1})

    def test_lost_while_full(self) -> None:
        """So it does if the client itself says first that it is gone."""
        self.ask()
        self.client.full = True
        self.turns.settle()
        self.client.lose()
        self.session.connection_lost()
        self.assert_silent()

    def test_shut_down(self) -> None:
        """Shutting down answers with CLOSED, and no EOSE follows it."""
        self.ask()
        self.client.heard()
        self.session.shut_down()
        self.assertEqual(self.client.heard(), [["CLOSED", "s", "error: shutting down"]])
        self.assert_silent()

    def test_stop(self) -> None:
        """When the relay stops, queries end and snapshots are given up."""
        self.ask()
        self.client.heard()
        self.under_test.relay.stop()
        self.turns.settle()
        self.assertEqual(self.client.heard(), [])
        self.assertEqual([query.closed for query in self.store.queries], [1])


class FailureTests(StoredQueriesTestCase):
    """Stores that fail: one CLOSED, and the subscription is gone."""

    def assert_closed(self, reason: str) -> None:
        """The client heard CLOSED with ``reason``; nothing follows."""
        self.turns.settle()
        self.assertEqual(self.client.heard()[-1], ["CLOSED", "s", reason])
        self.assertEqual(self.statistics.subscriptions, 0)
        self.under_test.publish(signed_event())
        self.assertEqual(self.client.heard(), [])

    def test_no_query(self) -> None:
        """A store that cannot even begin."""
        self.store.query_error = StoreError("too many readers")
        self.ask()
        self.assert_closed("error: too many readers")
        self.assertEqual(self.statistics.measurements.unfinished, {"failed": 1})

    def test_no_query_unexpectedly(self) -> None:
        """A store that raises what it should not is logged; the client hears CLOSED."""
        self.store.query_error = ZeroDivisionError("secret")
        self.ask()
        self.assert_closed("error: internal error")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_first_page(self) -> None:
        """A store that fails at the first page."""
        self.store.page_error = StoreError("cannot read")
        self.ask()
        self.assert_closed("error: cannot read")
        self.assertEqual(self.store.queries[0].closed, 1)

    def test_later_page(self) -> None:
        """A store that fails in the middle of an answer."""
        self.store.page_events = 3
        self.ask()
        self.assertEqual(self.client.heard(), answer("s")[:3])
        self.store.page_error = StoreError("cannot read")
        self.assert_closed("error: cannot read")
        self.assertEqual(self.store.queries[0].closed, 1)
        self.assertEqual(self.statistics.measurements.unfinished, {"failed": 1})

    def test_late_failure(self) -> None:
        """A store that fails after a while."""
        self.store.hold_pages = True
        self.ask()
        self.store.queries[0].fail(ZeroDivisionError("secret"))
        self.assert_closed("error: internal error")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.store.queries[0].closed, 1)

    def test_others_go_on(self) -> None:
        """One failing query is no other's concern, nor that of the next."""
        self.store.page_error = StoreError("cannot read")
        self.ask("s")
        self.store.page_error = None
        self.client.heard()
        self.ask("t")
        self.assertEqual(self.client.heard(), answer("t"))


class BudgetTests(StoredQueriesTestCase):
    """Queries that find nothing for too long."""

    def test_exceeded(self) -> None:
        """A query whose time is up ends with a CLOSED that says so."""
        self.store.page_events = 0
        self.store.page_seconds = 0.3
        self.ask()
        self.turns.settle()
        ((verb, id_, reason),) = self.client.heard()
        self.assertEqual((verb, id_), ("CLOSED", "s"))
        self.assertTrue(reason.startswith("error: the query took too long"), reason)
        self.assertEqual(self.statistics.subscriptions, 0)
        self.assertEqual(self.store.queries[0].closed, 1)
        self.assertEqual(self.statistics.measurements.unfinished, {"out_of_time": 1})
        # Seven times 0.3 s are the first to exceed 2 s.
        self.assertAlmostEqual(self.under_test.clock.seconds() - NOW, 7 * 0.3, 3)

    def test_finding_is_no_excuse(self) -> None:
        """The budget is for all slices together, whether they find events or not."""
        self.store.page_events = 1
        self.store.page_seconds = 0.5
        self.ask()
        self.turns.settle()
        self.assertEqual(self.client.heard()[-1][0], "CLOSED")

    def test_time_of_others_is_not_counted(self) -> None:
        """Waiting, for other queries or for the client, costs no budget."""
        self.store.page_events = 1
        self.store.page_seconds = 0.1
        self.ask()
        self.client.full = True
        self.turns.settle()
        self.under_test.clock.advance(3600)
        self.client.empty()
        self.turns.settle()
        self.assertEqual(self.client.heard(), answer("s"))


class BackPressureTests(StoredQueriesTestCase):
    """Clients that do not read."""

    def setUp(self) -> None:
        """Have the answer come in pages of three."""
        super().setUp()
        self.store.page_events = 3

    def test_pauses_and_resumes(self) -> None:
        """A full client's query rests, takes no turns, and goes on where it was."""
        self.ask()
        self.client.full = True
        self.turns.settle()
        self.assertFalse(self.turns.wanted)
        self.assertEqual(self.client.heard(), answer("s")[:3])
        self.client.empty()
        self.turns.settle()
        self.assertEqual(self.client.heard(), answer("s")[3:])

    def test_nothing_for_a_full_client(self) -> None:
        """A client that is full when it asks is answered when it has room."""
        self.client.full = True
        self.ask("s")
        self.ask("t")
        self.turns.settle()
        self.assertEqual(self.client.heard(), [])
        self.client.empty()
        self.turns.settle()
        heard = self.client.heard()
        for id_ in "st":
            self.assertEqual([one for one in heard if one[1] == id_], answer(id_))

    def test_full_while_waiting_for_its_turn(self) -> None:
        """Once a client is full, none of its queries sends another page."""
        for id_ in "abc":
            self.ask(id_)
        self.client.heard()
        self.client.full = True
        self.turns.settle()
        self.assertEqual(self.client.heard(), [])

    def test_others_are_not_delayed(self) -> None:
        """Another client's query goes on meanwhile."""
        self.client.full = True
        self.ask()
        other, session = self.under_test.connect()
        session.message_received(req_message("o", {"kinds": [1]}))
        self.turns.settle()
        self.assertEqual(other.heard(), answer("o"))

    def test_live_events_wait(self) -> None:
        """Live events for a paused query come after its EOSE."""
        self.ask()
        self.client.full = True
        event = signed_event()
        self.under_test.publish(event)
        self.assertEqual(self.client.heard(), answer("s")[:3])
        self.client.empty()
        self.turns.settle()
        self.assertEqual(self.client.heard(), [*answer("s")[3:], seen("s", event)])
        self.assertEqual(self.statistics.events_delivered, 1)

    def test_overrun(self) -> None:
        """If too much waits the subscription is closed, and the rest forgotten."""
        self.ask()
        self.client.full = True
        self.turns.settle()
        self.client.heard()
        content = "x" * 390_000
        for number in range(subscription_module.MAX_WAITING_BYTES // 390_000 + 1):
            self.under_test.publish(signed_event(content=f"{number}{content}"))
        ((verb, id_, reason),) = self.client.heard()
        self.assertEqual((verb, id_), ("CLOSED", "s"))
        self.assertTrue(reason.startswith("error: live events pile up"), reason)
        self.client.empty()
        self.turns.settle()
        self.assertEqual(self.client.heard(), [])
        self.assertEqual(self.statistics.subscriptions, 0)


class FairnessTests(StoredQueriesTestCase):
    """Many queries at once."""

    def test_new_ones_first(self) -> None:
        """A long query does not keep a new short one waiting."""
        self.store.page_events = 1
        self.store.page_seconds = 0.004
        self.ask("long")
        for _ in range(3):
            self.turns.take()
        self.client.heard()
        self.ask("short", limit=1)
        self.assertEqual(self.client.heard(), answer("short", 1))

    def test_turn_about(self) -> None:
        """Long queries get a page each in turn."""
        self.store.page_events = 1
        for id_ in "abc":
            self.ask(id_)
        self.client.heard()
        self.turns.take()
        self.assertEqual([one[1] for one in self.client.heard()], ["a", "b", "c"])

    def test_slice(self) -> None:
        """A turn gives queries their slice, and then leaves the relay to others."""
        self.store.page_events = 1
        for id_ in "wxyz":
            self.ask(id_)
        self.client.heard()
        self.store.page_seconds = 0.003
        before = self.under_test.clock.seconds()
        self.turns.take()
        self.assertEqual([one[1] for one in self.client.heard()], ["w", "x"])
        self.assertAlmostEqual(self.under_test.clock.seconds() - before, 0.006)
        self.turns.take()
        self.assertEqual([one[1] for one in self.client.heard()], ["y", "z"])

    def test_too_many_new_ones(self) -> None:
        """New queries beyond the slice wait a turn, and all are answered in full."""
        self.store.page_seconds = 0.003
        clients: list[FakeClient] = []
        for _ in range(6):
            client, session = self.under_test.connect()
            session.message_received(req_message("s", {"kinds": [1]}))
            clients.append(client)
        self.assertEqual([len(client.messages) for client in clients][2:], [0] * 4)
        self.turns.settle()
        for client in clients:
            self.assertEqual(client.heard(), answer("s"))

    def test_every_turn_moves_one(self) -> None:
        """Waiting queries advance however many new ones use up the slices."""
        self.store.page_events = 1
        self.ask("long")
        self.store.page_seconds = 0.006
        pages = 0
        for _ in range(9):
            self.client.heard()
            _, session = self.under_test.connect()
            session.message_received(req_message("s", {"kinds": [1], "limit": 1}))
            self.turns.take()
            pages += len(self.client.heard())
        self.assertEqual(pages, 9 + 1)


class BoundaryTests(SynchronousTestCase):
    """Between stored and live: no gap, and nothing twice."""

    def setUp(self) -> None:
        """Connect one who asks and one who publishes."""
        self.under_test = RelayUnderTest(
            Settings(limits=LimitSettings(default_limit=100))
        )
        self.store = self.under_test.store
        self.turns = self.under_test.turns
        self.client, self.session = self.under_test.connect()
        self.author, self.authors_session = self.under_test.connect()

    def publish(self, content: str) -> list[Any]:
        """Publish a note; what the one who asks must hear of it."""
        event = signed_event(content=content)
        self.authors_session.message_received(event_message(event))
        self.turns.settle()
        return seen("s", event)

    def ask(self) -> None:
        """Subscribe to all notes."""
        self.session.message_received(req_message("s", {"kinds": [1]}))

    def test_before_during_and_after(self) -> None:
        """Events from before, during and after a suspended query come once each."""
        before = self.publish("before")
        self.store.hold_pages = True
        self.store.page_events = 1
        self.ask()
        during = [self.publish("during 1")]
        self.store.queries[0].answer()
        self.assertEqual(self.client.heard(), [before, ["EOSE", "s"], *during])
        self.assertEqual(self.client.heard(), [])
        after = self.publish("after")
        self.assertEqual(self.client.heard(), [after])

    def test_during_each_page(self) -> None:
        """However an answer of many pages is interrupted, nothing is lost."""
        stored = [self.publish(str(number)) for number in range(5)]
        self.store.page_events = 1
        self.store.hold_pages = True
        self.ask()
        live = []
        for number in range(5):
            live.append(self.publish(f"live {number}"))
            self.store.queries[0].answer()
            live.append(self.publish(f"live again {number}"))
        heard = self.client.heard()
        self.assertCountEqual(heard[:5], stored)
        self.assertEqual(heard[5:], [["EOSE", "s"], *live])

    def test_committed_but_not_reported(self) -> None:
        """
        An event that is in the store, but whose commit was not reported yet when
        the query began, comes from the query alone.
        """
        self.store.hold_saves = True
        expected = self.publish("in between")
        self.store.saves[0].commit()
        self.ask()
        self.assertEqual(self.client.heard(), [expected, ["EOSE", "s"]])
        self.store.saves[0].succeed()
        self.turns.settle()
        self.assertEqual(self.client.heard(), [])
        self.assertEqual(len(self.author.heard()), 1)

    def test_committed_while_the_query_is_suspended(self) -> None:
        """One that is committed after the query began comes live alone."""
        self.store.hold_saves = True
        self.store.hold_pages = True
        expected = self.publish("in between")
        self.ask()
        self.store.saves[0].commit()
        self.store.queries[0].answer()
        self.assertEqual(self.client.heard(), [["EOSE", "s"]])
        self.store.saves[0].succeed()
        self.assertEqual(self.client.heard(), [expected])

    def test_a_failed_save(self) -> None:
        """What could not be stored is delivered to nobody, now or later."""
        self.ask()
        self.client.heard()
        self.store.hold_saves = True
        self.publish("lost")
        self.store.saves[0].fail(StoreError("disk full"))
        self.turns.settle()
        self.assertEqual(self.client.heard(), [])
        self.ask()
        self.assertEqual(self.client.heard(), [["EOSE", "s"]])

    def test_ephemeral_during_the_query(self) -> None:
        """An ephemeral event during the query comes after EOSE, not never."""
        self.store.hold_pages = True
        self.session.message_received(req_message("s", {"kinds": [20001]}))
        event = signed_event(kind=20001)
        self.under_test.publish(event)
        self.assertEqual(self.client.heard(), [])
        self.store.queries[0].answer()
        self.assertEqual(self.client.heard(), [["EOSE", "s"], seen("s", event)])

    def test_own_events(self) -> None:
        """A client hears its own event on its own subscription, then OK."""
        self.ask()
        self.client.heard()
        event = signed_event()
        self.session.message_received(event_message(event))
        self.turns.settle()
        self.assertEqual(
            self.client.heard(),
            [seen("s", event), ["OK", event.id.hex(), True, ""]],
        )

    def test_after_ok_it_is_found(self) -> None:
        """Whoever was told OK finds the event with the next REQ."""
        event = signed_event()
        self.session.message_received(event_message(event))
        self.turns.settle()
        self.client.heard()
        self.ask()
        self.assertEqual(self.client.heard(), [seen("s", event), ["EOSE", "s"]])
