# -*- test-case-name: tests.web.test_connection -*-
"""
WebSocket connections: Autobahn on one side, the relay's sessions on the other.

Only an adapter. What a session sends is gathered, and leaves as one write at the
end of the reactor's turn; what the client has not taken is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autobahn.util import encode_truncate
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.logger import Logger
from zope.interface import implementer

from nostrtx.interfaces.edge import IClient, IClientSession
from nostrtx.web.answers import error_answer
from nostrtx.web.deflate import Inflater, agree
from nostrtx.web.frames import FRAME_HEADERS
from nostrtx.web.resting import RestingProtocol
from nostrtx.web.shared_frames import SharedFrames
from nostrtx.web.shedding import IShed
from nostrtx.web.sweep import ISwept
from nostrtx.web.transport import FastServer, IOutlet, ProducerOutlet

#: With more than this unsent, a stored query should wait.
FULL_BYTES = 256 * 1024

#: How long the other side may take to end a connection that is being closed.
CLOSE_SECONDS = 5.0

_OPEN = RestingProtocol.STATE_OPEN
_CLOSED = RestingProtocol.STATE_CLOSED

_GOING_AWAY = RestingProtocol.CLOSE_STATUS_CODE_GOING_AWAY
_SERVICE_RESTART = RestingProtocol.CLOSE_STATUS_CODE_SERVICE_RESTART
_INTERNAL_ERROR = RestingProtocol.CLOSE_STATUS_CODE_INTERNAL_ERROR

#: What clients are told when another process serves in place of this one.
_RESTARTING = "restarting, reconnect"

_PING = b"\x89\x00"


@implementer(IClientSession)
class NoSession:
    """Stands in before a session began and after it ended."""

    def message_received(self, text: bytes) -> None:
        """Nobody is there to take it."""

    def binary_received(self) -> None:
        """Nobody is there to take it."""

    def connection_lost(self) -> None:
        """There is nothing to release."""

    def shut_down(self, why: str = "shutting down") -> None:
        """There is nothing to answer."""


NO_SESSION = NoSession()


@implementer(IClient, ISwept, IShed)
class RelayWebSocketProtocol(RestingProtocol):
    """
    One connection: adapts Autobahn to a session, and is that session's client.

    Attributes:
        compression: Whether clients may send, and be sent, compressed messages.
        shared_frames: Makes frames that go to this and to other clients.
        address: The client's IP address; empty if it has none.
        number: Counts connections, for the log.
        messages_sent: Text messages that have left.
        bytes_sent: Their bytes, with frame headers.
    """

    _log = Logger()
    _session: IClientSession = NO_SESSION
    transport: Any
    _outlet: IOutlet
    _queued_bytes = 0
    _ready: list[Deferred[None]] | None = None
    _received_before_ping = -1
    _retry_seconds = 0
    compression: bool
    shared_frames: SharedFrames
    address = ""
    number = 0
    messages_sent = 0
    bytes_sent = 0

    # -- what Twisted and Autobahn call

    def connectionMade(self) -> None:
        """The connection is handed over, before its first byte is read."""
        transport = self.transport
        self._queue: list[bytes] = []
        if isinstance(transport, FastServer):
            self._outlet = transport
        else:
            self._outlet = ProducerOutlet(transport)
            if hasattr(transport, "setTcpNoDelay"):
                transport.setTcpNoDelay(True)
        self._connectionMade()

    def onConnect(self, request: ConnectionRequest) -> None:
        """Accept the connection, or refuse it with an HTTP status."""
        if path_of(self.http_request_uri) != "/":
            raise ConnectionDeny(404, "there is no relay at this path")
        refusal = self.factory.refusal(self.address, request.origin or "")
        if refusal is not None:
            code, reason, self._retry_seconds = refusal
            raise ConnectionDeny(code, reason)

    def sendHttpErrorResponse(
        self, code: int, reason: str, responseHeaders: Any = None
    ) -> None:
        """Refuse the upgrade as every other HTTP request is refused."""
        headers = list(responseHeaders or ())
        if self._retry_seconds:
            headers.append(("Retry-After", str(self._retry_seconds)))
        self.transport.write(error_answer(code, reason, headers))

    def succeedHandshake(self, res: Any) -> None:
        """Answer the handshake, and let go of what only it needed."""
        offers, self.websocket_extensions = self.websocket_extensions, []
        agreement = agree(offers) if offers and self.compression else None
        if agreement is not None:
            self._perMessageCompress = Inflater()
            self.shared_frames = self.factory.frames.deflated(agreement.window_bits)
            res = (None, {"Sec-WebSocket-Extensions": agreement.answer})
        super().succeedHandshake(res)
        if self.state == _OPEN:
            self._rest()

    def onOpen(self) -> None:
        """Begin a session."""
        factory = self.factory
        self.number = next(factory.numbers)
        self._opened_at = factory.clock.seconds()
        factory.opened(self)
        try:
            self._session = factory.relay.session(self)
        except Exception:
            self._fail("Beginning a session failed.")

    def text_received(self, text: bytes) -> None:
        """Hand a text message to the session."""
        try:
            self._session.message_received(text)
        except Exception:
            self._fail("A session failed to take a message.")

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Hand a message to the session that Autobahn's own parser read."""
        if self.state != _OPEN:
            return
        if not isBinary:
            self.messages_received += 1
            self.text_received(payload)
            return
        try:
            self._session.binary_received()
        except Exception:
            self._fail("A session failed to take a message.")

    def onPing(self, payload: bytes) -> None:
        """Answer, unless the client takes no answers."""
        if self.state == _OPEN:
            self._outlet.write(bytes((0x8A, len(payload))) + payload)
            self._check_reader()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Release all that is held for the client."""
        factory = self.factory
        factory.sweep.ended(self)
        if not self.number:
            return
        session, self._session = self._session, NO_SESSION
        self._drop_queue()
        factory.closed(self)
        try:
            session.connection_lost()
        except Exception:
            self._log.failure("A session failed to end.")
        waiting, self._ready = self._ready, None
        for ready in waiting or ():
            ready.errback(CancelledError())
        if not factory.logs_connections:
            return
        self._log.info(
            "Connection {number}{from_where} ended after {seconds:.1f} s:"
            " {messages_in} messages"
            " ({bytes_in} bytes) in, {messages_out} messages ({bytes_out} bytes) out,"
            " code {code}. {why}",
            number=self.number,
            from_where=factory.from_where(self.address),
            seconds=factory.clock.seconds() - self._opened_at,
            messages_in=self.messages_received,
            bytes_in=self.bytes_received,
            messages_out=self.messages_sent,
            bytes_out=self.bytes_sent,
            code=(self.remoteCloseCode or self.localCloseCode or 1006),
            why=self.wasNotCleanReason or "",
        )

    def sendCloseFrame(
        self,
        code: int | None = None,
        reasonUtf8: bytes | None = None,
        isReply: bool = False,
    ) -> None:
        """Say good-bye behind all that was to be sent."""
        self.flush()
        self.factory.sweep.expect_end(self, CLOSE_SECONDS)
        super().sendCloseFrame(code=code, reasonUtf8=reasonUtf8, isReply=isReply)

    def dropConnection(self, abort: bool = False) -> None:
        """End the connection; after a clean good-bye let the last bytes arrive."""
        self.factory.sweep.expect_end(self, CLOSE_SECONDS)
        super().dropConnection(abort=abort and not self.wasClean)

    def unregisterProducer(self) -> None:
        """Autobahn calls this before it ends a connection."""
        if isinstance(self._outlet, ProducerOutlet):
            self._outlet.detach()

    # -- IClient

    def send(self, message: bytes) -> None:
        """See :meth:`IClient.send`."""
        if self.state != _OPEN:
            return
        queue = self._queue
        if not queue:
            self.factory.to_flush(self)
        frame = FRAME_HEADERS[len(message)] + message
        queue.append(frame)
        self._queued_bytes += len(frame)
        if self._queued_bytes > FULL_BYTES:
            self.flush()

    def send_events(self, head: bytes, events: Sequence[bytes]) -> None:
        """See :meth:`IClient.send_events`."""
        if self.state != _OPEN or not events:
            return
        queue = self._queue
        if not queue:
            self.factory.to_flush(self)
        headers = FRAME_HEADERS
        around = len(head) + 1
        queue += [
            part
            for event in events
            for part in (headers[around + len(event)], head, event, b"]")
        ]
        # Each piece of the queue will count as a message, and an event has four.
        self.messages_sent -= 3 * len(events)
        self._queued_bytes += sum(map(len, events)) + (around + 4) * len(events)
        if self._queued_bytes > FULL_BYTES:
            self.flush()

    def send_shared(self, head: bytes, body: bytes) -> None:
        """See :meth:`IClient.send_shared`."""
        if self.state != _OPEN:
            return
        queue = self._queue
        if not queue:
            self.factory.to_flush(self)
        frame = self.shared_frames.frame(head, body)
        queue.append(frame)
        self._queued_bytes += len(frame)
        if self._queued_bytes > FULL_BYTES:
            self.flush()

    def is_full(self) -> bool:
        """See :meth:`IClient.is_full`."""
        return self._queued_bytes + self._outlet.unsent_bytes() > FULL_BYTES

    def when_ready(self) -> Deferred[None]:
        """See :meth:`IClient.when_ready`."""
        if self.state != _OPEN:
            return fail(CancelledError())
        if not self.is_full():
            return succeed(None)
        ready: Deferred[None] = Deferred(self._no_longer_waited_for)
        if self._ready is None:
            self._ready = []
        self._ready.append(ready)
        self._outlet.call_when_drained(self._drained)
        return ready

    def close(self, code: int, reason: str) -> None:
        """See :meth:`IClient.close`."""
        if self.state == _OPEN:
            self.sendCloseFrame(code=code, reasonUtf8=encode_truncate(reason, 123))

    # -- what the factory and the sweep call

    def flush(self) -> None:
        """Write what is queued, as one piece."""
        queue = self._queue
        if not queue or self.state != _OPEN:
            return
        data = queue[0] if len(queue) == 1 else b"".join(queue)
        self.messages_sent += len(queue)
        self.bytes_sent += len(data)
        queue.clear()
        self._queued_bytes = 0
        self._outlet.write(data)
        self._check_reader()

    def visited(self) -> None:
        """See :meth:`ISwept.visited`."""
        if self.state != _OPEN:
            return
        if self.bytes_received == self._received_before_ping:
            self.abort("the peer is silent")
            return
        self._received_before_ping = self.bytes_received
        self._outlet.write(_PING)

    def overdue(self) -> None:
        """See :meth:`ISwept.overdue`."""
        self.abort("the connection did not end in time")

    def shut_down(self) -> None:
        """Answer everything open, then close."""
        try:
            self._session.shut_down()
        except Exception:
            self._log.failure("A session failed to shut down.")
        self.close(_GOING_AWAY, "the relay is shutting down")

    def begin_to_leave(self) -> None:
        """See :meth:`IShed.begin_to_leave`."""
        try:
            self._session.shut_down(_RESTARTING)
        except Exception:
            self._log.failure("A session failed to shut down.")
        self.transport.pauseProducing()

    def leave(self) -> None:
        """See :meth:`IShed.leave`."""
        self.close(_SERVICE_RESTART, _RESTARTING)
        self.transport.resumeProducing()

    def abort(self, why: str) -> None:
        """End the connection at once."""
        self._drop_queue()
        self.wasClean = False
        self.wasNotCleanReason = why
        if self.state == _CLOSED:
            self._closeConnection(abort=True)
        else:
            self.dropConnection(abort=True)

    # -- within

    def _drop_queue(self) -> None:
        self._queue.clear()
        self._queued_bytes = 0

    def _check_reader(self) -> None:
        unsent = self._outlet.unsent_bytes()
        if unsent > self.factory.max_outbound_bytes:
            self.factory.slow_readers += 1
            self._log.warn(
                "Connection {number} is cut off: {unsent} bytes wait for its peer.",
                number=self.number,
                unsent=unsent,
            )
            self.abort("a slow reader")
        elif self._ready is not None and unsent <= FULL_BYTES:
            self._release_waiting()

    def _drained(self) -> None:
        self.flush()
        if self._ready is None or self.state != _OPEN:
            return
        if self.is_full():
            self._outlet.call_when_drained(self._drained)
        else:
            self._release_waiting()

    def _release_waiting(self) -> None:
        waiting, self._ready = self._ready, None
        for ready in waiting or ():
            ready.callback(None)

    def _no_longer_waited_for(self, ready: Deferred[None]) -> None:
        if self._ready is not None and ready in self._ready:
            self._ready.remove(ready)

    def _fail(self, what: str) -> None:
        self._log.failure(what)
        self.close(_INTERNAL_ERROR, "internal error")


def path_of(target: str) -> str:
    """The path in an HTTP request's target, the empty one as ``/``."""
    scheme, separator, rest = target.partition("://")
    if separator and scheme.lower() in ("http", "https", "ws", "wss"):
        _, slash, path = rest.partition("/")
        target = slash + path
    return target.partition("?")[0] or "/"
