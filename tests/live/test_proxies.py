"""Relays behind HAProxy and nginx, with the configurations that operators are given."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import sys
from collections import Counter
from collections.abc import Mapping
from signal import SIGCONT, SIGSTOP
from typing import Any
from urllib.request import Request, urlopen

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessValue
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest
from twisted.web.http import Request as Asked
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.deployment import Dockerfile
from tests.live.authors import Author
from tests.live.client import ConnectionEnded, Reachable
from tests.live.haproxy import HAPROXY_MISSING, HAProxy
from tests.live.live_case import LiveTestCase
from tests.live.nginx import NGINX_MISSING, STREAM_MISSING, Nginx
from tests.live.occasion import Occasion
from tests.live.reactor import reactor
from tests.live.relay_process import FREE_PORT, PROXIED, WITH_PAGES, RelayProcess

_ALICE = b"PROXY TCP4 203.0.113.7 203.0.113.1 40000 443\r\n"
_BOB = b"PROXY TCP6 2001:db8::8 2001:db8::1 40000 443\r\n"

#: nginx writes IPv6 without what RFC 7239 asks for around it.
_FORWARDED = {
    "X-Forwarded-For $proxy_add_x_forwarded_for": "Forwarded $nostrtx_for",
    "map $http_upgrade": """map $remote_addr $nostrtx_for {
    "~:"    "for=\\"[$remote_addr]\\"";
    default "for=$remote_addr";
}
map $http_upgrade""",
}

_TRUSTING = "[listen]\ntrusted_proxies = ['127.0.0.1']\n"
_FEW = "[limits]\nmax_connections_per_address = 2\n"
_LOGGED = "[log]\nconnections = true\n"


class _Pages(Resource):
    """
    The operator's pages of a node whose store may be away.

    Attributes:
        code: The status that is answered.
        asked: For what.
    """

    isLeaf = True  # noqa: N815

    def __init__(self) -> None:
        super().__init__()
        self.code = 200
        self.asked: set[bytes] = set()

    def render_GET(self, request: Asked) -> bytes:
        self.asked.add(request.uri)
        request.setResponseCode(self.code)
        return b""


class ProxyTestCase(LiveTestCase):
    """A test with relays that share a store, and a proxy in front of them."""

    async def start_relays(
        self, count: int, settings: str = "", listen: str = PROXIED
    ) -> list[RelayProcess]:
        """Some relays."""
        settings += WITH_PAGES
        return [await self.start_relay(settings, listen) for _ in range(count)]

    async def start_haproxy(
        self,
        relays: list[RelayProcess],
        secure: bool = False,
        proxied: bool = False,
        changes: Mapping[str, str] | None = None,
    ) -> HAProxy:
        """HAProxy in front of ``relays``; ends with the test."""
        if HAPROXY_MISSING:
            raise SkipTest(HAPROXY_MISSING)
        nodes = [relay.node for relay in relays]
        proxy = await HAProxy.start(nodes, secure, proxied, changes)
        self.addCleanup(proxy.stop)
        return proxy

    async def start_nginx(
        self,
        relays: list[RelayProcess],
        stream: bool = False,
        proxied: bool = False,
        changes: Mapping[str, str] | None = None,
    ) -> Nginx:
        """The same with nginx."""
        missing = NGINX_MISSING or (STREAM_MISSING if stream else None)
        if missing:
            raise SkipTest(missing)
        nodes = [relay.address for relay in relays]
        proxy = await Nginx.start(nodes, stream, proxied, changes)
        self.addCleanup(proxy.stop)
        return proxy

    async def assert_serves(self, proxy: HAProxy | Nginx) -> None:
        """Publishing, querying and live events work through ``proxy``."""
        reader = await self.connect(proxy, proxy.certificate)
        reader.send("REQ", "live", {"limit": 0})
        self.assertEqual((await reader.receive())[:2], ["EOSE", "live"])
        writer = await self.connect(proxy, proxy.certificate)
        author = Author("behind a proxy")
        notes = [author.sign(f"note {number}") for number in range(100)]
        notes.append(author.sign("ü" * 200_000))
        answers = await writer.publish(notes)
        self.assertEqual({ok for ok, _ in answers.values()}, {True})
        heard = [(await reader.receive())[2] for _ in notes]
        ids = {note["id"] for note in notes}
        self.assertEqual({note["id"] for note in heard}, ids)
        found = await writer.by_id([note["id"] for note in notes])
        self.assertEqual(set(found), ids)

    async def assert_document(self, proxy: HAProxy | Nginx) -> None:
        """The information document and the page come from the same URL."""
        context = ssl.create_default_context(cafile=str(proxy.certificate))
        url = proxy.url.replace("wss://", "https://")

        def get(accept: str) -> Any:
            request = Request(url, headers={"Accept": accept})
            with urlopen(request, timeout=20, context=context) as answer:
                return answer.headers["Content-Type"], answer.read()

        kind, body = await deferToThread(get, "application/nostr+json")
        self.assertTrue(kind.startswith("application/nostr+json"))
        self.assertIn(1, json.loads(body)["supported_nips"])
        kind, body = await deferToThread(get, "text/html")
        self.assertTrue(kind.startswith("text/html"))

    async def assert_limited(self, proxy: Reachable) -> None:
        """Each address has two connections, whatever the other one has."""
        opened = []
        for before in (_ALICE, _BOB):
            opened += [await self.connect(proxy, before=before) for _ in range(2)]
        for client, before in zip(opened[::2], (_ALICE, _BOB), strict=True):
            # Workers tell one another of connections within milliseconds, not at once.
            await self._until(proxy, before, 429)
            await client.leave()
            await self._until(proxy, before, 101)

    async def until_says(self, relay: RelayProcess, words: str) -> None:
        """Wait until that is in the relay's log; fail after some seconds."""
        deadline = reactor.seconds() + 10
        while words not in relay.output:
            self.assertLess(reactor.seconds(), deadline, relay.output)
            await deferLater(reactor, 0.02)

    async def _until(self, proxy: Reachable, before: bytes, code: int) -> None:
        """Connect until that is answered with ``code``; fail after some seconds."""
        deadline = reactor.seconds() + 10
        answer = None
        while answer != code:
            self.assertLess(reactor.seconds(), deadline, answer)
            await deferLater(reactor, 0.02)
            try:
                client = await self.connect(proxy, before=before)
            except ConnectionEnded as refused:
                self.assertIn("429", str(refused))
                answer = 429
            else:
                answer = 101
                await client.leave()


