# -*- test-case-name: tests.relay.policies.programs.test_policy -*-
"""An event that a program is asked about, and a process with those that it has."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import attrs
from twisted.internet.defer import CancelledError, Deferred

from nostrtx.interfaces.policies import Source, Taken
from nostrtx.nostr.errors import Rejected
from nostrtx.relay.policies.observed import NoVerdict
from nostrtx.relay.policies.programs.process import ProgramProcess

#: What becomes of an event, or of the question.
Verdict = Rejected | NoVerdict | CancelledError | Taken | None


@attrs.define(slots=True, eq=False)
class Question:
    """
    One event that a program is asked about.

    Attributes:
        id: Of the event.
        line: Asks.
        source: Who sent it.
        deadline: When the answer is of no use any more.
        answered: Fires with the verdict.
        followers: Fire once the verdict is there, whatever it is.
        tries: How often a process was asked.
        is_open: Whether there is no verdict yet.
        verdict: What it is by then.
    """

    id: bytes
    line: bytes
    source: Source
    deadline: float
    answered: Deferred[Taken | None]
    followers: list[Deferred[None]] = attrs.field(factory=list)
    tries: int = 0
    is_open: bool = True
    verdict: Verdict = None

    def settle(self, verdict: Verdict) -> None:
        """Say what the verdict is, the first time."""
        if not self.is_open:
            return
        self.is_open = False
        self.verdict = verdict
        self.line = b""
        if isinstance(verdict, Exception):
            self.answered.errback(verdict)
        else:
            self.answered.callback(verdict)
        if self.followers:
            followers, self.followers = self.followers, []
            for follower in followers:
                follower.callback(None)


class Seat:
    """
    A running process, and what it was asked and has not answered.

    Args:
        process: Runs.
        in_flight: Most questions it may have at a time.
        now: When it was started.

    Attributes:
        process: As above.
        owed: The questions, by the event's id, oldest first; some may be settled by
            now.
        heard: When it answered last.
        has_answered: Whether it ever did.
        is_retired: Whether it gets no more questions.
    """

    __slots__ = (
        "_late",
        "_most",
        "_room",
        "has_answered",
        "heard",
        "is_retired",
        "owed",
        "process",
    )

    def __init__(self, process: ProgramProcess, in_flight: int, now: float) -> None:
        self.process = process
        self.owed: dict[bytes, Question] = {}
        self.heard = now
        self.has_answered = False
        self.is_retired = False
        self._late = 0
        self._most = in_flight
        self._room = float(in_flight)

    @property
    def has_room(self) -> bool:
        """
        Whether it may get one more question.

        So it does if all that it owes is too late: it may have forgotten that.
        """
        return len(self.owed) < self._room or self._late == len(self.owed)

    def ask(self, question: Question, now: float) -> None:
        """Hand a question over."""
        if not self.owed:
            self.heard = now
        question.tries += 1
        self.owed[question.id] = question
        self.process.tell(question.line)

    def answer(self, id_: bytes, now: float) -> Question | None:
        """The question with this answer, if it was asked."""
        question = self.owed.pop(id_, None)
        if question is None:
            return None
        self.heard = now
        self.has_answered = True
        if not question.is_open:
            self._late -= 1
        elif self._room < self._most:
            self._room = min(self._most, self._room + 1 / self._room)
        if self._late:
            self._forget_passed_over()
        return question

    def was_late(self) -> None:
        """Take note that an answer did not come in time: fewer at a time, then."""
        self._room = max(1.0, self._room / 2)
        self._late += 1

    def give_back(self) -> Sequence[Question]:
        """The questions that are still open; it has none any more."""
        left = [question for question in self.owed.values() if question.is_open]
        self.owed.clear()
        return left

    def _forget_passed_over(self) -> None:
        """Expect no answer any more to what is too late and older than an answered."""
        owed = self.owed
        late = list(takewhile(lambda question: not question.is_open, owed.values()))
        for question in late:
            del owed[question.id]
        self._late -= len(late)
