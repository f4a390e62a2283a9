# -*- test-case-name: tests.cli.test_checking -*-
"""``nostrtx check-config``: whether a relay would start with a settings file."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nostrtx.cli.findings import findings
from nostrtx.settings.checks import shown
from nostrtx.settings.file import ConfigError, load_settings
from nostrtx.settings.live import differences
from nostrtx.settings.tree import Settings


def deviations(settings: Settings) -> Table:
    """All settings that are not the default, as a table."""
    table = Table("Setting", "Value", "Default", box=None)
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

    Every fault is told, not just the first, and what is worth a look. Settings that
    differ from the defaults are listed. Nothing is opened or made, so it may run
    beside the relay; run it as the user and in the directory that the relay runs in,
    for files that only that user may read and paths that begin there.
    """
    from twisted.internet import reactor

    try:
        settings = load_settings(file)
        found = list(findings(settings, reactor))
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    name = file or "The defaults"
    for finding in found:
        if not finding.is_fault:
            click.echo(f"{name}: worth a look: {finding.text}", err=True)
    faults = [finding.text for finding in found if finding.is_fault]
    if faults:
        raise click.ClickException("\n".join(f"{name}: {fault}" for fault in faults))
    table = deviations(settings)
    console = Console(highlight=False, soft_wrap=True)
    if table.row_count:
        console.print(table)
    click.echo(f"{name}: OK")
