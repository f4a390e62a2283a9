"""Tests for :mod:`nostrtx.workers.supervisor` and :mod:`nostrtx.workers.process`."""

from __future__ import annotations

import os
import socket
from itertools import chain, pairwise
from signal import SIGUSR2
from typing import Any, cast

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorProcess, IReadDescriptor
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.settings.access import GroupSettings
from nostrtx.settings.edge import AdminSettings, ListenSettings
from nostrtx.settings.limits import IngestSettings, LimitSettings, TimingSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.storing import ClusterSettings
from nostrtx.settings.tree import Settings
from nostrtx.workers.orders import receive_settings
from nostrtx.workers.process import WorkerProcess
from nostrtx.workers.reports import BEAT_SECONDS
from nostrtx.workers.supervisor import (
    EXTRA_SECONDS,
    HASTY_SECONDS,
    MAX_DELAY_SECONDS,
    MOST_AWAITED_DEATHS,
    MOST_SILENT_BEATS,
    STEADY_SECONDS,
    Supervisor,
    delay_after,
    settings_of_worker,
)
from tests.workers.spawning import FakeProcess, SpawningReactor
from tests.workers.system import FakeSocket, System


def readable(waiting: list[Any], *_: object) -> tuple[list[Any], list[Any], list[Any]]:
    """As ``select``, where everybody has something to say already."""
    return waiting, [], []


class SupervisorTestCase(SynchronousTestCase):
    """A supervisor of three workers that has no ports."""

    def setUp(self) -> None:
        """It has not been started."""
        self.reactor = SpawningReactor()
        self.addCleanup(self.reactor.close)
        self.settings = Settings(
            cluster=ClusterSettings(workers=3, node="node"),
            timing=TimingSettings(shutdown_seconds=2.0),
        )
        self.supervisor = Supervisor(
            LiveSettings(self.settings), self.reactor, 3, 8, readable
        )

    @property
    def processes(self) -> list[FakeProcess]:
        """All that were started."""
        return self.reactor.processes

    def start(self) -> None:
        """Start it, and forget the first workers' steps."""
        self.supervisor.startService()
        self.assertEqual(len(self.processes), 3)

    def later(self, seconds: float) -> None:
        """Let time go by."""
        self.reactor.advance(seconds)
        self.reactor.read()


