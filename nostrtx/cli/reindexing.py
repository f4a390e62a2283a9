# -*- test-case-name: tests.cli.test_reindexing -*-
"""
``nostrtx reindex``: the search index anew, from the events in the store (NIP-50).
"""

from __future__ import annotations

from typing import Any, Final

import click
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
)
from twisted.internet.task import deferLater

from nostrtx.cli.progress import progress_of
from nostrtx.cli.store_options import run_on_store, settings_for, store_options
from nostrtx.interfaces.store import IEventStore
from nostrtx.storage.search.opening import can_search, index_path

#: How long is worked before the reactor may hear of an interrupt, in seconds.
_SLICE: Final = 0.1


async def rebuild_index(
    store: IEventStore, path: str, reactor: Any, progress: Progress
) -> int:
    """
    Make the index in the directory ``path`` anew.

    Returns:
        How many events are in it.

    Raises:
        click.ClickException: A relay is using the index.
    """
    from nostrtx.storage.search.follower import IndexFollower
    from nostrtx.storage.search.index import SearchIndex

    index = SearchIndex(path)
    index.open()
    writer = index.writer()
    if writer is None:
        raise click.ClickException(
            f"a relay is using the index in {path}; stop the relay first"
        )
    writer.wait_merging_threads()
    SearchIndex.clear(path)
    index = SearchIndex(path)
    index.open()
    follower = IndexFollower(index, store, lambda seconds: None)
    follower.begin()
    task = progress.add_task("", total=store.last_seq())
    try:
        is_read = False
        while not is_read:
            await deferLater(reactor, 0)
            until = reactor.seconds() + _SLICE
            is_read = follower.catch_up(
                lambda until=until: reactor.seconds() >= until,  # type: ignore[misc]
                lambda seq: progress.update(task, completed=seq),
            )
    finally:
        follower.end()
    return index.size()


@click.command("reindex")
@store_options
def reindex_command(config: str | None, store: str | None) -> None:
    """
    Make the search index anew, from the events in the store.

    Stop the relay first. There is no need for it after a crash or an import: the
    relay catches up by itself. It makes an index as small as it can be, and leaves
    nothing in it of what was deleted. If it is interrupted, the relay goes on from
    there.

    \b
        nostrtx reindex --store lmdb:/var/lib/nostrtx
    """
    settings = settings_for(config, store, must_exist=True)
    path = index_path(settings.store.url)
    if path is None:
        raise click.ClickException("this store has no index")
    if not can_search(settings.store.url):
        raise click.ClickException(
            'search is not installed: pip install "nostrtx[search]"'
        )

    async def work(event_store: IEventStore, reactor: Any) -> None:
        started = reactor.seconds()
        with progress_of(
            TextColumn("Indexing"),
            BarColumn(),
            TaskProgressColumn(),
            MofNCompleteColumn(),
        ) as progress:
            indexed = await rebuild_index(event_store, path, reactor, progress)
        elapsed = max(reactor.seconds() - started, 0.001)
        click.echo(f"{indexed:>12,}  events indexed")
        click.echo(f"{elapsed:>12,.1f}  seconds, {indexed / elapsed:,.0f} events/s")

    run_on_store(settings, work)
