# -*- test-case-name: tests.cli.test_checking -*-
"""``nostrtx check-config``: whether a relay would start with a settings file."""

from __future__ import annotations

import re
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nostrtx.cli.finding import Finding
from nostrtx.cli.findings import findings
from nostrtx.settings.checks import shown
from nostrtx.settings.file import ConfigError, read_settings
from nostrtx.settings.live import differences
from nostrtx.settings.tree import Settings

_NAME: Final = re.compile(r"\w+")


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


def _table_of(text: str) -> str:
    """The table of the setting with whose name a text begins."""
    name = _NAME.match(text)
    return "" if name is None else name[0]


def _tables_behind(finding: Finding) -> set[str]:
    """The tables from which something was found out."""
    table = _table_of(finding.text)
    return {table, "lists", "trust"} if table == "rules" else {table}


@click.command("check-config")
@click.argument("file", required=False, envvar="NOSTRTX_CONFIG")
def check_config_command(file: str | None) -> None:
    """
    Check the settings in FILE without starting a relay.

    Every fault is told, not just the first, and what is worth a look. Settings that
    differ from the defaults are listed. Nothing is opened or made, so it may run
    beside the relay; run it as the user and in the directory that the relay runs in,
    for files that only that user may read and paths that begin there.
    """
    from twisted.internet import reactor

    try:
        settings, faults = read_settings(file)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    name = file or "The defaults"
    faulty = {_table_of(fault.removeprefix(f"{name}: ")) for fault in faults}
    for finding in findings(settings, reactor):
        if not faulty.isdisjoint(_tables_behind(finding)):
            # What is wrong there may be all that is wrong here.
            continue
        if finding.is_fault:
            faults.append(f"{name}: {finding.text}")
        else:
            click.echo(f"{name}: worth a look: {finding.text}", err=True)
    if faults:
        raise click.ClickException("\n".join(faults))
    table = deviations(settings)
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        # Who filters it wants whole lines.
        console.width = 1000
    if table.row_count:
        console.print(table)
    click.echo(f"{name}: OK")