class StartTests(SupervisorTestCase):
    """How workers are started."""

    def test_spawner(self) -> None:
        """The reactor of these tests starts processes as a real one."""
        self.assertTrue(verifyObject(IReactorProcess, self.reactor))

    def test_orders(self) -> None:
        """Each worker is told who it is and gets the very settings."""
        self.start()
        for number, process in enumerate(self.processes, 1):
            orders = process.orders
            self.assertEqual(orders.settings.limits, self.settings.limits)
            self.assertEqual(orders.settings.cluster, self.settings.cluster)
            self.assertEqual((orders.number, orders.name), (number, f"node/{number}"))
            self.assertEqual(orders.reactor, SpawningReactor.__module__)
            self.assertEqual(
                {orders.bus, *chain(*orders.ports)}, set(process.inherited)
            )

    def test_much_to_tell(self) -> None:
        """Settings may be as large as they like: nobody waits until they are read."""
        groups = GroupSettings(creators=tuple(f"{n:064x}" for n in range(20_000)))
        settings = attrs.evolve(self.settings, groups=groups)
        Supervisor(LiveSettings(settings), self.reactor, 1, 8, readable).startService()
        (process,) = self.processes
        self.assertEqual(process.orders.settings.groups, groups)

    def test_verifiers(self) -> None:
        """Workers share the cores they leave for verifiers, unless a number is set."""
        for workers, cores, expected in ((2, 2, 0), (2, 4, 1), (3, 8, 1), (4, 2, 0)):
            settings = settings_of_worker(self.settings, workers, cores)
            self.assertEqual(settings.ingest.verifier_processes, expected)
            without = attrs.evolve(settings, ingest=self.settings.ingest)
            self.assertEqual(without, self.settings)
        settings = attrs.evolve(
            self.settings, ingest=IngestSettings(verifier_processes=2)
        )
        self.assertEqual(settings_of_worker(settings, 2, 2), settings)

    def test_one_first(self) -> None:
        """The others start once the first one is ready."""
        waited: list[int] = []

        def wait(waiting: list[Any], *rest: object) -> Any:
            waited.append(len(self.processes))
            return readable(waiting)

        supervisor = Supervisor(LiveSettings(self.settings), self.reactor, 3, 8, wait)
        supervisor.startService()
        numbers = [process.orders.number for process in self.processes]
        self.assertEqual(numbers, [1, 2, 3])
        self.assertEqual(waited[0], 1)
        self.assertEqual(set(waited[1:]), {3})

    def test_trouble(self) -> None:
        """A worker that cannot serve ends the start, with the one line it has."""
        self.reactor.on_start = lambda process: (
            process.reporter.trouble("nostr-relay: no store"),
            process.control.close(),
        )
        end = self.assertRaises(SystemExit, self.supervisor.startService)
        self.assertEqual(end.code, "nostr-relay: no store")
        self.assertEqual(len(self.processes), 1)

    def test_slow_to_end(self) -> None:
        """A worker in trouble is not waited for."""
        self.reactor.on_start = lambda process: process.reporter.trouble("no store")
        end = self.assertRaises(SystemExit, self.supervisor.startService)
        self.assertEqual(end.code, "no store")

    def test_no_processes(self) -> None:
        """If the system has no more processes, a line says so."""
        self.reactor.fails = OSError(11, "Resource temporarily unavailable")
        end = self.assertRaises(SystemExit, self.supervisor.startService)
        self.assertEqual(
            end.code,
            "nostr-relay: a worker cannot be started: Resource temporarily unavailable",
        )

    def test_silent_end(self) -> None:
        """So does one that ends without a word; the line says which."""
        self.reactor.on_start = lambda process: process.control.close()
        end = self.assertRaises(SystemExit, self.supervisor.startService)
        self.assertEqual(end.code, "nostr-relay: worker 1 ended while it started")

    def test_second_in_trouble(self) -> None:
        """It does not matter which worker that is."""

        def begin(process: FakeProcess) -> None:
            if process.orders.number == 3:
                process.reporter.trouble("nostr-relay: full")
                process.control.close()
            else:
                process.reporter.ready()

        self.reactor.on_start = begin
        end = self.assertRaises(SystemExit, self.supervisor.startService)
        self.assertEqual(end.code, "nostr-relay: full")

    def test_logs(self) -> None:
        """What a worker logs while it starts is in the log."""

        def begin(process: FakeProcess) -> None:
            process.reporter({"log_format": "hello"})
            process.reporter.ready()

        self.reactor.on_start = begin
        with capturedLogs() as logs:
            self.start()
        texts = [formatEvent(event) for event in logs]
        for number in (1, 2, 3):
            self.assertIn(f"worker {number}: hello", texts)

    def test_other_settings(self) -> None:
        """Workers that run are told of other settings; later ones begin with them."""
        live = LiveSettings(self.settings)
        supervisor = Supervisor(live, self.reactor, 2, 8, readable)
        supervisor.startService()
        limits = LimitSettings(max_limit=7)
        live.change(attrs.evolve(self.settings, limits=limits))
        for process in self.processes:
            _, files, _, _ = socket.recv_fds(process.control, 1, 1)
            (file,) = files
            self.assertEqual(receive_settings(file).limits, limits)
        self.processes[0].end()
        self.reactor.advance(1)
        self.assertEqual(self.processes[-1].orders.settings.limits, limits)

    def test_wrong_endpoint(self) -> None:
        """An endpoint that is none ends the start before there is any worker."""
        settings = attrs.evolve(
            self.settings, listen=ListenSettings(endpoints=("tpc:1",))
        )
        supervisor = Supervisor(LiveSettings(settings), self.reactor, 2, 8, readable)
        end = self.assertRaises(SystemExit, supervisor.privilegedStartService)
        self.assertIn("'tpc:1' is no endpoint", str(end.code))
        self.assertEqual(self.processes, [])

    def test_admin_ports(self) -> None:
        """Each worker also gets a socket for the operator's pages, before others."""
        system = System()
        settings = attrs.evolve(
            self.settings,
            admin=AdminSettings(("tcp:81",)),
            listen=ListenSettings(("tcp:80",)),
        )
        supervisor = Supervisor(
            LiveSettings(settings),
            self.reactor,
            2,
            8,
            readable,
            make_socket=system.socket,
        )
        with capturedLogs() as logs:
            supervisor.privilegedStartService()
        told = [str(formatEvent(log)) for log in logs]
        self.assertEqual(len([text for text in told if "Metrics" in text]), 1)
        ports = [each.address[1] for each in system.open() if each.listens]
        self.assertEqual(ports, [81, 81, 80, 80])
        supervisor.startService()
        for process in self.processes:
            self.assertEqual(len(process.orders.ports), 2)


