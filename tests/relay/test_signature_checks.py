"""
Tests for :mod:`nostrtx.relay.signature_checks` and
:mod:`nostrtx.relay.signature_worker`.

Real processes are met in :mod:`tests.live.test_verifier_processes`.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

import attrs
from twisted.internet.interfaces import IReadDescriptor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.nostr.event import Event
from nostrtx.relay.signature_checks import (
    INLINE,
    RESTART_SECONDS,
    SignatureChecks,
    Verifier,
)
from nostrtx.relay.signature_worker import (
    MAX_BATCH,
    RECORD_BYTES,
    check_batch,
    serve,
)
from tests.relay.fakes import FakeTurns
from tests.relay.processes import FakeProcess, ProcessReactor
from tests.storage.events import make_event, signed_event


@attrs.define(eq=False)
class Item:
    """An event on its way."""

    event: Event


def record(event: Event) -> bytes:
    """What a verifier is sent of ``event``."""
    return event.sig + event.id + event.pubkey


class SignatureChecksTestCase(SynchronousTestCase):
    """Checks, and some events."""

    processes = 0

    def setUp(self) -> None:
        """Start the checks."""
        self.turns = FakeTurns()
        self.reactor = ProcessReactor()
        self.batches: list[tuple[list[Item], list[int]]] = []
        self.checks: SignatureChecks[Item] = SignatureChecks(self.turns, self.note)
        self.checks.start(self.reactor, self.processes)
        self.addCleanup(self.close_all)

    def close_all(self) -> None:
        """Leave no socket open."""
        self.checks.stop()
        for process in self.reactor.processes:
            process.socket.close()

    def note(self, batch: Sequence[Item], good: Sequence[int]) -> None:
        """Record what was checked."""
        self.batches.append((list(batch), list(good)))

    def add(self, count: int) -> list[Item]:
        """Add as many items; each third one is a forgery."""
        items = [
            Item(make_event(content=str(n)) if n % 3 == 2 else signed_event())
            for n in range(count)
        ]
        for item in items:
            self.checks.add(item)
        return items

    def verdicts(self) -> list[tuple[Item, int]]:
        """What was said of each item so far."""
        return [
            (item, int(good))
            for batch, verdicts in self.batches
            for item, good in zip(batch, verdicts, strict=True)
        ]

    def assert_all_checked(self, items: list[Item]) -> None:
        """Each item got exactly one verdict, and the right one."""
        self.assertCountEqual(
            self.verdicts(), [(item, int(n % 3 != 2)) for n, item in enumerate(items)]
        )


class InPlaceTests(SignatureChecksTestCase):
    """Without verifiers."""

    def test_at_the_end_of_the_turn(self) -> None:
        """Nothing is checked before the turn ends; then all of it in one batch."""
        items = self.add(5)
        self.assertEqual(self.batches, [])
        self.turns.take()
        self.assertEqual(len(self.batches), 1)
        self.assert_all_checked(items)

    def test_few_a_turn(self) -> None:
        """A crowd is spread over turns, in order, without waiting for anything."""
        items = self.add(INLINE * 2 + 1)
        self.turns.take()
        self.assertEqual(len(self.batches[0][0]), INLINE)
        self.turns.settle()
        self.assertEqual([len(batch) for batch, _ in self.batches], [INLINE, INLINE, 1])
        self.assertEqual([item for item, _ in self.verdicts()], items)
        self.assert_all_checked(items)

    def test_before_the_start(self) -> None:
        """Checks are made before any verifier was started, too."""
        checks: SignatureChecks[Item] = SignatureChecks(self.turns, self.note)
        item = Item(signed_event())
        checks.add(item)
        self.turns.settle()
        self.assertEqual(self.verdicts(), [(item, 1)])


class VerifierTests(SignatureChecksTestCase):
    """With one verifier process."""

    processes = 1

    @property
    def process(self) -> FakeProcess:
        """The process that was started last."""
        return self.reactor.processes[-1]

    def test_interface(self) -> None:
        """A verifier is something that a reactor can read from."""
        (reader,) = self.reactor.getReaders()
        self.assertIsInstance(reader, Verifier)
        self.assertTrue(verifyObject(IReadDescriptor, reader))

    def test_few_in_place(self) -> None:
        """Few signatures are not worth the way to the process."""
        items = self.add(INLINE)
        self.turns.settle()
        self.assert_all_checked(items)
        self.assertFalse(self.process.waiting())

    def test_a_crowd_is_sent(self) -> None:
        """More of them go to the process, and are answered when it answers."""
        items = self.add(INLINE + 1)
        self.turns.settle()
        self.assertEqual(self.batches, [])
        self.assertEqual(self.process.work(), INLINE + 1)
        self.reactor.read()
        self.assert_all_checked(items)

    def test_few_behind_a_crowd(self) -> None:
        """While the process works, few go there as well: they would be unfair."""
        items = self.add(INLINE + 1)
        self.turns.settle()
        late = Item(signed_event())
        self.checks.add(late)
        self.turns.settle()
        self.assertEqual(self.batches, [])
        self.process.work()
        self.process.work()
        self.reactor.read()
        self.assertEqual([item for item, _ in self.verdicts()], [*items, late])

    def test_most_at_once(self) -> None:
        """The process holds two batches at most; the rest follows its answers."""
        items = self.add(MAX_BATCH * 3 + 7)
        sizes = []
        self.turns.settle()
        self.process.work()
        self.process.work()
        self.assertFalse(self.process.waiting())
        self.reactor.read()
        self.turns.settle()
        while self.process.waiting():
            sizes.append(self.process.work())
            self.reactor.read()
            self.turns.settle()
        self.assertEqual(sizes, [MAX_BATCH, 7])
        self.assert_all_checked(items)

    def test_ends_with_work(self) -> None:
        """What a process that ends did not answer is checked without it."""
        items = self.add(MAX_BATCH * 2 + 50)
        self.turns.settle()
        self.process.work()
        self.reactor.read()
        self.process.end()
        self.turns.settle()
        self.assert_all_checked(items)

    def test_hangs_up(self) -> None:
        """So it is if the socket tells first; the end of the process is no news."""
        items = self.add(100)
        self.turns.settle()
        self.process.hang_up()
        self.reactor.read()
        self.turns.settle()
        self.assert_all_checked(items)
        self.process.end()
        self.reactor.advance(RESTART_SECONDS)
        self.assertEqual(len(self.reactor.processes), 2)

    def test_ends_before_it_is_sent_anything(self) -> None:
        """A crowd that met a dead process's socket is checked as soon as that shows."""
        self.process.hang_up()
        items = self.add(100)
        self.turns.settle()
        self.reactor.read()
        self.turns.settle()
        self.assert_all_checked(items)

    def test_another_takes_its_place(self) -> None:
        """A second later another process works; until then checks are in place."""
        self.process.end()
        self.assertEqual(self.reactor.getReaders(), [])
        items = self.add(40)
        self.turns.settle()
        self.assert_all_checked(items)
        self.reactor.advance(RESTART_SECONDS)
        self.assertEqual(len(self.reactor.processes), 2)
        self.batches.clear()
        items = self.add(40)
        self.turns.settle()
        self.assertEqual(self.process.work(), 40)
        self.reactor.read()
        self.assert_all_checked(items)

    def test_cannot_start_another(self) -> None:
        """If the system has no room for a process, it is tried again and again."""
        self.process.end()
        self.reactor.spawn_error = OSError(11, "no more processes")
        self.reactor.pump([RESTART_SECONDS] * 3)
        self.assertEqual(self.reactor.getReaders(), [])
        items = self.add(40)
        self.turns.settle()
        self.assert_all_checked(items)
        self.reactor.spawn_error = None
        self.reactor.advance(RESTART_SECONDS)
        self.assertEqual(len(self.reactor.getReaders()), 1)

    def test_stop(self) -> None:
        """Stopping closes the socket; what was not answered is checked in place."""
        items = self.add(100)
        self.turns.settle()
        self.checks.stop()
        self.turns.settle()
        self.assert_all_checked(items)
        self.assertEqual(self.reactor.getReaders(), [])
        self.process.socket.recv(RECORD_BYTES * MAX_BATCH)
        self.assertEqual(self.process.socket.recv(1), b"")

    def test_stop_with_a_crowd_waiting(self) -> None:
        """So is what was never sent."""
        self.add(MAX_BATCH * 2)
        self.turns.settle()
        self.process.work()
        self.process.work()
        self.reactor.read()
        self.batches.clear()
        items = self.add(100)
        self.checks.stop()
        self.turns.settle()
        self.assert_all_checked(items)

    def test_no_other_after_stop(self) -> None:
        """A process that ends after, or shortly before, the stop is not replaced."""
        self.process.end()
        self.checks.stop()
        self.reactor.advance(RESTART_SECONDS * 3)
        self.assertEqual(len(self.reactor.processes), 1)


