"""Tests for :mod:`nostrtx.relay.identification.lookup`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IResponse
from zope.interface import implementer
from zope.interface.verify import verifyObject

from nostrtx.nostr.identifiers import Identifier
from nostrtx.relay.identification.lookup import DomainLookup, LookupFailed
from nostrtx.settings.access import Nip05Settings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings

_BOB = Identifier("bob", "example.com")


@implementer(IResponse)
class FakeResponse:
    """A response whose body comes when the test says."""

    version = (b"HTTP", 1, 1)
    phrase = b""
    request: Any = None
    previousResponse: Any = None  # noqa: N815

    def __init__(self, code: int) -> None:
        self.code = code
        self.headers = Headers()
        self.length = UNKNOWN_LENGTH
        self.transport = StringTransport()
        self.body: Any = None

    def deliverBody(self, protocol: Any) -> None:
        """Keep who takes the body."""
        self.body = protocol
        protocol.makeConnection(self.transport)

    def setPreviousResponse(self, response: Any) -> None:
        """There is none."""

    def send(self, *parts: bytes) -> None:
        """Deliver parts, then the end."""
        for part in parts:
            self.body.dataReceived(part)
        self.body.connectionLost(Failure(ResponseDone()))


@implementer(IAgent)
class FakeAgent:
    """
    Keeps requests, which the test answers.

    Attributes:
        requests: Method, URL, headers, and what the asker waits for.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, bytes, Any, Deferred[Any]]] = []

    def request(
        self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None
    ) -> Deferred[Any]:
        """Keep it."""
        answer: Deferred[Any] = Deferred()
        self.requests.append((method, uri, headers, answer))
        return answer


def asking(**settings: Any) -> LiveSettings:
    """Settings that say what a domain may take."""
    return LiveSettings(Settings(nip05=Nip05Settings(**settings)))


class DomainLookupTests(SynchronousTestCase):
    """Asking domains."""

    def setUp(self) -> None:
        """Nothing was asked yet."""
        self.clock = Clock()
        self.agent = FakeAgent()
        self.lookup = DomainLookup(
            self.agent,
            self.clock,
            asking(max_lookups=2, timeout_seconds=5, max_document_bytes=1024),
        )

    def ask(self, identifier: Identifier = _BOB) -> Deferred[bytes]:
        """Ask for an identifier."""
        return Deferred.fromCoroutine(self.lookup.document(identifier))

    def respond(self, code: int = 200, at: int = -1) -> FakeResponse:
        """Begin to answer a request."""
        response = FakeResponse(code)
        self.agent.requests[at][3].callback(response)
        return response

    def test_interfaces(self) -> None:
        """The fakes are what treq is promised."""
        self.assertTrue(verifyObject(IAgent, self.agent))
        self.assertTrue(verifyObject(IResponse, FakeResponse(200)))

    def test_document(self) -> None:
        """The body of a good answer is given, in whatever parts it came."""
        asked = self.ask()
        ((method, url, _, _),) = self.agent.requests
        self.assertEqual((method, url), (b"GET", _BOB.url.encode()))
        self.respond().send(b'{"names"', b":{}}")
        self.assertEqual(self.successResultOf(asked), b'{"names":{}}')

    def test_other_answers(self) -> None:
        """No other status counts, and a redirect is not followed."""
        for code in (301, 302, 404, 500, 204):
            asked = self.ask()
            response = FakeResponse(code)
            response.headers.setRawHeaders("location", ["https://elsewhere.example/"])
            before = len(self.agent.requests)
            self.agent.requests[-1][3].callback(response)
            self.failureResultOf(asked, LookupFailed)
            self.assertEqual(len(self.agent.requests), before)
            self.assertTrue(response.transport.disconnecting)

    def test_too_long(self) -> None:
        """An answer beyond the limit is given up, and the connection with it."""
        asked = self.ask()
        response = self.respond()
        response.body.dataReceived(bytes(1024))
        self.assertNoResult(asked)
        response.body.dataReceived(b"x")
        self.failureResultOf(asked, LookupFailed)
        self.assertTrue(response.transport.disconnecting)

    def test_too_slow(self) -> None:
        """The time holds for the head and the body together."""
        asked = self.ask()
        self.clock.advance(5)
        self.failureResultOf(asked, LookupFailed)
        asked = self.ask()
        self.clock.advance(4)
        self.respond().body.dataReceived(b"{")
        self.clock.advance(0.9)
        self.assertNoResult(asked)
        self.clock.advance(0.2)
        self.failureResultOf(asked, LookupFailed)

    def test_fails(self) -> None:
        """Whatever goes wrong is a lookup that failed."""
        asked = self.ask()
        self.agent.requests[0][3].errback(ZeroDivisionError())
        self.failureResultOf(asked, LookupFailed)

    def test_so_many_at_a_time(self) -> None:
        """Beyond the limit one waits for another to end."""
        asked = [self.ask() for _ in range(3)]
        self.assertEqual(len(self.agent.requests), 2)
        self.respond(at=0).send(b"1")
        self.assertEqual(self.successResultOf(asked[0]), b"1")
        self.assertEqual(len(self.agent.requests), 3)
        for at in (1, 2):
            self.respond(at=at).send(b"2")
            self.assertEqual(self.successResultOf(asked[at]), b"2")

    def test_more_at_a_time(self) -> None:
        """More domains may be asked at a time as soon as the settings say so."""
        settings = asking(max_lookups=1)
        self.lookup = DomainLookup(self.agent, self.clock, settings)
        asked = [self.ask() for _ in range(2)]
        self.assertEqual(len(self.agent.requests), 1)
        settings.change(asking(max_lookups=2).now)
        asked += [self.ask() for _ in range(3)]
        self.assertEqual(len(self.agent.requests), 3)
        self.respond(at=0).send(b"1")
        self.assertEqual(self.successResultOf(asked[0]), b"1")
        self.assertEqual(len(self.agent.requests), 4)
        for waiting in asked[1:]:
            waiting.cancel()
            self.failureResultOf(waiting)

    def test_other_ports(self) -> None:
        """No other port is asked, unless that is allowed."""
        identifier = Identifier("bob", "example.com", 8443)
        self.failureResultOf(self.ask(identifier), LookupFailed)
        self.assertEqual(self.agent.requests, [])
        self.lookup = DomainLookup(self.agent, self.clock, asking(local_addresses=True))
        asked = self.ask(identifier)
        self.assertEqual(
            self.agent.requests[0][1],
            b"https://example.com:8443/.well-known/nostr.json?name=bob",
        )
        self.respond().send(b"{}")
        self.assertEqual(self.successResultOf(asked), b"{}")