class ReplaceTests(SupervisorTestCase):
    """A worker that dies is replaced."""

    def setUp(self) -> None:
        """All run, and have for long."""
        super().setUp()
        self.start()
        self.later(STEADY_SECONDS)

    def test_at_once(self) -> None:
        """The first time at once, with the same orders; the others go on."""
        self.processes[1].end()
        self.later(0)
        self.assertEqual(len(self.processes), 4)
        replacement = self.processes[3]
        self.assertEqual(attrs.evolve(replacement.orders), self.processes[1].orders)
        self.later(60)
        self.assertEqual(len(self.processes), 4)

    def test_again_and_again(self) -> None:
        """One that keeps dying at the start is started less and less often."""
        self.reactor.on_start = lambda process: None
        self.processes[1].end()
        starts = []
        for _ in range(2000):
            before = len(self.processes)
            self.reactor.advance(0.1)
            if len(self.processes) > before:
                starts.append(self.reactor.seconds())
                self.processes[-1].end()
        gaps = [round(later - earlier, 1) for earlier, later in pairwise(starts)]
        self.assertGreater(len(gaps), 6)
        self.assertEqual(gaps, sorted(gaps))
        self.assertLess(abs(gaps[-1] - MAX_DELAY_SECONDS), 0.2)

    def test_delays(self) -> None:
        """None at first, and never more than half a minute."""
        delays = [delay_after(deaths) for deaths in range(1, 30)]
        self.assertEqual(delays[0], 0)
        self.assertEqual(delays, sorted(delays))
        self.assertEqual(delays[-1], MAX_DELAY_SECONDS)
        # A weekend's deaths.
        self.assertEqual(delay_after(10_000), MAX_DELAY_SECONDS)

    def test_told_when(self) -> None:
        """The log says what ended it, and when there is another one."""
        with capturedLogs() as logs:
            for _ in range(3):
                self.processes[-1].reporter.trouble("nostr-relay: no database")
                self.processes[-1].end()
                self.later(MAX_DELAY_SECONDS)
        texts = [str(formatEvent(event)) for event in logs]
        ends = [text for text in texts if "has ended" in text]
        self.assertEqual(
            ends,
            [
                f"worker 3 has ended, and is replaced{when}: nostr-relay: no database"
                for when in ("", " in 1 s", " in 2 s")
            ],
        )

    def test_nobody_waits(self) -> None:
        """
        When one has died again and again, nobody waits for the next one, which is
        told where to listen.
        """
        supervisor, system = self.supervisor_with_port()
        first, *_ = self.processes[-2:]
        (shared,) = first.inherited.keys() & set(chain(*first.orders.ports))
        used: list[FakeSocket] = []
        for _ in range(MOST_AWAITED_DEATHS + 2):
            process = self.processes[-1] if used else first
            used.append(system.find(cast(int, process.inherited[shared])))
            process.end()
            self.later(MAX_DELAY_SECONDS)
        waited = used[: MOST_AWAITED_DEATHS + 1]
        self.assertEqual(waited, [used[0]] * len(waited))
        self.assertTrue(used[0].closed)
        self.assertFalse(used[-1].listens)
        self.assertEqual([each.listens for each in system.open()].count(True), 1)
        self.successResultOf(supervisor.stopService())
        self.assertEqual(system.open(), [])

    def test_clients_may_wait(self) -> None:
        """If the port cannot be had anew the log says so, and all goes on."""
        _, system = self.supervisor_with_port()
        system.is_other_user = True
        with capturedLogs() as logs:
            for _ in range(MOST_AWAITED_DEATHS + 1):
                self.processes[-1].end()
                self.later(MAX_DELAY_SECONDS)
        texts = [formatEvent(event) for event in logs]
        self.assertIn("Clients may wait for worker 2: Permission denied.", texts)
        self.assertEqual([each.listens for each in system.open()], [True, True])

    def supervisor_with_port(self) -> tuple[Supervisor, System]:
        """Another one, whose two workers serve a port, and have for long."""
        system = System()
        settings = attrs.evolve(self.settings, listen=ListenSettings(("tcp:80",)))
        supervisor = Supervisor(
            LiveSettings(settings),
            self.reactor,
            2,
            8,
            readable,
            make_socket=system.socket,
        )
        supervisor.privilegedStartService()
        supervisor.startService()
        self.later(STEADY_SECONDS)
        return supervisor, system

    def test_well_again(self) -> None:
        """One that has served for a while is replaced at once again."""
        for _ in range(4):
            self.processes[-1].end()
            self.later(MAX_DELAY_SECONDS)
        self.later(STEADY_SECONDS)
        count = len(self.processes)
        self.processes[-1].end()
        self.later(0)
        self.assertEqual(len(self.processes), count + 1)

    def test_trouble(self) -> None:
        """Why it died is in the log; that does not end the relay."""
        self.later(HASTY_SECONDS)
        self.processes[0].reporter.trouble("nostr-relay: no database")
        with capturedLogs() as logs:
            self.processes[0].end()
        texts = [formatEvent(event) for event in logs]
        self.assertIn(
            "worker 1 has ended, and is replaced: nostr-relay: no database", texts
        )
        self.later(0)
        self.assertEqual(len(self.processes), 4)

    def test_trouble_at_once(self) -> None:
        """A worker that gives up right after the start ends the relay, and says why."""
        supervisor = Supervisor(
            LiveSettings(self.settings), self.reactor, 2, 8, readable
        )
        supervisor.startService()
        process = self.processes[-1]
        process.reporter.trouble("nostr-relay: another secret")
        with capturedLogs() as logs:
            process.end()
        self.assertTrue(self.reactor.hasStopped)
        texts = [formatEvent(event) for event in logs]
        self.assertEqual(texts, ["nostr-relay: another secret"])

    def test_last_words(self) -> None:
        """What a worker logged right before it died is not lost, nor what it wrote."""
        process = self.processes[0]
        process.reporter({"log_format": "last words"})
        process.protocol.childDataReceived(2, b"Fatal Python error\nno new")
        process.protocol.childDataReceived(2, b"line")
        with capturedLogs() as logs:
            process.end()
        texts = [formatEvent(event) for event in logs]
        self.assertIn("worker 1: last words", texts)
        self.assertIn("worker 1 wrote: no newline", texts)

    def test_outlived(self) -> None:
        """It does not matter if something that it started still has its socket."""
        process = self.processes[0]
        kept = os.dup(process.control.fileno())
        self.addCleanup(os.close, kept)
        process.reporter({"log_format": "last words"})
        with capturedLogs() as logs:
            process.end()
        self.assertIn("worker 1: last words", [formatEvent(event) for event in logs])
        self.later(0)
        self.assertEqual(len(self.processes), 4)

    def test_cannot_be_started(self) -> None:
        """If the system has no more processes, another one is tried later."""
        self.reactor.fails = OSError(11, "Resource temporarily unavailable")
        self.processes[0].end()
        self.later(0)
        self.assertEqual(len(self.processes), 3)
        self.reactor.fails = None
        self.later(MAX_DELAY_SECONDS)
        self.assertEqual(len(self.processes), 4)