class SeveralVerifiersTests(SignatureChecksTestCase):
    """With two verifier processes."""

    processes = 2

    def test_shared(self) -> None:
        """A large crowd is shared among them."""
        items = self.add(MAX_BATCH * 3)
        self.turns.settle()
        first, second = self.reactor.processes
        self.assertTrue(first.waiting())
        self.assertTrue(second.waiting())
        while first.waiting() or second.waiting():
            for process in (second, first):
                if process.waiting():
                    process.work()
            self.reactor.read()
            self.turns.settle()
        self.assert_all_checked(items)

    def test_one_ends(self) -> None:
        """If one ends, the other takes over what it owed."""
        items = self.add(MAX_BATCH * 3)
        self.turns.settle()
        first, second = self.reactor.processes
        first.end()
        self.turns.settle()
        while second.waiting():
            second.work()
            self.reactor.read()
            self.turns.settle()
        self.assert_all_checked(items)


class WorkerTests(SynchronousTestCase):
    """What runs in the other process."""

    def test_check_batch(self) -> None:
        """One byte per record, in their order: 1 for a good signature."""
        good, forged = signed_event(), make_event()
        off_curve = make_event(pubkey=b"\xff" * 32)
        self.assertEqual(
            check_batch(b"".join(map(record, (good, forged, off_curve, good)))),
            b"\x01\x00\x00\x01",
        )
        self.assertEqual(check_batch(b""), b"")

    def test_largest_batch(self) -> None:
        """The largest batch gets as many verdicts."""
        batch = record(signed_event()) * MAX_BATCH
        self.assertEqual(check_batch(batch), b"\x01" * MAX_BATCH)

    def test_serve(self) -> None:
        """It answers each batch by itself, until the other side is gone."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            good, forged = record(signed_event()), record(make_event())
            ours.send(good + forged)
            ours.send(good * MAX_BATCH)
            ours.shutdown(socket.SHUT_WR)
            serve(theirs)
            self.assertEqual(ours.recv(MAX_BATCH), b"\x01\x00")
            self.assertEqual(ours.recv(MAX_BATCH), b"\x01" * MAX_BATCH)
