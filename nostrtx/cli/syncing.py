# -*- test-case-name: tests.cli.test_syncing -*-
"""
``nostrtx sync``: the store and another relay come to hold the same events (NIP-77).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import IO, Any, Final

import click
from rich.progress import (
    BarColumn,
    TextColumn,
)
from twisted.internet.task import LoopingCall

from nostrtx.cli.asked_policies import Questions, names_policies, questions_to
from nostrtx.cli.exporting import FilterType
from nostrtx.cli.intake import Intake
from nostrtx.cli.progress import progress_of
from nostrtx.cli.public_events import public_events
from nostrtx.cli.store_options import run_on_store, settings_for, store_options
from nostrtx.interfaces.store import IEventStore, StoreError
from nostrtx.nostr.errors import invalid
from nostrtx.nostr.event import Event
from nostrtx.nostr.event_signing import (
    SecretKey,
    SecretKeyError,
    parse_secret_key,
    sign_event,
)
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.json import loads
from nostrtx.nostr.kinds import CLIENT_AUTHENTICATION
from nostrtx.nostr.protection import check_protection
from nostrtx.nostr.relay_url import RelayURL, RelayURLError, parse_relay_url
from nostrtx.relay.banned import Banned
from nostrtx.relay.bans import read_bans
from nostrtx.relay.policies.programs.lines import OtherSource
from nostrtx.relay.signature_checks import verifier_count
from nostrtx.sync.connection import connect
from nostrtx.sync.conversation import Members, RelayTrouble
from nostrtx.sync.peer import ask
from nostrtx.sync.synchronization import Direction, Phase, Progress, Synchronization
from nostrtx.turns import turns_of

#: How often the progress bar is drawn, in seconds.
_REDRAW_SECONDS: Final = 0.2


class RelayURLType(click.ParamType[RelayURL]):
    """The URL of a relay."""

    name = "URL"

    def convert(self, value: Any, param: Any, ctx: Any) -> RelayURL:
        """The URL that ``value`` spells."""
        if isinstance(value, RelayURL):
            return value
        try:
            return parse_relay_url(value)
        except RelayURLError as error:
            self.fail(str(error), param, ctx)


def _check(
    banned: Banned, protected: bool, asked: Sequence[Filter], event: Event
) -> None:
    """Refuse what was not asked for, and what this relay takes from nobody."""
    if not any(one.matches(event) for one in asked):
        raise invalid("this was not asked for")
    banned.check_event(event)
    if not protected:
        check_protection(event, None)


def _anything(event: Event) -> bool:
    return True


def summary_of(progress: Progress, direction: Direction) -> str:
    """What came of it for people, one fact a line."""
    tally = progress.tally
    rows: list[tuple[int, str]] = [
        (progress.need, "events that only the relay had"),
        (progress.have, "events that only this store had"),
    ]
    if direction.is_down:
        rows.append((tally.received, "received"))
        if progress.missing:
            rows.append((progress.missing, "named by the relay and not given"))
    if direction.is_up:
        if tally.kept:
            rows.append((tally.kept, "private, and not sent"))
        rows += [(tally.sent, "sent"), (tally.accepted, "accepted by the relay")]
        rows += [
            (count, f"  refused: {reason}")
            for reason, count in tally.refused.most_common()
        ]
    if progress.crowded:
        rows.append(
            (progress.crowded, "seconds with more events than the relay gives at once")
        )
    return "\n".join(f"{count:>12,}  {name}" for count, name in rows)


class _Bar:
    """Draws the progress on a terminal; elsewhere the summary is enough."""

    def __init__(self, progress: Progress, intake: Intake, clock: Any) -> None:
        self._progress = progress
        self._intake = intake
        self._clock = clock
        self._began = clock.seconds()
        self._phase: Phase | None = None
        self._bars = progress_of(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[numbers]}"),
            auto_refresh=False,
        )
        self._task = self._bars.add_task("", total=None, numbers="")
        self._redrawing = LoopingCall(self._draw)
        self._redrawing.clock = clock

    def __enter__(self) -> None:
        self._bars.start()
        _ = self._redrawing.start(_REDRAW_SECONDS)

    def __exit__(self, *_: object) -> None:
        if self._redrawing.running:
            self._redrawing.stop()
        self._bars.stop()

    def _draw(self) -> None:
        progress, tally = self._progress, self._progress.tally
        if progress.phase is not self._phase:
            self._phase = progress.phase
            self._began = self._clock.seconds()
            self._bars.reset(self._task, total=None)
        done, total = 0, None
        if progress.phase is Phase.FETCHING:
            done, total = tally.received, progress.to_fetch
        elif progress.phase is Phase.READING:
            done = tally.received
        elif progress.phase is Phase.SENDING:
            done = tally.kept + tally.accepted + tally.refused.total()
            total = progress.to_send
        seconds = max(self._clock.seconds() - self._began, 0.001)
        stored = self._intake.summary.outcomes.total()
        numbers = f"have {progress.have:,} need {progress.need:,}"
        if done:
            numbers += f" | {done:,} at {done / seconds:,.0f}/s"
        if stored:
            numbers += f" | stored {stored:,}"
        self._bars.update(
            self._task,
            description=progress.phase.value,
            completed=done,
            total=total,
            numbers=numbers,
            refresh=True,
        )


def _secret_key(key_file: IO[str] | None, key: str | None) -> SecretKey | None:
    text = key if key_file is None else key_file.read()
    if text is None:
        return None
    try:
        return parse_secret_key(text)
    except SecretKeyError as error:
        raise click.ClickException(f"the key to authenticate with: {error}") from None


@click.command("sync")
@click.argument("url", type=RelayURLType())
@click.option(
    "--filter",
    "filters",
    type=FilterType(),
    multiple=True,
    help="Only events that this NIP-01 filter matches; may be repeated.",
)
@click.option(
    "--direction",
    type=click.Choice([direction.value for direction in Direction]),
    default=Direction.BOTH.value,
    show_default=True,
    help="up: send to the relay; down: take from it.",
)
@click.option(
    "--protected",
    is_flag=True,
    help="Take protected events (NIP-70) as well, and reposts of them.",
)
@click.option(
    "--private",
    is_flag=True,
    help="Send private events as well.",
)
@click.option(
    "--no-policies",
    is_flag=True,
    help="Take what limits, rules, plugins and programs would refuse.",
)
@click.option(
    "--auth-key-file",
    type=click.File("r"),
    help="File with the secret key (nsec or hex) to authenticate with (NIP-42).",
)
@click.option(
    "--auth-key",
    envvar="NOSTRTX_AUTH_KEY",
    hidden=True,
    help="That key itself; meant for the environment variable.",
)
@store_options
def sync_command(
    url: RelayURL,
    filters: tuple[Filter, ...],
    direction: str,
    protected: bool,
    private: bool,
    no_policies: bool,
    auth_key_file: IO[str] | None,
    auth_key: str | None,
    config: str | None,
    store: str | None,
) -> None:
    """
    Bring the store and the relay at URL to hold the same events.

    Both find out what either lacks without sending what both have (NIP-77). An
    interrupted run is finished by running it again. It may run beside the relay, whose
    clients find the events with their next query.

    What comes is checked, by the limits of the settings file as well, and shown to its
    rules, plugins and programs; what they refuse is counted by its reason and not
    stored. Rates do not hold, and events may be of any age.

    What is sent is what the relay shows to anybody. With --private it is direct
    messages, gift wraps and what is in private groups as well: do that with relays that
    show those to nobody else, either.

    A relay that asks who is there (NIP-42) is shown the key of --auth-key-file, or
    of the environment variable NOSTRTX_AUTH_KEY.

    \b
        nostrtx sync wss://relay.example.com
        nostrtx sync wss://relay.example.com --direction down --filter '{"kinds":[0]}'
    """
    settings = settings_for(config, store)
    key = _secret_key(auth_key_file, auth_key)
    way = Direction(direction)
    asked = filters or (Filter(),)

    async def work(event_store: IEventStore, reactor: Any) -> None:
        asks = way.is_down and not no_policies and names_policies(settings)
        asking = (
            questions_to(settings, OtherSource("Sync", str(url)), event_store, reactor)
            if asks
            else nullcontext()
        )
        async with asking as questions:
            await run(event_store, reactor, questions)

    async def run(
        event_store: IEventStore, reactor: Any, questions: Questions | None
    ) -> None:
        def prove(challenge: str) -> Members:
            assert key is not None
            event = sign_event(
                key,
                kind=CLIENT_AUTHENTICATION,
                created_at=int(reactor.seconds()),
                tags=[["relay", str(url)], ["challenge", challenge]],
            )
            members = loads(event.raw)
            assert isinstance(members, dict)
            return members

        intake = Intake(
            event_store,
            turns_of(reactor),
            reactor,
            settings,
            True,
            partial(_check, await read_bans(event_store), protected, asked),
            questions,
            not no_policies,
        )
        may_send = await public_events(settings, event_store, reactor.seconds)
        if private:
            may_send = _anything
        peer = await ask(url, reactor)
        began = reactor.seconds()
        try:
            connection = await connect(url, reactor, None if key is None else prove)
            intake.signatures.start(
                reactor, verifier_count(settings.ingest.verifier_processes)
            )
            synchronization = Synchronization(
                connection.conversation,
                peer,
                event_store,
                intake,
                reactor,
                way,
                may_send,
            )
            progress = synchronization.progress
            try:
                with _Bar(progress, intake, reactor):
                    await synchronization.run(asked)
            finally:
                intake.signatures.stop()
                await connection.leave()
                click.echo(summary_of(progress, way))
                if way.is_down:
                    click.echo(intake.summary.text())
                click.echo(f"{reactor.seconds() - began:>12,.1f}  seconds")
        except (RelayTrouble, StoreError) as trouble:
            raise click.ClickException(str(trouble)) from None
        if progress.does_not_reconcile:
            click.echo(
                "The relay does not reconcile (NIP-77), so all that it has was"
                f" read: {progress.does_not_reconcile}",
                err=True,
            )

    run_on_store(settings, work)