class HangingTests(SupervisorTestCase):
    """A worker that still exists and does nothing."""

    def setUp(self) -> None:
        """All run."""
        super().setUp()
        self.start()

    def beats(self, count: int) -> None:
        """Let the time of so many beats go by."""
        for _ in range(count):
            self.later(BEAT_SECONDS)

    def test_killed(self) -> None:
        """It is killed and replaced, and the log says why."""
        self.processes[1].hangs = True
        with capturedLogs() as logs:
            self.beats(MOST_SILENT_BEATS)
            self.later(0)
        texts = [formatEvent(event) for event in logs]
        self.assertIn("worker 2 hangs, and is killed.", texts)
        self.assertEqual([p.signals for p in self.processes], [[], ["KILL"], [], []])
        self.assertEqual(self.processes[3].orders.number, 2)
        self.beats(2 * MOST_SILENT_BEATS)
        self.assertEqual(len(self.processes), 4)

    def test_pause(self) -> None:
        """A pause does no harm, not even again and again."""
        for _ in range(4):
            self.processes[1].hangs = True
            self.beats(MOST_SILENT_BEATS - 2)
            self.processes[1].hangs = False
            self.beats(1)
        self.assertEqual([p.signals for p in self.processes], [[]] * 3)

    def test_supervisor_stopped(self) -> None:
        """If the supervisor itself or the machine stood still, nobody is blamed."""
        for process in self.processes:
            process.hangs = True
        self.later(10 * MOST_SILENT_BEATS * BEAT_SECONDS)
        self.assertEqual([p.signals for p in self.processes], [[]] * 3)

    def test_start(self) -> None:
        """One that is not ready yet may take its time: its store may be large."""
        self.reactor.on_start = lambda process: None
        self.processes[1].end()
        self.later(0)
        self.processes[3].hangs = True
        self.beats(2 * MOST_SILENT_BEATS)
        self.assertEqual(self.processes[3].signals, [])


