# -*- test-case-name: tests.cli.test_checking -*-
"""``nostrtx check-config``: whether a relay would start with a settings file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from secrets import token_bytes
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text
from twisted.internet.endpoints import serverFromString

from nostrtx.broadcast.opening import open_broadcaster
from nostrtx.consistency import inconsistencies
from nostrtx.interfaces.register import RegisterError
from nostrtx.interfaces.store import StoreUnusable
from nostrtx.relay.own_key import KeyUnusable, OwnKey
from nostrtx.settings.checks import shown
from nostrtx.settings.file import ConfigError, load_settings
from nostrtx.settings.live import differences
from nostrtx.settings.tree import Settings
from nostrtx.storage.opening import open_store
from nostrtx.storage.register_opening import register_database
from nostrtx.web.proxied import PROXIED_PREFIX

#: Endpoints for what systemd hands over are known only to what systemd starts.
_HANDED_OVER = "systemd:"


def faults_of(settings: Settings, reactor: Any) -> Iterator[str]:
    """
    Why a relay would not start with these settings, in one line each.

    Nothing is opened, made, or connected to.

    Args:
        settings: As read from a file, so each of them is good by itself.
        reactor: Is asked for nothing.
    """
    yield from inconsistencies(settings)
    yield from _store_faults(settings, reactor)
    yield from _cluster_faults(settings, reactor)
    for endpoint in settings.listen.endpoints:
        yield from _endpoint_faults(
            "listen", endpoint, endpoint.removeprefix(PROXIED_PREFIX), reactor
        )
    for endpoint in settings.admin.endpoints:
        yield from _endpoint_faults("admin", endpoint, endpoint, reactor)
    yield from _key_faults(settings)


def _store_faults(settings: Settings, reactor: Any) -> Iterator[str]:
    try:
        open_store(settings.store.url, settings.store, reactor, lambda request: False)
    except StoreUnusable as error:
        yield f"store.url: {error}"
        return
    path = settings.store.directory
    if path is not None and os.path.exists(path):
        if not os.path.isdir(path):
            yield f"store.url: {path} is no directory"
        elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            yield f"store.url: {path} cannot be written by whoever runs this"
    if settings.membership.enabled:
        try:
            register_database(settings)
        except RegisterError as error:
            yield f"membership.enabled: {error}"


def _cluster_faults(settings: Settings, reactor: Any) -> Iterator[str]:
    cluster = settings.cluster
    workers = cluster.workers or len(os.sched_getaffinity(0))
    if workers > 1 and settings.store.url == "memory:":
        yield "cluster.workers: a store in memory cannot be shared"
    try:
        open_broadcaster(
            cluster,
            cluster.node or "check-config",
            settings.store.directory is not None,
            {},
            reactor,
            token_bytes,
            os.environ,
            lambda error: None,
        )
    except ConfigError as error:
        yield str(error)


def _endpoint_faults(
    table: str, description: str, bare: str, reactor: Any
) -> Iterator[str]:
    if bare.startswith(_HANDED_OVER):
        return
    try:
        serverFromString(reactor, bare)
    except Exception as error:
        # Whatever a parser makes of it: ValueError, IndexError, OSError.
        why = " ".join(str(error).split()) or type(error).__name__
        yield f"{table}.endpoints: {shown(description)} is no endpoint: {why}"


def _key_faults(settings: Settings) -> Iterator[str]:
    path = settings.key_file
    # One that is missing is made when the relay starts.
    if settings.signs and path is not None and os.path.exists(path):
        try:
            OwnKey(path, token_bytes).load()
        except KeyUnusable as error:
            yield f"relay.key_file: {error}"


def deviations(settings: Settings) -> Table:
    """All settings that are not the default, as a table."""
    table = Table(box=None, pad_edge=False)
    for title in ("Setting", "Value", "Default"):
        table.add_column(title, overflow="fold")
    for change in differences(Settings(), settings):
        values = ("(not shown)", "")
        if change.before is not None:
            values = shown(change.after), shown(change.before)
        table.add_row(*map(Text, (change.name, *values)))
    return table


@click.command("check-config")
@click.argument("file", required=False, envvar="NOSTRTX_CONFIG")
def check_config_command(file: str | None) -> None:
    """
    Check the settings in FILE without starting a relay.

    Every fault is told, not just the first. Settings that differ from the defaults
    are listed. Nothing is opened, so it may run beside the relay; run it as the user
    that the relay runs as, for files that only that user may read.
    """
    from twisted.internet import reactor

    try:
        settings = load_settings(file)
        faults = list(faults_of(settings, reactor))
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    name = file or "The defaults"
    if faults:
        raise click.ClickException("\n".join(f"{name}: {fault}" for fault in faults))
    table = deviations(settings)
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        # Who filters it wants whole lines.
        console.width = 1000
    if table.row_count:
        console.print(table)
    click.echo(f"{name}: OK")
