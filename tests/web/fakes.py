"""What the edge meets in tests: a relay, its sessions, and a browser's handshake."""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_bytes
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.testing import MemoryReactorClock, StringTransport
from zope.interface import implementer

from nostrtx.broadcast.local import LocalBroadcaster
from nostrtx.interfaces.edge import IClient, IClientSession, IManagement, IRelay
from nostrtx.relay.roll_call import RollCall
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.turns import ScheduledTurns
from nostrtx.web.connection import RelayWebSocketProtocol
from nostrtx.web.websocket import RelayWebSocketFactory

PEER = IPv4Address("TCP", "203.0.113.7", 50000)

HANDSHAKE = (
    b"GET / HTTP/1.1\r\n"
    b"Host: relay.example\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"\r\n"
)

MASK = b"\x11\x22\x33\x44"


def masked(payload: bytes, mask: bytes = MASK) -> bytes:
    """``payload`` as a client sends it."""
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def client_frame(
    payload: bytes, opcode: int = 1, fin: bool = True, mask: bytes = MASK
) -> bytes:
    """A frame as a well-behaved client sends it."""
    first = (0x80 if fin else 0) | opcode
    length = len(payload)
    if length < 126:
        head = bytes((first, 0x80 | length))
    elif length < 65536:
        head = bytes((first, 0xFE)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, 0xFF)) + length.to_bytes(8, "big")
    return head + mask + masked(payload, mask)


@implementer(IClientSession)
class FakeSession:
    """
    Records what the edge tells it.

    Attributes:
        client: The connection it was begun for.
        texts: Messages received.
        binaries: How many binary messages were noted.
        lost: How many times it was told of the connection's end.
        on_message: Is called for each message, if set.
        why: Why it was shut down.
    """

    def __init__(self, client: IClient) -> None:
        self.client = client
        self.texts: list[bytes] = []
        self.binaries = 0
        self.lost = 0
        self.why = ""
        self.on_message: Callable[[bytes], None] | None = None

    def message_received(self, text: bytes) -> None:
        """Record the message."""
        self.texts.append(text)
        if self.on_message is not None:
            self.on_message(text)

    def binary_received(self) -> None:
        """Count it."""
        self.binaries += 1

    def connection_lost(self) -> None:
        """Count it."""
        self.lost += 1

    def shut_down(self, why: str = "shutting down") -> None:
        """Answer as a session with one subscription does."""
        self.why = why
        self.client.send(b'["CLOSED","s",""]')


@implementer(IRelay)
class FakeRelay:
    """
    Keeps the sessions it begins, and refuses whom the test says.

    Attributes:
        sessions: All of them, in order.
        refused: Why, by address.
        turned_away: Why a connection is refused, by address.
    """

    def __init__(self) -> None:
        self.sessions: list[FakeSession] = []
        self.refused: dict[str, tuple[int, str]] = {}
        self.turned_away: dict[str, tuple[int, str, int]] = {}
        self._on_refusals: list[Callable[[], None]] = []

    def session(self, client: IClient) -> FakeSession:
        """Begin one more."""
        session = FakeSession(client)
        self.sessions.append(session)
        return session

    @property
    def addresses(self) -> list[str]:
        """Of the clients whose sessions it has begun."""
        return [session.client.address for session in self.sessions]

    def refusal(self, address: str) -> tuple[int, str] | None:
        """As the test says."""
        return self.refused.get(address)

    def arrival(self, address: str) -> tuple[int, str, int] | None:
        """As the test says."""
        return self.turned_away.get(address)

    def on_refusals(self, call: Callable[[], None]) -> None:
        """Have ``call`` made by :meth:`refuse`."""
        self._on_refusals.append(call)

    def refuse(self, address: str, code: int, why: str) -> None:
        """Refuse ``address`` from now on."""
        self.refused[address] = (code, why)
        for call in self._on_refusals:
            call()


@implementer(IManagement)
class FakeManagement:
    """
    Takes calls, and answers them when the test says.

    Attributes:
        calls: Authorization, query and body of each, oldest first.
        answers: Their answers.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[bytes | None, str, bytes]] = []
        self.answers: list[Deferred[tuple[int, bytes]]] = []

    def answer(
        self, authorization: bytes | None, query: str, body: bytes
    ) -> Deferred[tuple[int, bytes]]:
        """Keep the call."""
        self.calls.append((authorization, query, body))
        self.answers.append(Deferred())
        return self.answers[-1]


class FakeTransport(StringTransport):
    """
    A client's end of a connection.

    Attributes:
        aborted: Whether it was ended at once.
        writes: Each write.
    """

    producer: Any

    def __init__(self, peer: Any = PEER) -> None:
        super().__init__(peerAddress=peer)
        self.aborted = False
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.writes.append(data)
        super().write(data)

    def abortConnection(self) -> None:
        """Note it."""
        self.aborted = True

    def stop_reading(self) -> None:
        """The client takes no more."""
        self.producer.pauseProducing()

    def read_on(self) -> None:
        """The client has taken all there was."""
        self.producer.resumeProducing()


def nobody_else(clock: IReactorTime) -> RollCall:
    """The other processes of a relay that has none."""
    return RollCall(LocalBroadcaster(), clock, token_bytes)


class Edge:
    """
    The relay's WebSocket side without a network.

    Attributes:
        clock: Its reactor.
        settings: May be changed.
        relay: Where its sessions are.
        websockets: The factory under test.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.clock = MemoryReactorClock()
        self.settings = LiveSettings(settings or Settings())
        self.relay = FakeRelay()
        self.websockets = RelayWebSocketFactory(
            self.relay,
            self.settings,
            ScheduledTurns(self.clock),
            self.clock,
            nobody_else(self.clock),
            token_bytes,
        )
        self.websockets.startFactory()

    def connect(
        self, request: bytes = HANDSHAKE, peer: object = PEER
    ) -> tuple[RelayWebSocketProtocol, FakeTransport]:
        """A connection that has sent its handshake; the answer is not cleared."""
        transport = FakeTransport(peer)
        connection = self.websockets.buildProtocol(peer)
        connection.makeConnection(transport)
        connection.dataReceived(request)
        return connection, transport

    def open(
        self, peer: object = PEER
    ) -> tuple[RelayWebSocketProtocol, FakeTransport, FakeSession]:
        """An open connection, whose handshake is over."""
        connection, transport = self.connect(peer=peer)
        transport.clear()
        transport.writes.clear()
        return connection, transport, self.relay.sessions[-1]

    def end_turn(self) -> None:
        """Let the reactor's turn end."""
        self.clock.advance(0)
