# -*- test-case-name: tests.relay.membership.test_register -*-
"""
The register of members, roles and invite codes: a small SQLite file.

The relay and the ``nostrtx`` command write to it side by side. Each change is one
transaction, on disk when the call returns, so a code that was used is used, whatever
ends the process a moment later.

Every call may wait for the disk: make it in a thread. Calls from several threads are
taken one after the other.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from threading import Lock
from typing import Final

import attrs

from nostrtx.nostr.membership import WINDOW_SECONDS, Role

#: How long to wait for another process that is writing, in seconds.
_BUSY_SECONDS: Final = 5.0

_VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE members (pubkey BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE member_roles (
    pubkey BLOB NOT NULL, role TEXT NOT NULL, PRIMARY KEY (pubkey, role)
) WITHOUT ROWID;
CREATE TABLE roles (
    id TEXT PRIMARY KEY, label TEXT NOT NULL, description TEXT NOT NULL,
    color INTEGER, place INTEGER
) WITHOUT ROWID;
CREATE TABLE invites (
    code TEXT PRIMARY KEY, uses_left INTEGER, expires_at INTEGER, inviter BLOB
) WITHOUT ROWID;
CREATE TABLE requests (id BLOB PRIMARY KEY, created_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE restored (once INTEGER PRIMARY KEY)
"""


