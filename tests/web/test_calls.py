"""Tests for calls to manage the relay at :class:`nostrtx.web.root.RootResource`."""

from __future__ import annotations

import json
from typing import Any

import attrs
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from nostrtx.interfaces.edge import IManagement
from nostrtx.settings.access import ManagementSettings
from nostrtx.settings.identity import RelaySettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.site import MAX_BODY_BYTES, relay_site
from tests.web.fakes import Edge, FakeManagement
from tests.web.test_root import Answer
from tests.web.test_site import GET, SiteCase

_TYPE = "application/nostr+json+rpc"
_BODY = b'{"method":"supportedmethods"}'


class CallTests(SiteCase):
    """What comes of a POST request."""

    def setUp(self) -> None:
        """Start a relay that is managed."""
        self.edge = Edge()
        self.management = FakeManagement()
        self.presented = Settings(management=ManagementSettings(owners=("aa" * 32,)))
        self.site = relay_site(
            self.edge.websockets,
            LiveSettings(self.presented),
            dict,
            self.edge.clock,
            presented=lambda: self.presented,
            management=self.management,
        )
        self.site.doStart()

    def post(
        self,
        body: bytes = _BODY,
        content_type: str = _TYPE,
        path: str = "/",
        **more: str,
    ) -> Any:
        """A connection that has sent a whole request."""
        transport: Any = self.connect()
        headers = {"Host": "relay.example", "Content-Length": str(len(body)), **more}
        if content_type:
            headers["Content-Type"] = content_type
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        head = f"POST {path} HTTP/1.1\r\n{''.join(lines)}\r\n"
        transport.protocol.dataReceived(head.encode() + body)
        return transport

    def answered(self, transport: Any, code: int, body: bytes) -> Answer:
        """The HTTP answer, once the call has its own."""
        self.assertEqual(transport.value(), b"")
        self.management.answers[-1].callback((code, body))
        self.assertTrue(transport.disconnecting)
        return Answer(transport.value())

    def test_interface(self) -> None:
        """The fake provides what the relay does."""
        self.assertTrue(verifyObject(IManagement, self.management))

    def test_call(self) -> None:
        """A call is answered when it is done, and any web page may read that."""
        transport = self.post(path="/?a=b", Authorization="Nostr e30=")
        self.assertEqual(self.management.calls, [(b"Nostr e30=", "a=b", _BODY)])
        answer = self.answered(transport, 200, b'{"result":[]}')
        self.assertEqual(answer.code, 200)
        self.assertEqual(json.loads(answer.body), {"result": []})
        self.assertEqual(answer.headers["content-type"], f"{_TYPE}; charset=utf-8")
        self.assertEqual(answer.headers["access-control-allow-origin"], "*")
        self.assertEqual(answer.headers["cache-control"], "no-store")

    def test_spellings(self) -> None:
        """The type may have parameters and any case."""
        for content_type in (_TYPE.upper(), f"{_TYPE}; charset=UTF-8", f" {_TYPE} ;"):
            transport = self.post(content_type=content_type)
            answer = self.answered(transport, 200, b"{}")
            self.assertEqual(answer.code, 200, content_type)
        self.assertEqual(self.management.calls, [(None, "", _BODY)] * 3)

    def test_refused(self) -> None:
        """Who may not is told what would help, also if that is a web page."""
        answer = self.answered(self.post(), 401, b'{"error":"auth-required: x"}')
        self.assertEqual(answer.code, 401)
        self.assertEqual(answer.headers["www-authenticate"], "Nostr")
        self.assertEqual(answer.headers["access-control-allow-origin"], "*")
        answer = self.answered(self.post(), 403, b'{"error":"restricted: x"}')
        self.assertEqual(answer.code, 403)
        self.assertNotIn("www-authenticate", answer.headers)

    def test_preflight(self) -> None:
        """A browser is told, without authorization, that a web page may call."""
        request = (
            b"OPTIONS / HTTP/1.1\r\nHost: relay.example\r\n"
            b"Access-Control-Request-Method: POST\r\n"
            b"Access-Control-Request-Headers: authorization,content-type\r\n\r\n"
        )
        answer = Answer(self.ask(request))
        self.assertEqual(answer.code, 204)
        self.assertIn("POST", answer.headers["access-control-allow-methods"])
        self.assertIn("POST", answer.headers["allow"])
        allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
        self.assertLessEqual({"authorization", "content-type"}, set(allowed))
        self.assertEqual(self.management.calls, [])

    def test_other_type(self) -> None:
        """What is no call by its type is not looked at."""
        for content_type in ("", "application/json", "text/plain", _TYPE[:-1]):
            transport = self.post(content_type=content_type)
            self.assertEqual(Answer(transport.value()).code, 415, content_type)
        self.assertEqual(self.management.calls, [])

    def test_other_path(self) -> None:
        """The relay is managed at its own URL and at no other."""
        self.assertEqual(Answer(self.post(path="/x").value()).code, 404)
        self.assertEqual(self.management.calls, [])

    def test_long_body(self) -> None:
        """A body that is longer than any call is not even kept."""
        transport = self.post(bytes(MAX_BODY_BYTES + 1))
        self.assertEqual(Answer(transport.value()).code, 413)
        self.assertEqual(self.management.calls, [])

    def test_gone(self) -> None:
        """A client that does not wait for the answer does no harm."""
        transport = self.post()
        transport.protocol.connectionLost(Failure(ConnectionLost()))
        self.management.answers[-1].callback((200, b"{}"))
        self.assertEqual(transport.value(), b"")

    def test_presented(self) -> None:
        """What was changed is in the document and on the page at once."""
        accepting = GET.replace(
            b"\r\n\r\n", b"\r\nAccept: application/nostr+json\r\n\r\n"
        )
        self.assertNotIn(b"&lt;b&gt;new", self.ask(GET))
        self.assertEqual(
            json.loads(Answer(self.ask(accepting)).body)["name"], "nostrtx"
        )
        changed = RelaySettings(name="<b>new", icon="https://a.example/i.png")
        self.presented = attrs.evolve(self.presented, relay=changed)
        document = json.loads(Answer(self.ask(accepting)).body)
        self.assertEqual(document["name"], "<b>new")
        self.assertEqual(document["icon"], "https://a.example/i.png")
        self.assertIn(b"<h1>&lt;b&gt;new</h1>", self.ask(GET))
