# -*- test-case-name: tests.cli.test_bans -*-
"""``nostrtx bans``: the keys, events and addresses that the relay will not have."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
)
from rich.table import Table
from rich.text import Text
from twisted.internet.task import deferLater

from nostrtx.cli.progress import progress_of
from nostrtx.cli.store_options import run_on_store, settings_for, store_options
from nostrtx.cli.stored_events import count_events
from nostrtx.interfaces.store import IEventStore, StoreError
from nostrtx.nostr.bans import BANS, Ban, BanError, BanKind, ban_subject
from nostrtx.nostr.bech32 import Note, Npub, encode
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.json import dumps
from nostrtx.relay.bans import read_bans
from nostrtx.relay.finding import find_events
from nostrtx.relay.own_key import KeyUnusable, OwnKey
from nostrtx.settings.tree import Settings

#: How many events are removed in one transaction.
_PAGE: Final = 500

#: Bans in one transaction.
_BATCH: Final = 1000

#: How long an event may be on its way through a relay into the store, in seconds.
_ON_THE_WAY: Final = 1.0

_KINDS: Final = click.Choice([kind.value for kind in BANS])


def _subjects(kind: BanKind, values: Sequence[str]) -> list[str]:
    """
    What the operator has named, each once.

    Raises:
        click.BadParameter: Something cannot be banned.
    """
    subjects: dict[str, None] = {}
    for place, value in enumerate(values, 1):
        try:
            subjects[ban_subject(kind, value)] = None
        except BanError as error:
            where = f"value {place}: " if len(values) > 1 else ""
            raise click.BadParameter(f"{where}{error}") from None
    return list(subjects)


def _own_pubkey(settings: Settings) -> str:
    """The public key of the relay itself; empty if it has none by now."""
    if settings.key_file is None or not Path(settings.key_file).exists():
        return ""
    own = OwnKey(settings.key_file, token_bytes)
    try:
        own.load()
    except KeyUnusable:
        # The relay itself does not heed a ban of its key either.
        return ""
    return own.public


async def remove_events_of(
    store: IEventStore, clock: Any, pubkeys: Sequence[bytes], seconds: float
) -> int:
    """
    Remove all events of some authors, in pages, and keep them from coming back.

    Args:
        store: Where they are.
        clock: Counts the time.
        pubkeys: The authors, who are banned by now.
        seconds: How long to wait for what is on its way through relays that have not
            heard of that yet, before it is removed as well.

    Returns:
        How many were removed.
    """
    # What has expired is there as well: at the time 0 nothing has.
    one = Filter(authors=tuple(pubkeys), limit=_PAGE)
    there = await count_events(store, clock, [one], 0)
    removed = 0
    with progress_of(
        TextColumn("Removing"), BarColumn(), MofNCompleteColumn(), TextColumn("events")
    ) as progress:
        task = progress.add_task("", total=there)
        for pause in (0, seconds):
            await deferLater(clock, pause)
            while ids := await _ids_of(store, one):
                removed += await store.remove_events(ids)
                total = max(there, removed)
                progress.update(task, completed=removed, total=total)
    return removed


async def make_bans(
    store: IEventStore,
    clock: Any,
    bans: Sequence[Ban],
    remove_after: float | None = None,
) -> int:
    """
    Put bans in force, and perhaps remove all events of those whom they name.

    Args:
        store: Where bans and events are.
        clock: Counts the time.
        bans: Of keys, if events are to be removed.
        remove_after: How long until nobody lets in more of them, in seconds; None
            removes none.

    Returns:
        How many events were removed.

    Raises:
        click.ClickException: The store failed.
    """
    try:
        for at in range(0, len(bans), _BATCH):
            await store.put_bans(bans[at : at + _BATCH])
        if remove_after is None:
            return 0
        pubkeys = [bytes.fromhex(ban.subject) for ban in bans]
        return await remove_events_of(store, clock, pubkeys, remove_after)
    except StoreError as error:
        raise click.ClickException(str(error)) from None


async def lift_bans(store: IEventStore, kind: BanKind, subjects: Sequence[str]) -> None:
    """
    Lift bans.

    Raises:
        click.ClickException: Some were not in force, or the store failed.
    """
    try:
        lifted = await store.lift_bans([(kind, subject) for subject in subjects])
    except StoreError as error:
        raise click.ClickException(str(error)) from None
    if lifted < len(subjects):
        raise click.ClickException(
            "there is no such ban"
            if len(subjects) == 1
            else f"{len(subjects) - lifted} of these were not banned"
        )


async def _ids_of(store: IEventStore, one: Filter) -> list[bytes]:
    """The ids of what a filter matches."""
    return [event.id for event in await find_events(store, [one], 0)]


def shown_subject(ban: Ban) -> str:
    """What is banned or allowed, as people name it."""
    if ban.kind is BanKind.ADDRESS:
        return ban.subject
    of_kind = Note if ban.kind is BanKind.EVENT else Npub
    return encode(of_kind(bytes.fromhex(ban.subject)))


def shown_date(seconds: int) -> str:
    """A moment, given in seconds since 1970, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%MZ")


