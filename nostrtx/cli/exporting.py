# -*- test-case-name: tests.cli.test_exporting -*-
"""``nostrtx export``: events from the store as JSON lines, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import IO, Any, Final

import attrs
import click
from rich.progress import (
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
)

from nostrtx.cli.key_types import EventIdType, PubkeyType
from nostrtx.cli.progress import progress_of
from nostrtx.cli.store_options import run_on_store, settings_for, store_options
from nostrtx.cli.stored_events import count_events, stored_pages
from nostrtx.cli.whole_file import whole_file
from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.errors import Rejected
from nostrtx.nostr.filters import Filter, parse_filter
from nostrtx.nostr.json import NotJSONError, loads

_PAGE_BYTES: Final = 4 * 1024 * 1024


class FilterType(click.ParamType[Filter]):
    """A filter as NIP-01 writes it, in JSON."""

    name = "JSON"

    def convert(self, value: Any, param: Any, ctx: Any) -> Filter:
        """The filter that ``value`` spells."""
        if isinstance(value, Filter):
            return value
        try:
            one = parse_filter(loads(value))
        except NotJSONError:
            self.fail(f"{value!r} is not JSON", param, ctx)
        except Rejected as refusal:
            self.fail(refusal.reason, param, ctx)
        if one.search is not None:
            self.fail("unsupported: search, which only the relay does", param, ctx)
        return one


class TimeType(click.ParamType[int]):
    """Seconds since 1970, or a date and time of ISO 8601 (UTC if it says nothing)."""

    name = "TIME"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """The time that ``value`` names, in seconds since 1970."""
        if isinstance(value, int):
            return value
        if value.isascii() and value.isdigit():
            return int(value)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is neither seconds since 1970 nor a date such as"
                " 2026-01-31 or 2026-01-31T12:00",
                param,
                ctx,
            )
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp())


def _named(one: Filter, authors: tuple[bytes, ...], ids: tuple[bytes, ...]) -> Filter:
    """The filter, narrowed to some authors and to some events, if there are any."""
    if authors:
        one = attrs.evolve(one, authors=_among(one.authors, authors))
    if ids:
        one = attrs.evolve(one, ids=_among(one.ids, ids))
    return one


def _among(
    some: tuple[bytes, ...] | None, others: tuple[bytes, ...]
) -> tuple[bytes, ...]:
    distinct = tuple(dict.fromkeys(others))
    return distinct if some is None else tuple(set(some).intersection(distinct))


def within(one: Filter, since: int | None, until: int | None) -> Filter:
    """The filter, narrowed to a time."""
    if since is not None and (one.since is None or one.since < since):
        one = attrs.evolve(one, since=since)
    if until is not None and (one.until is None or one.until > until):
        one = attrs.evolve(one, until=until)
    return one


async def export_events(
    store: IEventStore, clock: Any, filters: Sequence[Filter], out: IO[bytes]
) -> int:
    """
    Write all events that match any of ``filters``, one JSON object a line.

    Returns:
        How many were written.
    """
    now = clock.seconds()
    total = None
    if all(one.limit is None for one in filters):
        total = await count_events(store, clock, filters, now) or None
    written = 0
    with progress_of(
        SpinnerColumn(),
        TextColumn("Exporting"),
        MofNCompleteColumn(),
        TextColumn("events"),
    ) as progress:
        task = progress.add_task("", total=total)
        reading = stored_pages(store, clock, filters, now, _PAGE_BYTES)
        async with aclosing(reading) as pages:
            async for events in pages:
                out.writelines([raw + b"\n" for raw in events])
                written += len(events)
                progress.update(task, completed=written)
    return written


@click.command("export")
@click.option(
    "--filter",
    "filters",
    type=FilterType(),
    multiple=True,
    help="Only events that this NIP-01 filter matches; may be repeated.",
)
@click.option(
    "--author",
    "authors",
    type=PubkeyType(),
    multiple=True,
    help="Only events of this author (hexadecimal or npub); may be repeated.",
)
@click.option(
    "--id",
    "ids",
    type=EventIdType(),
    multiple=True,
    help="Only this event (hexadecimal, note or nevent); may be repeated.",
)
@click.option("--since", type=TimeType(), help="Only events made then or later.")
@click.option("--until", type=TimeType(), help="Only events made then or earlier.")
@click.option(
    "--output",
    "-o",
    default="-",
    metavar="FILE",
    help="Where to write; standard output if not given. A file that is there is"
    " replaced when all is written, and not before.",
)
@store_options
def export_command(
    filters: tuple[Filter, ...],
    authors: tuple[bytes, ...],
    ids: tuple[bytes, ...],
    since: int | None,
    until: int | None,
    output: str,
    config: str | None,
    store: str | None,
) -> None:
    """
    Write the events of the store, newest first, one JSON object a line.

    Times are seconds since 1970, or dates such as 2026-01-31 or 2026-01-31T12:00Z.
    What has expired is left out. It may run beside the relay.

    \b
        nostrtx export > all.jsonl
        nostrtx export --filter '{"kinds":[0,3]}' --since 2026-01-01 -o profiles.jsonl
    """
    settings = settings_for(config, store, must_exist=True)
    wanted = [
        within(_named(one, authors, ids), since, until)
        for one in filters or (Filter(),)
    ]

    async def work(event_store: IEventStore, reactor: Any) -> None:
        with whole_file(output) as out:
            written = await export_events(event_store, reactor, wanted, out)
        click.echo(f"{written:,} events", err=True)

    run_on_store(settings, work)
