# -*- test-case-name: tests.cli.test_intake -*-
"""
Events on their way into the store, for commands: many at a time, and all counted.

They take the same road as a client's: the same checks, the same verifier processes,
the same transactions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import attrs
import click
from twisted.internet.defer import Deferred

from nostrtx.cli.asked_policies import Questions, Verdict, reason_of
from nostrtx.interfaces.edge import ITurns
from nostrtx.interfaces.store import IEventStore, SaveOutcome, SaveResult
from nostrtx.nostr.errors import Rejected, invalid
from nostrtx.nostr.event import Event, parse_event
from nostrtx.nostr.json import NotJSONError, loads
from nostrtx.nostr.kinds import is_ephemeral
from nostrtx.relay.ingest import check_limits
from nostrtx.relay.measurements import Measurements
from nostrtx.relay.signature_checks import SignatureChecks
from nostrtx.relay.write_batches import WriteBatches
from nostrtx.settings.tree import Settings

#: Events in one transaction: nobody waits for the single one, as a client would.
_BATCH: Final = 2048

_NOT_JSON: Final = "invalid: not JSON"

#: Why lines are refused that hold something else than events.
_STRANGE: Final = (_NOT_JSON, "invalid: an event is a JSON object")


@attrs.define(slots=True, eq=False)
class Line:
    """
    One line of the input that holds an event.

    Attributes:
        event: Its shape and id are right.
    """

    event: Event


@attrs.define
class Summary:
    """
    What became of the lines.

    Attributes:
        lines: How many were read, blank ones not counted.
        outcomes: How many of each outcome.
        refused: How many were refused for each reason.
        failure: Why the import could not go on, if so.
    """

    lines: int = 0
    outcomes: Counter[SaveOutcome] = attrs.field(factory=Counter)
    refused: Counter[str] = attrs.field(factory=Counter)
    failure: str = ""

    @property
    def is_nonsense(self) -> bool:
        """Whether there were lines, and none of them looked like an event."""
        strange = sum(self.refused[reason] for reason in _STRANGE)
        return 0 < self.lines == strange

    def text(self) -> str:
        """The summary for people, one fact a line."""
        outcomes = self.outcomes
        rows = [
            ("lines read", self.lines),
            ("accepted", outcomes[SaveOutcome.STORED]),
            ("duplicate", outcomes[SaveOutcome.DUPLICATE]),
            ("superseded by a newer version", outcomes[SaveOutcome.SUPERSEDED]),
            ("deleted by their authors", outcomes[SaveOutcome.DELETED]),
            ("by authors who asked to vanish", outcomes[SaveOutcome.VANISHED]),
            ("refused", self.refused.total()),
        ]
        text = [f"{count:>12,}  {name}" for name, count in rows]
        text += [
            f"{count:>12,}    {reason}" for reason, count in self.refused.most_common()
        ]
        return "\n".join(text)


class Intake:
    """
    Takes lines in and counts what becomes of them.

    Args:
        store: Where the events go.
        turns: The reactor's turns.
        clock: Wall-clock time.
        settings: What is refused.
        verify: Whether signatures are checked.
        check: Raises :class:`Rejected` for events that are not to be taken.
        questions: Asks policies, which may refuse events as well; None if nobody is
            asked.
        is_strict: Whether the limits of the settings hold, but for the age of events.

    Attributes:
        summary: What became of the lines so far.
        signatures: The checks, for starting and stopping their processes.
    """

    def __init__(
        self,
        store: IEventStore,
        turns: ITurns,
        clock: Any,
        settings: Settings,
        verify: bool,
        check: Callable[[Event], None] | None = None,
        questions: Questions | None = None,
        is_strict: bool = False,
    ) -> None:
        self._is_strict = is_strict
        self._check = check
        self._questions = questions
        self.summary = Summary()
        self._clock = clock
        # What is brought from elsewhere is history.
        self._limits = attrs.evolve(settings.limits, created_at_lower_seconds=0)
        self._on_the_way = 0
        self._waiting: list[Deferred[None]] = []
        self.signatures: SignatureChecks[Line] = SignatureChecks(
            turns, self._on_checked
        )
        self._batches: WriteBatches[Line] = WriteBatches(
            store,
            turns,
            lambda: _BATCH,
            self._on_saved,
            self._failed,
            clock,
            Measurements(),
        )
        self._next = self.signatures.add if verify else self._admit

    def take(self, line: bytes) -> None:
        """Take one line in; it may be blank."""
        if not line.strip():
            return
        try:
            # A strict decoder first: the JSON parser would let half characters pass.
            members = loads(line.decode())
        except (NotJSONError, UnicodeDecodeError):
            self.summary.lines += 1
            self.summary.refused[_NOT_JSON] += 1
            return
        self.take_members(members)

    def take_members(self, members: object) -> None:
        """Take in what should be an event, a decoded JSON value."""
        self.summary.lines += 1
        try:
            event = self._event(members, self._clock.seconds())
            if self._check is not None:
                self._check(event)
            if self._questions is not None:
                self._questions.check(event)
        except Rejected as refusal:
            self.summary.refused[refusal.reason] += 1
            return
        self._on_the_way += 1
        self._next(Line(event))

    def _event(self, members: object, now: float) -> Event:
        """
        The event that a JSON value describes, if it may be stored.

        Raises:
            Rejected: It may not.
        """
        limits = self._limits
        event = parse_event(members)
        if is_ephemeral(event.kind):
            raise invalid("ephemeral events are not stored")
        if self._is_strict:
            if len(event.raw) > limits.max_message_bytes:
                raise invalid(f"more than {limits.max_message_bytes} bytes")
            assert type(members) is dict
            check_limits(event, members["content"], limits, now)
        if event.created_at > now + limits.created_at_upper_seconds:
            raise invalid("created_at is too far in the future")
        if event.is_expired(now):
            raise invalid("event has expired")
        return event

    async def wait_until_at_most(self, lines: int) -> None:
        """
        Wait until no more than ``lines`` are on their way; any number may wait.

        Raises:
            click.ClickException: The store failed; nothing more will be saved.
        """
        while self._on_the_way > lines:
            fewer: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(fewer)
            await fewer
        if self.summary.failure:
            raise click.ClickException(self.summary.failure)

    def _on_checked(self, batch: Sequence[Line], good: Sequence[int]) -> None:
        bad = 0
        for line, is_good in zip(batch, good, strict=True):
            if is_good:
                self._admit(line)
            else:
                bad += 1
        if bad:
            self.summary.refused["invalid: bad signature"] += bad
            self._arrived(bad)

    def _admit(self, line: Line) -> None:
        """Save an event, unless a policy has something against it."""
        if self._questions is None:
            self._batches.add(line)
        else:
            self._questions.ask(line.event, partial(self._on_verdict, line))

    def _on_verdict(self, line: Line, verdict: Verdict) -> None:
        if verdict is None:
            self._batches.add(line)
        else:
            self.summary.refused[reason_of(verdict)] += 1
            self._arrived(1)

    def _on_saved(self, batch: Sequence[Line], results: Sequence[SaveResult]) -> None:
        self.summary.outcomes.update([result.outcome for result in results])
        self._arrived(len(batch))

    def _failed(self, batch: Sequence[Line], reason: str) -> None:
        self.summary.failure = reason
        self._arrived(len(batch))

    def _arrived(self, lines: int) -> None:
        self._on_the_way -= lines
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)
