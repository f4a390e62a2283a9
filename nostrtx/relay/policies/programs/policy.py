# -*- test-case-name: tests.relay.policies.programs.test_policy -*-
"""
A program decides about events, while others go on.

Many events are on their way at once: to several processes of the program, and
several to each. An event that gets no answer has no verdict, and whoever observes
this says what that means:

- A process that ends is started anew, later each time if it never answered. What it
  had is asked once more.
- A process that answers nothing while the time of an event runs out is ended.
- An event waits for its turn for half of its time at most, so that an answer can
  still be in time; while answers are late, a process gets fewer at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from twisted.application.internet import backoffPolicy
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from nostrtx.interfaces.policies import IEventPolicy, Source, Taken
from nostrtx.nostr.event import Event
from nostrtx.nostr.kinds import parse_kinds
from nostrtx.relay.policies.observed import NoVerdict
from nostrtx.relay.policies.programs.files import ProgramFiles
from nostrtx.relay.policies.programs.lines import BadLine, parse_answer, request_line
from nostrtx.relay.policies.programs.process import ProgramProcess
from nostrtx.relay.policies.programs.questions import Question, Seat, Verdict
from nostrtx.relay.policies.programs.remarks import Remarks
from nostrtx.settings.programs import ProgramSettings

#: How often a question is asked, in all.
_TRIES: Final = 2

#: While no process runs, events wait if there is one again after no longer a pause.
_SOON_SECONDS: Final = 1.0

#: How often the program's files are looked at, in seconds.
_LOOK_SECONDS: Final = 1.0


@implementer(IEventPolicy)
class ProgramPolicy:
    """
    A program, with its processes.

    Args:
        name: What it is called.
        settings: Its table.
        clock: Wall-clock time.
    """

    _log = Logger()

    def __init__(
        self, name: str, settings: ProgramSettings, clock: IReactorTime
    ) -> None:
        self._name = name
        self._settings = settings
        self._clock = clock
        self._kinds = parse_kinds(settings.kinds)
        self._reactor: Any = None
        self._files = ProgramFiles(settings.arguments)
        self._seats: dict[ProgramProcess, Seat] = {}
        self._waiting: deque[Question] = deque()
        self._open: dict[bytes, Question] = {}
        self._by_deadline: deque[Question] = deque()
        self._starts: set[Any] = set()
        self._alarm: Any = None
        self._looking: Any = None
        self._failures = 0
        self._delay = backoffPolicy(0.1, 30.0, 2.0, lambda: 0.0)
        self._stopping: list[Deferred[None]] | None = None
        self._remarks = Remarks(self._log, name, clock)

    def start(self, reactor: Any) -> None:
        """Start the processes."""
        self._reactor = reactor
        for _ in range(self._settings.workers):
            self._start_one()
        self._look()

    def stop(self) -> Deferred[None]:
        """Ask nothing any more; fires when all processes have ended."""
        ends: list[Deferred[None]] = [Deferred() for _ in self._seats]
        self._stopping = list(ends)
        for call in [*self._starts, self._alarm, self._looking]:
            if call is not None and call.active():
                call.cancel()
        for question in list(self._open.values()):
            self._settle(question, CancelledError())
        for process in list(self._seats):
            process.finish()
        done: Deferred[None] = Deferred()
        DeferredList(ends).addCallback(lambda _: done.callback(None))  # type: ignore[unused-awaitable]
        return done

    def admit(
        self, event: Event, source: Source
    ) -> Deferred[Taken | None] | Taken | None:
        """
        Ask the program about an event.

        Raises:
            NoVerdict: It cannot be asked now; the Deferred may fail with it, too.
        """
        if self._kinds and not any(event.kind in kinds for kinds in self._kinds):
            return None
        asked = self._open.get(event.id)
        if asked is not None:
            return Deferred.fromCoroutine(self._follow(asked, event, source))
        return self._ask(event, source)

    async def _follow(
        self, asked: Question, event: Event, source: Source
    ) -> Taken | None:
        """
        The verdict of one event that comes twice at once.

        What is refused is asked again: it may be because of who sent it first.
        """
        earlier: Question | None = asked
        while earlier is not None:
            follower: Deferred[None] = Deferred()
            earlier.followers.append(follower)
            await follower
            verdict = earlier.verdict
            if verdict is None or _alike(earlier.source, source):
                if isinstance(verdict, Exception):
                    raise verdict
                return verdict
            earlier = self._open.get(event.id)
        return await self._ask(event, source)

    def _ask(self, event: Event, source: Source) -> Deferred[Taken | None]:
        if self._stopping is not None or not (self._seats or self._comes_soon()):
            raise NoVerdict("the program does not run")
        if len(self._waiting) >= self._settings.max_waiting:
            self._remarks.warn("cannot keep up; events get no verdict")
            raise NoVerdict("too many events wait")
        now = self._clock.seconds()
        question = Question(
            event.id,
            request_line(event, source, now),
            source,
            now + self._settings.timeout_seconds,
            Deferred(),
        )
        self._open[event.id] = question
        self._by_deadline.append(question)
        if self._alarm is None:
            self._set_alarm(self._settings.timeout_seconds / 2)
        self._waiting.append(question)
        self._hand_over(now)
        return question.answered

    def _hand_over(self, now: float) -> None:
        """Give processes what waits, to the one that has least."""
        waiting = self._waiting
        while waiting:
            seat = self._least_busy()
            if seat is None:
                return
            question = waiting.popleft()
            if question.is_open:
                seat.ask(question, now)

    def _least_busy(self) -> Seat | None:
        """Whom to ask next; nobody if all have enough."""
        least: Seat | None = None
        for seat in self._seats.values():
            if not seat.is_retired and (
                least is None or len(seat.owed) < len(least.owed)
            ):
                least = seat
        return least if least is not None and least.has_room else None

    def _settle(
        self,
        question: Question,
        verdict: Verdict,
    ) -> None:
        if self._open.get(question.id) is question:
            del self._open[question.id]
        question.settle(verdict)
        line = self._by_deadline
        while line and not line[0].is_open:
            line.popleft()

    # What processes report.

    def wrote(self, process: ProgramProcess, lines: Sequence[bytes]) -> None:
        """Take answers."""
        seat = self._seats.get(process)
        if seat is None:
            return
        now = self._clock.seconds()
        for line in lines:
            try:
                answer = parse_answer(line)
            except BadLine as error:
                self._remarks.warn(f"wrote a line that is no answer: {error}")
                continue
            question = seat.answer(answer.id, now)
            if question is None:
                self._remarks.warn("answered what it was not asked")
                continue
            self._failures = 0
            self._settle(question, answer.verdict)
        if seat.is_retired and not seat.owed:
            process.finish()
        if self._waiting:
            self._hand_over(now)

    def complained(self, lines: Sequence[bytes]) -> None:
        """Put into the log what it wrote to its standard error."""
        for line in lines:
            self._remarks.quote(line.decode(errors="replace"))

    def ended(self, process: ProgramProcess, how: str) -> None:
        """Ask others what it has not answered, and start another one."""
        seat = self._seats.pop(process)
        if self._stopping is not None:
            self._stopping.pop().callback(None)
            return
        again = []
        for question in seat.give_back():
            if question.tries < _TRIES:
                again.append(question)
            else:
                self._settle(question, NoVerdict("the program ended"))
        self._waiting.extendleft(reversed(again))
        if not seat.is_retired:
            self._failures += 1
            delay = self._delay(self._failures)
            self._log.warn(
                "The policy program {name} ended {how}; it is started anew in"
                " {seconds} s.",
                name=self._name,
                how=how,
                seconds=round(delay, 1),
            )
            self._start_later(delay)
        self._hand_over(self._clock.seconds())
        self._give_up()

    # Time.

    def _start_one(self) -> None:
        try:
            process = ProgramProcess(self._reactor, self._settings.arguments, self)
        except OSError as error:
            self._failures += 1
            delay = self._delay(self._failures)
            self._log.error(
                "The policy program {name} cannot be started: {reason}.",
                name=self._name,
                reason=error.strerror or str(error),
            )
            self._start_later(delay)
            self._give_up()
            return
        self._seats[process] = Seat(
            process, self._settings.in_flight, self._clock.seconds()
        )
        self._hand_over(self._clock.seconds())

    def _start_later(self, seconds: float) -> None:
        def start() -> None:
            self._starts.discard(later)
            self._start_one()

        later = self._clock.callLater(seconds, start)
        self._starts.add(later)

    def _comes_soon(self) -> bool:
        """Whether a process is started soon."""
        return bool(self._starts) and self._delay(self._failures) <= _SOON_SECONDS

    def _give_up(self) -> None:
        """Let nothing wait for a process that will not be there for long."""
        if not self._seats and not self._comes_soon():
            while self._waiting:
                self._settle(self._waiting.popleft(), NoVerdict("it does not run"))

    def _look(self) -> None:
        """Start the program anew if it is not what it was."""
        self._looking = self._clock.callLater(_LOOK_SECONDS, self._look)
        if self._files.have_changed():
            self._log.info(
                "The policy program {name} has changed, and is started anew.",
                name=self._name,
            )
            old = [seat for seat in self._seats.values() if not seat.is_retired]
            for seat in old:
                seat.is_retired = True
                self._start_one()
                if not seat.owed:
                    seat.process.finish()

    def _set_alarm(self, seconds: float) -> None:
        self._alarm = self._clock.callLater(seconds, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = None
        now = self._clock.seconds()
        half = self._settings.timeout_seconds / 2
        waiting = self._waiting
        while waiting and waiting[0].deadline - half <= now:
            question = waiting.popleft()
            if question.is_open:
                self._remarks.warn("is too slow; events get no verdict")
            self._settle(question, NoVerdict("it did not come to its turn"))
        line = self._by_deadline
        while line and (not line[0].is_open or line[0].deadline <= now):
            question = line.popleft()
            if question.is_open:
                self._expire(question, now)
        if line:
            times = [line[0].deadline]
            if waiting:
                times.append(waiting[0].deadline - half)
            self._set_alarm(max(0.01, min(times) - now))

    def _expire(self, question: Question, now: float) -> None:
        self._remarks.warn("did not answer in time")
        self._settle(question, NoVerdict("no answer in time"))
        for seat in self._seats.values():
            if seat.owed.get(question.id) is question:
                seat.was_late()
                if now - seat.heard >= self._settings.timeout_seconds:
                    seat.process.kill()


def _alike(one: Source, other: Source) -> bool:
    return one.address == other.address and one.pubkeys == other.pubkeys
