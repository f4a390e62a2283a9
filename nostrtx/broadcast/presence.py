# -*- test-case-name: tests.broadcast.test_presence -*-
"""
Who may join: each process claims its name in Redis, and looks at the others before.

A name is a key that expires, held by whoever set it first and refreshed as long as it
runs. Its value is sealed, so that no node joins others that have another secret, and
tells facts in which all must agree.

Of a process that was killed the key stays for some seconds. Whoever starts meanwhile
waits until it has expired; one that is refreshed is of a process that lives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from nostrtx.broadcast.connection import RedisConnection
from nostrtx.broadcast.envelope import VERSION, Refused, Seal
from nostrtx.interfaces.processes import BroadcasterUnusable

#: For how long a name is held without being refreshed.
EXPIRE_SECONDS: Final = 5

#: How often it is refreshed.
REFRESH_SECONDS: Final = 1.25

#: How often somebody who waits looks again.
_LOOK_SECONDS: Final = 0.5

#: How long anything in the way may stay that is neither refreshed nor expires.
_PATIENCE_SECONDS: Final = 8.0


@attrs.frozen
class _Member:
    """What a process says of itself."""

    instance: bytes
    joined: bool
    facts: Mapping[str, str]


class Presence:
    """
    This process among the others.

    Args:
        channel: Begins the names of all keys.
        name: What this process is called.
        facts: What all must agree in, each with its name: the store, the schema. Is
            looked at when this process joins.
        seal: Ours, for this purpose.
        clock: For waiting.
    """

    def __init__(
        self,
        channel: str,
        name: str,
        facts: Mapping[str, str],
        seal: Seal,
        clock: IReactorTime,
    ) -> None:
        self._name = name
        self._facts = facts
        self._seal = seal
        self._clock = clock
        self._names_key = f"{channel}:members".encode()
        self._key_head = f"{channel}:member:".encode()
        self._key = self._key_head + name.encode()
        self._joined = False

    async def join(self, connection: RedisConnection) -> None:
        """
        Claim the name, once it is free, and make sure to be one of the others.

        Where this process had joined before, only the name matters.

        Raises:
            BroadcasterUnusable: It may not join.
            Exception: Redis cannot be asked, or refuses.
        """
        until = self._clock.seconds() + _PATIENCE_SECONDS
        in_the_way: dict[bytes, bytes] = {}
        try:
            while True:
                obstacles = await self._obstacles(connection)
                if not obstacles:
                    break
                for key, (value, obstacle) in obstacles.items():
                    refreshed = in_the_way.setdefault(key, value) != value
                    if refreshed or self._clock.seconds() > until:
                        raise BroadcasterUnusable(obstacle)
                await deferLater(self._clock, _LOOK_SECONDS)
        except BroadcasterUnusable:
            await self.leave(connection)
            raise
        self._joined = True
        await self.refresh(connection)

    async def refresh(self, connection: RedisConnection) -> None:
        """
        Hold the name for longer.

        Raises:
            BroadcasterUnusable: Another process holds the name.
            Exception: Redis cannot be asked, or refuses.
        """
        if await self._claim(connection) is not None:
            raise BroadcasterUnusable(self._taken())

    async def leave(self, connection: RedisConnection) -> None:
        """
        Give the name up.

        Raises:
            Exception: Redis cannot be asked, or refuses.
        """
        holder = await connection.get(self._key)
        if self._is_ours(holder):
            await connection.delete([self._key])
            await connection.srem(self._names_key, [self._name.encode()])

    async def _obstacles(
        self, connection: RedisConnection
    ) -> dict[bytes, tuple[bytes, str]]:
        """What keeps this process from joining: by key its value, and why."""
        holder = await self._claim(connection)
        if holder is not None:
            return {self._key: (holder, self._taken())}
        if self._joined:
            return {}
        obstacles = {}
        for key, value in (await self._values(connection)).items():
            why = self._objection(key, value)
            if why is not None:
                obstacles[key] = (value, why)
        return obstacles

    async def _claim(self, connection: RedisConnection) -> bytes | None:
        """Hold the name; if another one does, what that has set."""
        value = self._seal.seal(
            json.dumps(
                {
                    "name": self._name,
                    "joined": self._joined,
                    "facts": dict(self._facts),
                }
            ).encode()
        )
        holder: bytes | None = await connection.get(self._key)
        ours = self._is_ours(holder)
        if holder is not None and not ours:
            return holder
        held = await connection.set(
            self._key,
            value,
            expire=EXPIRE_SECONDS,
            only_if_not_exists=not ours,
        )
        if held is None:
            # Somebody else was faster; whoever it is has just begun to hold it.
            holder = await connection.get(self._key)
            return holder or b""
        await connection.sadd(self._names_key, [self._name.encode()])
        await connection.expire(self._names_key, EXPIRE_SECONDS)
        return None

    async def _values(self, connection: RedisConnection) -> dict[bytes, bytes]:
        """What all that are there have set, by their keys."""
        names = await connection.smembers(self._names_key)
        keys = [self._key_head + name for name in names]
        values = await connection.mget(keys) if keys else []
        found = zip(keys, values, strict=True)
        return {key: value for key, value in found if value is not None}

    def _objection(self, key: bytes, value: bytes) -> str | None:
        """Why this process cannot be one with the one that holds ``key``, if so."""
        name = self._named(key)
        if value[:1] != bytes((VERSION,)):
            return f"{name} is of another version of the relay"
        other = self._member(key, value)
        if other is None:
            return f"{name} has another secret than this node"
        if not other.joined and other.instance >= self._seal.instance:
            # Both have just come, and one of the two has to give way.
            return None
        for fact in sorted(self._facts.keys() | other.facts.keys()):
            theirs, ours = (each.get(fact) for each in (other.facts, self._facts))
            if theirs != ours:
                return (
                    f"{name} has another {fact} ({theirs or 'none'}) than this node "
                    f"({ours or 'none'})"
                )
        return None

    def _member(self, key: bytes, value: bytes) -> _Member | None:
        """What a value tells; None if it is none of ours, or not meant for ``key``."""
        try:
            opened = self._seal.open(value)
            said = json.loads(opened.content)
            if said["name"] != self._named(key):
                return None
            return _Member(opened.instance, said["joined"], said["facts"])
        except (Refused, ValueError, KeyError, TypeError):
            return None

    def _is_ours(self, value: bytes | None) -> bool:
        if value is None or not self._seal.is_own(value):
            return False
        return self._member(self._key, value) is not None

    def _named(self, key: bytes) -> str:
        return key[len(self._key_head) :].decode(errors="replace")

    def _taken(self) -> str:
        return f"another node is called {self._name}"
