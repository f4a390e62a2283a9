# -*- test-case-name: tests.live.test_sync -*-
"""
A WebSocket connection to another relay, on Autobahn: ``ws://`` and ``wss://``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
)
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure

from nostrtx.nostr.relay_url import RelayURL
from nostrtx.sync.conversation import Conversation, Members, RelayTrouble

#: How long connecting may take, and then the handshake, in seconds.
CONNECT_SECONDS: Final = 15

#: How often a silent relay is pinged, and how soon it must answer, in seconds.
_PING_SECONDS: Final = 30

#: The longest message that is taken, in bytes: thousands may wait to be stored.
_MAX_MESSAGE_BYTES: Final = 16 * 2**20


class RelayConnection(WebSocketClientProtocol):
    """
    One connection; what arrives goes to its conversation.

    Attributes:
        opened: Fires when messages can be sent; fails with :class:`RelayTrouble`.
        closed: Fires when the connection has ended.
        conversation: Who the messages are for; set before it opens.
    """

    conversation: Conversation

    def __init__(self) -> None:
        super().__init__()
        self.opened: Deferred[None] = Deferred()
        self.closed: Deferred[None] = Deferred()

    def send(self, message: bytes) -> None:
        """Send one message."""
        self.sendMessage(message, isBinary=False)

    def onOpen(self) -> None:
        """The handshake is done."""
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Pass a message on."""
        if not isBinary:
            self.conversation.message_received(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Tell whoever waits for anything."""
        words = " ".join((reason or "the connection ended").split())
        if not self.opened.called:
            self.opened.errback(RelayTrouble(words))
        self.conversation.connection_lost(words)
        self.closed.callback(None)

    async def leave(self) -> None:
        """Close the connection, if it is open, and wait until it is."""
        if not self.closed.called:
            self.sendClose(1000)
        await self.closed


async def connect(
    url: RelayURL, reactor: Any, prove: Callable[[str], Members] | None
) -> RelayConnection:
    """
    Connect to the relay at ``url``.

    Args:
        url: Of the relay.
        reactor: Twisted's.
        prove: Makes the authentication event for a challenge, if there is a key.

    Raises:
        RelayTrouble: There is no connection.
    """
    factory = WebSocketClientFactory(str(url), reactor=reactor)
    factory.noisy = False
    factory.protocol = RelayConnection
    factory.setProtocolOptions(
        maxMessagePayloadSize=_MAX_MESSAGE_BYTES,
        openHandshakeTimeout=CONNECT_SECONDS,
        autoPingInterval=_PING_SECONDS,
        autoPingTimeout=_PING_SECONDS,
    )
    try:
        connection: Any = await _endpoint(url, reactor).connect(factory)
    except CancelledError:
        raise
    except Exception as error:
        words = " ".join(Failure(error).getErrorMessage().split()).rstrip(".")
        raise RelayTrouble(f"cannot connect to {url}: {words}") from None
    assert isinstance(connection, RelayConnection)
    connection.conversation = Conversation(connection.send, reactor, prove)
    try:
        await connection.opened
    except RelayTrouble as trouble:
        raise RelayTrouble(f"cannot connect to {url}: {trouble}") from None
    return connection


def _endpoint(url: RelayURL, reactor: Any) -> IStreamClientEndpoint:
    host = url.host.strip("[]")
    port = url.port or (443 if url.secure else 80)
    endpoint = HostnameEndpoint(reactor, host, port, timeout=CONNECT_SECONDS)
    if not url.secure:
        return endpoint
    tls: IStreamClientEndpoint = wrapClientTLS(optionsForClientTLS(host), endpoint)
    return tls
