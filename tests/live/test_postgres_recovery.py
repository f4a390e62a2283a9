"""A PostgreSQL that is stopped, killed, paused or cut off while a node uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event as Flag
from threading import Thread
from typing import TypeVar

import psycopg
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.queries import Count, Page
from nostrtx.interfaces.store import SaveOutcome, StoreError, StoreUnusable
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.storage.postgres.migrations import migrations, prepare_store
from nostrtx.storage.postgres.session import connection_parameters
from tests.live.cutting_proxy import CuttingProxy
from tests.live.free_ports import free_port
from tests.live.postgres_server import PostgresServer, shared_server
from tests.live.postgres_stores import Node, empty_database, give_back, postgres_store
from tests.storage.events import NOW, event_id, make_event
from tests.storage.waiting_reactor import WaitingReactor

_T = TypeVar("_T")

STORED = SaveOutcome.STORED


@contextmanager
def ticking(reactor: WaitingReactor) -> Iterator[None]:
    """Let the time of a reactor pass, quicker than it does."""
    enough = Flag()

    def tick() -> None:
        while not enough.wait(0.1):
            reactor.callFromThread(reactor.advance, 1)

    Thread(target=tick, daemon=True).start()
    try:
        yield
    finally:
        enough.set()


class CrashTests(SynchronousTestCase):
    """A server that waits for the disk, and what is left after the worst."""

    def setUp(self) -> None:
        """Start the server and a node."""
        self.server = PostgresServer.start(settings={"shared_buffers": "16MB"})
        self.addCleanup(self.server.remove)
        self.node = Node(self.server.url(self.server.make_database()))
        self.addCleanup(self.node.close)

    def at_last(self, attempt: Callable[[], _T]) -> _T:
        """What comes of an attempt, once it does not fail any more."""
        while True:
            try:
                return attempt()
            except StoreError:
                continue

    def check_under_load(self, harm: Callable[[], object], rounds: int) -> None:
        """
        Harm the server again and again while the node stores batch after batch.

        What was acknowledged must be there; what was not may be, but only as a whole.
        """
        batches: list[tuple[list[Event], bool]] = []
        enough = Flag()
        failures: list[BaseException] = []

        def write() -> None:
            number = 0
            while not enough.is_set():
                number += 1
                events = [make_event(content=f"{number} {n}") for n in range(20)]
                try:
                    outcomes = self.node.save(*events)
                except StoreError as error:
                    batches.append((events, False))
                    text = str(error)
                    if text != "the event store cannot be reached":
                        failures.append(error)
                else:
                    batches.append((events, True))
                    if set(outcomes) != {STORED}:
                        failures.append(AssertionError(outcomes))

        writing = Thread(target=write)
        writing.start()
        for _ in range(rounds):
            goal = sum(saved for _, saved in batches) + 15
            while sum(saved for _, saved in batches) < goal and writing.is_alive():
                writing.join(0.01)
            harm()
        enough.set()
        writing.join()
        self.assertEqual(failures, [])
        log = self.at_last(lambda: self.node.store.events_after(0, 10**6))
        left = {raw for _, raw in log}
        for events, saved in batches:
            there = sum(event.raw in left for event in events)
            self.assertIn(there, {20} if saved else {0, 20})
        self.assertEqual([seq for seq, _ in log], list(range(1, len(log) + 1)))

    def test_restarts(self) -> None:
        """A server that is restarted is waited for; nothing accepted is lost."""
        self.check_under_load(self.server.restart, 3)

    def test_kill(self) -> None:
        """After ``kill -9`` of the server, all that was accepted is there."""

        def harm() -> None:
            self.server.kill()
            self.server.begin()

        self.check_under_load(harm, 3)

    def test_kill_backends(self) -> None:
        """After ``kill -9`` of those who served the node, it is just the same."""
        database = self.server.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE 'test%'"
        )[0][0]
        self.check_under_load(lambda: self.server.kill_backends(database), 3)

    def test_away(self) -> None:
        """
        While there is no server there are errors, soon and in plain words.

        When it is back everything goes on by itself.
        """
        note, late = make_event(), make_event(content="late")
        self.assertEqual(self.node.save(note), [STORED])
        self.server.stop()
        for attempt in (
            lambda: self.node.save(late),
            lambda: self.node.found(Filter()),
            lambda: self.node.store.events_after(0, 9),
            lambda: self.node.reactor.result_of(self.node.store.alone()),
        ):
            error = self.assertRaises(StoreError, attempt)
            self.assertEqual(str(error), "the event store cannot be reached")
        self.server.begin()
        self.assertEqual(self.at_last(lambda: self.node.save(late)), [STORED])
        found = self.at_last(lambda: self.node.found(Filter()))
        self.assertEqual(set(found), {note.raw, late.raw})
        self.at_last(lambda: self.node.reactor.result_of(self.node.store.alone()))()

    def test_still(self) -> None:
        """A server that does not answer any more costs errors, after a while."""
        self.node.save(make_event())
        self.server.pause()
        try:
            page = self.node.store.query([Filter()], NOW).next_page(1000, 0)
            assert isinstance(page, Deferred)
            saved = self.node.store.save_events([make_event(content="late")])
            self.node.reactor.advance(60)
            self.assertRaises(StoreError, self.node.reactor.result_of, page)
            self.assertRaises(StoreError, self.node.reactor.result_of, saved)
        finally:
            self.server.resume()
        again = self.node.save(make_event(content="again"))
        self.assertEqual(again, [STORED])

    def test_closed_while_still(self) -> None:
        """A store is closed whether its server answers or not."""
        release = self.node.reactor.result_of(self.node.store.alone())
        waiting = self.node.store.alone()
        waiting.addErrback(lambda failure: None)  # type: ignore[unused-awaitable]
        self.node.found(Filter())
        self.server.pause()
        try:
            queries = [self.node.store.query([Filter()], NOW) for _ in range(3)]
            for query in queries:
                page = query.next_page(1000, 0)
                assert isinstance(page, Deferred)
                page.addErrback(lambda failure: None)  # type: ignore[unused-awaitable]
            queries[0].close()
            saved = self.node.store.save_events([make_event()])
            saved.addErrback(lambda failure: None)  # type: ignore[unused-awaitable]
            closed = self.node.store.close()
            with ticking(self.node.reactor):
                self.node.reactor.result_of(closed)
        finally:
            self.server.resume()
        release()

    def test_alone_while_still(self) -> None:
        """Who waits to be alone while the server stands still learns of it."""
        self.node.reactor.result_of(self.node.store.alone())()
        self.server.pause()
        try:
            waiting = self.node.store.alone()
            self.assertRaises(StoreError, self.node.reactor.result_of, waiting)
        finally:
            self.server.resume()


class CutTests(SynchronousTestCase):
    """A connection that is cut at the worst moment."""

    def setUp(self) -> None:
        """A node whose connections can be cut."""
        name = empty_database()
        self.addCleanup(give_back, name)
        self.proxy = CuttingProxy(shared_server().port)
        self.addCleanup(self.proxy.close)
        url = f"postgresql://postgres@127.0.0.1:{self.proxy.port}/{name}"
        self.node = Node(url, connections=1)
        self.addCleanup(self.node.close)
        # From now on a batch is two requests.
        self.node.save(make_event(content="first"))

    def log(self) -> list[tuple[int, bytes]]:
        """All there is, by ``seq``."""
        return self.node.store.events_after(0, 100)

    def test_answer_is_lost(self) -> None:
        """A batch that was committed without anybody hearing of it is stored once."""
        note = make_event(content="second")
        self.proxy.cut_after(2, passes_last=True)
        [result] = self.node.reactor.result_of(self.node.store.save_events([note]))
        self.assertTrue(self.proxy.cut.is_set())
        self.assertEqual((result.outcome, result.seq), (STORED, 2))
        self.assertEqual(self.log()[1:], [(2, note.raw)])

    def test_request_is_lost(self) -> None:
        """A batch of which the server never heard is sent again."""
        note = make_event(content="second")
        for requests in (1, 2):
            self.proxy.cut_after(requests, passes_last=False)
            self.node.save(note, make_event(content=f"{requests}"))
            self.assertTrue(self.proxy.cut.is_set())
        self.assertEqual([seq for seq, _ in self.log()], [1, 2, 3, 4])

    def test_committed_and_replaced(self) -> None:
        """What was committed counts as stored, even if it is gone by now."""
        profile = make_event(kind=0)
        wish = make_event(kind=5, tags=[["e", profile.id.hex()]])
        self.proxy.cut_after(2, passes_last=True)
        results = self.node.save(profile, wish)
        self.assertEqual(results, [STORED, STORED])
        self.assertEqual([raw for _, raw in self.log()][1:], [wish.raw])

    def test_query(self) -> None:
        """A query that was cut off is asked again."""
        self.node.found(Filter())
        for requests, passes in ((1, True), (2, True), (1, False)):
            self.proxy.cut_after(requests, passes)
            self.assertEqual(len(self.node.found(Filter())), 1)
            self.assertTrue(self.proxy.cut.is_set())


class SlowTests(SynchronousTestCase):
    """Queries that take too long, or are not wanted any more."""

    def setUp(self) -> None:
        """A node with two connections, and somebody who holds up some queries."""
        name = self.name = empty_database()
        self.addCleanup(give_back, name)
        url = shared_server().url(name)
        self.node = Node(url, connections=2, query_seconds=0.5)
        self.addCleanup(self.node.close)
        self.node.save(make_event(tags=[["t", "x"]]))
        self.node.found(Filter())
        self.other = psycopg.connect(url)
        self.addCleanup(self.other.close)
        self.other.execute(b"LOCK TABLE nostrtx.tags IN ACCESS EXCLUSIVE MODE")

    def slow(self) -> Deferred[Page]:
        """The first page of a query that does not get on."""
        query = self.node.store.query([Filter(tags=(("t", ("x",)),), limit=1)], NOW)
        page = query.next_page(1000, 0)
        assert isinstance(page, Deferred)
        return page

    def test_too_long(self) -> None:
        """A query that takes too long is ended, with advice."""
        error = self.assertRaises(StoreError, self.node.reactor.result_of, self.slow())
        self.assertIn("took too long", str(error))

    def test_others_get_on(self) -> None:
        """However many queries are slow, others are answered meanwhile."""
        slow = [self.slow() for _ in range(12)]
        for _ in range(3):
            self.assertEqual(len(self.node.found(Filter(kinds=(1,)))), 1)
        self.assertFalse(any(page.called for page in slow[4:]))
        self.other.rollback()
        for page in slow[4:]:
            self.assertEqual(len(self.node.reactor.result_of(page).events), 1)
        for page in slow[:4]:
            page.addErrback(lambda failure: None)  # type: ignore[unused-awaitable]

    def test_given_up(self) -> None:
        """The server stops working for a query that was closed."""
        query = self.node.store.query([Filter(tags=(("t", ("x",)),), limit=1)], NOW)
        page = query.next_page(1000, 0)
        assert isinstance(page, Deferred)
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            f" AND datname = '{self.name}'"
        )
        while shared_server().execute(waiting) != [(1,)]:
            continue
        query.close()
        self.assertTrue(page.called)
        while shared_server().execute(waiting) != [(0,)]:
            continue
        self.assertEqual(len(self.node.found(Filter())), 1)

    def test_count(self) -> None:
        """A count that takes too long tells what it knows, and that it is not all."""
        asked = Filter(tags=(("t", ("x",)),))
        counting = self.node.store.count([asked], NOW)
        for _ in range(2):
            result = counting.go_on(0)
            count = (
                self.node.reactor.result_of(result)
                if isinstance(result, Deferred)
                else result
            )
            self.assertEqual(count, Count(0, False))
        counting.close()


class StartTests(SynchronousTestCase):
    """What keeps a node from starting."""

    def refusal(self, url: str) -> str:
        """Why a store cannot be opened."""
        store = postgres_store(url, WaitingReactor())
        error = self.assertRaises(StoreUnusable, store.open)
        self.assertNotIn("\n", str(error))
        self.assertNotIn("secret", str(error))
        return str(error)

    def test_nobody_there(self) -> None:
        """A server that is not there is one line, without the password."""
        refusal = self.refusal(f"postgresql://u:secret@127.0.0.1:{free_port()}/d")
        self.assertIn("cannot open the store", refusal)

    def test_no_such_database(self) -> None:
        """So is a database that is not there."""
        self.assertIn("does not exist", self.refusal(shared_server().url("nowhere")))

    def test_other_encoding(self) -> None:
        """A database in another encoding than UTF8 is refused."""
        server = shared_server()
        name = server.make_database(
            "template0", "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        self.addCleanup(server.drop_database, name)
        self.assertIn("UTF8", self.refusal(server.url(name)))

    def test_newer_version(self) -> None:
        """A store that a newer version of the relay has changed is refused."""
        server = shared_server()
        name = empty_database()
        self.addCleanup(server.drop_database, name)
        server.execute("INSERT INTO nostrtx.migrations (version) VALUES (1000)", name)
        refusal = self.refusal(server.url(name))
        self.assertIn("newer", refusal)
        self.assertIn("1000", refusal)

    def test_others_are_at_it(self) -> None:
        """A node does not wait for ever for another that changes the tables."""
        name = empty_database()
        self.addCleanup(give_back, name)
        url = shared_server().url(name)
        with psycopg.connect(url) as other:
            lock = int.from_bytes(b"nostrtx0", "big")
            other.execute(b"SELECT pg_advisory_xact_lock(%s)", (lock,))
            error = self.assertRaises(
                StoreUnusable, prepare_store, connection_parameters(url), 0.1
            )
        self.assertIn("another node", str(error))

    def test_together(self) -> None:
        """Nodes that start at the same time make the tables once."""
        server = shared_server()
        name = server.make_database()
        self.addCleanup(server.drop_database, name)
        nodes: list[Node] = []
        threads = [
            Thread(target=lambda: nodes.append(Node(server.url(name))))
            for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(nodes), 5)
        self.assertEqual(len({str(node.store.facts()) for node in nodes}), 1)
        for node in nodes:
            node.close()

    def test_tables_in_use(self) -> None:
        """New tables wait for a backup, and let the other nodes get on meanwhile."""
        name = empty_database()
        self.addCleanup(give_back, name)
        url = shared_server().url(name)
        newest, _ = migrations()[-1]
        shared_server().execute(
            "ALTER TABLE nostrtx.counters DROP COLUMN alone;"
            f" DELETE FROM nostrtx.migrations WHERE version = {newest}",
            name,
        )
        backup = psycopg.connect(url)
        self.addCleanup(backup.close)
        backup.execute(b"LOCK TABLE nostrtx.counters IN ACCESS SHARE MODE")
        pauses: list[float] = []

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            shared_server().execute(
                "UPDATE nostrtx.counters SET last_seq = last_seq + 1", name
            )
            if len(pauses) == 2:
                backup.close()

        prepared = prepare_store(connection_parameters(url), pause=pause)
        self.assertEqual((prepared.version, prepared.last_seq), (newest, 2))
        backup = psycopg.connect(url)
        self.addCleanup(backup.close)
        backup.execute(b"LOCK TABLE nostrtx.counters IN ACCESS SHARE MODE")
        self.assertEqual(prepare_store(connection_parameters(url)), prepared)

    def test_reopened(self) -> None:
        """Events, deletions and ``seq`` are there when a store is opened again."""
        name = empty_database()
        self.addCleanup(give_back, name)
        url = shared_server().url(name)
        note, doomed = make_event(), make_event(id=event_id(7))
        wish = make_event(kind=5, tags=[["e", doomed.id.hex()]])
        node = Node(url)
        node.save(note, doomed, wish)
        node.close()
        node = Node(url)
        self.addCleanup(node.close)
        self.assertEqual(node.store.last_seq(), 3)
        outcomes = node.save(note, doomed)
        self.assertEqual(outcomes, [SaveOutcome.DUPLICATE, SaveOutcome.DELETED])
        self.assertEqual(set(node.found(Filter())), {note.raw, wish.raw})
