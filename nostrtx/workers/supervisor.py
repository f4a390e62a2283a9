# -*- test-case-name: tests.workers.test_supervisor -*-
"""
The supervisor: opens the ports, runs the workers, and replaces one that dies.

The first worker starts alone, for it may have to make what all of them use, such as
the store; the others start when it is ready. If one cannot serve at the start, that
is why the relay does not: one line, as from a relay of one process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from secrets import token_bytes
from select import select
from signal import SIGUSR2
from socket import socket, socketpair
from typing import Any, Final

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from nostrtx.admin_service import say_where
from nostrtx.broadcast.hub import Hub
from nostrtx.cannot_serve import CannotServe
from nostrtx.joining import fail, name_of_node
from nostrtx.listening import OpenPorts
from nostrtx.relay.roll_call import FAREWELL
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.takeover.taken import TakenSockets
from nostrtx.takeover.takeover import Takeover
from nostrtx.web.proxied import PROXIED_PREFIX
from nostrtx.workers.orders import Orders
from nostrtx.workers.ports import PortsOfWorkers
from nostrtx.workers.process import ORDERS, WorkerProcess
from nostrtx.workers.reports import BEAT_SECONDS

#: A worker that has served so long was well when it died.
STEADY_SECONDS: Final = 10.0

#: Longest delay before a worker is replaced.
MAX_DELAY_SECONDS: Final = 30.0

#: For a worker's successor clients may wait after so many deaths, but not longer.
MOST_AWAITED_DEATHS: Final = 2

#: How long workers may take to stop beyond what the settings grant clients.
EXTRA_SECONDS: Final = 10.0

#: A worker that serves and has been silent for so many beats hangs, and is killed.
#: Beats, not seconds: one that was stopped itself finds nobody silent.
MOST_SILENT_BEATS: Final = 7


def delay_after(deaths: int) -> float:
    """
    How long to wait before a worker is replaced.

    Args:
        deaths: How many in its place have died young, one after the other.
    """
    # What is beyond that is no longer a float after some hours.
    return 0.0 if deaths <= 1 else min(MAX_DELAY_SECONDS, 0.25 * 2.0 ** min(deaths, 9))


#: A worker that gives up so soon after the start is not replaced.
HASTY_SECONDS: Final = 10.0


def settings_of_worker(settings: Settings, workers: int, cores: int) -> Settings:
    """
    The settings of each worker.

    They are the relay's, but where the number of verifier processes is left to the
    machine, they share the cores that the workers themselves leave.
    """
    if settings.ingest.verifier_processes >= 0:
        return settings
    spare = max(0, cores - workers) // workers
    ingest = attrs.evolve(settings.ingest, verifier_processes=spare)
    return attrs.evolve(settings, ingest=ingest)


@attrs.define(eq=False)
class Place:
    """
    One of the workers, whichever process that is at the time.

    Attributes:
        number: From 1.
        process: The process; None between two.
        since: When it was started, on the reactor's clock.
        deaths: How many have died young, one after the other.
        next: The call that starts the next one.
    """

    number: int
    process: WorkerProcess | None = None
    since: float = 0.0
    deaths: int = 0
    next: IDelayedCall | None = None


class Supervisor(Service):
    """
    A relay of several processes.

    Args:
        settings: All of them, for the workers, who are told when they change.
        reactor: Runs the processes.
        workers: How many.
        cores: How many the machine has.
        wait: Waits until one of some descriptors can be read, as ``select`` does.
        make_socket: Makes sockets, as ``socket.socket`` does.
    """

    _log = Logger()

    def __init__(
        self,
        settings: LiveSettings,
        reactor: Any,
        workers: int,
        cores: int,
        wait: Callable[..., Any] = select,
        make_socket: Callable[..., socket] = socket,
    ) -> None:
        self._settings = settings
        self._reactor = reactor
        self._wait = wait
        self._places = [Place(number) for number in range(1, workers + 1)]
        taken = TakenSockets()
        self._sockets = PortsOfWorkers(workers, reactor, make_socket, taken)
        self._hub = Hub(reactor, FAREWELL)
        self._takeover = Takeover(
            settings.now.listen.takeover,
            reactor,
            self._sockets,
            taken,
            self._give_way,
            None if settings.now.cluster.redis else self._hub,
        )
        self._gives_way = False
        self._ports = OpenPorts(self._sockets, reactor, lambda url: None)
        self._admin_ports = OpenPorts(self._sockets, reactor, say_where)
        self._node = name_of_node(settings.now, token_bytes)
        self._cores = cores
        self._started: float | None = None
        self._beats = LoopingCall(self._count_silent)
        self._beats.clock = reactor
        settings.follow(self._apply)

    def privilegedStartService(self) -> None:
        """
        Open the ports, before twistd gives up its privileges.

        Raises:
            CannotServe: One cannot be opened; the text is one line that says why.
        """
        super().privilegedStartService()
        self._takeover.begin()
        # In the order in which workers ask for them.
        self._admin_ports.open(
            self._settings.now.admin.endpoints, lambda endpoint: (endpoint, Factory())
        )
        self._ports.open(
            self._settings.now.listen.endpoints,
            lambda endpoint: (endpoint.removeprefix(PROXIED_PREFIX), Factory()),
        )

    def startService(self) -> None:
        """
        Start the workers, and wait until they serve.

        Raises:
            CannotServe: One cannot serve; the text is one line that says why.
        """
        super().startService()
        first, *others = self._places
        self._start_first(first)
        self._start_first(*others)
        self._started = self._reactor.seconds()
        for place in self._places:
            self._reactor.addReader(place.process)
        _ = self._beats.start(BEAT_SECONDS, now=False)
        self._log.info("{count} workers serve clients.", count=len(self._places))
        # From then on a signal stops all in order.
        has_url = bool(self._settings.now.relay.url)
        self._reactor.callWhenRunning(self._ports.tell, has_url)
        self._reactor.callWhenRunning(self._takeover.serves)

    def stopService(self) -> Deferred[None]:
        """Let nobody connect any more, and stop the workers in order."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def _give_way(self) -> Deferred[None]:
        """Have the workers take no more connections, and end when they have none."""
        self._gives_way = True
        return Deferred.fromCoroutine(self._wait_for_workers())

    async def _wait_for_workers(self) -> None:
        for place in self._places:
            if place.next is not None:
                place.next.cancel()
                place.next = None
        running = [place.process for place in self._places if place.process]
        for process in running:
            process.signal(SIGUSR2)
        for process in running:
            await process.gone()

    async def _stop(self) -> None:
        self._takeover.stop()
        if self._beats.running:
            self._beats.stop()
        await self._ports.close()
        await self._admin_ports.close()
        for place in self._places:
            if place.next is not None:
                place.next.cancel()
                place.next = None
        running = [place.process for place in self._places if place.process]
        for process in running:
            process.signal("TERM")
        seconds = 2 * self._settings.now.timing.shutdown_seconds + EXTRA_SECONDS
        killing = self._reactor.callLater(seconds, self._kill, running)
        for process in running:
            await process.gone()
        if killing.active():
            killing.cancel()
        await self._hub.close()

    def _kill(self, processes: Sequence[WorkerProcess]) -> None:
        late = [process for process in processes if process.ended is None]
        numbers = ", ".join(str(process.number) for process in late)
        self._log.error("Workers that have not stopped are killed: {n}.", n=numbers)
        for process in late:
            process.signal("KILL")

    # -- one worker

    def _apply(self, settings: Settings) -> None:
        workers = len(self._places)
        self._worker_settings = settings_of_worker(settings, workers, self._cores)
        for place in self._places:
            if place.process is not None:
                place.process.tell(self._worker_settings)

    def _start(self, place: Place) -> None:
        place.next = None
        place.since = self._reactor.seconds()
        name = f"{self._node}/{place.number}"
        ports = self._sockets.of_worker(place.number - 1)
        ours, theirs = socketpair()
        with ours, theirs:
            sockets = [each for port in ports for each in port]
            inherits = dict(enumerate([theirs.fileno(), *sockets], ORDERS + 1))
            bus, *others = inherits
            numbers = iter(others)
            orders = Orders(
                settings=self._worker_settings,
                number=place.number,
                name=name,
                ports=tuple(tuple(islice(numbers, len(port))) for port in ports),
                bus=bus,
                reactor=type(self._reactor).__module__,
            )
            for end in (ours, theirs):
                end.setblocking(False)
            place.process = WorkerProcess(
                self._reactor, orders, inherits, self._changed
            )
            self._hub.join(name, ours.fileno())

    def _start_first(self, *places: Place) -> None:
        """Start workers, and wait until they are ready; the reactor need not run."""
        for place in places:
            try:
                self._start(place)
            except OSError as error:
                raise CannotServe(
                    f"nostr-relay: a worker cannot be started: {error.strerror}"
                ) from None
        while waiting := [
            place.process
            for place in places
            if place.process is not None and not place.process.is_ready
        ]:
            readable, _, _ = self._wait(waiting, [], [])
            for process in readable:
                if process.doRead() is None and process.trouble is None:
                    continue
                raise CannotServe(
                    process.trouble
                    or f"nostr-relay: worker {process.number} ended while it started"
                )

    def _changed(self, process: WorkerProcess) -> None:
        place = self._places[process.number - 1]
        if self._started is None or place.process is not process:
            return
        if process.ended is not None:
            self._replace(place, process)
        elif process.is_ready:
            self._log.info("worker {worker} is ready.", worker=process.number)

    def _count_silent(self) -> None:
        for process in (place.process for place in self._places):
            if process is not None and process.is_ready:
                process.silent += 1
                if process.silent == MOST_SILENT_BEATS:
                    self._log.error(
                        "worker {worker} hangs, and is killed.", worker=process.number
                    )
                    process.signal("KILL")

    def _replace(self, place: Place, process: WorkerProcess) -> None:
        place.process = None
        if not self.running or self._gives_way:
            return
        assert self._started is not None
        now = self._reactor.seconds()
        if process.trouble is not None and now < self._started + HASTY_SECONDS:
            fail(self._reactor, process.trouble)
            return
        is_steady = process.is_ready and now >= place.since + STEADY_SECONDS
        place.deaths = 1 if is_steady else place.deaths + 1
        delay = delay_after(place.deaths)
        self._log.error(
            "worker {worker} has ended, and is replaced{when}: {why}",
            worker=place.number,
            when=f" in {delay:g} s" if delay else "",
            why=process.trouble or process.ended,
        )
        self._start_later(place)

    def _start_later(self, place: Place) -> None:
        if place.deaths > MOST_AWAITED_DEATHS:
            # Or its share of those who connect would wait, perhaps for ever.
            try:
                self._sockets.give_up(place.number - 1)
            except OSError as error:
                self._log.warn(
                    "Clients may wait for worker {worker}: {why}.",
                    worker=place.number,
                    why=error.strerror,
                )
        place.next = self._reactor.callLater(
            delay_after(place.deaths), self._start_again, place
        )

    def _start_again(self, place: Place) -> None:
        try:
            self._start(place)
        except OSError as error:
            self._log.error("A worker cannot be started: {why}.", why=error)
            place.deaths += 1
            self._start_later(place)
        else:
            self._reactor.addReader(place.process)
