# -*- test-case-name: tests.relay.management.test_admitting -*-
"""
Members and their roles, changed from afar (NIP-86, NIP-43).

The keys that are allowed are those of the members.
"""

from __future__ import annotations

from typing import Final

from nostrtx.nostr.bans import BanKind
from nostrtx.nostr.management import Call, CallError
from nostrtx.nostr.membership import Role
from nostrtx.relay.bans import Bans
from nostrtx.relay.management.method import Method
from nostrtx.relay.membership.members import Membership
from nostrtx.relay.membership.register import Register

#: Longest texts of a role, in characters.
MAX_ROLE: Final = 64
MAX_LABEL: Final = 100
MAX_DESCRIPTION: Final = 1000

#: Colors are hues.
_MOST_COLOR: Final = 360


def admitting_methods(bans: Bans, membership: Membership) -> dict[str, Method]:
    """
    The methods for members and roles, by name.

    Args:
        bans: Of the relay.
        membership: Its members.
    """
    members, roles = _Members(bans, membership), _Roles(membership)
    return {
        "allowpubkey": Method(members.allow),
        "unallowpubkey": Method(members.unallow),
        "listallowedpubkeys": Method(members.allowed),
        "createrole": Method(roles.create, True),
        "editrole": Method(roles.edit, True),
        "deleterole": Method(roles.delete, True),
        "assignrole": Method(roles.assign, True),
        "unassignrole": Method(roles.unassign, True),
    }


class _Members:
    """Who is a member."""

    def __init__(self, bans: Bans, membership: Membership) -> None:
        self._bans = bans
        self._membership = membership

    async def allow(self, call: Call) -> bool:
        pubkey = call.pubkey_param(0)
        member = bytes.fromhex(pubkey)
        await self._membership.change(lambda register: register.let_in(member))
        await self._bans.lift(BanKind.PUBKEY, pubkey)
        return True

    async def unallow(self, call: Call) -> bool:
        member = bytes.fromhex(call.pubkey_param(0))
        await self._membership.change(lambda register: register.remove_member(member))
        return True

    async def allowed(self, call: Call) -> object:
        return [{"pubkey": pubkey.hex()} for pubkey in self._membership.members]


class _Roles:
    """What roles there are, and who has them."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership

    async def create(self, call: Call) -> bool:
        role = _role(call)

        def create(register: Register) -> bool:
            register.put_role(role)
            return True

        await self._membership.change(create)
        return True

    async def edit(self, call: Call) -> bool:
        role = _role(call)
        await self._membership.change(lambda register: register.edit_role(role))
        return True

    async def delete(self, call: Call) -> bool:
        id_ = _role_id(call, 0)
        await self._membership.change(lambda register: register.remove_role(id_))
        return True

    async def assign(self, call: Call) -> bool:
        member, id_ = bytes.fromhex(call.pubkey_param(0)), _role_id(call, 1)
        await self._membership.change(lambda register: register.give_role(member, id_))
        return True

    async def unassign(self, call: Call) -> bool:
        member, id_ = bytes.fromhex(call.pubkey_param(0)), _role_id(call, 1)
        await self._membership.change(lambda register: register.take_role(member, id_))
        return True


def _role(call: Call) -> Role:
    color = call.number_param(3, "the color")
    if color is not None and not 0 <= color <= _MOST_COLOR:
        raise CallError(f"the color must be a hue from 0 to {_MOST_COLOR}")
    return Role(
        _role_id(call, 0),
        _text(call, 1, "the label", MAX_LABEL),
        _text(call, 2, "the description", MAX_DESCRIPTION),
        color,
        call.number_param(4, "the order"),
    )


def _role_id(call: Call, at: int) -> str:
    id_ = call.text_param(at, "the role", MAX_ROLE)
    if not id_:
        raise CallError("the role must have a name")
    return id_


def _text(call: Call, at: int, what: str, most: int) -> str:
    """A text of a role, which need not be given."""
    return "" if call.param(at) is None else call.text_param(at, what, most)
