# -*- test-case-name: tests.takeover.test_takeover -*-
"""
Taking over from the relay that runs, and handing over to the next one.

A relay waits at a UNIX socket (``listen.takeover``). One that starts with the same
setting gets from there the sockets of all ports, serves clients on them, and then lets
the other one know, which from then on takes no more connections and sends its clients
away little by little. Both have the same sockets, so nobody who connects is refused.
If the new one dies before it serves, the old one goes on as if nothing had been.

As long as both serve clients, they hear one another's news over a stream of their own.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

from nostrtx.cannot_serve import CannotServe
from nostrtx.interfaces.processes import IMeeting
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.takeover.kept_ports import KeptPorts
from nostrtx.takeover.lines import Door, Line
from nostrtx.takeover.offer import (
    SERVING,
    YOURS,
    Key,
    Offer,
    OfferError,
    receive_offer,
    send_offer,
    send_refusal,
)
from nostrtx.takeover.ports import IKeptPorts
from nostrtx.takeover.taken import TakenSockets

#: Names the socket of the takeover among those that are handed over.
_OWN_KEY: Final[Key] = ("takeover",)

#: Names the stream on which both hear one another, with its version.
_NEWS_KEY: Final = "news"

#: How long the relay that runs may take to answer.
_ANSWER_SECONDS: Final = 10.0


class Takeover:
    """
    One relay's part in both.

    Args:
        path: Of the UNIX socket; empty for no takeover at all.
        reactor: Waits for the other process.
        ports: Those of this relay.
        taken: Learns which sockets were taken over.
        give_way: Takes no more connections, and fires when all clients are gone.
        meeting: Where both hear one another; None if they do so elsewhere.
        receive: Waits for an offer, as :func:`receive_offer` does.
    """

    _log = Logger()

    def __init__(
        self,
        path: str,
        reactor: Any,
        ports: IKeptPorts,
        taken: TakenSockets,
        give_way: Callable[[], Deferred[None]],
        meeting: IMeeting | None = None,
        receive: Callable[[socket.socket], Offer] = receive_offer,
    ) -> None:
        self._path = path
        self._reactor = reactor
        self._ports = ports
        self._taken = taken
        self._give_way = give_way
        self._meeting = meeting
        self._news: socket.socket | None = None
        self._receive = receive
        self._listening: socket.socket | None = None
        self._door: Door | None = None
        self._predecessor: socket.socket | None = None
        self._to_predecessor: Line | None = None
        self._successor: Line | None = None
        self._has_given_way = False
        self._tasks = BackgroundTasks()

    @property
    def has_predecessor(self) -> bool:
        """Whether another process serves the same ports until this one does."""
        return self._predecessor is not None

    def begin(self) -> None:
        """
        Take over from the relay that runs, if there is one; the reactor need not.

        Raises:
            CannotServe: That is impossible; the text is one line that says why.
        """
        if not self._path:
            return
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(self._path)
            offer = self._receive(connection)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            self._bind()
            return
        except OfferError as error:
            connection.close()
            raise CannotServe(
                f"nostr-relay: the relay that runs at {self._path} {error}"
            ) from None
        except OSError as error:
            connection.close()
            silent = isinstance(error, TimeoutError)
            why = "nobody answers" if silent else error.strerror or error
            raise CannotServe(
                f"nostr-relay: cannot take over at {self._path}: {why}"
            ) from None
        self._taken.put(offer.ports)
        for descriptor in self._taken.take(_OWN_KEY):
            self._listening = socket.socket(fileno=descriptor)
        if self._meeting is not None:
            for descriptor in self._taken.take((_NEWS_KEY, self._meeting.version)):
                self._news = socket.socket(fileno=descriptor)
        self._predecessor = connection
        self._log.info("Taking over from process {pid}.", pid=offer.pid)

    def serves(self) -> None:
        """Take note that clients are served: the predecessor may go."""
        self._taken.close()
        if self._predecessor is not None:
            self._to_predecessor = line = Line(
                self._reactor, self._predecessor, self._predecessor_said
            )
            line.say(SERVING)
            self._meet("the process before")
        elif self._listening is not None:
            self._open_door()

    def stop(self) -> None:
        """Hand over nothing any more."""
        self._taken.close()
        # Whoever has the ports has them, whatever becomes of it.
        others = (self._predecessor, self._successor)
        self._part()
        if self._has_given_way or any(others):
            self._ports.let_go()
        elif self._listening is not None:
            with suppress(OSError):
                os.unlink(self._path)
        for each in (self._door, self._to_predecessor, *others, self._listening):
            if each is not None:
                each.close()

    def _bind(self) -> None:
        self._listening = listening = socket.socket(socket.AF_UNIX)
        mask = os.umask(0o177)
        try:
            with suppress(FileNotFoundError):
                if stat.S_ISSOCK(os.stat(self._path).st_mode):
                    os.unlink(self._path)
            listening.bind(self._path)
            listening.listen()
        except OSError as error:
            listening.close()
            self._listening = None
            raise CannotServe(
                f"nostr-relay: cannot make {self._path}: {error.strerror or error}"
            ) from None
        finally:
            os.umask(mask)

    # -- both

    def _meet(self, other: str) -> None:
        """Let the other process hear this one, and be heard."""
        if self._news is not None:
            assert self._meeting is not None
            self._news.setblocking(False)
            self._meeting.join(other, self._news.fileno())
            self._part()

    def _part(self) -> None:
        """Let go of the stream to it; what is in use stays open."""
        if self._news is not None:
            self._news.close()
            self._news = None

    # -- the predecessor

    def _predecessor_said(self, word: bytes) -> None:
        """It has given way, or it is gone; either way all is ours."""
        assert self._to_predecessor is not None
        self._to_predecessor.close()
        self._to_predecessor = self._predecessor = None
        self._log.info("The ports are taken over.")
        self._ports.own()
        if self._listening is not None:
            self._open_door()

    # -- the successor

    def _open_door(self) -> None:
        assert self._listening is not None
        # Not the socket itself, which is closed with the door.
        self._door = Door(self._reactor, self._listening.dup(), self._knocked)

    def _knocked(self, connection: socket.socket) -> None:
        try:
            if self._successor is not None:
                send_refusal(connection, "is being taken over by another one right now")
                connection.close()
                return
            self._offer(connection)
        except OSError as error:
            connection.close()
            self._log.warn("Handing over the ports failed: {why}.", why=error)
            return
        self._log.info("Another process is about to take over.")
        self._successor = Line(self._reactor, connection, self._successor_said)

    def _offer(self, connection: socket.socket) -> None:
        assert self._listening is not None
        ports = {_OWN_KEY: [self._listening.fileno()], **self._ports.descriptors()}
        if self._meeting is None:
            send_offer(connection, Offer(os.getpid(), ports))
            return
        self._part()
        self._news, theirs = socket.socketpair()
        with theirs:
            ports[_NEWS_KEY, self._meeting.version] = [theirs.fileno()]
            send_offer(connection, Offer(os.getpid(), ports))

    def _successor_said(self, word: bytes) -> None:
        successor = self._successor
        assert successor is not None
        if word == SERVING and not self._has_given_way:
            self._has_given_way = True
            self._log.info("Another process serves clients: this one gives way.")
            assert self._door is not None
            self._door.close()
            self._meet("the process after")
            self._tasks.start(self._go(), "Giving way")
            successor.say(YOURS)
        elif not word:
            successor.close()
            self._successor = None
            self._part()
            if not self._has_given_way:
                self._log.error(
                    "The process that was about to take over has ended before it"
                    " served clients: this one goes on."
                )

    async def _go(self) -> None:
        try:
            await self._give_way()
        finally:
            # Unless it was told to end meanwhile.
            with suppress(ReactorNotRunning):
                self._reactor.stop()


def no_takeover() -> Takeover:
    """A takeover that never happens, for a process whose ports are not its own."""
    taken = TakenSockets()
    return Takeover("", None, KeptPorts(None, taken), taken, Deferred)
