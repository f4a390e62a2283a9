# -*- test-case-name: tests.workers.test_worker -*-
"""
``python -m nostrtx.workers.worker``: one relay process of several.

It does for the relay what ``twistd`` does for a single one, ends in order when it is
told to or when its supervisor is gone, and is of no use when started by hand.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from itertools import chain
from typing import Any, Final

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.task import LoopingCall
from twisted.logger import Logger, globalLogBeginner
from twisted.python.failure import Failure
from twisted.python.reflect import namedModule
from zope.interface import implementer

from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.settings.file import ConfigError
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.workers.orders import Orders, receive_orders, receive_settings
from nostrtx.workers.reports import BEAT_SECONDS, Reporter

_log = Logger()

_DESCRIPTOR_BYTES: Final = 4

_ROOM_FOR_A_FILE: Final = socket.CMSG_SPACE(_DESCRIPTOR_BYTES)

# socket.recv_fds takes flags and heeds none.
_FLAGS: Final = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC


@implementer(IReadDescriptor)
class SupervisorWatch:
    """
    Hears of other settings from the supervisor, and notices when it is gone.

    Args:
        control: The socket to it.
        gone: Called once it is gone.
        told: Called with settings that are to hold from then on.
    """

    def __init__(
        self,
        control: socket.socket,
        gone: Callable[[], None],
        told: Callable[[Settings], None],
    ) -> None:
        self._control = control
        self._gone = gone
        self._told = told

    def fileno(self) -> int:
        """The socket's descriptor, for the reactor."""
        return self._control.fileno()

    def logPrefix(self) -> str:
        """What the reactor calls this in its log."""
        return "supervisor"

    def doRead(self) -> Failure | None:
        """Take settings, or the end."""
        try:
            received, sent, _, _ = self._control.recvmsg(1, _ROOM_FOR_A_FILE, _FLAGS)
        except BlockingIOError:
            return None
        except OSError:
            received, sent = b"", []
        for _, _, file in sent:
            descriptor = int.from_bytes(file[:_DESCRIPTOR_BYTES], sys.byteorder)
            self._told(receive_settings(descriptor))
        return None if received else Failure(CONNECTION_DONE)

    def connectionLost(self, reason: Failure) -> None:
        """The supervisor is gone, or the reactor stops."""
        self._gone()


class Ending:
    """
    Stops the reactor, once, however often and from where it is asked to.

    Args:
        reactor: It runs.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._has_begun = False
        reactor.addSystemEventTrigger("before", "shutdown", self._begins)

    def begin(self) -> None:
        """Stop the reactor unless it is stopping."""
        if not self._has_begun:
            self._begins()
            self._reactor.stop()

    def signalled(self, number: int, frame: object) -> None:
        """A signal asks to stop."""
        self._reactor.callFromThread(self.begin)

    def _begins(self) -> None:
        self._has_begun = True


def run(
    service: IService,
    reactor: Any,
    control: socket.socket,
    reporter: Reporter,
    give_way: Callable[[], Deferred[None]],
    told: Callable[[Settings], None],
) -> None:
    """
    Run the relay to its end, as twistd does.

    Args:
        service: The relay.
        reactor: Runs it.
        control: Brings settings, and is closed when the supervisor is gone.
        reporter: Tells the supervisor that clients are served.
        give_way: Takes no more connections, and fires when all clients are gone; is
            called on the signal USR2, and then the relay ends.
        told: Called with settings that are to hold from then on.

    Raises:
        CannotServe: It cannot be started; the text is one line that says why.
    """
    ending = Ending(reactor)
    service.privilegedStartService()
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.addReader(SupervisorWatch(control, ending.begin, told))

    tasks = BackgroundTasks()

    async def go() -> None:
        try:
            await give_way()
        finally:
            ending.begin()

    def giving_way(number: int, frame: object) -> None:
        reactor.callFromThread(lambda: tasks.start(go(), "Giving way"))

    def running() -> None:
        # In place of those that the reactor has installed by now, which complain
        # about a second signal.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, ending.signalled)
        signal.signal(signal.SIGUSR2, giving_way)
        # It is the supervisor who reads the settings again.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        reporter.ready()
        beats = LoopingCall(reporter.alive)
        beats.clock = reactor
        _ = beats.start(BEAT_SECONDS, now=False)

    reactor.callWhenRunning(running)
    reactor.run()


def _serve(orders: Orders, control: socket.socket, reporter: Reporter) -> None:
    # Before anything is imported that would install another one.
    namedModule(orders.reactor).install()
    from twisted.internet import reactor

    from nostrtx.broadcast.workers import WorkerBroadcaster
    from nostrtx.reloading import put_in_force
    from nostrtx.service import make_service
    from nostrtx.workers.ports import InheritedPorts

    for inherited in (*chain(*orders.ports), orders.bus):
        os.set_inheritable(inherited, False)

    def give_up(why: str) -> None:
        reporter.trouble(why)
        reactor.stop()

    broadcaster = None
    if not orders.settings.cluster.redis:
        broadcaster = WorkerBroadcaster(orders.name, reactor, orders.bus)
    settings = LiveSettings(orders.settings)
    service = make_service(
        settings,
        reactor,
        give_up=give_up,
        opener=InheritedPorts(reactor, orders.ports),
        broadcaster=broadcaster,
        name=orders.name,
    )

    def told(changed: Settings) -> None:
        try:
            put_in_force(settings, changed)
        except ConfigError as error:
            _log.error("The settings stay as they are: {why}", why=error)

    listener: Any = service.getServiceNamed("listener")
    run(service, reactor, control, reporter, listener.give_way, told)


def main(descriptor: int, orders: int) -> int:
    """
    Be a worker.

    Args:
        descriptor: Of the socket to the supervisor.
        orders: Descriptor of the file with what there is to do.

    Returns:
        The exit code.
    """
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    reporter = Reporter(control)
    globalLogBeginner.beginLoggingTo([reporter])
    try:
        _serve(receive_orders(orders), control, reporter)
    except SystemExit as end:
        reporter.trouble(str(end.code))
    except ConfigError as error:
        reporter.trouble(f"nostr-relay: {error}")
    except BaseException:
        _log.failure("The worker cannot go on.")
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
