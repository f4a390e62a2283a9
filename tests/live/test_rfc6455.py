"""
The RFC 6455 conformance suite against the relay's WebSocket edge, over real TCP.

The cases are those of the Autobahn TestSuite, run by kosoku: framing, pings, reserved
bits, opcodes, fragmentation, UTF-8, closing and limits (groups 1 to 7 and 10), and
compression (RFC 7692, groups 12 and 13).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from nostrtx.interfaces.edge import IClient, IClientSession, IRelay
from nostrtx.settings.limits import LimitSettings, TimingSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.turns import turns_of
from nostrtx.web.connection import RelayWebSocketProtocol
from nostrtx.web.frames import FRAME_HEADERS
from nostrtx.web.shared_frames import BodyDeflater, DeflatedFrames, FramesByWindow
from nostrtx.web.site import relay_site
from nostrtx.web.transport import write_through
from nostrtx.web.websocket import RelayWebSocketFactory
from tests.web.fakes import nobody_else

FRAMING_GROUPS = (1, 2, 3, 4, 5, 6, 7, 10)
FRAMING_CASES = 247
COMPRESSION_GROUPS = (12, 13)
COMPRESSION_CASES = 216

PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}

#: Runs in a process of its own, for kosoku brings modules named as Autobahn's. A
#: case of groups 12 and 13 has 25 messages instead of 1000, to take a quarter of a
#: minute and not of an hour. It leaves without the interpreter's cleaning up, in
#: which threads of kosoku sometimes crash.
CLIENT = """
import asyncio, json, os, sys, kosoku, kosoku._caseindex
kosoku._caseindex.initialize_shims()
import case12_x_x
for each in case12_x_x.Case12_X_X + case12_x_x.Case13_X_X:
    each.COUNT = 25
async def run():
    try:
        return await kosoku.run_fuzzingclient(
            sys.argv[1], cases=[f"{group}.*" for group in sys.argv[2:]],
            concurrency=4)
    except kosoku.FailureError as failures:
        return failures.results
print(json.dumps([
    (each.case_id, each.behavior.value, each.behavior_close.value)
    for each in asyncio.run(run())]), flush=True)
os._exit(0)
"""


@implementer(IClientSession)
class EchoSession:
    """Sends every message back, as one whose greater part is shared with others."""

    def __init__(self, client: IClient) -> None:
        self._client = client

    def message_received(self, text: bytes) -> None:
        """Send it back."""
        self._client.send_shared(text[:10], text[10:])

    def binary_received(self) -> None:
        """The protocol has sent it back."""

    def connection_lost(self) -> None:
        """There is nothing to release."""

    def shut_down(self, why: str = "shutting down") -> None:
        """There is nothing to answer."""


@implementer(IRelay)
class EchoRelay:
    """Begins echoing sessions."""

    def session(self, client: IClient) -> EchoSession:
        """One more."""
        return EchoSession(client)

    def arrival(self, address: str) -> None:
        """Everybody may connect."""

    def refusal(self, address: str) -> None:
        """Everybody may connect."""

    def on_refusals(self, call: Callable[[], None]) -> None:
        """That never changes."""


def stored(payload: bytes, opcode: int) -> bytes:
    """
    A frame that counts as compressed and is not: one of stored blocks.

    kosoku 0.1.0 fails by itself when an uncompressed message comes after compression
    was agreed on, which is allowed.
    """
    blocks = b""
    for at in range(0, len(payload), 65535):
        block = payload[at : at + 65535]
        length = len(block).to_bytes(2, "little")
        blocks += b"\x00" + length + bytes(byte ^ 0xFF for byte in length) + block
    blocks += b"\x00"
    return bytes((0xC0 | opcode,)) + FRAME_HEADERS[len(blocks)][1:] + blocks


class CountsAsCompressed(DeflatedFrames):
    """Frames as the relay makes them, and stored blocks instead of no compression."""

    def _made(self, head: bytes, body: bytes) -> bytes:
        frame = super()._made(head, body)
        return frame if frame[0] == 0xC1 else stored(head + body, 1)


class EchoedFrames(FramesByWindow):
    """Those, and for clients without compression the usual ones."""

    def deflated(self, window_bits: int) -> DeflatedFrames:
        """For one client; it echoes to no other."""
        return CountsAsCompressed(BodyDeflater(), window_bits)


class EchoingProtocol(RelayWebSocketProtocol):
    """Sends binary messages back too, which a relay has no way to."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Take a message that Autobahn's own parser has read."""
        super().onMessage(payload, isBinary)
        if isBinary:
            self.flush()
            if self._perMessageCompress is None:
                self.sendMessage(payload, True)
            else:
                self.sendData(stored(payload, 2))


class EchoingFactory(RelayWebSocketFactory):
    """Makes the protocols under test."""

    protocol = EchoingProtocol

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.frames = EchoedFrames()


class ConformanceTests(TestCase):
    """The edge is a conforming WebSocket server."""

    timeout = 600

    if find_spec("kosoku") is None:
        skip = "kosoku is not installed"

    async def test_framing(self) -> None:
        """Every case of RFC 6455 passes, and none was left out."""
        self.assertEqual(await self.passed(FRAMING_GROUPS), FRAMING_CASES)

    async def test_compression(self) -> None:
        """Every case of RFC 7692 passes, and none was left out."""
        self.assertEqual(await self.passed(COMPRESSION_GROUPS), COMPRESSION_CASES)

    async def passed(self, groups: Sequence[int]) -> int:
        """How many cases of these groups passed; none may fail."""
        from twisted.internet import reactor

        verifyObject(IRelay, EchoRelay())
        settings = Settings(
            limits=LimitSettings(max_message_bytes=16 * 1024 * 1024),
            timing=TimingSettings(ping_seconds=0),  # kosoku's cases fail upon a ping
        )
        live = LiveSettings(settings)
        turns = turns_of(reactor)
        websockets = EchoingFactory(
            EchoRelay(), live, turns, reactor, nobody_else(reactor), os.urandom
        )
        site = relay_site(websockets, live, dict, reactor)
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port = await endpoint.listen(site)
        self.assertTrue(write_through(port))
        address = port.getHost()
        url = f"ws://{address.host}:{address.port}/"
        try:
            output, errors, code = await getProcessOutputAndValue(
                sys.executable,
                ["-c", CLIENT, url, *map(str, groups)],
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
        return len(results)
