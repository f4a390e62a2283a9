# -*- test-case-name: tests.web.test_site -*-
"""
One port for all: WebSocket upgrades go to Autobahn, other requests to twisted.web.

The first request's head is read here, which is cheaper than going through
twisted.web, and nothing of that remains once the connection is handed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocol,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request, Site
from zope.interface import implementer

from nostrtx.interfaces.edge import IManagement
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.answers import error_answer
from nostrtx.web.root import RootResource
from nostrtx.web.trusted_proxies import TrustedProxies
from nostrtx.web.websocket import RelayWebSocketFactory

#: Longest head of a request, without its last empty line.
MAX_HEAD_BYTES = 16384

#: Most that may follow a head which does not upgrade.
MAX_BODY_BYTES = 65536

#: How long a client may take over an answer, in seconds.
ANSWER_SECONDS = 60

_UPGRADE = re.compile(rb"\r\nupgrade[ \t]*:[^\r\n]*\bwebsocket\b", re.IGNORECASE)


@implementer(IProtocol)
class FirstRequest:
    """
    A new connection, until it is known what it wants.

    Args:
        site: Where to ask whom it is handed to.
        client: Whose connection it is.
    """

    __slots__ = ("_client", "_head", "_site", "deadline", "factory", "transport")

    def __init__(self, site: RelaySite, client: IAddress) -> None:
        self._site = site
        self._client = client
        self._head = b""
        self.deadline = 0.0

    def makeConnection(self, transport: Any) -> None:
        """A client has connected."""
        self.transport = transport
        self.connectionMade()

    def connectionMade(self) -> None:
        """Allow some time for the head to arrive."""
        self._site.begun(self)

    def dataReceived(self, data: bytes) -> None:
        """Read on in the head, and hand the connection over at its end."""
        head = self._head + data if self._head else data
        end = head.find(b"\r\n\r\n")
        if end > MAX_HEAD_BYTES or (end < 0 and len(head) > MAX_HEAD_BYTES):
            self.refuse(431, "the head of the request is too long")
        elif end < 0:
            self._head = head
        else:
            self._site.settled(self)
            upgrade = head.startswith(b"GET ") and _UPGRADE.search(head, 0, end)
            client = self._site.client_of(self._client, head, end)
            self._hand_over(self._site.protocol_for(client, bool(upgrade)))
            self._give(head)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone before it has said what it wants."""
        self._site.settled(self)

    def refuse(self, code: int, why: str) -> None:
        """Give up on this request."""
        self._site.settled(self)
        transport = self.transport
        self._hand_over(Protocol())
        transport.write(error_answer(code, why))
        transport.loseConnection()

    def time_is_up(self) -> None:
        """The head has not arrived in time."""
        self.refuse(408, "the request has not arrived in time")

    def _hand_over(self, protocol: IProtocol) -> None:
        transport = self.transport
        if isinstance(transport, ProtocolWrapper):
            transport.wrappedProtocol = protocol
        else:
            transport.protocol = protocol
        self._head = b""
        protocol.makeConnection(transport)

    def _give(self, head: bytes) -> None:
        transport = self.transport
        if isinstance(transport, ProtocolWrapper):
            transport.wrappedProtocol.dataReceived(head)
        else:
            transport.protocol.dataReceived(head)


class _OneRequest(HTTPChannel):
    """
    Serves one request, then closes.

    A proxy that keeps connections might send an upgrade on this one, where it could
    not be followed. Neither the rest of the request nor taking the answer may take
    long, however steadily something comes or goes.
    """

    transport: Any

    def resetTimeout(self) -> None:
        """Something has come, which is no reason to wait longer for all of it."""

    def requestDone(self, request: Request) -> None:
        """Wait for the client to take the answer."""
        self.setTimeout(ANSWER_SECONDS)
        super().requestDone(request)

    def timeoutConnection(self) -> None:
        """Send off who has not sent the request in time, or not taken the answer."""
        if self._handlingRequest:
            self.transport.abortConnection()
        else:
            self.transport.write(error_answer(408, "the request is not here in time"))
            self.loseConnection()

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return False

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.transport.write(error_answer(400, "this is not HTTP"))
        self.loseConnection()


