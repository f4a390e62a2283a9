"""A replica that answers queries, as long as it keeps up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import StoreError, StoreUnusable
from nostrtx.nostr.bans import Ban, BanKind
from nostrtx.nostr.filters import Filter
from tests.live.postgres_server import PostgresServer
from tests.live.postgres_stores import Node, postgres_store
from tests.storage.events import NOW, make_event
from tests.storage.waiting_reactor import WaitingReactor


class ReplicaTests(SynchronousTestCase):
    """A primary, a replica that follows it, and a node that uses both."""

    def setUp(self) -> None:
        """Start all of them."""
        self.server = PostgresServer.start(durable=False)
        self.addCleanup(self.server.remove)
        self.name = self.server.make_database()
        Node(self.server.url(self.name)).close()
        self.replica = self.server.start_replica()
        self.addCleanup(self.replica.remove)
        self.node = self.make_node()

    def make_node(self) -> Node:
        """A node that uses the replica."""
        node = Node(self.server.url(self.name), replica_url=self.replica.url(self.name))
        self.addCleanup(node.close)
        return node

    def readers_on(self, server: PostgresServer) -> int:
        """How many connections nodes have to a server for the database."""
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'nostrtx'"
            f" AND datname = '{self.name}' AND query LIKE '%COMMIT%'"
        )
        number: int = server.execute(query)[0][0]
        return number

    def test_own_writing(self) -> None:
        """Whatever a node has stored its queries find at once, replica or not."""
        for number in range(40):
            note = make_event(content=f"{number}")
            self.node.save(note)
            self.assertEqual(self.node.found(Filter(ids=(note.id,))), [note.raw])

    def test_replica_answers(self) -> None:
        """The replica answers queries while it keeps up."""
        self.node.save(make_event())
        while self.replica.execute(
            "SELECT last_seq FROM nostrtx.counters", self.name
        ) != [(1,)]:
            continue
        for _ in range(5):
            self.assertEqual(len(self.node.found(Filter())), 1)
        self.assertGreater(self.readers_on(self.replica), 0)

    def test_replica_is_behind(self) -> None:
        """The primary answers what the replica does not know yet."""
        self.node.found(Filter())
        self.replica.execute("SELECT pg_wal_replay_pause()")
        note = make_event()
        self.node.save(note)
        self.assertEqual(self.node.found(Filter()), [note.raw])
        # Not even asked for a while.
        self.assertEqual(self.node.found(Filter()), [note.raw])
        self.replica.execute("SELECT pg_wal_replay_resume()")
        self.node.reactor.advance(10)
        self.assertEqual(self.node.found(Filter()), [note.raw])

    def test_heard_from_others(self) -> None:
        """So does it what this node has only been told of, by whoever stored it."""
        self.node.found(Filter())
        self.replica.execute("SELECT pg_wal_replay_pause()")
        note = make_event()
        self.make_node().save(note)
        self.node.store.heard_of(1)
        self.assertEqual(self.node.found(Filter()), [note.raw])
        self.replica.execute("SELECT pg_wal_replay_resume()")

    def test_removed(self) -> None:
        """What a node has removed it does not find any more, replica or not."""
        store = self.node.store
        removals: list[Callable[[bytes], Deferred[Any]]] = [
            lambda id_: store.remove_events([id_]),
            lambda id_: store.delete_expired(NOW + 9),
            lambda id_: store.put_bans([Ban(BanKind.EVENT, id_.hex(), "", NOW)]),
        ]
        for number, remove in enumerate(removals):
            expiry = [["expiration", str(NOW + 5)]]
            note = make_event(content=f"{number}", tags=expiry)
            self.node.save(note)
            while not self.replica.execute(
                f"SELECT seq FROM nostrtx.events WHERE id = '\\x{note.id.hex()}'",
                self.name,
            ):
                continue
            self.node.reactor.advance(10)
            self.assertEqual(self.node.found(Filter()), [note.raw])
            self.replica.execute("SELECT pg_wal_replay_pause()")
            self.node.reactor.result_of(remove(note.id))
            self.assertEqual(self.node.found(Filter()), [])
            self.replica.execute("SELECT pg_wal_replay_resume()")

    def test_replica_is_away(self) -> None:
        """Without the replica the primary answers; later it is asked again."""
        note = make_event()
        self.node.save(note)
        self.node.found(Filter())
        self.replica.stop()
        for _ in range(3):
            self.assertEqual(self.node.found(Filter()), [note.raw])
            self.node.reactor.advance(10)
        self.replica.begin()
        self.node.reactor.advance(10)
        self.assertEqual(self.node.found(Filter()), [note.raw])

    def test_replica_stands_still(self) -> None:
        """The primary answers what a replica that says nothing was asked."""
        note = make_event()
        self.node.save(note)
        self.node.reactor.advance(10)
        self.node.found(Filter())
        self.node.found(Filter())
        self.replica.pause()
        try:
            pages = []
            for _ in range(3):
                page = self.node.store.query([Filter()], NOW).next_page(1000, 0)
                assert isinstance(page, Deferred)
                pages.append(page)
            # Two seconds, and it is known that nobody is there.
            self.node.reactor.advance(1)
            self.node.reactor.advance(1)
            for page in pages:
                events = self.node.reactor.result_of(page).events
                self.assertEqual(events, [note.raw])
            # Later queries do not wait for a replica that is only probed.
            self.node.reactor.advance(10)
            self.assertEqual(self.node.found(Filter()), [note.raw])
        finally:
            self.replica.resume()

    def test_another_store(self) -> None:
        """What a replica of another store holds nobody is given."""
        name = self.server.make_database()
        other = Node(self.server.url(name))
        other.save(make_event(content="other"))
        other.close()
        url = self.server.url(self.name)
        node = Node(url, replica_url=self.server.url(name))
        self.addCleanup(node.close)
        self.assertEqual(node.found(Filter()), [])

    def test_demoted(self) -> None:
        """A server that came back as a replica is not used until it is promoted."""
        self.node.close()
        node = Node(self.server.url(self.name))
        self.addCleanup(node.close)
        note = make_event()
        self.server.stop()
        (self.server.data / "standby.signal").touch()
        self.server.begin()
        for attempt in (
            lambda: node.save(note),
            lambda: node.store.events_after(0, 1),
        ):
            error = self.assertRaises(StoreError, attempt)
            self.assertEqual(str(error), "the event store cannot be reached")
        self.server.execute("SELECT pg_promote()")
        while True:
            try:
                node.save(note)
                break
            except StoreError:
                continue
        self.assertEqual(node.found(Filter()), [note.raw])

    def test_replica_fails_between_pages(self) -> None:
        """A query that the replica began the primary ends."""
        notes = [make_event(created_at=NOW - n) for n in range(100)]
        self.node.save(*notes)
        self.node.reactor.advance(10)
        query = self.node.store.query([Filter()], NOW)
        page = query.next_page(1, 0)
        assert isinstance(page, Deferred)
        given = list(self.node.reactor.result_of(page).events)
        self.replica.stop()
        page = query.next_page(10**6, 0)
        assert isinstance(page, Deferred)
        last = self.node.reactor.result_of(page)
        self.assertTrue(last.done)
        self.assertEqual([*given, *last.events], [note.raw for note in notes])

    def test_log_is_the_primary(self) -> None:
        """The log, saving and being alone never ask the replica."""
        self.replica.execute("SELECT pg_wal_replay_pause()")
        note = make_event()
        self.node.save(note)
        self.assertEqual(self.node.store.events_after(0, 9), [(1, note.raw)])
        self.node.reactor.result_of(self.node.store.alone())()
        self.replica.execute("SELECT pg_wal_replay_resume()")

    def test_not_the_primary(self) -> None:
        """A replica cannot be the store itself; one line says so."""
        store = postgres_store(self.replica.url(self.name), WaitingReactor())
        error = self.assertRaises(StoreUnusable, store.open)
        self.assertIn("replica", str(error))

    def test_promoted(self) -> None:
        """Once the replica has taken over, a node with both in its URL goes on."""
        self.node.close()
        url = (
            f"postgresql://postgres@127.0.0.1:{self.server.port},"
            f"127.0.0.1:{self.replica.port}/{self.name}"
        )
        node = Node(url)
        self.addCleanup(node.close)
        note, late = make_event(), make_event(content="late")
        node.save(note)
        while self.replica.execute(
            "SELECT last_seq FROM nostrtx.counters", self.name
        ) != [(1,)]:
            continue
        self.server.stop()
        self.replica.execute("SELECT pg_promote()")
        while True:
            try:
                node.save(late)
                break
            except StoreError:
                continue
        self.assertEqual(set(node.found(Filter())), {note.raw, late.raw})
