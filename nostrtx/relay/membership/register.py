# -*- test-case-name: tests.relay.membership.test_register -*-
"""
The register of members, roles and invite codes: tables in a small database.

All processes of the relay and the ``nostrtx`` command write to it side by side. Each
change is one transaction, durable when the call returns, so a code that was used is
used, whatever ends the process a moment later.

Every call may wait for the database: make it in a thread. Calls from several threads
are taken one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

import attrs

from nostrtx.interfaces.register import IRegisterDatabase, RegisterError
from nostrtx.nostr.membership import WINDOW_SECONDS, Role

_VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE members (pubkey BLOB PRIMARY KEY);
CREATE TABLE member_roles (
    pubkey BLOB NOT NULL, role TEXT NOT NULL, PRIMARY KEY (pubkey, role)
);
CREATE TABLE roles (
    id TEXT PRIMARY KEY, label TEXT NOT NULL, description TEXT NOT NULL,
    color INTEGER, place INTEGER
);
CREATE TABLE invites (
    code TEXT PRIMARY KEY, uses_left INTEGER, expires_at INTEGER, inviter BLOB
);
CREATE TABLE requests (id BLOB PRIMARY KEY, created_at INTEGER NOT NULL);
CREATE TABLE restored (once INTEGER PRIMARY KEY)
"""

_PUT_ROLE: Final = """
INSERT INTO roles VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
    label = excluded.label, description = excluded.description,
    color = excluded.color, place = excluded.place
"""


class Outcome(Enum):
    """
    What became of a request to join or leave.

    Attributes:
        DONE: The register was changed.
        UNCHANGED: The author was a member already, or was none.
        REPEATED: This very request was granted before.
        NO_SUCH_CODE: There is no such code, or it was used up.
        EXPIRED: The code is too old.
    """

    DONE = "done"
    UNCHANGED = "unchanged"
    REPEATED = "repeated"
    NO_SUCH_CODE = "no such code"
    EXPIRED = "expired"


@attrs.frozen(slots=True)
class Invite:
    """
    An invite code.

    Attributes:
        code: Whoever has it may join.
        uses_left: How many may still use it; None for any number.
        expires_at: Seconds since 1970; None for never.
        inviter: The member who asked for it; None if the operator made it.
    """

    code: str
    uses_left: int | None = 1
    expires_at: int | None = None
    inviter: bytes | None = None

    def is_expired(self, now: float) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and now >= self.expires_at


@attrs.frozen(slots=True)
class Contents:
    """
    The register at one moment.

    Attributes:
        members: By public key, each with the ids of its roles in order.
        roles: In the order of their ids.
    """

    members: dict[bytes, tuple[str, ...]]
    roles: tuple[Role, ...]


