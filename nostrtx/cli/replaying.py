# -*- test-case-name: tests.cli.test_replaying -*-
"""``nostrtx policy-replay``: what policies would have said of stored events."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final

import attrs
import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
)
from rich.table import Table
from rich.text import Text

from nostrtx.cli.asked_policies import (
    AskedPolicies,
    Questions,
    Verdict,
    reason_of,
    verdicts_by_policy,
)
from nostrtx.cli.exporting import FilterType, TimeType, within
from nostrtx.cli.progress import progress_of
from nostrtx.cli.store_options import run_on_store, settings_for, store_options
from nostrtx.cli.stored_events import count_events, stored_pages
from nostrtx.interfaces.policies import Taken
from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.errors import Rejected
from nostrtx.nostr.event import Event, stored_event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import parse_kinds
from nostrtx.relay.measurements import Measurements
from nostrtx.relay.policies.policies import Policies
from nostrtx.relay.policies.programs.lines import OtherSource
from nostrtx.relay.policies.verdicts import ACCEPTED, FAILED, REFUSED, TAKEN
from nostrtx.settings.programs import PluginSettings, ProgramSettings
from nostrtx.settings.tree import Settings

_PAGE_BYTES: Final = 1024 * 1024

#: Reasons that are shown, and ids with each.
_MOST_REASONS: Final = 10
_SAMPLES: Final = 3


class KindsType(click.ParamType[tuple[range, ...]]):
    """Kinds and ranges of them, with commas between."""

    name = "KINDS"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[range, ...]:
        """The kinds that ``value`` names."""
        if isinstance(value, tuple):
            return value
        try:
            return parse_kinds(value.split(","))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Outcomes:
    """
    What became of events.

    Attributes:
        verdicts: How many were ``accepted``, ``refused`` or ``taken``.
        reasons: How often each reason was given.
        samples: The ids of the first few events with each.
    """

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.samples: defaultdict[str, list[str]] = defaultdict(list)

    @property
    def total(self) -> int:
        """All of them."""
        return self.verdicts.total()

    def note(self, event: Event, verdict: Verdict) -> None:
        """Count one."""
        if verdict is None:
            self.verdicts[ACCEPTED] += 1
            return
        self.verdicts[TAKEN if isinstance(verdict, Taken) else REFUSED] += 1
        reason = reason_of(verdict)
        self.reasons[reason] += 1
        if len(self.samples[reason]) < _SAMPLES:
            self.samples[reason].append(event.id.hex())


class Replay:
    """
    Asks policies about events, many at a time.

    Args:
        policies: Are asked.
        at_once: Events that may wait for their verdict.

    Attributes:
        outcomes: What became of them.
    """

    def __init__(self, policies: Policies, at_once: int) -> None:
        self.outcomes = Outcomes()
        self._at_once = at_once
        self._questions = Questions(policies, OtherSource("Stored"), at_once)

    async def ask(self, event: Event) -> None:
        """Ask about an event; returns when the next one may be asked about."""
        note = partial(self.outcomes.note, event)
        try:
            self._questions.check(event)
        except Rejected as refusal:
            note(refusal)
        else:
            self._questions.ask(event, note)
            await self._questions.until_fewer(self._at_once)

    async def finish(self) -> None:
        """Return when all verdicts are there."""
        await self._questions.until_fewer(1)


async def replay_events(
    store: IEventStore,
    clock: Any,
    filters: Sequence[Filter],
    kinds: Sequence[range],
    replay: Replay,
) -> None:
    """Ask about all stored events that match any of ``filters``, newest first."""
    now = clock.seconds()
    total = None
    if all(one.limit is None for one in filters):
        total = await count_events(store, clock, filters, now) or None
    with progress_of(
        TextColumn("Replaying"), BarColumn(), MofNCompleteColumn(), TextColumn("events")
    ) as progress:
        task = progress.add_task("", total=total)
        reading = stored_pages(store, clock, filters, now, _PAGE_BYTES)
        async with aclosing(reading) as pages:
            async for events in pages:
                for raw in events:
                    event = stored_event(raw)
                    if not kinds or any(event.kind in some for some in kinds):
                        await replay.ask(event)
                progress.advance(task, len(events))
        await replay.finish()


def show(
    outcomes: Outcomes, measurements: Measurements, seconds: float, console: Console
) -> None:
    """Write a report."""
    rate = outcomes.total / seconds if seconds > 0 else 0.0
    console.print(
        Text(f"{outcomes.total:,} events in {seconds:.1f} s ({rate:,.0f} a second)")
    )
    for verdict in (ACCEPTED, REFUSED, TAKEN):
        number = outcomes.verdicts[verdict]
        share = 100 * number / (outcomes.total or 1)
        console.print(Text(f"  {verdict:8} {number:>12,}  {share:5.1f} %"))
    policies = Table("policy", box=None)
    verdicts = (ACCEPTED, REFUSED, TAKEN, FAILED)
    for verdict in verdicts:
        policies.add_column(verdict, justify="right")
    for name, counts in verdicts_by_policy(measurements).items():
        policies.add_row(name, *(f"{counts[verdict]:,}" for verdict in verdicts))
    console.print(policies)
    for reason, number in outcomes.reasons.most_common(_MOST_REASONS):
        console.print(Text(f"{number:>9,}  {reason}"))
        for id_ in outcomes.samples[reason]:
            console.print(Text(f"{'':11}{id_}"))


def chosen(
    settings: Settings, program: str | None, plugin: str | None, rules_only: bool
) -> Settings:
    """
    The settings with the policies that are to be asked, none of them in shadow.

    Args:
        settings: Name policies.
        program: A command that is asked instead of these.
        plugin: Likewise the name of a plugin, with its options in the settings.
        rules_only: Whether only rules are asked.
    """
    rules = tuple([attrs.evolve(one, shadow=False) for one in settings.rules])
    programs = tuple([attrs.evolve(one, shadow=False) for one in settings.programs])
    plugins = tuple([attrs.evolve(one, shadow=False) for one in settings.plugins])
    if rules_only:
        programs, plugins = (), ()
    elif program is not None or plugin is not None:
        rules = ()
        programs = () if program is None else (ProgramSettings(command=program),)
        named = [one for one in plugins if one.name == plugin]
        if plugin is not None and not named:
            named = [PluginSettings(plugin)]
        plugins = tuple(named)
    return attrs.evolve(settings, rules=rules, programs=programs, plugins=plugins)


@click.command("policy-replay")
@click.option(
    "--filter",
    "filters",
    type=FilterType(),
    multiple=True,
    help="Only events that this NIP-01 filter matches; may be repeated.",
)
@click.option("--kinds", type=KindsType(), help="Only these, such as 1,6,30000-39999.")
@click.option("--since", type=TimeType(), help="Only events made then or later.")
@click.option("--until", type=TimeType(), help="Only events made then or earlier.")
@click.option("--limit", type=click.IntRange(1), help="The newest so many of them.")
@click.option("--program", metavar="COMMAND", help="Ask this program only.")
@click.option("--plugin", metavar="NAME", help="Ask this plugin only.")
@click.option("--rules", "rules_only", is_flag=True, help="Ask the rules only.")
@store_options
def policy_replay_command(
    filters: tuple[Filter, ...],
    kinds: tuple[range, ...] | None,
    since: int | None,
    until: int | None,
    limit: int | None,
    program: str | None,
    plugin: str | None,
    rules_only: bool,
    config: str | None,
    store: str | None,
) -> None:
    """
    Ask policies about stored events, and report what they say. Nothing is changed.

    The policies are the rules, plugins and programs of the settings file, those in
    shadow included, unless one is named. Programs are told that the events are
    "Stored". Nothing is known of where stored events came from: rules about addresses
    and authentication do not hold. It may run beside the relay.

    \b
        nostrtx policy-replay --config nostrtx.toml --since 2026-01-01
        nostrtx policy-replay --program ./spam-filter --kinds 1 --limit 10000
    """
    if rules_only and (program is not None or plugin is not None):
        raise click.UsageError("--rules is for asking nobody else")
    stated = settings_for(config, store, must_exist=True)
    settings = chosen(stated, program, plugin, rules_only)
    wanted = [
        attrs.evolve(
            within(one, since, until),
            limit=limit if one.limit is None else min(one.limit, limit or one.limit),
        )
        for one in filters or (Filter(),)
    ]

    async def work(event_store: IEventStore, reactor: Any) -> None:
        measurements = Measurements()
        asked = AskedPolicies(settings, event_store, reactor, measurements)
        if asked.are_none:
            raise click.ClickException("there is no policy to ask about events")
        replay = Replay(asked.policies, asked.at_once)
        try:
            await asked.start()
            begun = reactor.seconds()
            await replay_events(event_store, reactor, wanted, kinds or (), replay)
        finally:
            await asked.stop()
        seconds = reactor.seconds() - begun
        show(replay.outcomes, measurements, seconds, Console(soft_wrap=True))

    run_on_store(settings, work)