class _ShortRequest(Request):
    """A request whose body is not kept beyond what any of ours may have."""

    channel: Any
    site: Any
    content: Any
    _body_bytes = 0

    def gotLength(self, length: int | None) -> None:
        # In memory, whatever is announced, for all that is kept is short.
        self.content = BytesIO()
        if length is not None and length > MAX_BODY_BYTES:
            self._refuse_body()

    def _handleStar(self) -> None:
        self.render(self.site.resource)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        # One whose body was too long is answered already.
        if self._body_bytes <= MAX_BODY_BYTES:
            super().requestReceived(command, path, version)

    def handleContentChunk(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes <= MAX_BODY_BYTES:
            super().handleContentChunk(data)
        elif self._body_bytes - len(data) <= MAX_BODY_BYTES:
            self._refuse_body()

    def _refuse_body(self) -> None:
        self._body_bytes = MAX_BODY_BYTES + 1
        self.channel.transport.write(error_answer(413, "the body is too long"))
        self.channel.loseConnection()


class QuietSite(Site):
    """twisted.web without an access log, whose lines would hold addresses."""

    # Not through the proxy object that twisted.web puts in front for HTTP/2.
    protocol: Any = _OneRequest
    requestFactory = _ShortRequest  # noqa: N815
    noisy = False

    def startFactory(self) -> None:
        """There is no file to open."""

    def stopFactory(self) -> None:
        """There is no file to close."""

    def log(self, request: Any) -> None:
        """Say nothing."""


class RelaySite(ServerFactory):
    """
    Listens for everything the relay serves.

    Args:
        websockets: Makes WebSocket connections.
        root: Answers other requests.
        settings: How long the head of the first request may take, and HTTP proxies
            that may say whose a connection is.
        clock: The reactor, or a fake clock.
    """

    noisy = False

    def __init__(
        self,
        websockets: RelayWebSocketFactory,
        root: RootResource,
        settings: LiveSettings,
        clock: IReactorTime,
    ) -> None:
        self._websockets = websockets
        # Forms are not read: there are none.
        self._site = QuietSite(root, reactor=clock, parsePOSTFormSubmission=False)
        self._clock = clock
        # In the order of their deadlines, as nearly all are given the same time.
        self._undecided: dict[FirstRequest, None] = {}
        self._check: IDelayedCall | None = None
        settings.follow(self._apply)

    def _apply(self, settings: Settings) -> None:
        listen = settings.listen
        self._proxies = TrustedProxies(listen) if listen.trusted_proxies else None
        self._head_seconds = settings.timing.handshake_seconds
        self._site.timeOut = self._head_seconds

    def startFactory(self) -> None:
        """The first port is open."""
        self._websockets.doStart()

    def stopFactory(self) -> None:
        """The last port is closed: who has not asked for anything yet is sent off."""
        for request in tuple(self._undecided):
            request.refuse(503, "the relay is shutting down")
        if self._check is not None:
            self._check.cancel()
            self._check = None
        self._websockets.doStop()

    def buildProtocol(self, addr: Any) -> Any:
        """What reads the first request of a new connection."""
        return FirstRequest(self, addr)

    @property
    def has_undecided(self) -> bool:
        """Whether somebody who has connected has not said yet what for."""
        return bool(self._undecided)

    def begun(self, request: FirstRequest) -> None:
        """A connection is new."""
        request.deadline = self._clock.seconds() + self._head_seconds
        self._undecided[request] = None
        if self._check is None:
            self._check = self._clock.callLater(self._head_seconds, self._check_times)

    def settled(self, request: FirstRequest) -> None:
        """It is known what a connection wants, or it is lost."""
        self._undecided.pop(request, None)

    def client_of(self, peer: IAddress, head: bytes, end: int) -> IAddress:
        """Whose connection it is, by its peer and a request's head up to ``end``."""
        if self._proxies is None:
            return peer
        return self._proxies.client_of(peer, head[:end])

    def protocol_for(self, client: IAddress, upgrade: bool) -> Any:
        """A protocol to hand a connection to, by what its first request wants."""
        maker: Any = self._websockets if upgrade else self._site
        return maker.buildProtocol(client)

    def _check_times(self) -> None:
        self._check = None
        now = self._clock.seconds()
        for request in tuple(self._undecided):
            if request.deadline > now:
                self._check = self._clock.callLater(
                    request.deadline - now, self._check_times
                )
                return
            request.time_is_up()


def relay_site(
    websockets: RelayWebSocketFactory,
    settings: LiveSettings,
    facts: Callable[[], Mapping[str, int]],
    clock: IReactorTime,
    own_pubkey: Callable[[], str] = str,
    presented: Callable[[], Settings] | None = None,
    management: IManagement | None = None,
) -> RelaySite:
    """
    The factory for the relay's ports.

    Args:
        websockets: Makes WebSocket connections, and is started and stopped with it.
        settings: What the information document tells; ``listen``, ``timing``.
        facts: Counters of the relay for its page.
        clock: The reactor, or a fake clock.
        own_pubkey: The relay's own public key in hexadecimal, if it has one by then.
        presented: The settings with what has changed since; None if nothing can.
        management: Answers calls to manage the relay; None if there are none.
    """
    presented = presented or (lambda: settings.now)
    root = RootResource(settings, facts, own_pubkey, presented, management)
    return RelaySite(websockets, root, settings, clock)
