# -*- test-case-name: tests.web.test_websocket -*-
"""
All WebSocket connections of a relay: limits, flushing, pings, shutting down.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, Final

from autobahn.twisted.websocket import WebSocketServerFactory
from autobahn.websocket import USES_NVX
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from nostrtx.interfaces.edge import IRelay, ITurns
from nostrtx.interfaces.processes import IOtherProcesses
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.answers import SERVER
from nostrtx.web.client_address import ConnectionLimits, peer_address
from nostrtx.web.connection import RelayWebSocketProtocol
from nostrtx.web.logged_addresses import LoggedAddresses
from nostrtx.web.origins import AllowedOrigins
from nostrtx.web.shared_frames import FramesByWindow
from nostrtx.web.shedding import Shedding
from nostrtx.web.sweep import ConnectionSweep

#: Close code for who may not be here (RFC 6455, "policy violation").
NOT_WANTED: Final = 1008


class RelayWebSocketFactory(WebSocketServerFactory):
    """
    Makes the relay's WebSocket connections and looks after all of them.

    Args:
        relay: Where sessions begin.
        settings: ``limits``, ``timing``, ``websocket`` and ``log``.
        turns: What clients are sent leaves at the end of these.
        clock: The reactor, or a fake clock.
        others: The relay's other processes, for limits that hold over all of them.
        random_bytes: Makes keys to hash addresses with, for the log.

    Attributes:
        slow_readers: How many connections were cut off because the client did not
            read.
        max_outbound_bytes: What may be unsent for one connection.
        frames: What the connections send to more than one client.
        logs_connections: Whether connections that end get a line in the log.
        protocol: Of its connections, without the settings.
        native_extensions: Whether Autobahn has its own.
    """

    _log = Logger()
    noisy = False
    protocol = RelayWebSocketProtocol
    native_extensions = USES_NVX

    def __init__(
        self,
        relay: IRelay,
        settings: LiveSettings,
        turns: ITurns,
        clock: IReactorTime,
        others: IOtherProcesses,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        super().__init__(server=SERVER, reactor=clock)
        self.frames = FramesByWindow()
        self._protocol: type[RelayWebSocketProtocol] = type(
            self.protocol.__name__,
            (self.protocol,),
            {"factory": self, "shared_frames": self.frames.plain},
        )
        self.relay = relay
        self.clock = clock
        self.slow_readers = 0
        self.numbers = count(1)
        self._addresses = LoggedAddresses(settings, clock, random_bytes)
        self.sweep = ConnectionSweep(clock, settings)
        self._turns = turns
        self._limits = ConnectionLimits(settings, others, clock)
        self._connections: set[RelayWebSocketProtocol] = set()
        self._dirty: list[RelayWebSocketProtocol] = []
        self._shutting_down = False
        self._all_gone: Deferred[None] | None = None
        self._time_up: IDelayedCall | None = None
        settings.follow(self._apply)
        turns.at_end(self._flush)
        relay.on_refusals(self._close_refused)

    def _apply(self, settings: Settings) -> None:
        limits = settings.limits
        self.max_outbound_bytes = limits.max_outbound_bytes
        self.logs_connections = settings.log.connections
        self._origins = AllowedOrigins(settings.websocket.allowed_origins)
        # All connections find these on their class, also those that are open.
        protocol: Any = self._protocol
        protocol.compression = settings.websocket.compression
        protocol.maxFramePayloadSize = limits.max_message_bytes
        protocol.maxMessagePayloadSize = limits.max_message_bytes

    @property
    def connection_count(self) -> int:
        """How many WebSocket connections are open."""
        return len(self._connections)

    def startFactory(self) -> None:
        """Begin to look after connections."""
        if not self.native_extensions:
            self._log.warn(
                "Autobahn runs without its native extensions (NVX), so every message"
                " costs several times as much. Is AUTOBAHN_USE_NVX=0 set?"
            )
        self.sweep.start()

    def stopFactory(self) -> None:
        """Nobody can connect any more; what is left is for :meth:`shut_down`."""
        self.sweep.stop()

    def shut_down(self, seconds: float) -> Deferred[None]:
        """
        Answer everything open, close all connections, refuse new ones.

        Returns:
            Fires when all connections are gone. Those that have not ended after
            ``seconds`` are cut off.
        """
        self._shutting_down = True
        for connection in tuple(self._connections):
            connection.shut_down()
        if not self._connections:
            return succeed(None)
        self._time_up = self.clock.callLater(seconds, self._cut_off)
        self._all_gone = Deferred()
        return self._all_gone

    def shed(self, seconds: float) -> Deferred[None]:
        """
        Send all clients away over ``seconds``, for another process serves them now.

        Returns:
            Fires when all connections are gone; may be cancelled.
        """
        shedding = Shedding(lambda: self._connections, seconds, self.clock)
        return Deferred.fromCoroutine(shedding.run())

    def _cut_off(self) -> None:
        self._time_up = None
        self._log.info(
            "Cutting off {count} connections that have not ended in time.",
            count=len(self._connections),
        )
        for connection in tuple(self._connections):
            connection.abort("the relay is shutting down")

    # -- what connections call

    def refusal(self, address: str, origin: str = "") -> tuple[int, str, int] | None:
        """
        HTTP status and reason if a client may not connect now, else None.

        Args:
            address: Its address.
            origin: Where the web page is from that it is; empty if it is none.

        Returns:
            Third, after how many seconds to try again; 0 if that is not said.
        """
        if self._shutting_down:
            return 503, "the relay is shutting down", 0
        refusal = (
            self._origins.refusal(origin)
            or self.relay.refusal(address)
            or self._limits.refusal(address)
        )
        return self.relay.arrival(address) if refusal is None else (*refusal, 0)

    def from_where(self, address: str) -> str:
        """What a line of the log says of a client's address; it begins with a blank."""
        name = self._addresses.name_of(address)
        return f" from {name}" if name else ""

    def opened(self, connection: RelayWebSocketProtocol) -> None:
        """A connection is open."""
        self._connections.add(connection)
        self._limits.opened(connection.address)
        self.sweep.add(connection)

    def closed(self, connection: RelayWebSocketProtocol) -> None:
        """A connection that was open is lost."""
        self._connections.discard(connection)
        self._limits.closed(connection.address)
        self.sweep.remove(connection)
        if self._all_gone is not None and not self._connections:
            all_gone, self._all_gone = self._all_gone, None
            if self._time_up is not None:
                self._time_up.cancel()
                self._time_up = None
            all_gone.callback(None)

    def _close_refused(self) -> None:
        """Close connections whose addresses would now be refused."""
        for connection in tuple(self._connections):
            refusal = self.relay.refusal(connection.address)
            if refusal is not None:
                connection.close(NOT_WANTED, refusal[1])

    def to_flush(self, connection: RelayWebSocketProtocol) -> None:
        """Flush ``connection`` at the end of this turn."""
        if not self._dirty:
            self._turns.needed()
        self._dirty.append(connection)

    def _flush(self) -> bool:
        dirty = self._dirty
        if not dirty:
            return False
        self._dirty = []
        self.frames.forget()
        for connection in dirty:
            try:
                connection.flush()
            except Exception:
                self._log.failure("Sending to a client failed.")
        return bool(self._dirty)

    def buildProtocol(self, addr: Any) -> RelayWebSocketProtocol:
        """
        A protocol for a connection whose first request asks for WebSocket.

        Args:
            addr: Whose it is; behind a proxy not always the transport's peer.
        """
        connection = self._protocol()
        connection.address = peer_address(addr)
        return connection
