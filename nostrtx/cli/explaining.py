# -*- test-case-name: tests.cli.test_explaining -*-
"""``nostrtx explain``: how the store answers a filter, and what that costs."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text
from twisted.internet.defer import Deferred

from nostrtx.cli.store_options import run_on_store, settings_for, store_options
from nostrtx.interfaces.store import IEventStore, StoreError
from nostrtx.nostr.errors import Rejected
from nostrtx.nostr.filters import Filter, parse_filter
from nostrtx.nostr.json import NotJSONError, loads
from nostrtx.storage.explanation import Explanation, IExplains


def filter_of(text: str, default_limit: int) -> Filter:
    """
    The filter that somebody typed.

    Raises:
        click.BadParameter: It is none, or nothing to explain.
    """
    try:
        asked = parse_filter(loads(text.encode()))
    except (NotJSONError, UnicodeError):
        raise click.BadParameter("not JSON") from None
    except Rejected as refusal:
        raise click.BadParameter(refusal.message) from None
    if asked.search:
        raise click.BadParameter("a search is answered by its own index")
    if asked.matches_nothing:
        raise click.BadParameter("no event can match this")
    return asked if asked.limit is not None else asked.with_limit(default_limit, True)


async def explain_on(
    store: IEventStore, asked: Filter, clock: Any, console: Console
) -> None:
    """
    Tell how ``store`` answers.

    Raises:
        click.ClickException: It cannot tell, or failed.
    """
    explains = IExplains(store, None)
    if explains is None:
        raise click.ClickException("this store cannot tell how it works")
    try:
        explanation = explains.explain(asked, clock.seconds())
        if isinstance(explanation, Deferred):
            explanation = await explanation
    except StoreError as error:
        raise click.ClickException(str(error)) from None
    show(explanation, console)


def show(explanation: Explanation, console: Console) -> None:
    """Write an explanation."""
    if explanation.way:
        console.print(Text(f"Index: {explanation.way}"))
    for name, size in explanation.choices:
        console.print(Text(f"  {name} leads to about {size:,}"))
    if any(look.details for look in explanation.looks):
        for look in explanation.looks:
            took = "" if look.seconds is None else f", {look.seconds * 1000:.1f} ms"
            console.print(Text(f"{look.part}: {look.entries:,} rows{took}"))
            for line in look.details:
                console.print(Text(f"  {line}"))
    else:
        table = Table("database", box=None)
        for heading in ("cursors", "keys looked up", "entries read"):
            table.add_column(heading, justify="right")
        for look in explanation.looks:
            numbers = (look.cursors, look.keys, look.entries)
            table.add_row(look.part, *(f"{number:,}" for number in numbers))
        console.print(table)
    more = ", and there are more" if explanation.more else ""
    took = f"{explanation.seconds * 1000:.1f} ms"
    console.print(Text(f"{explanation.events:,} events{more}, in {took}"))


@click.command("explain")
@click.argument("text", metavar="FILTER")
@store_options
def explain_command(text: str, config: str | None, store: str | None) -> None:
    """
    Show how the store answers FILTER, which is JSON as in a REQ.

    The query is made, without a limit of time; with LMDB what it looks at is
    counted, with PostgreSQL each statement is made twice, once with EXPLAIN ANALYZE.
    """
    settings = settings_for(config, store, must_exist=True)
    asked = filter_of(text, settings.limits.default_limit)
    console = Console(soft_wrap=True)
    run_on_store(
        settings, lambda store, reactor: explain_on(store, asked, reactor, console)
    )
