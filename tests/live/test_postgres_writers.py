"""Those who write to one database, some of which stand still or are given up."""

from __future__ import annotations

import psycopg
from psycopg import errors
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import SaveOutcome, StoreError
from nostrtx.nostr.vanish import names_all_relays
from nostrtx.storage.postgres.link import Link
from nostrtx.storage.postgres.session import connection_parameters
from nostrtx.storage.postgres.writer import EventWriter
from tests.live.postgres_server import shared_server
from tests.live.postgres_stores import Node, empty_database, give_back
from tests.storage.events import make_event


class WriterTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.storage.postgres.writer.EventWriter`."""

    def setUp(self) -> None:
        """A writer without much patience, and another connection."""
        name = self.name = empty_database()
        self.addCleanup(give_back, name)
        url = self.url = shared_server().url(name)
        self.link = Link(connection_parameters(url), 1)
        self.addCleanup(self.link.drop)
        self.writer = EventWriter(self.link, names_all_relays, 0.5)
        self.other = psycopg.connect(url, autocommit=True)
        self.addCleanup(self.other.close)

    def save(self, content: str) -> SaveOutcome:
        """Save a note; what became of it."""
        [result], _ = self.writer.save([make_event(content=content)])
        return result.outcome

    def lock(self, in_part: bool) -> None:
        """Have another connection take the lock, with a whole request or a part."""
        pgconn = self.other.pgconn
        pgconn.enter_pipeline_mode()
        for statement in (
            b"BEGIN",
            b"SELECT last_seq FROM nostrtx.counters FOR UPDATE",
        ):
            pgconn.send_query_params(statement, None)
        if in_part:
            pgconn.send_flush_request()
        else:
            pgconn.pipeline_sync()
        pgconn.flush()
        # BEGIN's answer, its end, and the lock's.
        for _ in range(3):
            pgconn.get_result()

    def test_standing_still(self) -> None:
        """Who stands still in the middle of a request does not stop the others."""
        self.lock(in_part=True)
        self.assertEqual(self.save("first"), SaveOutcome.STORED)

    def test_given_up(self) -> None:
        """What its author was told has failed is not stored later."""
        node = Node(self.url)
        self.addCleanup(node.close)
        node.save(make_event(content="first"))
        self.lock(in_part=False)
        saved = node.store.save_events([make_event(content="second")])
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            f" AND datname = '{self.name}'"
        )
        while shared_server().execute(waiting) != [(1,)]:
            continue
        node.reactor.advance(60)
        self.assertRaises(StoreError, node.reactor.result_of, saved)
        self.other.close()
        late = make_event(content="late")
        node.save(late)
        raws = [raw for _, raw in node.store.events_after(0, 9)]
        self.assertEqual(raws[1:], [late.raw])

    def test_busy(self) -> None:
        """Who is at work with the lock keeps it, and the others are told."""
        pgconn = self.other.pgconn
        self.lock(in_part=True)
        pgconn.send_query_params(b"SELECT pg_sleep(30)", None)
        pgconn.send_flush_request()
        pgconn.flush()
        self.assertRaises(errors.LockNotAvailable, self.save, "first")
        self.other.cancel_safe()
        self.assertEqual(self.save("second"), SaveOutcome.STORED)
