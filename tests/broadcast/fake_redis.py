"""
A Redis server within the test: on transports that count bytes, on a clock.

It knows the commands that the broadcaster uses, and no more of them than that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import (
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

_END: Final = b"\r\n"

Reply = bytes | int | None | list["Reply"] | Exception


class _OK(bytes):
    """An answer that is a status, not a value."""


def encoded(reply: Reply) -> bytes:
    """An answer as it travels."""
    if isinstance(reply, Exception):
        return b"-%b\r\n" % str(reply).encode()
    if isinstance(reply, _OK):
        return b"+%b\r\n" % reply
    if isinstance(reply, bytes):
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if reply is None:
        return b"$-1\r\n"
    return b"*%d\r\n%b" % (len(reply), b"".join(map(encoded, reply)))


def taken(buffer: bytearray) -> list[bytes] | None:
    """The first complete command, taken out of ``buffer``; None if there is none."""
    head, end, _ = buffer.partition(_END)
    if not end:
        return None
    assert head[:1] == b"*", buffer
    at = len(head) + 2
    command = []
    for _ in range(int(head[1:])):
        line_end = buffer.find(_END, at)
        if line_end < 0:
            return None
        assert buffer[at : at + 1] == b"$", buffer
        start = line_end + 2
        stop = start + int(buffer[at + 1 : line_end])
        if len(buffer) < stop + 2:
            return None
        assert buffer[stop : stop + 2] == _END, "a length counts characters"
        command.append(bytes(buffer[start:stop]))
        at = stop + 2
    del buffer[:at]
    return command


class _Transport(StringTransport):
    """The client's end of a connection; data travels when the server runs."""

    def __init__(self, session: _Session) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "127.0.0.1", 6379))
        self.session = session

    def write(self, data: bytes) -> None:
        """Send to the server."""
        self.session.received.extend(data)

    def loseConnection(self) -> None:
        """End once everything was read."""
        self.session.closing = True

    def abortConnection(self) -> None:
        """End now."""
        self.session.received.clear()
        self.session.aborted = True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """There is no delay anyway."""


class _Session:
    """One connection, the server's end of it."""

    def __init__(self, client: IProtocol) -> None:
        self.client = client
        self.received = bytearray()
        self.to_send: deque[bytes] = deque()
        self.channels: set[bytes] = set()
        self.user: bytes | None = None
        self.database = b"0"
        self.closing = self.aborted = False


