"""
The RFC 6455 conformance suite against the relay's WebSocket edge, over real TCP.

The cases are those of the Autobahn TestSuite, run by kosoku: framing, pings, reserved
bits, opcodes, fragmentation, UTF-8, closing and limits (groups 1 to 7 and 10).
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from nostrtx.config import LimitSettings, Settings
from nostrtx.interfaces import IClient, IClientSession, IRelay
from nostrtx.turns import turns_of
from nostrtx.web.connection import RelayWebSocketProtocol
from nostrtx.web.site import relay_site
from nostrtx.web.transport import write_through
from nostrtx.web.websocket import RelayWebSocketFactory

CASES = 247
PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}

#: Runs in a process of its own, for kosoku brings modules named as Autobahn's.
CLIENT = """
import asyncio, json, sys, kosoku
async def run():
    try:
        return await kosoku.run_fuzzingclient(
            sys.argv[1], cases=[f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 10)],
            concurrency=4)
    except kosoku.FailureError as failures:
        return failures.results
print(json.dumps([
    (each.case_id, each.behavior.value, each.behavior_close.value)
    for each in asyncio.run(run())]))
"""


@implementer(IClientSession)
class EchoSession:
    """Sends every message back."""

    def __init__(self, client: IClient) -> None:
        self._client = client

    def message_received(self, text: bytes) -> None:
        """Send it back."""
        self._client.send(text)

    def binary_received(self) -> None:
        """The protocol has sent it back."""

    def connection_lost(self) -> None:
        """There is nothing to release."""

    def shut_down(self) -> None:
        """There is nothing to answer."""


@implementer(IRelay)
class EchoRelay:
    """Begins echoing sessions."""

    def session(self, client: IClient) -> EchoSession:
        """One more."""
        return EchoSession(client)


class EchoingProtocol(RelayWebSocketProtocol):
    """Sends binary messages back too, which a relay has no way to."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Take a message that Autobahn's own parser has read."""
        super().onMessage(payload, isBinary)
        if isBinary:
            self.flush()
            self.sendMessage(payload, True)


class EchoingFactory(RelayWebSocketFactory):
    """Makes the protocols under test."""

    protocol = EchoingProtocol


class ConformanceTests(TestCase):
    """The edge is a conforming WebSocket server."""

    timeout = 300

    if find_spec("kosoku") is None:
        skip = "kosoku is not installed"

    async def test_all_cases(self) -> None:
        """Every case passes, and none was left out."""
        from twisted.internet import reactor

        verifyObject(IRelay, EchoRelay())
        settings = Settings(limits=LimitSettings(max_message_bytes=16 * 1024 * 1024))
        turns = turns_of(reactor)
        websockets = EchoingFactory(EchoRelay(), settings, turns, reactor)
        site = relay_site(websockets, settings, dict, reactor)
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port = await endpoint.listen(site)
        self.assertTrue(write_through(port))
        address = port.getHost()
        url = f"ws://{address.host}:{address.port}/"
        try:
            output, errors, code = await getProcessOutputAndValue(
                sys.executable,
                ["-c", CLIENT, url],
                env=dict(os.environ),
                reactor=reactor,
            )
        finally:
            closing = port.stopListening()
            if isinstance(closing, Deferred):
                await closing
            await websockets.shut_down(1)
        self.assertEqual(code, 0, errors.decode())
        results = json.loads(output)
        self.assertEqual(
            [each for each in results if not PASSED.issuperset(each[1:])], []
        )
        self.assertEqual(len(results), CASES)
