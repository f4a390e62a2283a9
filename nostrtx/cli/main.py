# -*- test-case-name: tests.cli.test_main -*-
"""The ``nostrtx`` command: what an operator does beside running the relay."""

from __future__ import annotations

import click

from nostrtx import __version__
from nostrtx.cli.allowed import allowed_command
from nostrtx.cli.bans import bans_command
from nostrtx.cli.checking import check_config_command
from nostrtx.cli.explaining import explain_command
from nostrtx.cli.exporting import export_command
from nostrtx.cli.importing import import_command
from nostrtx.cli.membership import invite_command, members_command, roles_command
from nostrtx.cli.reindexing import reindex_command
from nostrtx.cli.replaying import policy_replay_command
from nostrtx.cli.syncing import sync_command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nostrtx")
def main() -> None:
    """
    Work on the event store of a Nostr relay.

    The relay itself is started with "twistd -n nostr-relay". These commands may
    run beside it, on the same store.
    """


main.add_command(check_config_command)
main.add_command(import_command)
main.add_command(export_command)
main.add_command(explain_command)
main.add_command(reindex_command)
main.add_command(policy_replay_command)
main.add_command(sync_command)
main.add_command(bans_command)
main.add_command(allowed_command)
main.add_command(invite_command)
main.add_command(members_command)
main.add_command(roles_command)


if __name__ == "__main__":
    main()
