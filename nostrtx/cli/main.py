# -*- test-case-name: tests.cli.test_main -*-
"""
The ``nostrtx`` command: what an operator does beside running the relay.

A command's code is loaded when it is run: all of it together takes a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import click

from nostrtx import __version__

#: Where each command is, and what it does in a few words.
COMMANDS: Final = {
    "check-config": ("checking:check_config_command", "Check a settings file."),
    "import": ("importing:import_command", "Store events from a file or a pipe."),
    "export": ("exporting:export_command", "Write the stored events as JSON lines."),
    "sync": ("syncing:sync_command", "Hold the same events as another relay."),
    "bans": ("bans:bans_command", "Ban keys, events and addresses."),
    "allowed": ("allowed:allowed_command", "Allow keys by name."),
    "policy-replay": (
        "replaying:policy_replay_command",
        "Ask policies about stored events.",
    ),
    "explain": ("explaining:explain_command", "Show how a filter is answered."),
    "reindex": ("reindexing:reindex_command", "Make the search index anew."),
    "members": ("membership:members_command", "Add, show and remove members."),
    "invite": ("membership:invite_command", "Make and revoke invite codes."),
    "roles": ("membership:roles_command", "Define the roles of members."),
}


class _Commands(click.Group):
    """The commands, in the order above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: Any = getattr(import_module(f"nostrtx.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Tell what there is, without loading it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nostrtx")
def main() -> None:
    """
    Work on the event store of a Nostr relay.

    The relay itself is started with "twistd -n nostr-relay". These commands may
    run beside it, on the same store.

    They end with 0 when all is done, with 1 when something went wrong, with 2 when
    they are not understood, and with 130 after Control-C.
    """


if __name__ == "__main__":
    main()