def json_lines(bans: Sequence[Ban]) -> bytes:
    """The bans for programs, one JSON object a line."""
    return b"".join(
        dumps(
            {
                "kind": ban.kind.value,
                "banned": ban.subject,
                "reason": ban.reason,
                "made_at": ban.made_at,
            }
        )
        + b"\n"
        for ban in bans
    )


def print_table(table: Table) -> None:
    """Print a table; nothing is cut off where it goes into a file."""
    Console(width=None if sys.stdout.isatty() else 1000).print(table)


def table_of(bans: Sequence[Ban]) -> Table:
    """The bans for people."""
    rows = [
        (ban.kind.value, shown_subject(ban), shown_date(ban.made_at), ban.reason)
        for ban in bans
    ]
    return table_with(("kind", "banned", "since", "reason"), rows)


def table_with(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table for people; only its column ``reason`` has lines that are broken."""
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold", no_wrap=title != "reason")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


@click.group("bans")
def bans_command() -> None:
    """
    Ban keys, events and network addresses, show bans and lift them.

    A ban holds in all processes of the relay. Those that run beside the command
    heed it within a second or two.
    """


@bans_command.command("add")
@click.argument("kind", type=_KINDS)
@click.argument("values", metavar="VALUE...", nargs=-1, required=True)
@click.option("--reason", default="", help="Why; those who are banned are told.")
@click.option(
    "--remove-events",
    is_flag=True,
    help="Remove all events of a banned key as well. They do not come back.",
)
@store_options
def add_bans(
    kind: str,
    values: tuple[str, ...],
    reason: str,
    remove_events: bool,
    config: str | None,
    store: str | None,
) -> None:
    """
    Ban each VALUE, or give its ban another reason.

    A key (hexadecimal, npub or nprofile) can publish nothing and not authenticate. An
    event (hexadecimal, note or nevent) is removed. From an address or a network
    nobody can connect.

    \b
        nostrtx bans add pubkey npub1... --reason spam --remove-events
        nostrtx bans add event note1...
        nostrtx bans add address 203.0.113.7 2001:db8:12:34::/64
    """
    settings = settings_for(config, store)
    of_kind = BanKind(kind)
    subjects = _subjects(of_kind, values)
    if remove_events and of_kind is not BanKind.PUBKEY:
        raise click.UsageError("--remove-events goes with keys only")
    if of_kind is BanKind.PUBKEY and _own_pubkey(settings) in subjects:
        raise click.ClickException("the relay's own key cannot be banned")
    now = int(time.time())
    bans = [Ban(of_kind, subject, reason, now) for subject in subjects]

    async def work(event_store: IEventStore, reactor: Any) -> None:
        heeded = settings.cluster.poll_seconds + _ON_THE_WAY
        removed = await make_bans(
            event_store, reactor, bans, heeded if remove_events else None
        )
        if remove_events:
            click.echo(f"{removed:,} events removed", err=True)

    run_on_store(settings, work)


@bans_command.command("remove")
@click.argument("kind", type=_KINDS)
@click.argument("values", metavar="VALUE...", nargs=-1, required=True)
@store_options
def remove_bans(
    kind: str, values: tuple[str, ...], config: str | None, store: str | None
) -> None:
    """
    Lift the ban of each VALUE.

    A network is named as it was banned. Who was banned may come again, and a banned
    event be published again.
    """
    settings = settings_for(config, store, must_exist=True)
    of_kind = BanKind(kind)
    subjects = _subjects(of_kind, values)

    async def work(event_store: IEventStore, reactor: Any) -> None:
        await lift_bans(event_store, of_kind, subjects)

    run_on_store(settings, work)


@bans_command.command("list")
@click.argument("kind", type=_KINDS, required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@store_options
def list_bans(
    kind: str | None, as_json: bool, config: str | None, store: str | None
) -> None:
    """Print all bans, or those of one KIND."""
    settings = settings_for(config, store, must_exist=True)
    kinds = BANS if kind is None else (BanKind(kind),)

    async def work(event_store: IEventStore, reactor: Any) -> None:
        banned = await read_bans(event_store)
        bans = [ban for of_kind in kinds for ban in banned.bans(of_kind)]
        if as_json:
            click.echo(json_lines(bans), nl=False)
        elif bans:
            print_table(table_of(bans))

    run_on_store(settings, work)
