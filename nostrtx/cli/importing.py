# -*- test-case-name: tests.cli.test_importing -*-
"""
``nostrtx import``: events from JSON lines into the store.

The events take the same road as a client's: the same checks, the same verifier
processes, the same transactions. So running it again simply goes on where it
stopped, over duplicates.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import IO, Any, Final

import click
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskProgressColumn,
    TextColumn,
)
from twisted.internet.task import deferLater

from nostrtx.cli.asked_policies import names_policies, questions_to
from nostrtx.cli.intake import Intake
from nostrtx.cli.line_source import LineSource, LineTooLong
from nostrtx.cli.progress import progress_of
from nostrtx.cli.store_options import run_on_store, settings_for, store_options
from nostrtx.interfaces.store import IEventStore
from nostrtx.relay.bans import read_bans
from nostrtx.relay.policies.programs.lines import OtherSource
from nostrtx.relay.signature_checks import verifier_count
from nostrtx.turns import turns_of

#: Lines that may be on their way into the store at once.
_ON_THE_WAY: Final = 8192


async def import_lines(source: LineSource, intake: Intake, clock: Any) -> None:
    """
    Take in all lines, show how far that has come, and tell the result.

    Raises:
        click.ClickException: The store failed, or what was read has no events in it.
        OSError: The file cannot be read.
    """
    started = clock.seconds()
    try:
        with progress_of(
            TextColumn("Importing"),
            BarColumn(),
            TaskProgressColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[rate]:>8,.0f} events/s"),
        ) as progress:
            task = progress.add_task("", total=source.total, rate=0.0)
            while lines := await source.lines():
                for line in lines:
                    intake.take(line)
                elapsed = max(clock.seconds() - started, 0.001)
                progress.update(
                    task, completed=source.read, rate=intake.summary.lines / elapsed
                )
                # Let the reactor turn, then go on while there is room.
                await deferLater(clock, 0)
                await intake.wait_until_at_most(_ON_THE_WAY)
            await intake.wait_until_at_most(0)
    except LineTooLong as error:
        raise click.ClickException(str(error)) from None
    finally:
        intake.signatures.stop()
        elapsed = max(clock.seconds() - started, 0.001)
        click.echo(intake.summary.text())
        rate = intake.summary.lines / elapsed
        click.echo(f"{elapsed:>12,.1f}  seconds, {rate:,.0f} lines/s")
    if intake.summary.is_nonsense:
        raise click.ClickException(
            "that is no list of events: there must be one JSON object a line, and"
            " nothing compressed"
        )


@click.command("import")
@click.argument("source", metavar="FILE|-", type=click.File("rb"))
@click.option(
    "--no-verify",
    is_flag=True,
    help="Trust the signatures. Shapes and ids are checked all the same.",
)
@click.option(
    "--policies",
    is_flag=True,
    help="Let limits, rules, plugins and programs of the settings file decide.",
)
@store_options
def import_command(
    source: IO[bytes],
    no_verify: bool,
    policies: bool,
    config: str | None,
    store: str | None,
) -> None:
    """
    Store the events in FILE, one JSON object a line; - reads standard input.

    Shapes, ids and signatures are checked, and what is banned, deleted or expired is
    left out. Run it again after an interrupt: what is there already counts as
    duplicate. It may run beside the relay, whose clients find the events with their
    next query.

    For what comes from strangers there is --policies: then the relay's limits hold but
    for the age of events, and its policies are asked; what they refuse is counted by
    its reason and not stored.

    \b
        nostrtx import dump.jsonl
        nostrtx import strangers.jsonl --policies --config nostrtx.toml
        zstdcat dump.jsonl.zst | nostrtx import - --store lmdb:/var/lib/nostrtx
    """
    settings = settings_for(config, store)
    if policies and not names_policies(settings):
        raise click.ClickException(
            "there is no policy to ask: name the settings file that has them with"
            " --config"
        )

    async def work(event_store: IEventStore, reactor: Any) -> None:
        banned = await read_bans(event_store)
        asking = (
            questions_to(settings, OtherSource("Import"), event_store, reactor)
            if policies
            else nullcontext()
        )
        async with asking as questions:
            intake = Intake(
                event_store,
                turns_of(reactor),
                reactor,
                settings,
                not no_verify,
                banned.check_event,
                questions,
                policies,
            )
            if not no_verify:
                intake.signatures.start(
                    reactor, verifier_count(settings.ingest.verifier_processes)
                )
            await import_lines(LineSource(source.fileno(), reactor), intake, reactor)

    run_on_store(settings, work)
