# -*- test-case-name: tests.cli.test_allowed -*-
"""``nostrtx allowed``: the keys that rules call ``allowed``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import click
from rich.table import Table

from nostrtx.cli.bans import print_table, shown_date, shown_subject, table_with
from nostrtx.cli.key_types import PubkeyType
from nostrtx.cli.store_options import run_on_store, settings_for, store_options
from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.bans import Ban, BanKind
from nostrtx.nostr.json import dumps
from nostrtx.relay.allowed import with_managers
from nostrtx.relay.bans import read_bans
from nostrtx.relay.membership.register import Register
from nostrtx.settings.tree import Settings
from nostrtx.storage.register_opening import register_database


async def allowed_keys(store: IEventStore, settings: Settings) -> frozenset[bytes]:
    """
    The keys that are allowed by name on the relay with these settings.

    Args:
        store: Its store.
        settings: Say whether it has members, and who manages it.

    Raises:
        RegisterError: The register of members cannot be read.
        StoreError: The store failed.
    """
    if settings.membership.enabled:
        register = Register(register_database(settings))
        try:
            pubkeys = list(register.contents().members)
        finally:
            register.close()
    else:
        pubkeys = list((await read_bans(store)).allowed_pubkeys)
    return with_managers(pubkeys, settings.management)


def json_lines(keys: Sequence[Ban]) -> bytes:
    """The keys for programs, one JSON object a line."""
    return b"".join(
        dumps({"pubkey": key.subject, "reason": key.reason, "made_at": key.made_at})
        + b"\n"
        for key in keys
    )


def table_of(keys: Sequence[Ban]) -> Table:
    """The keys for people."""
    rows = [(shown_subject(key), shown_date(key.made_at), key.reason) for key in keys]
    return table_with(("allowed", "since", "reason"), rows)


def _settings_for(config: str | None, store: str | None, must_exist: bool) -> Settings:
    settings = settings_for(config, store, must_exist)
    if settings.membership.enabled:
        raise click.ClickException(
            "the keys that are allowed on this relay are its members': see nostrtx"
            " members"
        )
    return settings


@click.group("allowed")
def allowed_command() -> None:
    """
    Allow keys by name, show them, and allow them no longer.

    They are those that rules call "allowed", and that allowpubkey (NIP-86) changes. A
    relay heeds the command within a second or two. Without such a rule it changes
    nothing.
    """


@allowed_command.command("add")
@click.argument("keys", type=PubkeyType(), metavar="KEY...", nargs=-1, required=True)
@click.option("--reason", default="", help="Why, or who that is; for moderators.")
@store_options
def add_allowed(
    keys: tuple[bytes, ...], reason: str, config: str | None, store: str | None
) -> None:
    """
    Allow each KEY (hexadecimal, npub or nprofile), also one that was banned.

    \b
        nostrtx allowed add npub1... --reason "Alice, from the club"
    """
    settings = _settings_for(config, store, False)
    now = int(time.time())
    kind = BanKind.ALLOWED_PUBKEY
    bans = [Ban(kind, key.hex(), reason, now) for key in dict.fromkeys(keys)]

    async def work(event_store: IEventStore, reactor: Any) -> None:
        await event_store.put_bans(bans)

    run_on_store(settings, work)


@allowed_command.command("remove")
@click.argument("keys", type=PubkeyType(), metavar="KEY...", nargs=-1, required=True)
@store_options
def remove_allowed(
    keys: tuple[bytes, ...], config: str | None, store: str | None
) -> None:
    """Allow each KEY no longer. That is no ban."""
    settings = _settings_for(config, store, True)
    named = [(BanKind.ALLOWED_PUBKEY, key.hex()) for key in dict.fromkeys(keys)]

    async def work(event_store: IEventStore, reactor: Any) -> None:
        lifted = await event_store.lift_bans(named)
        if lifted < len(named):
            raise click.ClickException(
                "this key was not allowed by name"
                if len(named) == 1
                else f"{len(named) - lifted} of these were not allowed by name"
            )

    run_on_store(settings, work)


@allowed_command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@store_options
def list_allowed(as_json: bool, config: str | None, store: str | None) -> None:
    """Print the keys that were allowed by name."""
    settings = _settings_for(config, store, True)

    async def work(event_store: IEventStore, reactor: Any) -> None:
        banned = await read_bans(event_store)
        keys = banned.bans(BanKind.ALLOWED_PUBKEY)
        if as_json:
            click.echo(json_lines(keys), nl=False)
        elif keys:
            print_table(table_of(keys))

    run_on_store(settings, work)
