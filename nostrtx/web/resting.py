# -*- test-case-name: tests.web.test_resting -*-
"""
Autobahn's server protocol, made cheap to begin and small while nothing happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from autobahn.util import wildcards2patterns
from autobahn.wamp.types import TransportDetails
from autobahn.websocket.protocol import TrafficStats
from autobahn.websocket.utf8validator import Utf8Validator
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from txaio.tx import make_logger

from nostrtx.web.frames import FastReceivingProtocol

#: Autobahn's options. Times are 0 because its timers run on the global reactor: the
#: sweep, and the time limit for the first request, take their places.
OPTIONS: Final[Mapping[str, Any]] = {
    "CONFIG_ATTRS": (),
    "logOctets": False,
    "logFrames": False,
    "trackTimings": False,
    "utf8validateIncoming": True,
    "applyMask": True,
    "maxFramePayloadSize": 0,
    "maxMessagePayloadSize": 0,
    "autoFragmentSize": 0,
    "failByDrop": False,
    "echoCloseCodeReason": True,
    "openHandshakeTimeout": 0,
    "closeHandshakeTimeout": 0,
    "tcpNoDelay": True,
    "autoPingInterval": 0,
    "autoPingTimeout": 0,
    "autoPingSize": 12,
    "autoPingRestartOnAnyTraffic": True,
    "versions": (13,),
    "webStatus": False,
    "requireMaskedClientFrames": True,
    "maskServerFrames": False,
    "perMessageCompressionAccept": staticmethod(lambda offers: None),
    "serveFlashSocketPolicy": False,
    "flashSocketPolicy": "",
    "allowedOrigins": ("*",),
    "allowedOriginsPatterns": tuple(wildcards2patterns(["*"])),
    "allowNullOrigin": True,
    "maxConnections": 0,
    "trustXForwardedFor": 0,
}

#: What Autobahn sets on an instance when a connection begins, and what its parser
#: leaves there between messages.
STATE_AT_REST: Final[Mapping[str, Any]] = {
    "state": FastReceivingProtocol.STATE_CONNECTING,
    "send_state": FastReceivingProtocol.SEND_STATE_GROUND,
    "data": b"",
    "send_queue": (),
    "triggered": False,
    "peer": "a client",
    "trackedTimings": None,
    "trafficStats": TrafficStats(),
    "wasMaxFramePayloadSizeExceeded": False,
    "wasMaxMessagePayloadSizeExceeded": False,
    "closedByMe": False,
    "failedByMe": False,
    "droppedByMe": False,
    "wasClean": False,
    "wasNotCleanReason": None,
    "wasServerConnectionDropTimeout": False,
    "wasOpenHandshakeTimeout": False,
    "wasCloseHandshakeTimeout": False,
    "wasServingFlashSocketPolicyFile": False,
    "localCloseCode": None,
    "localCloseReason": None,
    "remoteCloseCode": None,
    "remoteCloseReason": None,
    "openHandshakeTimeoutCall": None,
    "closeHandshakeTimeoutCall": None,
    "autoPingTimeoutCall": None,
    "autoPingPending": None,
    "autoPingPendingCall": None,
    "autoPingPendingSeq": 0,
    "autoPingPendingSent": None,
    "websocket_version": 13,
    "inside_message": False,
    "current_frame": None,
    "message_data": None,
    "frame_data": None,
    "_perMessageCompress": None,
    # Autobahn fires these, and nobody waits for them.
    "is_open": property(lambda self: Deferred()),
    "is_closed": property(lambda self: Deferred()),
    "_transport_details": TransportDetails(is_secure=False),
}


class RestingProtocol(FastReceivingProtocol):
    """
    Autobahn's protocol with its options and its initial state on the class.

    So a connection is cheap to make (Autobahn copies 29 options and formats them for
    the log) and small while it rests. A test compares this with what Autobahn sets
    on an instance.
    """

    # What Autobahn says of peers names their addresses; our own line says enough.
    log = make_logger(level="error")

    def __init__(self) -> None:
        pass

    @cached_property
    def utf8validator(self) -> Any:  # type: ignore[override]
        """Made for the first message that Autobahn's own parser reads."""
        return Utf8Validator()

    def _connectionMade(self) -> None:
        self.factory.countConnections += 1

    def connectionLost(self, reason: Any = connectionDone) -> None:
        """End Autobahn's part, without its debug lines."""
        self._connectionLost(reason)

    def _rest(self) -> None:
        """Drop what the handshake left behind, and what is as it was on the class."""
        at_rest = type(self)
        self.__dict__ = {
            name: value
            for name, value in vars(self).items()
            if getattr(at_rest, name, self) is not value
            and not name.startswith(("http_", "websocket_", "_wskey"))
        }


for _name, _value in (*OPTIONS.items(), *STATE_AT_REST.items()):
    setattr(RestingProtocol, _name, _value)
