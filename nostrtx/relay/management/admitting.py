# -*- test-case-name: tests.relay.management.test_admitting -*-
"""
Who is allowed, and the roles of members, changed from afar (NIP-86, NIP-43).

On a relay with members, the keys that are allowed are theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime

from nostrtx.nostr.bans import Ban, BanKind
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


class Admission(Protocol):
    """Who is allowed."""

    async def allow(self, pubkey: str, reason: str) -> None:
        """Allow a key, here and everywhere, also one that was banned."""

    async def unallow(self, pubkey: str) -> None:
        """Allow it no longer."""

    def listed(self) -> list[dict[str, str]]:
        """All of them, as a call is answered."""


class AllowedByName:
    """
    Keys that were allowed, on a relay without members; rules may name them.

    Args:
        bans: Of the relay, among which they are kept.
        clock: Wall-clock time.
    """

    def __init__(self, bans: Bans, clock: IReactorTime) -> None:
        self._bans = bans
        self._clock = clock

    async def allow(self, pubkey: str, reason: str) -> None:
        """See :meth:`Admission.allow`."""
        now = int(self._clock.seconds())
        await self._bans.put([Ban(BanKind.ALLOWED_PUBKEY, pubkey, reason, now)])

    async def unallow(self, pubkey: str) -> None:
        """See :meth:`Admission.unallow`."""
        await self._bans.lift(BanKind.ALLOWED_PUBKEY, pubkey)

    def listed(self) -> list[dict[str, str]]:
        """See :meth:`Admission.listed`."""
        return listed(self._bans.banned.bans(BanKind.ALLOWED_PUBKEY), "pubkey")


class AllowedMembers:
    """
    Keys that are allowed because they are members'.

    Args:
        bans: Of the relay: no member is banned.
        membership: The members of the relay.
    """

    def __init__(self, bans: Bans, membership: Membership) -> None:
        self._bans = bans
        self._membership = membership

    async def allow(self, pubkey: str, reason: str) -> None:
        """See :meth:`Admission.allow`."""
        member = bytes.fromhex(pubkey)
        await self._membership.change(lambda register: register.let_in(member))
        await self._bans.lift(BanKind.PUBKEY, pubkey)

    async def unallow(self, pubkey: str) -> None:
        """See :meth:`Admission.unallow`."""
        member = bytes.fromhex(pubkey)
        await self._membership.change(lambda register: register.remove_member(member))

    def listed(self) -> list[dict[str, str]]:
        """See :meth:`Admission.listed`."""
        return [{"pubkey": pubkey.hex()} for pubkey in self._membership.members]


def listed(bans: Iterable[Ban], called: str) -> list[dict[str, str]]:
    """What was banned or allowed, as a call is answered."""
    return [
        {called: ban.subject} | ({"reason": ban.reason} if ban.reason else {})
        for ban in bans
    ]


def admitting_methods(admission: Admission) -> dict[str, Method]:
    """The methods that let people in, by name."""
    keys = _Keys(admission)
    return {
        "allowpubkey": Method(keys.allow),
        "unallowpubkey": Method(keys.unallow),
        "listallowedpubkeys": Method(keys.allowed),
    }


def role_methods(membership: Membership) -> dict[str, Method]:
    """The methods for the roles of members, by name."""
    roles = _Roles(membership)
    return {
        "createrole": Method(roles.create, True),
        "editrole": Method(roles.edit, True),
        "deleterole": Method(roles.delete, True),
        "assignrole": Method(roles.assign, True),
        "unassignrole": Method(roles.unassign, True),
    }


class _Keys:
    """Who is allowed."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def allow(self, call: Call) -> bool:
        await self._admission.allow(call.pubkey_param(0), call.reason_param(1))
        return True

    async def unallow(self, call: Call) -> bool:
        await self._admission.unallow(call.pubkey_param(0))
        return True

    async def allowed(self, call: Call) -> object:
        return self._admission.listed()


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