class RegisterError(Exception):
    """The register cannot be used; the text is one line that says why."""


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
    The file, open.

    Args:
        path: The file, made if there is none; ``:memory:`` for one that is forgotten.

    Raises:
        RegisterError: It cannot be opened. So does every method whose work fails.
    """

    def __init__(self, path: str) -> None:
        self._lock = Lock()
        with _told(path):
            if path != ":memory:":
                # SQLite would make it readable for others.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(
                path,
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            with self._transaction():
                self._prepare()
        self._seen = self._version()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def has_changed(self) -> bool:
        """Whether another process has changed it since this was last asked."""
        with self._lock, _told():
            before, self._seen = self._seen, self._version()
            return self._seen != before

    def contents(self) -> Contents:
        """Members and roles."""
        with self._transaction():
            members: dict[bytes, list[str]] = {
                pubkey: [] for (pubkey,) in self._db.execute("SELECT * FROM members")
            }
            rows = self._db.execute("SELECT * FROM member_roles ORDER BY role")
            for pubkey, role in rows:
                members[pubkey].append(role)
            roles = self._db.execute("SELECT * FROM roles ORDER BY id").fetchall()
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
        with self._transaction():
            for role in roles:
                if not self._has("roles", "id", role):
                    raise RegisterError(f"there is no role {role!r}")
            before = self._db.execute(
                "SELECT role FROM member_roles WHERE pubkey = ? ORDER BY role",
                (pubkey,),
            ).fetchall()
            wanted = [(role,) for role in sorted(set(roles))]
            if not self._add(pubkey) and before == wanted:
                return False
            self._db.execute("DELETE FROM member_roles WHERE pubkey = ?", (pubkey,))
            self._db.executemany(
                "INSERT INTO member_roles VALUES (?, ?)",
                [(pubkey, role) for (role,) in wanted],
            )
            return True

    def restore(self, contents: Contents) -> bool:
        """
        Add members and roles that a register lost; once in the life of each.

        Returns:
            Whether this was the first time.
        """
        with self._transaction():
            if not self._changes("INSERT OR IGNORE INTO restored VALUES (?)", 1):
                return False
            for role in contents.roles:
                if not self._has("roles", "id", role.id):
                    self._put_role(role)
            for pubkey, roles in contents.members.items():
                self._add(pubkey)
                self._db.executemany(
                    "INSERT OR IGNORE INTO member_roles VALUES (?, ?)",
                    [(pubkey, role) for role in roles],
                )
            return True

    def remove_member(self, pubkey: bytes) -> bool:
        """Remove a member, and the codes it was given; False if it is none."""
        with self._transaction():
            return self._remove(pubkey)

    def put_role(self, role: Role) -> None:
        """Define a role, or define it anew."""
        with self._transaction():
            self._put_role(role)

    def remove_role(self, id_: str) -> bool:
        """Remove a role, and take it from all members; False if there is none."""
        with self._transaction():
            self._db.execute("DELETE FROM member_roles WHERE role = ?", (id_,))
            return self._changes("DELETE FROM roles WHERE id = ?", id_)

    def add_invite(self, invite: Invite) -> None:
        """Make a code valid."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO invites VALUES (?, ?, ?, ?)", attrs.astuple(invite)
            )

    def invite_by(self, inviter: bytes, fresh: Invite, now: float) -> Invite | None:
        """
        The code that a member has to give away: the open one, else ``fresh``.

        Returns:
            None if ``inviter`` is no member.
        """
        with self._transaction():
            if not self._has("members", "pubkey", inviter):
                return None
            for row in self._db.execute(
                "SELECT * FROM invites WHERE inviter = ?", (inviter,)
            ):
                invite = Invite(*row)
                if not invite.is_expired(now):
                    return invite
            self._db.execute("DELETE FROM invites WHERE inviter = ?", (inviter,))
            self._db.execute(
                "INSERT INTO invites VALUES (?, ?, ?, ?)", attrs.astuple(fresh)
            )
            return fresh

    def invites(self) -> list[Invite]:
        """All codes, expired ones too, in the order of their expiration."""
        with self._transaction():
            rows = self._db.execute(
                "SELECT * FROM invites ORDER BY expires_at IS NULL, expires_at, code"
            )
            return [Invite(*row) for row in rows]

    def revoke_invite(self, code: str) -> bool:
        """Make a code void; False if there is none."""
        with self._transaction():
            return self._changes("DELETE FROM invites WHERE code = ?", code)

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
        with self._transaction():
            if self._has("requests", "id", request):
                return Outcome.REPEATED
            if self._has("members", "pubkey", pubkey):
                return Outcome.UNCHANGED
            row = self._db.execute(
                "SELECT * FROM invites WHERE code = ?", (code,)
            ).fetchone()
            if row is None:
                return Outcome.NO_SUCH_CODE
            invite = Invite(*row)
            if invite.is_expired(now):
                return Outcome.EXPIRED
            self._db.execute(
                "UPDATE invites SET uses_left = uses_left - 1 WHERE code = ?", (code,)
            )
            self._db.execute("DELETE FROM invites WHERE uses_left <= 0")
            self._add(pubkey)
            self._remember(request, made_at, now)
            return Outcome.DONE

    def leave(self, request: bytes, made_at: int, pubkey: bytes, now: float) -> Outcome:
        """Grant a request to leave; the arguments are those of :meth:`join`."""
        with self._transaction():
            if self._has("requests", "id", request):
                return Outcome.REPEATED
            if not self._remove(pubkey):
                return Outcome.UNCHANGED
            self._remember(request, made_at, now)
            return Outcome.DONE

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {_VERSION}")
        elif version != _VERSION:
            raise RegisterError(f"its version is {version}, not {_VERSION}")

    def _version(self) -> int:
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        assert type(version) is int
        return version

    def _add(self, pubkey: bytes) -> bool:
        return self._changes("INSERT OR IGNORE INTO members VALUES (?)", pubkey)

    def _remove(self, pubkey: bytes) -> bool:
        self._db.execute("DELETE FROM member_roles WHERE pubkey = ?", (pubkey,))
        self._db.execute("DELETE FROM invites WHERE inviter = ?", (pubkey,))
        return self._changes("DELETE FROM members WHERE pubkey = ?", pubkey)

    def _put_role(self, role: Role) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO roles VALUES (?, ?, ?, ?, ?)", attrs.astuple(role)
        )

    def _remember(self, request: bytes, made_at: int, now: float) -> None:
        """Not to be granted again; until its date alone would forbid that."""
        self._db.execute(
            "DELETE FROM requests WHERE created_at < ?", (now - 2 * WINDOW_SECONDS,)
        )
        self._db.execute("INSERT INTO requests VALUES (?, ?)", (request, made_at))

    def _has(self, table: str, column: str, value: object) -> bool:
        found = self._db.execute(f"SELECT 1 FROM {table} WHERE {column} = ?", (value,))
        return found.fetchone() is not None

    def _changes(self, statement: str, value: object) -> bool:
        return self._db.execute(statement, (value,)).rowcount > 0

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, on disk at the end, with nobody else writing meanwhile."""
        with self._lock, _told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


@contextmanager
def _told(path: str = "") -> Iterator[None]:
    """Turn what SQLite and the system say into one line of ours."""
    place = f" {path!r}" if path else ""
    try:
        yield
    except sqlite3.Error as error:
        raise RegisterError(f"the register of members{place}: {error}") from error
    except OSError as error:
        raise RegisterError(
            f"the register of members{place}: {error.strerror}"
        ) from error
