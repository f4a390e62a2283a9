# -*- test-case-name: tests.cli.test_store_options -*-
"""What every command on a store shares: its options, and a reactor to run in."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from math import inf
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from nostrtx.cli.logged_warnings import warnings_shown
from nostrtx.interfaces.store import IEventStore, StoreError, StoreUnusable
from nostrtx.nostr.vanish import names_relay
from nostrtx.settings.file import ConfigError, load_settings
from nostrtx.settings.tree import Settings
from nostrtx.storage.opening import open_store

_F = TypeVar("_F", bound=Callable[..., Any])


def store_options(command: _F) -> _F:
    """Add ``--config`` and ``--store``, which :func:`settings_for` takes."""
    for option in (
        click.option(
            "--store",
            metavar="URL",
            help="The store, such as lmdb:data or postgresql://user@host/database; if"
            " not given, that of the settings file, or else lmdb:data.",
        ),
        click.option(
            "--config",
            metavar="FILE",
            envvar="NOSTRTX_CONFIG",
            show_envvar=True,
            help="Settings file (TOML) of the relay; it names the store.",
        ),
    ):
        command = option(command)
    return command


def settings_for(
    config: str | None, store: str | None, must_exist: bool = False
) -> Settings:
    """
    The settings that the options of :func:`store_options` describe.

    Args:
        config: The path of a settings file, if one was named.
        store: The URL of a store, if one was named.
        must_exist: Whether a store that is not there yet is a mistake.

    Raises:
        click.ClickException: The settings cannot be used.
    """
    try:
        settings = load_settings(config)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    if store is not None:
        settings = attrs.evolve(settings, store=attrs.evolve(settings.store, url=store))
    if settings.store.url == "memory:":
        raise click.ClickException(
            "a store in memory holds nothing to work on; name one with --store"
        )
    scheme, _, path = settings.store.url.partition(":")
    if must_exist and scheme == "lmdb" and not Path(path).is_dir():
        raise click.ClickException(f"there is no store at {path!r}")
    return settings


def run_on_store(
    settings: Settings,
    work: Callable[[IEventStore, Any], Coroutine[Deferred[Any], Any, None]],
) -> None:
    """
    Open the store, run ``work`` in a reactor, and close the store.

    Args:
        settings: Name the store.
        work: Takes the open store and the reactor. An interrupt (^C) cancels it.

    Raises:
        click.ClickException: The store cannot be opened, or ``work`` raised it.
    """
    from twisted.internet import reactor

    failures: list[Failure] = []
    ended: Deferred[None] = Deferred()

    async def on_store() -> None:
        urls = settings.relay.urls
        store = open_store(
            settings.store.url,
            settings.store,
            reactor,
            lambda request: names_relay(request, urls),
            inf,
        )
        store.open()
        try:
            await work(store, reactor)
        finally:
            await store.close()

    def begin() -> None:
        running = Deferred.fromCoroutine(on_store())
        is_stopping = False

        def interrupted() -> Deferred[None]:
            nonlocal is_stopping
            is_stopping = True
            running.cancel()
            return ended

        trigger = reactor.addSystemEventTrigger("before", "shutdown", interrupted)

        def finish(result: Failure | None) -> None:
            if isinstance(result, Failure):
                failures.append(result)
            if not is_stopping:
                reactor.removeSystemEventTrigger(trigger)
                reactor.callLater(0, reactor.stop)
            ended.callback(None)

        running.addBoth(finish)  # type: ignore[unused-awaitable]

    reactor.callWhenRunning(begin)
    with warnings_shown():
        reactor.run()
    for failure in failures:
        if failure.check(CancelledError):
            raise click.exceptions.Exit(130)
        if failure.check(StoreUnusable, StoreError):
            raise click.ClickException(str(failure.value))
        if failure.check(OSError) and not failure.check(BrokenPipeError):
            raise click.ClickException(_in_words(failure.value))
        failure.raiseException()


def _in_words(error: object) -> str:
    assert isinstance(error, OSError)
    what = error.strerror or str(error)
    return f"{error.filename}: {what}" if error.filename else what