class StopTests(SupervisorTestCase):
    """How a relay of several processes ends."""

    def setUp(self) -> None:
        """All run."""
        super().setUp()
        self.start()

    def stop(self) -> Deferred[None]:
        """Begin to stop."""
        return self.supervisor.stopService()

    def test_in_order(self) -> None:
        """All are asked to stop; when the last one has ended, it is over."""
        for process in self.processes:
            process.on_signal = lambda process: None
        stopped = self.stop()
        self.assertEqual([p.signals for p in self.processes], [["TERM"]] * 3)
        for process in self.processes:
            self.assertNoResult(stopped)
            process.end()
        self.successResultOf(stopped)
        self.later(60)
        self.assertEqual(len(self.processes), 3)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.getReaders(), [])

    def test_gives_way(self) -> None:
        """
        When another relay has taken over, the workers send their clients away, and
        none is replaced.
        """
        self.reactor.on_signal = lambda process: None
        for process in self.processes:
            process.on_signal = lambda process: None
        gone = self.supervisor._give_way()
        self.assertEqual([p.signals for p in self.processes], [[SIGUSR2]] * 3)
        for process in self.processes:
            self.assertNoResult(gone)
            process.end()
        self.successResultOf(gone)
        self.later(MAX_DELAY_SECONDS)
        self.assertEqual(len(self.processes), 3)

    def test_gives_way_between_two(self) -> None:
        """A worker that is about to be replaced is not, when another relay serves."""
        self.processes[0].end()
        gone = self.supervisor._give_way()
        self.successResultOf(gone)
        self.later(MAX_DELAY_SECONDS)
        self.assertEqual(len(self.processes), 3)

    def test_too_late(self) -> None:
        """One that does not stop in time is killed."""
        self.processes[1].on_signal = lambda process: None
        stopped = self.stop()
        self.later(2 * 2.0 + EXTRA_SECONDS - 1)
        self.assertNoResult(stopped)
        self.later(1)
        self.successResultOf(stopped)
        self.assertEqual(
            [p.signals for p in self.processes], [["TERM"], ["TERM", "KILL"], ["TERM"]]
        )

    def test_between_two(self) -> None:
        """A worker that is about to be replaced is not."""
        for _ in range(3):
            self.processes[-1].end()
            self.later(1)
        self.processes[-1].end()
        count = len(self.processes)
        self.successResultOf(self.stop())
        self.later(60)
        self.assertEqual(len(self.processes), count)


class WorkerProcessTests(SupervisorTestCase):
    """Tests for :class:`nostrtx.workers.process.WorkerProcess`."""

    def worker(self) -> WorkerProcess:
        """One that runs."""
        self.start()
        found = [
            reader
            for reader in self.reactor.getReaders()
            if isinstance(reader, WorkerProcess)
        ]
        self.assertEqual(len(found), 3)
        return found[0]

    def test_interface(self) -> None:
        """The reactor can read what it reports."""
        worker = self.worker()
        self.assertTrue(verifyObject(IReadDescriptor, worker))
        self.assertTrue(worker.logPrefix())
        self.assertTrue(os.fstat(worker.fileno()))

    def test_signal_too_late(self) -> None:
        """A signal for one that has ended goes nowhere."""
        worker = self.worker()
        self.reactor.processes[worker.number - 1].pid = None
        worker.signal("TERM")
        self.assertIsNone(worker.pid)

    def test_gone_already(self) -> None:
        """Waiting for the end of one that has ended takes no time."""
        worker = self.worker()
        self.reactor.processes[worker.number - 1].end()
        self.successResultOf(worker.gone())
        self.assertEqual(worker.fileno(), -1)
        self.assertIsNotNone(worker.doRead())
