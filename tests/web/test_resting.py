"""Tests for :mod:`nostrtx.web.resting`."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.web.resting import OPTIONS, STATE_AT_REST, RestingProtocol
from tests.web.fakes import HANDSHAKE, Edge, FakeTransport, client_frame

#: Options of which ours differ from Autobahn's, on purpose.
OURS = {
    "failByDrop": False,
    "echoCloseCodeReason": True,
    "openHandshakeTimeout": 0,
    "closeHandshakeTimeout": 0,
    "versions": (13,),
    "webStatus": False,
    "flashSocketPolicy": "",
}

#: What Autobahn sets that has no value to compare, or one made when it is needed.
MADE_LATER = {
    "utf8validator",
    "trafficStats",
    "send_queue",
    "is_open",
    "is_closed",
    "_transport_details",
    "peer",
}

#: What nobody reads if no events are listened for.
UNUSED = {"_valid_events", "_results"}


def stock() -> Any:
    """Autobahn's protocol before its handshake."""
    factory = WebSocketServerFactory(reactor=MemoryReactorClock())
    factory.setProtocolOptions(openHandshakeTimeout=0, allowNullOrigin=True)
    connection: Any = WebSocketServerProtocol()
    connection.factory = factory
    connection.makeConnection(FakeTransport())
    return connection


class RestingProtocolTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.web.resting.RestingProtocol`."""

    def test_all_options(self) -> None:
        """Each option that Autobahn reads is there, as Autobahn has it or as meant."""
        factory = WebSocketServerFactory(reactor=MemoryReactorClock())
        for name in WebSocketServerProtocol.CONFIG_ATTRS:
            if name == "perMessageCompressionAccept":
                self.assertIsNone(getattr(RestingProtocol, name)([]))
            elif name in OURS:
                self.assertEqual(OPTIONS[name], OURS[name], name)
            elif name.startswith("allowedOrigins"):
                self.assertEqual(list(OPTIONS[name]), getattr(factory, name), name)
            else:
                self.assertEqual(OPTIONS[name], getattr(factory, name), name)

    def test_all_state(self) -> None:
        """All that Autobahn sets when a connection begins is there, with its value."""
        options = set(WebSocketServerProtocol.CONFIG_ATTRS)
        set_by_autobahn = set(vars(stock())) - options - UNUSED
        ours = Edge().websockets.buildProtocol(None)
        for name in set_by_autobahn - {"factory", "transport", "connected"}:
            value = getattr(ours, name)
            if name not in MADE_LATER:
                self.assertEqual(value, getattr(stock(), name), name)

    def test_handshake_leaves_little(self) -> None:
        """An open connection holds nothing of its handshake."""
        connection, _, _ = Edge().open()
        left = [name for name in vars(connection) if name.startswith(("http", "webs"))]
        self.assertEqual(left, [])
        self.assertLess(len(vars(connection)), 15)

    def test_same_answer_as_autobahn(self) -> None:
        """The handshake is answered as Autobahn answers it, but for its name."""
        expected = stock()
        expected.dataReceived(HANDSHAKE)
        _, transport = Edge().connect()
        lines, stock_lines = (
            [line for line in answer.split(b"\r\n") if not line.startswith(b"Server:")]
            for answer in (transport.value(), expected.transport.value())
        )
        self.assertEqual(lines, stock_lines)

    def test_validators_are_not_shared(self) -> None:
        """Two connections amid fragmented texts do not disturb one another."""
        edge = Edge()
        first, _, first_session = edge.open()
        second, _, second_session = edge.open()
        euro = "€".encode()
        first.dataReceived(client_frame(euro[:1], 1, fin=False))
        second.dataReceived(client_frame(b"plain", 1, fin=False))
        first.dataReceived(client_frame(euro[1:], 0))
        second.dataReceived(client_frame(b"", 0))
        self.assertEqual(first_session.texts, [euro])
        self.assertEqual(second_session.texts, [b"plain"])

    def test_state_is_never_shared(self) -> None:
        """What is on the class cannot be changed through a connection."""
        mutable = [
            name
            for name, value in STATE_AT_REST.items()
            if isinstance(value, list | dict | set | bytearray)
        ]
        self.assertEqual(mutable, [])