class Register:
    """
    The register, open.

    Args:
        database: Where it is kept; is opened, and closed by :meth:`close`.

    Raises:
        RegisterError: It cannot be opened. So does every method whose work fails.
    """

    def __init__(self, database: IRegisterDatabase) -> None:
        self._db = database
        database.open(_SCHEMA, _VERSION)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def has_changed(self) -> bool:
        """Whether another process has changed it since this was last asked."""
        return self._db.has_changed()

    def contents(self) -> Contents:
        """Members and roles."""
        with self._db.transaction():
            members: dict[bytes, list[str]] = {
                pubkey: [] for (pubkey,) in self._db.rows("SELECT * FROM members")
            }
            rows = self._db.rows("SELECT * FROM member_roles ORDER BY role")
            for pubkey, role in rows:
                members[pubkey].append(role)
            roles = self._db.rows("SELECT * FROM roles ORDER BY id")
        return Contents(
            {pubkey: tuple(ids) for pubkey, ids in members.items()},
            tuple(Role(*row) for row in roles),
        )

    def add_member(self, pubkey: bytes, roles: tuple[str, ...] = ()) -> bool:
        """
        Add somebody, or give a member exactly these roles.

        Returns:
            Whether that changed anything.

        Raises:
            RegisterError: One of the roles does not exist.
        """
        with self._db.transaction():
            for role in roles:
                if not self._has("roles", "id", role):
                    raise RegisterError(f"there is no role {role!r}")
            before = self._db.rows(
                "SELECT role FROM member_roles WHERE pubkey = ? ORDER BY role",
                (pubkey,),
            )
            wanted = [(role,) for role in sorted(set(roles))]
            if not self._add(pubkey) and before == wanted:
                return False
            self._db.change("DELETE FROM member_roles WHERE pubkey = ?", (pubkey,))
            self._give(pubkey, roles)
            return True

    def let_in(self, pubkey: bytes) -> bool:
        """Add somebody, whose roles stay as they are; False if that is a member."""
        with self._db.transaction():
            return self._add(pubkey)

    def restore(self, contents: Contents) -> bool:
        """
        Add members and roles that a register lost; once in the life of each.

        Returns:
            Whether this was the first time.
        """
        with self._db.transaction():
            if not self._db.change(
                "INSERT INTO restored VALUES (1) ON CONFLICT DO NOTHING"
            ):
                return False
            for role in contents.roles:
                if not self._has("roles", "id", role.id):
                    self._put_role(role)
            for pubkey, roles in contents.members.items():
                self._add(pubkey)
                self._give(pubkey, roles)
            return True

    def remove_member(self, pubkey: bytes) -> bool:
        """Remove a member, and the codes it was given; False if it is none."""
        with self._db.transaction():
            return self._remove(pubkey)

    def give_role(self, pubkey: bytes, role: str) -> bool:
        """
        Give a member one more role; False if the member has it.

        Raises:
            RegisterError: There is no such member or no such role.
        """
        with self._db.transaction():
            if not self._has("members", "pubkey", pubkey):
                raise RegisterError("there is no such member")
            if not self._has("roles", "id", role):
                raise RegisterError(f"there is no role {role!r}")
            return self._give(pubkey, [role]) > 0

    def take_role(self, pubkey: bytes, role: str) -> bool:
        """Take a role from a member; False if nobody has it there."""
        with self._db.transaction():
            taken = self._db.change(
                "DELETE FROM member_roles WHERE pubkey = ? AND role = ?", (pubkey, role)
            )
            return taken > 0

    def edit_role(self, role: Role) -> bool:
        """
        Define a role anew.

        Raises:
            RegisterError: There is no such role.
        """
        with self._db.transaction():
            if not self._has("roles", "id", role.id):
                raise RegisterError(f"there is no role {role.id!r}")
            self._put_role(role)
            return True

    def put_role(self, role: Role) -> None:
        """Define a role, or define it anew."""
        with self._db.transaction():
            self._put_role(role)

    def remove_role(self, id_: str) -> bool:
        """Remove a role, and take it from all members; False if there is none."""
        with self._db.transaction():
            self._db.change("DELETE FROM member_roles WHERE role = ?", (id_,))
            return self._db.change("DELETE FROM roles WHERE id = ?", (id_,)) > 0

    def add_invite(self, invite: Invite) -> None:
        """Make a code valid."""
        with self._db.transaction():
            self._put_invite(invite)

    def invite_by(self, inviter: bytes, fresh: Invite, now: float) -> Invite | None:
        """
        The code that a member has to give away: the open one, else ``fresh``.

        Returns:
            None if ``inviter`` is no member.
        """
        with self._db.transaction():
            if not self._has("members", "pubkey", inviter):
                return None
            for row in self._db.rows(
                "SELECT * FROM invites WHERE inviter = ?", (inviter,)
            ):
                invite = Invite(*row)
                if not invite.is_expired(now):
                    return invite
            self._db.change("DELETE FROM invites WHERE inviter = ?", (inviter,))
            self._put_invite(fresh)
            return fresh

    def invites(self) -> list[Invite]:
        """All codes, expired ones too, in the order of their expiration."""
        with self._db.transaction():
            rows = self._db.rows(
                "SELECT * FROM invites ORDER BY expires_at IS NULL, expires_at, code"
            )
            return [Invite(*row) for row in rows]

    def revoke_invite(self, code: str) -> bool:
        """Make a code void; False if there is none."""
        with self._db.transaction():
            return self._db.change("DELETE FROM invites WHERE code = ?", (code,)) > 0

    def join(
        self, request: bytes, made_at: int, pubkey: bytes, code: str, now: float
    ) -> Outcome:
        """
        Grant a request to join, if its code is good, and use the code up.

        Args:
            request: The id of the event.
            made_at: Its ``created_at``.
            pubkey: Its author.
            code: What it claims.
            now: Seconds since 1970.
        """
        with self._db.transaction():
            if self._has("requests", "id", request):
                return Outcome.REPEATED
            if self._has("members", "pubkey", pubkey):
                return Outcome.UNCHANGED
            invite = self._invite(code)
            if invite is None:
                return Outcome.NO_SUCH_CODE
            if invite.is_expired(now):
                return Outcome.EXPIRED
            self._db.change(
                "UPDATE invites SET uses_left = uses_left - 1 WHERE code = ?", (code,)
            )
            self._db.change("DELETE FROM invites WHERE uses_left <= 0")
            self._add(pubkey)
            self._remember(request, made_at, now)
            return Outcome.DONE

    def leave(self, request: bytes, made_at: int, pubkey: bytes, now: float) -> Outcome:
        """Grant a request to leave; the arguments are those of :meth:`join`."""
        with self._db.transaction():
            if self._has("requests", "id", request):
                return Outcome.REPEATED
            if not self._remove(pubkey):
                return Outcome.UNCHANGED
            self._remember(request, made_at, now)
            return Outcome.DONE

    def _add(self, pubkey: bytes) -> bool:
        added = self._db.change(
            "INSERT INTO members VALUES (?) ON CONFLICT DO NOTHING", (pubkey,)
        )
        return added > 0

    def _give(self, pubkey: bytes, roles: Iterable[str]) -> int:
        return sum(
            self._db.change(
                "INSERT INTO member_roles VALUES (?, ?) ON CONFLICT DO NOTHING",
                (pubkey, role),
            )
            for role in roles
        )

    def _remove(self, pubkey: bytes) -> bool:
        self._db.change("DELETE FROM member_roles WHERE pubkey = ?", (pubkey,))
        self._db.change("DELETE FROM invites WHERE inviter = ?", (pubkey,))
        return self._db.change("DELETE FROM members WHERE pubkey = ?", (pubkey,)) > 0

    def _put_role(self, role: Role) -> None:
        self._db.change(_PUT_ROLE, attrs.astuple(role))

    def _put_invite(self, invite: Invite) -> None:
        self._db.change(
            "INSERT INTO invites VALUES (?, ?, ?, ?)", attrs.astuple(invite)
        )

    def _invite(self, code: str) -> Invite | None:
        if "\0" in code:
            # A stranger may ask for such a one; a database may not even be asked.
            return None
        rows = self._db.rows("SELECT * FROM invites WHERE code = ?", (code,))
        return Invite(*rows[0]) if rows else None

    def _remember(self, request: bytes, made_at: int, now: float) -> None:
        """Not to be granted again; until its date alone would forbid that."""
        self._db.change(
            "DELETE FROM requests WHERE created_at < ?", (now - 2 * WINDOW_SECONDS,)
        )
        self._db.change("INSERT INTO requests VALUES (?, ?)", (request, made_at))

    def _has(self, table: str, column: str, value: object) -> bool:
        return bool(
            self._db.rows(f"SELECT 1 FROM {table} WHERE {column} = ?", (value,))
        )
