# -*- test-case-name: tests.relay.test_signature_checks -*-
"""
Signature checks, off the reactor: gathered over a turn, done in other processes.

A signature costs some 45 microseconds, more than everything else on the way in.
Few at a time are checked in place; a crowd goes in batches to verifier processes,
so the reactor's turns stay short. (Threads are no way out: beside a busy reactor
each call would wait about a millisecond for the interpreter lock.)
"""

from __future__ import annotations

import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from nostrtx.interfaces.edge import ITurns
from nostrtx.nostr.event import Event
from nostrtx.nostr.signing import verify
from nostrtx.relay.signature_worker import MAX_BATCH


class HasEvent(Protocol):
    """Something that is on its way together with its event."""

    event: Event


_T = TypeVar("_T", bound=HasEvent)

#: So many signatures a turn are checked in place: two milliseconds at most.
INLINE: Final = 32

#: Batches that may be with one process: one in work, one behind it.
_OUTSTANDING: Final = 2

#: How soon another process takes the place of one that ended.
RESTART_SECONDS: Final = 1.0


class SignatureChecks(Generic[_T]):
    """
    Checks the signatures of what is added, in bulk.

    Args:
        turns: The reactor's turns, at whose end the checks are made.
        checked: Called with a batch and, for each of its items, whether the
            signature is good.
    """

    _log = Logger()

    def __init__(
        self, turns: ITurns, checked: Callable[[Sequence[_T], Sequence[int]], None]
    ) -> None:
        self._turns = turns
        self._checked = checked
        self._unchecked: list[_T] = []
        self._verifiers: list[Verifier[_T]] = []
        self._stopped = True
        turns.at_end(self._end_of_turn)

    def add(self, item: _T) -> None:
        """Check ``item.event`` at the end of this turn, or soon after."""
        if not self._unchecked:
            self._turns.needed()
        self._unchecked.append(item)

    @property
    def unchecked(self) -> int:
        """How many wait, or are with a verifier."""
        owed = sum(len(b) for v in self._verifiers for b in v.outstanding)
        return len(self._unchecked) + owed

    def start(self, reactor: Any, processes: int) -> None:
        """Start ``processes`` verifiers; until then, checks are made in place."""
        self._stopped = False
        for _ in range(processes):
            self._start_verifier(reactor)

    def stop(self) -> None:
        """End the verifiers; what they owe is checked in place."""
        self._stopped = True
        verifiers, self._verifiers = self._verifiers, []
        for verifier in verifiers:
            self._check_again(verifier.stop())

    def _start_verifier(self, reactor: Any) -> None:
        if self._stopped:
            return
        try:
            verifier = Verifier(reactor, self._answered, partial(self._lost, reactor))
        except OSError as error:
            self._log.error("A verifier cannot be started: {reason}.", reason=error)
            self._start_later(reactor)
        else:
            self._verifiers.append(verifier)

    def _start_later(self, reactor: Any) -> None:
        # Not at once: a process that cannot start would be started for ever.
        reactor.callLater(RESTART_SECONDS, self._start_verifier, reactor)

    def _answered(self, batch: Sequence[_T], answer: bytes) -> None:
        self._checked(batch, answer)
        self._turns.needed()

    def _lost(self, reactor: Any, verifier: Verifier[_T], owed: list[_T]) -> None:
        self._verifiers.remove(verifier)
        self._check_again(owed)
        self._start_later(reactor)

    def _check_again(self, owed: list[_T]) -> None:
        self._unchecked = owed + self._unchecked
        # Even if nothing is owed: something may wait that could not be sent.
        self._turns.needed()

    def _end_of_turn(self) -> bool:
        unchecked = self._unchecked
        if not unchecked:
            return False
        verifiers = self._verifiers
        if not verifiers or (
            len(unchecked) <= INLINE and not any(v.outstanding for v in verifiers)
        ):
            now, self._unchecked = unchecked[:INLINE], unchecked[INLINE:]
            self._checked(now, [check_event(item.event) for item in now])
            return bool(self._unchecked)
        for verifier in sorted(verifiers, key=lambda v: len(v.outstanding)):
            while unchecked and len(verifier.outstanding) < _OUTSTANDING:
                if not verifier.send(unchecked[:MAX_BATCH]):
                    break
                del unchecked[:MAX_BATCH]
        return False


def verifier_count(setting: int) -> int:
    """
    How many verifier processes a setting means.

    Args:
        setting: The number, or -1 for one per core but one, at least one.
    """
    if setting >= 0:
        return setting
    return max(1, len(os.sched_getaffinity(0)) - 1)


def check_event(event: Event) -> bool:
    """Whether the event's signature is good."""
    return verify(event.sig, event.id, event.pubkey)


class _Exit(ProcessProtocol):
    """Reports when a verifier's process has ended."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended

    def processEnded(self, reason: Failure) -> None:
        """The process is gone."""
        self._ended()


@implementer(IReadDescriptor)
class Verifier(Generic[_T]):
    """
    One verifier process and the socket to it.

    Args:
        reactor: Reads the socket and minds the process.
        answered: Called with a batch and one byte per item: 1 for a good signature.
        lost: Called when the process ends unasked, with what it did not answer.

    Attributes:
        outstanding: Batches that it has and has not answered, oldest first.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        answered: Callable[[Sequence[_T], bytes], None],
        lost: Callable[[Verifier[_T], list[_T]], None],
    ) -> None:
        self.outstanding: deque[Sequence[_T]] = deque()
        self._reactor = reactor
        self._answered = answered
        self._lost = lost
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._socket: socket.socket | None = ours
        try:
            with theirs:
                reactor.spawnProcess(
                    _Exit(self._gone),
                    sys.executable,
                    [sys.executable, "-m", "nostrtx.relay.signature_worker", "3"],
                    env=None,
                    childFDs={1: 1, 2: 2, 3: theirs.fileno()},
                )
        except OSError:
            ours.close()
            raise
        reactor.addReader(self)

    def send(self, batch: Sequence[_T]) -> bool:
        """Hand a batch over; False if the process cannot take one now."""
        if self._socket is None:
            return False
        records: list[bytes] = []
        for item in batch:
            event = item.event
            records += (event.sig, event.id, event.pubkey)
        try:
            self._socket.send(b"".join(records))
        except OSError:
            return False
        self.outstanding.append(batch)
        return True

    def stop(self) -> list[_T]:
        """Close the socket, upon which the process ends; what it did not answer."""
        self._close()
        return self._owed()

    def fileno(self) -> int:
        """The socket's descriptor, for the reactor."""
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """What the reactor calls this in its log."""
        return "verifier"

    def doRead(self) -> Failure | None:
        """Take one answer from the socket."""
        if self._socket is None:
            return None
        try:
            answer = self._socket.recv(MAX_BATCH)
        except BlockingIOError:
            return None
        except OSError:
            answer = b""
        if not answer:
            return Failure(CONNECTION_DONE)
        self._answered(self.outstanding.popleft(), answer)
        return None

    def connectionLost(self, reason: Failure) -> None:
        """The process closed its side, or the reactor stops."""
        self._gone()

    def _gone(self) -> None:
        if self._socket is None:
            return
        self._close()
        self._log.error("A verifier process ended; another will take its place.")
        self._lost(self, self._owed())

    def _owed(self) -> list[_T]:
        owed = [item for batch in self.outstanding for item in batch]
        self.outstanding.clear()
        return owed

    def _close(self) -> None:
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._socket.close()
            self._socket = None
