# -*- test-case-name: tests.cli.test_membership -*-
"""``nostrtx invite``, ``members`` and ``roles``: who may use the relay (NIP-43)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from secrets import token_hex

import attrs
import click

from nostrtx.cli.key_types import PubkeyType
from nostrtx.cli.store_options import store_options
from nostrtx.interfaces.register import RegisterError
from nostrtx.nostr.bech32 import Npub, encode
from nostrtx.nostr.membership import Role
from nostrtx.relay.membership.register import Invite, Register
from nostrtx.settings.file import ConfigError, load_settings
from nostrtx.storage.register_opening import register_database

_DAY = 86_400


@contextmanager
def _register(config: str | None, store: str | None) -> Iterator[Register]:
    """
    The register that the relay with these options uses, open.

    Raises:
        click.ClickException: It cannot be used, or what is done with it fails.
    """
    try:
        settings = load_settings(config)
        if store is not None:
            url = attrs.evolve(settings.store, url=store)
            settings = attrs.evolve(settings, store=url)
        if settings.membership_file is None and not settings.store.is_shared:
            raise click.ClickException(
                "a relay in memory keeps no members; name a store with --store"
            )
        register = Register(register_database(settings))
        try:
            yield register
        finally:
            register.close()
    except (ConfigError, RegisterError) as error:
        raise click.ClickException(str(error)) from None
    if not settings.membership.enabled:
        click.echo(
            "Note: membership.enabled is false, so the relay does not look at this.",
            err=True,
        )


def _npub(pubkey: bytes) -> str:
    return encode(Npub(pubkey))


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%MZ")


@click.group("invite")
def invite_command() -> None:
    """Make, show and revoke invite codes."""


@invite_command.command("create")
@click.option(
    "--uses",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="How many may join with it; 0 for any number.",
)
@click.option(
    "--days",
    type=click.IntRange(0, 36_500),
    default=7,
    show_default=True,
    help="How long it is good; 0 for ever.",
)
@store_options
def create_invite(uses: int, days: int, config: str | None, store: str | None) -> None:
    """Make an invite code and print it."""
    expires_at = int(time.time()) + days * _DAY if days else None
    invite = Invite(token_hex(16), uses or None, expires_at)
    with _register(config, store) as register:
        register.add_invite(invite)
        click.echo(invite.code)


@invite_command.command("list")
@store_options
def list_invites(config: str | None, store: str | None) -> None:
    """Print each code, its uses left, its expiration, and who gives it away."""
    now = time.time()
    with _register(config, store) as register:
        for invite in register.invites():
            uses = "any" if invite.uses_left is None else str(invite.uses_left)
            until = "never" if invite.expires_at is None else _date(invite.expires_at)
            if invite.is_expired(now):
                until = "expired"
            by = "operator" if invite.inviter is None else _npub(invite.inviter)
            click.echo("\t".join((invite.code, uses, until, by)))


@invite_command.command("revoke")
@click.argument("code")
@store_options
def revoke_invite(code: str, config: str | None, store: str | None) -> None:
    """Make a code void. Who has joined with it stays."""
    with _register(config, store) as register:
        if not register.revoke_invite(code):
            raise click.ClickException("there is no such code")


@click.group("members")
def members_command() -> None:
    """Show, add and remove members. Keys are hexadecimal or npub."""


@members_command.command("list")
@click.option("--hex", "in_hex", is_flag=True, help="Print keys in hexadecimal.")
@store_options
def list_members(in_hex: bool, config: str | None, store: str | None) -> None:
    """Print each member and its roles."""
    with _register(config, store) as register:
        for pubkey, roles in sorted(register.contents().members.items()):
            shown = pubkey.hex() if in_hex else _npub(pubkey)
            click.echo("\t".join((shown, *roles)))


@members_command.command("add")
@click.argument("key", type=PubkeyType())
@click.option("--role", "roles", multiple=True, help="A role; may be repeated.")
@store_options
def add_member(
    key: bytes, roles: tuple[str, ...], config: str | None, store: str | None
) -> None:
    """Add a member, or give it exactly these roles."""
    with _register(config, store) as register:
        if not register.add_member(key, roles):
            click.echo("This is a member already.", err=True)


@members_command.command("remove")
@click.argument("key", type=PubkeyType())
@store_options
def remove_member(key: bytes, config: str | None, store: str | None) -> None:
    """Remove a member, and void the code it was given."""
    with _register(config, store) as register:
        if not register.remove_member(key):
            raise click.ClickException("there is no such member")


@click.group("roles")
def roles_command() -> None:
    """Define, show and remove the roles that members may have."""


@roles_command.command("list")
@store_options
def list_roles(config: str | None, store: str | None) -> None:
    """Print each role and its label."""
    with _register(config, store) as register:
        for role in register.contents().roles:
            click.echo(f"{role.id}\t{role.label}")


@roles_command.command("define")
@click.argument("id")
@click.option("--label", default="", help="What people call it.")
@click.option("--description", default="", help="What it is for.")
@click.option("--color", type=click.IntRange(0, 360), help="A hue.")
@click.option("--order", type=int, help="Where clients show it.")
@store_options
def define_role(
    id: str,
    label: str,
    description: str,
    color: int | None,
    order: int | None,
    config: str | None,
    store: str | None,
) -> None:
    """Define a role, or define it anew."""
    with _register(config, store) as register:
        register.put_role(Role(id, label, description, color, order))


@roles_command.command("remove")
@click.argument("id")
@store_options
def remove_role(id: str, config: str | None, store: str | None) -> None:
    """Remove a role, and take it from all who have it."""
    with _register(config, store) as register:
        if not register.remove_role(id):
            raise click.ClickException("there is no such role")
