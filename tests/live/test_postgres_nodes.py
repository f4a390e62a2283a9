"""Several stores over one database: what one of them stores, all see, in order."""

from __future__ import annotations

import subprocess
import sys
from threading import Thread

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import SaveOutcome, StoreError
from nostrtx.nostr.filters import Filter
from tests.live.postgres_server import shared_server
from tests.live.postgres_stores import Node, empty_database, give_back
from tests.storage.events import NOW, make_event

#: What another process does: it stores as much as it can, until it is told to end.
_WRITER = """
import sys
from tests.live.postgres_stores import postgres_store
from tests.storage.events import NOW, make_event
from tests.storage.waiting_reactor import WaitingReactor

url, name, batches = sys.argv[1], sys.argv[2], int(sys.argv[3])
reactor = WaitingReactor()
store = postgres_store(url, reactor)
store.open()
for batch in range(batches):
    events = [make_event(content=f"{name} {batch} {n}") for n in range(batch % 7 + 1)]
    events.append(make_event(kind=0, created_at=NOW + batch, content=name))
    reactor.result_of(store.save_events(events))
reactor.result_of(store.close())
"""


class NodesTestCase(SynchronousTestCase):
    """A test with a database of its own."""

    def setUp(self) -> None:
        """Begin with an empty database."""
        name = empty_database()
        self.addCleanup(give_back, name)
        self.url = shared_server().url(name)

    def node(self) -> Node:
        """Another node."""
        node = Node(self.url)
        self.addCleanup(node.close)
        return node


