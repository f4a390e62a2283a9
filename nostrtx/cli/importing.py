# -*- test-case-name: tests.cli.test_importing -*-
"""
``nostrtx import``: events from JSON lines into the store.

The events take the same road as a client's: the same checks, the same verifier
processes, the same transactions. So running it again simply goes on where it
stopped, over duplicates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import IO, Any, Final

import attrs
import click
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
)
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from nostrtx.cli.progress import progress_of
from nostrtx.cli.store_options import run_on_store, settings_for, store_options
from nostrtx.interfaces.edge import ITurns
from nostrtx.interfaces.store import IEventStore, SaveOutcome, SaveResult
from nostrtx.nostr.errors import Rejected, invalid
from nostrtx.nostr.event import Event, parse_event
from nostrtx.nostr.json import NotJSONError, loads
from nostrtx.nostr.kinds import is_ephemeral
from nostrtx.relay.bans import read_bans
from nostrtx.relay.measurements import Measurements
from nostrtx.relay.signature_checks import SignatureChecks, verifier_count
from nostrtx.relay.write_batches import WriteBatches
from nostrtx.settings.limits import LimitSettings
from nostrtx.settings.tree import Settings
from nostrtx.turns import turns_of

#: Lines that are read at a time, and may be on their way into the store at once.
_CHUNK: Final = 512
_ON_THE_WAY: Final = 8192

#: Events in one transaction: nobody waits for the single one, as a client would.
_BATCH: Final = 2048


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


class Import:
    """
    Takes lines in and counts what becomes of them.

    Args:
        store: Where the events go.
        turns: The reactor's turns.
        clock: Wall-clock time.
        settings: What is refused.
        verify: Whether signatures are checked.
        check: Raises :class:`Rejected` for events that are not to be taken.

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
    ) -> None:
        self._check = check
        self.summary = Summary()
        self._clock = clock
        self._limits = settings.limits
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
        self._next = self.signatures.add if verify else self._batches.add

    def take(self, line: bytes) -> None:
        """Take one line in; it may be blank."""
        if not line.strip():
            return
        try:
            # A strict decoder first: the JSON parser would let half characters pass.
            members = loads(line.decode())
        except (NotJSONError, UnicodeDecodeError):
            self.summary.lines += 1
            self.summary.refused["invalid: not JSON"] += 1
            return
        self.take_members(members)

    def take_members(self, members: object) -> None:
        """Take in what should be an event, a decoded JSON value."""
        self.summary.lines += 1
        try:
            event = _event(members, self._limits, self._clock.seconds())
            if self._check is not None:
                self._check(event)
        except Rejected as refusal:
            self.summary.refused[refusal.reason] += 1
            return
        self._on_the_way += 1
        self._next(Line(event))

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
                self._batches.add(line)
            else:
                bad += 1
        if bad:
            self.summary.refused["invalid: bad signature"] += bad
            self._arrived(bad)

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


def _event(members: object, limits: LimitSettings, now: float) -> Event:
    """
    The event that a JSON value describes, if it may be stored.

    Raises:
        Rejected: It may not.
    """
    event = parse_event(members)
    if is_ephemeral(event.kind):
        raise invalid("ephemeral events are not stored")
    if event.created_at > now + limits.created_at_upper_seconds:
        raise invalid("created_at is too far in the future")
    if event.is_expired(now):
        raise invalid("event has expired")
    return event


def _chunks(source: IO[bytes]) -> Iterator[list[bytes]]:
    while chunk := list(islice(source, _CHUNK)):
        yield chunk


def _progress(total_bytes: int | None) -> Progress:
    # Off a terminal the summary is enough.
    return progress_of(
        TextColumn("Importing"),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rate]:>8,.0f} events/s"),
    )


@click.command("import")
@click.argument("source", metavar="FILE|-", type=click.File("rb"))
@click.option(
    "--no-verify",
    is_flag=True,
    help="Trust the signatures. Shapes and ids are checked all the same.",
)
@store_options
def import_command(
    source: IO[bytes], no_verify: bool, config: str | None, store: str | None
) -> None:
    """
    Store the events in FILE, one JSON object a line; - reads standard input.

    Events are checked and stored by the relay's own rules, so run it again after
    an interrupt: what is there already counts as duplicate. What is banned is left
    out. It may run beside the relay, whose clients find the events with their next
    query.

    \b
        nostrtx import dump.jsonl
        zstdcat dump.jsonl.zst | nostrtx import - --store lmdb:/var/lib/nostrtx
    """
    settings = settings_for(config, store)
    total = _size(source)

    async def work(event_store: IEventStore, reactor: Any) -> None:
        banned = await read_bans(event_store)
        job = Import(
            event_store,
            turns_of(reactor),
            reactor,
            settings,
            not no_verify,
            banned.check_event,
        )
        if not no_verify:
            job.signatures.start(
                reactor, verifier_count(settings.ingest.verifier_processes)
            )
        started = reactor.seconds()
        read = 0
        try:
            with _progress(total) as progress:
                task = progress.add_task("", total=total, rate=0.0)
                for chunk in _chunks(source):
                    for line in chunk:
                        job.take(line)
                    read += sum(map(len, chunk))
                    elapsed = max(reactor.seconds() - started, 0.001)
                    progress.update(
                        task, completed=read, rate=job.summary.lines / elapsed
                    )
                    # Let the reactor turn, then go on while there is room.
                    await deferLater(reactor, 0)
                    await job.wait_until_at_most(_ON_THE_WAY)
                await job.wait_until_at_most(0)
        finally:
            job.signatures.stop()
            elapsed = max(reactor.seconds() - started, 0.001)
            click.echo(job.summary.text())
            rate = job.summary.lines / elapsed
            click.echo(f"{elapsed:>12,.1f}  seconds, {rate:,.0f} lines/s")

    run_on_store(settings, work)


def _size(source: IO[bytes]) -> int | None:
    """The bytes that a file has to give; None where that cannot be known."""
    if not source.seekable():
        return None
    here = source.tell()
    end = source.seek(0, 2)
    source.seek(here)
    return end - here