@implementer(IStreamClientEndpoint)
class FakeRedis:
    """
    A server, and the way to it.

    Args:
        clock: Keys expire by it.

    Attributes:
        accepts: Whether it takes connections.
        silent: Whether it does nothing, though connections stand.
        fragment: How many bytes at a time it sends; None for all at once.
        passwords: Of each user that may log in; empty if nobody need.
        role: What it is.
        masters: If it is a Sentinel: services, and where their masters are.
        refuses: Commands that it refuses to everybody.
        ends_after: After how many more commands it drops the connection on which
            the last came, unanswered; None for never.
        rival: What somebody else sets a moment before the next one who claims a key.
        attempts: When somebody tried to connect.
        commands: The names of all commands so far.
        seen: All that was published.
    """

    def __init__(self, clock: Clock) -> None:
        self.accepts = True
        self.silent = False
        self.fragment: int | None = None
        self.passwords: dict[bytes, bytes] = {}
        self.role = b"master"
        self.masters: dict[bytes, tuple[bytes, bytes]] = {}
        self.refuses: set[bytes] = set()
        self.ends_after: int | None = None
        self.rival: bytes | None = None
        self.attempts: list[float] = []
        self.commands: list[bytes] = []
        self.seen: list[bytes] = []
        self._clock = clock
        self._sessions: list[_Session] = []
        self._values: dict[bytes, bytes] = {}
        self._sets: dict[bytes, set[bytes]] = {}
        self._expire: dict[bytes, float] = {}

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """A connection, if it accepts any."""
        self.attempts.append(self._clock.seconds())
        if not self.accepts:
            return fail(ConnectionRefusedError())
        client = protocolFactory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 6379))
        assert client is not None
        session = _Session(client)
        self._sessions.append(session)
        client.makeConnection(_Transport(session))
        return succeed(client)

    @property
    def connections(self) -> int:
        """How many stand."""
        return len(self._sessions)

    @property
    def databases(self) -> set[bytes]:
        """Which ones are selected."""
        return {session.database for session in self._sessions}

    def forget(self) -> None:
        """Lose all connections and all keys, as a server that is started again."""
        self._values.clear()
        self._sets.clear()
        for session in list(self._sessions):
            self._end(session, ConnectionLost())

    def set_value(self, key: bytes, value: bytes, seconds: float = 5) -> None:
        """Set a key, as somebody who has the password may."""
        self._values[key] = value
        self._expire[key] = self._clock.seconds() + seconds
        head, _, name = key.rpartition(b":")
        self._sets.setdefault(head + b"s", set()).add(name)

    def value(self, key: bytes) -> bytes | None:
        """What a key holds."""
        if self._expire.get(key, 0) <= self._clock.seconds():
            self._values.pop(key, None)
        return self._values.get(key)

    def say(self, channel: bytes, message: bytes) -> int:
        """Publish, as somebody who has the password may."""
        self.seen.append(message)
        hear = [each for each in self._sessions if channel in each.channels]
        for session in hear:
            session.to_send.append(encoded([b"message", channel, message]))
        return len(hear)

    def run(self) -> None:
        """Have all data travel, in both directions, until there is none."""
        while any(map(self._run, list(self._sessions))):
            pass

    def _run(self, session: _Session) -> bool:
        """Whether anything happened on a connection."""
        if session.aborted:
            self._end(session, ConnectionLost())
            return True
        if self.silent:
            return False
        if session.to_send:
            part = session.to_send.popleft()
            rest = part[self.fragment :] if self.fragment else b""
            if rest:
                session.to_send.appendleft(rest)
            session.client.dataReceived(part[: self.fragment])
            return True
        command = taken(session.received)
        if command is not None:
            self._take(session, command)
            return True
        if session.closing:
            self._end(session, ConnectionDone())
            return True
        return False

    def _end(self, session: _Session, reason: Exception) -> None:
        if session in self._sessions:
            self._sessions.remove(session)
            session.client.connectionLost(Failure(reason))

    def _take(self, session: _Session, command: list[bytes]) -> None:
        name, *arguments = command
        self.commands.append(name)
        if self.ends_after is not None:
            self.ends_after -= 1
            if self.ends_after < 0:
                self.ends_after = None
                self._end(session, ConnectionLost())
                return
        answer: Callable[..., Reply] = getattr(self, f"_do_{name.decode().lower()}")
        reply: Reply
        if name in self.refuses:
            reply = Exception(f"NOPERM no permission to run {name.decode()}")
        elif self.passwords and session.user is None and name != b"AUTH":
            reply = Exception("NOAUTH Authentication required.")
        elif session.channels and name not in (b"PING", b"SUBSCRIBE"):
            reply = Exception("ERR only (P|S)SUBSCRIBE / PING in this context")
        else:
            reply = answer(session, *arguments)
        session.to_send.append(encoded(reply))

    def _do_auth(self, session: _Session, *who: bytes) -> Reply:
        user = who[0] if len(who) == 2 else b"default"
        if self.passwords.get(user) != who[-1]:
            return Exception("WRONGPASS invalid username-password pair")
        session.user = user
        return _OK(b"OK")

    def _do_select(self, session: _Session, database: bytes) -> Reply:
        session.database = database
        return _OK(b"OK")

    def _do_ping(self, session: _Session) -> Reply:
        return [b"pong", b""] if session.channels else _OK(b"PONG")

    def _do_role(self, session: _Session) -> Reply:
        return [self.role, 0, []]

    def _do_sentinel(self, session: _Session, what: bytes, service: bytes) -> Reply:
        assert what == b"GET-MASTER-ADDR-BY-NAME", what
        master = self.masters.get(service)
        return None if master is None else list(master)

    def _do_subscribe(self, session: _Session, channel: bytes) -> Reply:
        session.channels.add(channel)
        return [b"subscribe", channel, len(session.channels)]

    def _do_publish(self, session: _Session, channel: bytes, message: bytes) -> Reply:
        return self.say(channel, message)

    def _do_get(self, session: _Session, key: bytes) -> Reply:
        return self.value(key)

    def _do_mget(self, session: _Session, *keys: bytes) -> Reply:
        return [self.value(key) for key in keys]

    def _do_set(
        self, session: _Session, key: bytes, value: bytes, *options: bytes
    ) -> Reply:
        assert options[0] == b"EX", options
        if self.rival is not None:
            self.set_value(key, self.rival)
            self.rival = None
        if b"NX" in options and self.value(key) is not None:
            return None
        if self.role != b"master":
            return Exception("READONLY You can't write against a read only replica.")
        self._values[key] = value
        self._expire[key] = self._clock.seconds() + int(options[1])
        return _OK(b"OK")

    def _do_del(self, session: _Session, key: bytes) -> Reply:
        return int(self._values.pop(key, None) is not None)

    def _do_expire(self, session: _Session, key: bytes, seconds: bytes) -> Reply:
        return 1

    def _do_sadd(self, session: _Session, key: bytes, member: bytes) -> Reply:
        self._sets.setdefault(key, set()).add(member)
        return 1

    def _do_srem(self, session: _Session, key: bytes, member: bytes) -> Reply:
        self._sets.get(key, set()).discard(member)
        return 1

    def _do_smembers(self, session: _Session, key: bytes) -> Reply:
        return list[Reply](self._sets.get(key, ()))