class HAProxyTests(ProxyTestCase):
    """HAProxy with deploy/haproxy/haproxy.cfg, of which only places are changed."""

    async def test_serves(self) -> None:
        """Events of any size pass over TLS, in both directions and live."""
        proxy = await self.start_haproxy(await self.start_relays(1), secure=True)
        await self.assert_serves(proxy)

    async def test_document(self) -> None:
        """The information document and the page come from the same URL."""
        proxy = await self.start_haproxy(await self.start_relays(1), secure=True)
        await self.assert_document(proxy)

    async def test_without_tls(self) -> None:
        """Who comes without TLS is sent to the same place with it."""
        proxy = await self.start_haproxy(await self.start_relays(1), secure=True)
        connection = await _raw(("127.0.0.1", proxy.ports[0]))
        connection.write(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await connection.has(b"location: https://localhost/x\r\n")

    async def test_clients_are_told_apart(self) -> None:
        """The relay limits connections for each client that HAProxy tells of."""
        relays = await self.start_relays(1, _FEW)
        await self.assert_limited(await self.start_haproxy(relays, proxied=True))

    async def test_version_1(self) -> None:
        """Also if it tells so in the PROXY protocol's first version."""
        relays = await self.start_relays(1, _FEW)
        older = {"send-proxy-v2": "send-proxy"}
        proxy = await self.start_haproxy(relays, proxied=True, changes=older)
        await self.assert_limited(proxy)

    async def test_limit_of_the_proxy(self) -> None:
        """An address that holds a hundred connections gets no more of them."""
        # On a busy machine it takes longer than the usual limits to connect so often.
        relays = await self.start_relays(1, "[timing]\nhandshake_seconds = 60\n")
        longer = {"timeout http-request 10s": "timeout http-request 60s"}
        proxy = await self.start_haproxy(relays, changes=longer)
        tried = [await _raw(proxy.address) for _ in range(100)]
        self.assertEqual([each for each in tried if each.ended.value], [])
        # The one that is ended before it could be looked at was not taken, either.
        with contextlib.suppress(ConnectError):
            tried.append(await _raw(proxy.address))
        # HAProxy takes connections in several threads, in no order.
        refused = len(tried) - 100
        for _ in range(200):
            if sum(1 for each in tried if each.ended.value) == refused:
                break
            await deferLater(reactor, 0.1)
        held = [each for each in tried if not each.ended.value]
        self.assertEqual(len(held), 100)
        for each in held:
            each.leave()
            await each.ended.wait(20)
        client = await self.connect(proxy)
        self.assertEqual(await client.query({"limit": 1}), [])

    async def test_spread(self) -> None:
        """Clients go to the node that has the fewest."""
        relays = await self.start_relays(3, _LOGGED)
        proxy = await self.start_haproxy(relays)
        for _ in range(12):
            await self.connect(proxy)
        self.assertEqual(_connections(proxy), {"node1": 4, "node2": 4, "node3": 4})

    async def test_workers(self) -> None:
        """A node with workers tells clients apart, whichever worker they get."""
        relays = await self.start_relays(1, f"{_FEW}\n[cluster]\nworkers = 2\n")
        proxy = await self.start_haproxy(relays, proxied=True)
        await self.assert_limited(proxy)

    async def test_node_dies(self) -> None:
        """When a node is killed its clients connect to others at once, unrefused."""
        relays = await self.start_relays(3)
        proxy = await self.start_haproxy(relays)
        clients = [await self.connect(proxy) for _ in range(9)]
        await relays[0].stop("KILL")
        for client in clients[::3]:
            await client.closed.wait(20)
        for _ in range(9):
            await self.connect(proxy)
        self.assertEqual(sum(1 for each in clients if each.closed.value is None), 6)

    async def test_node_hangs(self) -> None:
        """Clients of a node that answers nothing are sent off once that is certain."""
        relays = await self.start_relays(2)
        changes = {"inter 2s": "inter 100ms", "timeout check 5s": "timeout check 200ms"}
        proxy = await self.start_haproxy(relays, changes=changes)
        clients = [await self.connect(proxy) for _ in range(4)]
        os.kill(relays[0].pid, SIGSTOP)
        self.addCleanup(os.kill, relays[0].pid, SIGCONT)
        for client in clients[::2]:
            await client.closed.wait(20)
        for _ in range(2):
            client = await self.connect(proxy)
            self.assertEqual(await client.query({"limit": 1}), [])

    async def test_node_not_ready(self) -> None:
        """A node that is not ready keeps its clients and gets no new ones."""
        relays = await self.start_relays(2)
        pages = _Pages()
        port = reactor.listenTCP(0, Site(pages), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        (host, of_clients, _), other = (relay.node for relay in relays)
        nodes = [(host, of_clients, port.getHost().port), other]
        # Without the slow start, so that it is sent clients at once when it is back.
        often = {"inter 2s": "inter 50ms", " slowstart 20s": ""}
        proxy = await HAProxy.start(nodes, changes=often)
        self.addCleanup(proxy.stop)
        clients = [await self.connect(proxy) for _ in range(2)]
        self.assertEqual(_connections(proxy), {"node1": 1, "node2": 1})
        pages.code = 404
        while "NOLB" not in proxy.tell("show stat"):
            await deferLater(reactor, 0.02)
        for _ in range(3):
            await self.connect(proxy)
        self.assertEqual(_connections(proxy), {"node1": 1, "node2": 4})
        for client in clients:
            self.assertEqual(await client.query({"limit": 1}), [])
        pages.code = 200
        while "NOLB" in proxy.tell("show stat"):
            await deferLater(reactor, 0.02)
        await self.connect(proxy)
        self.assertEqual(_connections(proxy), {"node1": 2, "node2": 4})
        self.assertEqual(pages.asked, {b"/readyz?unready=404"})

    async def test_node_stops(self) -> None:
        """Clients of a node that is stopped hear so, and find another one."""
        relays = await self.start_relays(2)
        proxy = await self.start_haproxy(relays)
        clients = [await self.connect(proxy) for _ in range(2)]
        for client in clients:
            client.send("REQ", "open", {"limit": 0})
            self.assertEqual((await client.receive())[0], "EOSE")
        await relays[0].stop()
        self.assertEqual(
            await clients[0].receive(), ["CLOSED", "open", "error: shutting down"]
        )
        closing = await clients[0].closed.wait(20)
        self.assertEqual((closing.clean, closing.code), (True, 1001))
        again = await self.connect(proxy)
        self.assertEqual(await again.query({"limit": 1}), [])

    async def test_draining(self) -> None:
        """A node that is drained keeps its clients and gets no new ones."""
        relays = await self.start_relays(2)
        proxy = await self.start_haproxy(relays)
        client = await self.connect(proxy)
        self.assertEqual(proxy.tell("set server relay/node1 state drain").strip(), "")
        for _ in range(4):
            await self.connect(proxy)
        self.assertEqual(_connections(proxy), {"node1": 1, "node2": 4})
        self.assertEqual(await client.query({"limit": 1}), [])
        self.assertEqual(proxy.tell("set server relay/node1 state ready").strip(), "")

    async def test_reload(self) -> None:
        """With a new configuration, connections stay and new ones go by it."""
        relays = await self.start_relays(2)
        proxy = await self.start_haproxy(relays[:1])
        client = await self.connect(proxy)
        proxy.write([relay.node for relay in relays])
        await proxy.reload()
        for _ in range(2):
            await self.connect(proxy)
        self.assertEqual(set(_connections(proxy)), {"node1", "node2"})
        self.assertEqual(await client.query({"limit": 1}), [])


class NginxTests(ProxyTestCase):
    """nginx with deploy/nginx/nostrtx.conf, of which only places are changed."""

    async def test_serves(self) -> None:
        """Events of any size pass over TLS, in both directions and live."""
        relays = await self.start_relays(1, listen=FREE_PORT)
        await self.assert_serves(await self.start_nginx(relays))

    async def test_document(self) -> None:
        """The information document and the page come from the same URL."""
        relays = await self.start_relays(1, listen=FREE_PORT)
        await self.assert_document(await self.start_nginx(relays))

    async def test_clients_are_told_apart(self) -> None:
        """The relay limits connections for each client that nginx tells of."""
        relays = await self.start_relays(1, f"{_TRUSTING}{_FEW}", FREE_PORT)
        proxy = await self.start_nginx(relays, proxied=True)
        await self.assert_limited(proxy)

    async def test_forwarded(self) -> None:
        """Also if it tells so in the header of RFC 7239."""
        settings = f"{_TRUSTING}client_header = 'forwarded'\n{_FEW}"
        relays = await self.start_relays(1, settings, FREE_PORT)
        proxy = await self.start_nginx(relays, proxied=True, changes=_FORWARDED)
        await self.assert_limited(proxy)

    async def test_workers(self) -> None:
        """A node with workers tells clients apart, whichever worker they get."""
        settings = f"{_TRUSTING}{_FEW}[cluster]\nworkers = 2\n"
        relays = await self.start_relays(1, settings, FREE_PORT)
        proxy = await self.start_nginx(relays, proxied=True)
        await self.assert_limited(proxy)

    async def test_made_up(self) -> None:
        """A client that says who it is, in either header, is who nginx says it is."""
        settings = f"{_TRUSTING}{_LOGGED}addresses = 'plain'\n"
        (relay,) = await self.start_relays(1, settings, FREE_PORT)
        proxy = await self.start_nginx([relay], proxied=True)
        made_up = {
            "X-Forwarded-For": "198.51.100.66, 127.0.0.1",
            "Forwarded": "for=198.51.100.66",
        }
        for before, address in ((_ALICE, "203.0.113.7"), (_BOB, "2001:db8::8")):
            client = await self.connect(proxy, before=before, headers=made_up)
            await client.leave()
            await self.until_says(relay, f" from {address} ended after ")

    async def test_stranger(self) -> None:
        """Who is not a trusted proxy is who it is, whatever it says."""
        trusting = "[listen]\ntrusted_proxies = ['127.0.0.2', 'unix']\n"
        settings = f"{trusting}{_LOGGED}addresses = 'plain'\n"
        (relay,) = await self.start_relays(1, settings, FREE_PORT)
        made_up = {"X-Forwarded-For": "198.51.100.66"}
        client = await self.connect(relay, headers=made_up)
        await client.leave()
        await self.until_says(relay, " from 127.0.0.1 ended after ")

    async def test_limit_of_the_proxy(self) -> None:
        """An address that holds a hundred connections is refused more of them."""
        relays = await self.start_relays(1, listen=FREE_PORT)
        proxy = await self.start_nginx(relays, changes={"clients 100": "clients 3"})
        for _ in range(3):
            await self.connect(proxy, proxy.certificate)
        with self.assertRaises(ConnectionEnded) as refused:
            await self.connect(proxy, proxy.certificate)
        self.assertIn("429", str(refused.exception))

    async def test_node_dies(self) -> None:
        """When a node is killed its clients connect to others at once, unrefused."""
        relays = await self.start_relays(3, listen=FREE_PORT)
        proxy = await self.start_nginx(relays)
        clients = [await self.connect(proxy, proxy.certificate) for _ in range(6)]
        await relays[0].stop("KILL")
        for _ in range(6):
            await self.connect(proxy, proxy.certificate)
        self.assertEqual(sum(1 for each in clients if each.closed.value is None), 4)

    async def test_reload(self) -> None:
        """With a new configuration, connections stay and new ones are served."""
        relays = await self.start_relays(1, listen=FREE_PORT)
        proxy = await self.start_nginx(relays)
        client = await self.connect(proxy, proxy.certificate)
        await proxy.reload()
        await self.connect(proxy, proxy.certificate)
        self.assertEqual(await client.query({"limit": 1}), [])


class NginxStreamTests(ProxyTestCase):
    """nginx with deploy/nginx/nostrtx-stream.conf."""

    async def test_serves(self) -> None:
        """Events of any size pass over TLS, in both directions and live."""
        relays = await self.start_relays(1)
        await self.assert_serves(await self.start_nginx(relays, stream=True))

    async def test_document(self) -> None:
        """The information document and the page come from the same URL."""
        relays = await self.start_relays(1)
        await self.assert_document(await self.start_nginx(relays, stream=True))

    async def test_clients_are_told_apart(self) -> None:
        """The relay limits connections for each client that nginx tells of."""
        relays = await self.start_relays(1, _FEW)
        proxy = await self.start_nginx(relays, stream=True, proxied=True)
        await self.assert_limited(proxy)

    async def test_node_dies(self) -> None:
        """When a node is killed its clients connect to others at once, unrefused."""
        relays = await self.start_relays(3)
        proxy = await self.start_nginx(relays, stream=True)
        clients = [await self.connect(proxy, proxy.certificate) for _ in range(6)]
        await relays[0].stop("KILL")
        for _ in range(6):
            await self.connect(proxy, proxy.certificate)
        self.assertEqual(sum(1 for each in clients if each.closed.value is None), 4)


class StrangersTests(ProxyTestCase):
    """Who connects past the proxy, to the port that is meant for it."""

    async def test_no_header(self) -> None:
        """Garbage, half a header and silence end the connection; others are served."""
        (relay,) = await self.start_relays(1, "[timing]\nhandshake_seconds = 1.0\n")
        served = await self.connect(relay, before=_ALICE)
        strangers = []
        for data in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00" + bytes(range(256)) * 200,
            b"PROXY TCP4 nobody nowhere 1 2\r\n",
            _ALICE[:20],
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
            b"",
        ):
            stranger = await _raw(relay.address)
            stranger.write(data)
            strangers.append(stranger)
        for stranger in strangers:
            await stranger.ended.wait(20)
            self.assertEqual(stranger.received, b"")
        self.assertEqual(await served.query({"limit": 1}), [])
        await self.connect(relay, before=_BOB)
        self.assertEqual(relay.output.count("header of the PROXY"), 1)

    async def test_in_pieces(self) -> None:
        """A header that arrives in pieces is a header."""
        (relay,) = await self.start_relays(1)
        connection = await _raw(relay.address)
        request = _ALICE + b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for at in range(0, len(request), 7):
            connection.write(request[at : at + 7])
            await deferLater(reactor, 0)
        await connection.has(b"HTTP/1.1 200 OK\r\n")


class HealthCheckTests(ProxyTestCase):
    """How Docker finds out whether a node is well."""

    async def test_health_check(self) -> None:
        """The image's command succeeds while the node serves, and fails after."""
        relay = await self.start_relay(WITH_PAGES)
        _, *arguments = Dockerfile.read().command("HEALTHCHECK")
        arguments[-1] = arguments[-1].replace(":7448", f":{relay.node[2]}")
        code: int = await getProcessValue(sys.executable, arguments, reactor=reactor)
        self.assertEqual(code, 0)
        await relay.stop()
        code = await getProcessValue(sys.executable, arguments, reactor=reactor)
        self.assertNotEqual(code, 0)


class _Raw(Protocol):
    """A connection that speaks no protocol of its own."""

    def __init__(self) -> None:
        self.received = b""
        self.ended: Occasion[bool] = Occasion()
        self._more: Occasion[bool] = Occasion()

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        more, self._more = self._more, Occasion()
        more.happens(True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.happens(True)

    def write(self, data: bytes) -> None:
        """Send ``data``."""
        self.transport.write(data)  # type: ignore[union-attr]

    def leave(self) -> None:
        """End the connection."""
        self.transport.loseConnection()  # type: ignore[union-attr]

    async def has(self, data: bytes) -> None:
        """Wait until ``data`` was received."""
        while data not in self.received:
            await self._more.wait(20)


async def _raw(address: tuple[str, int]) -> _Raw:
    endpoint = TCP4ClientEndpoint(reactor, *address)
    connection = await endpoint.connect(Factory.forProtocol(_Raw))
    assert isinstance(connection, _Raw)
    return connection


def _connections(proxy: HAProxy) -> dict[str, int]:
    """How many connections each node has by way of ``proxy``."""
    found: Counter[str] = Counter()
    lines = proxy.tell("show stat").splitlines()
    names = lines[0].removeprefix("# ").split(",")
    for line in lines[1:]:
        row = dict(zip(names, line.split(","), strict=False))
        if row.get("pxname") == "relay" and row["svname"] != "BACKEND":
            found[row["svname"]] = int(row["scur"])
    return dict(found)