class OrderTests(NodesTestCase):
    """The log of many writers."""

    def test_no_gap_is_filled_later(self) -> None:
        """
        Whoever follows the log while others write sees all of it, in its order.

        A ``seq`` that was passed over is of an event that was removed, never of one
        that turned up later.
        """
        batches = 60
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", _WRITER, self.url, f"w{n}", str(batches)]
            )
            for n in range(3)
        ]
        reader = self.node()
        seen: dict[int, bytes] = {}
        at = 0
        while True:
            ended = all(writer.poll() is not None for writer in writers)
            part = reader.reactor.result_of(reader.store.log_after(at, 17))
            seqs = [seq for seq, _ in part.events]
            self.assertEqual(seqs, sorted(set(seqs)))
            self.assertTrue(all(at < seq <= part.to for seq in seqs), (at, seqs))
            seen.update(part.events)
            at = part.to
            if ended and at == part.last:
                break
        self.assertEqual([writer.returncode for writer in writers], [0, 0, 0])
        left = dict(reader.store.events_after(0, 10_000))
        self.assertEqual({seq: raw for seq, raw in left.items() if seq not in seen}, {})
        # All of them are numbered, one after the other, whether they are still there
        # or were replaced: here, the profiles that others had a later version of
        # were refused and have no number.
        notes = sum(batch % 7 + 1 for batch in range(batches)) * 3
        kept = [raw for raw in left.values() if b'"kind":1,' in raw]
        self.assertEqual(len(kept), notes)
        self.assertEqual(len(left), notes + 1)

    def test_numbers_without_gaps(self) -> None:
        """Where nothing is removed, the numbers have no gaps, whoever writes."""
        nodes = [self.node() for _ in range(4)]

        def write(node: Node, name: int) -> None:
            for batch in range(25):
                node.save(
                    *[make_event(content=f"{name} {batch} {n}") for n in range(3)]
                )

        threads = [
            Thread(target=write, args=(node, name)) for name, node in enumerate(nodes)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seqs = [seq for seq, _ in nodes[0].store.events_after(0, 1000)]
        self.assertEqual(seqs, list(range(1, 301)))

    def test_one_wins(self) -> None:
        """Of the same event saved by many at once, one is stored; so of versions."""
        nodes = [self.node() for _ in range(4)]
        versions = [make_event(kind=0, created_at=NOW + n) for n in range(8)]
        outcomes: list[SaveOutcome] = []

        def write(node: Node, turn: int) -> None:
            order = versions[turn:] + versions[:turn]
            for version in order:
                node.save(version)
                outcomes.extend(node.save(make_event(content="the same")))

        threads = [
            Thread(target=write, args=(node, 2 * turn))
            for turn, node in enumerate(nodes)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(outcomes.count(SaveOutcome.STORED), 1)
        self.assertEqual(set(nodes[0].found(Filter(kinds=(0,)))), {versions[-1].raw})


class HearingTests(NodesTestCase):
    """What a node knows of what others stored."""

    def test_last_seq(self) -> None:
        """A node hears of what others stored when it reads the log."""
        one, other = self.node(), self.node()
        one.save(make_event())
        self.assertEqual((one.store.last_seq(), other.store.last_seq()), (1, 0))
        other.reactor.result_of(other.store.log_after(0, 1))
        self.assertEqual(other.store.last_seq(), 1)
        self.assertEqual(self.node().store.last_seq(), 1)

    def test_facts(self) -> None:
        """All nodes of one store find that it is the same."""
        one, other = self.node(), self.node()
        self.assertEqual(one.store.facts(), other.store.facts())

    def test_closed(self) -> None:
        """A store that is closed says so, and can be closed again."""
        node = self.node()
        node.close()
        node.close()
        self.assertRaises(StoreError, node.store.query, [Filter()], NOW)
        self.assertRaises(StoreError, node.store.events_after, 0, 1)
        self.assertRaises(StoreError, node.save, make_event())


class AloneTests(NodesTestCase):
    """Being alone among nodes."""

    def test_one_at_a_time(self) -> None:
        """Whoever comes second, on whatever node, waits for the first."""
        one, other = self.node(), self.node()
        release = one.reactor.result_of(one.store.alone())
        here, there = one.store.alone(), other.store.alone()
        other.save(make_event())
        self.assertFalse(here.called or there.called)
        release()
        other.reactor.result_of(there)()
        one.reactor.result_of(here)()

    def test_given_up(self) -> None:
        """Who gives up waiting holds up nobody."""
        one, other = self.node(), self.node()
        release = one.reactor.result_of(one.store.alone())
        waiting = other.store.alone()
        waiting.addErrback(lambda failure: None)  # type: ignore[unused-awaitable]
        waiting.cancel()
        self.assertTrue(waiting.called)
        release()
        other.reactor.result_of(other.store.alone())()
        one.reactor.result_of(one.store.alone())()

    def test_holder_is_gone(self) -> None:
        """A process whose connection ends is no longer alone."""
        one, other = self.node(), self.node()
        release = one.reactor.result_of(one.store.alone())
        self.lose_lock()
        other.reactor.result_of(other.store.alone())()
        release()
        one.reactor.result_of(one.store.alone())()

    def lose_lock(self) -> None:
        """Have whoever is alone lose that, without knowing."""
        shared_server().execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        )

    def test_not_alone_any_more(self) -> None:
        """Who is no longer alone, and does not know, changes nothing any more."""
        one, other = self.node(), self.node()
        release = one.reactor.result_of(one.store.alone())
        self.assertEqual(one.save(make_event(content="1")), [SaveOutcome.STORED])
        self.lose_lock()
        leave = other.reactor.result_of(other.store.alone())
        with self.assertRaises(StoreError):
            one.save(make_event(content="2"))
        with self.assertRaises(StoreError):
            one.reactor.result_of(one.store.remove_events([bytes(32)]))
        self.assertEqual(other.save(make_event(content="3")), [SaveOutcome.STORED])
        leave()
        with self.assertRaises(StoreError):
            one.save(make_event(content="4"))
        release()
        self.assertEqual(one.save(make_event(content="5")), [SaveOutcome.STORED])
        contents = sorted(one.found(Filter()))
        self.assertEqual(
            contents, sorted(make_event(content=text).raw for text in "135")
        )

    def test_lock_lost_for_nobody(self) -> None:
        """Who has lost the lock goes on as long as nobody else has been alone."""
        one = self.node()
        release = one.reactor.result_of(one.store.alone())
        self.lose_lock()
        self.assertEqual(one.save(make_event()), [SaveOutcome.STORED])
        release()

    def test_others_are_not_held_up(self) -> None:
        """All save events as ever, whoever is alone and has been before."""
        one, other = self.node(), self.node()
        for turn, node in enumerate((one, other, one)):
            leave = node.reactor.result_of(node.store.alone())
            for name, each in (("one", one), ("other", other)):
                event = make_event(content=f"{name} {turn}")
                self.assertEqual(each.save(event), [SaveOutcome.STORED])
            leave()

    def test_holder_has_closed(self) -> None:
        """A store that was closed while it was alone leaves others free to be."""
        one, other = self.node(), self.node()
        one.reactor.result_of(one.store.alone())
        one.close()
        other.reactor.result_of(other.store.alone())()
