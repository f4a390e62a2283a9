"""Tests for :mod:`nostrtx.workers.worker`."""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.settings.access import Nip05Settings
from nostrtx.settings.tree import Settings
from nostrtx.workers.orders import pack_settings
from nostrtx.workers.reports import BEAT_SECONDS, Reporter
from nostrtx.workers.worker import Ending, SupervisorWatch, run


class RunningReactor(MemoryReactorClock):
    """
    A reactor whose ``run`` does what the test says.

    Attributes:
        stops: How often it was stopped.
        doing: What happens while it runs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stops = 0
        self.doing: Any = lambda: None

    def run(self) -> None:
        """Run."""
        for call, args, kwargs in self.whenRunningHooks:
            call(*args, **kwargs)
        self.doing()

    def stop(self) -> None:
        """Stop; once only, as with a real one."""
        assert self.stops == 0
        self.stops += 1
        for call, args, kwargs in self.triggers["before"]["shutdown"]:
            call(*args, **kwargs)

    def callFromThread(self, call: Any, *args: Any) -> None:
        """Call it at once: there is one thread."""
        call(*args)


class RecordingService(Service):
    """
    A service that writes down what it is told.

    Attributes:
        history: What it was told.
    """

    def __init__(self) -> None:
        self.history: list[str] = []

    def privilegedStartService(self) -> None:
        """Write it down."""
        self.history.append("privileged start")

    def startService(self) -> None:
        """Write it down."""
        self.history.append("start")

    def stopService(self) -> Deferred[None] | None:
        """Write it down."""
        self.history.append("stop")
        return None


class RunTests(SynchronousTestCase):
    """A worker's life."""

    def setUp(self) -> None:
        """A socket to a supervisor, and signals as they were."""
        self.ours, self.theirs = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)
        self.given_way: Deferred[None] = Deferred()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.reactor = RunningReactor()
        self.told: list[Settings] = []
        self.service = RecordingService()

    def run_worker(self) -> None:
        """Run it to the end."""
        run(
            self.service,
            self.reactor,
            self.theirs,
            Reporter(self.theirs),
            self.give_way,
            self.told.append,
        )

    def give_way(self) -> Deferred[None]:
        """Write it down; it is done when the test says so."""
        self.service.history.append("give way")
        return self.given_way

    def read(self) -> None:
        """Have the reactor read the socket, as it does when there is something."""
        (watch,) = self.reactor.getReaders()
        self.assertTrue(verifyObject(IReadDescriptor, watch))
        self.assertEqual(watch.fileno(), self.theirs.fileno())
        why = watch.doRead()
        if why is not None:
            watch.connectionLost(why)

    def test_order(self) -> None:
        """The relay is started as twistd does it, and then the supervisor is told."""
        self.run_worker()
        self.assertEqual(self.service.history, ["privileged start", "start"])
        self.assertEqual(self.ours.recv(100), b'["ready"]\n')

    def test_alive(self) -> None:
        """As long as its reactor turns the supervisor is told so."""
        self.reactor.doing = lambda: self.reactor.pump([BEAT_SECONDS] * 3)
        self.run_worker()
        self.assertEqual(self.ours.recv(100), b'["ready"]\n' + b'["alive"]\n' * 3)

    def test_cannot_start(self) -> None:
        """A relay that cannot be started does not run, and is not said to."""

        def fail() -> None:
            raise SystemExit("nostr-relay: no")

        self.service.startService = fail  # type: ignore[method-assign]
        self.assertRaises(SystemExit, self.run_worker)
        self.ours.setblocking(False)
        self.assertRaises(BlockingIOError, self.ours.recv, 100)

    def test_signals(self) -> None:
        """However often it is told to stop, it does so once, in order."""

        def doing() -> None:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
                signal.raise_signal(number)

        self.reactor.doing = doing
        self.run_worker()
        self.assertEqual(self.reactor.stops, 1)
        self.assertEqual(self.service.history[-1], "stop")

    def test_supervisor_gone(self) -> None:
        """It stops when its supervisor is gone, and not before."""

        def doing() -> None:
            self.read()
            self.assertEqual(self.reactor.stops, 0)
            self.ours.close()
            self.read()

        self.reactor.doing = doing
        self.run_worker()
        self.assertEqual(self.reactor.stops, 1)

    def test_gives_way(self) -> None:
        """On a signal it sends its clients away, and ends when they are gone."""

        def doing() -> None:
            os.kill(os.getpid(), signal.SIGUSR2)
            self.assertEqual(self.service.history[-1], "give way")
            self.assertEqual(self.reactor.stops, 0)
            self.given_way.callback(None)

        self.reactor.doing = doing
        self.run_worker()
        self.assertEqual(self.reactor.stops, 1)
        self.assertEqual(self.service.history[-1], "stop")

    def test_reactor_stops(self) -> None:
        """When the reactor stops for another reason, it is not stopped again."""
        ending = Ending(self.reactor)
        self.reactor.stop()
        ending.begin()
        self.assertEqual(self.reactor.stops, 1)

    def test_told_of_settings(self) -> None:
        """Settings that the supervisor sends are taken, however large, in order."""
        names = {f"name{at}": "aa" * 32 for at in range(10_000)}
        sent = [Settings(), Settings(nip05=Nip05Settings(names=names))]
        for settings in sent:
            with pack_settings(settings) as packed:
                socket.send_fds(self.ours, [b"s"], [packed.fileno()])
        watch = SupervisorWatch(self.theirs, lambda: None, self.told.append)
        for _ in sent:
            self.assertIsNone(watch.doRead())
        self.assertEqual(self.told, sent)
        self.assertIsNone(watch.doRead())

    def test_watch(self) -> None:
        """A socket that fails is as good as one that is closed."""
        gone: list[bool] = []
        watch = SupervisorWatch(
            self.theirs, lambda: gone.append(True), self.told.append
        )
        self.assertTrue(watch.logPrefix())
        self.ours.sendall(b"x")
        self.assertIsNone(watch.doRead())
        self.theirs.close()
        self.assertIsNotNone(watch.doRead())
