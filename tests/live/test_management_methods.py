"""Every method by which relays are managed, called with Welshman, and bad requests."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest

from tests.live.authors import Author
from tests.live.free_ports import free_port
from tests.live.live_case import LiveTestCase
from tests.live.nginx import NGINX_MISSING, Nginx
from tests.live.occasion import Occasion
from tests.live.reactor import reactor
from tests.live.relay_process import RelayProcess
from tests.live.test_management import called_now, http
from tests.storage.events import public_key

_CLIENTS = Path(__file__).parent / "clients"
_NODE = shutil.which("node")
_MISSING = (
    "needs Node and Welshman: make test installs them"
    if _NODE is None or not (_CLIENTS / "node_modules" / "@welshman").exists()
    else None
)

_OWNER = "01" * 32
_ALICE, _BOB = Author("alice"), Author("bob")

_ANSWER_SECONDS = 20

#: A call with its parameters and the result that it has.
_Call = tuple[str, list[Any], Any]


def settings(url: str, more: str = "") -> str:
    """The settings of a relay that has an owner, and this URL."""
    owner = public_key(int(_OWNER, 16)).hex()
    return f'[relay]\nurl = "{url}"\n[management]\nowners = ["{owner}"]\n{more}'


async def called(
    place: str,
    calls: Sequence[tuple[str, list[Any]]],
    url: str = "",
    certificate: Path | None = None,
) -> tuple[list[str], list[Any]]:
    """
    The methods that Welshman knows, and the answers to calls of the owner.

    Args:
        place: Where they are sent.
        calls: A method and parameters each; made one after the other.
        url: What is signed, if that is another one.
        certificate: Of the server, if it has one.
    """
    assert _NODE is not None
    env = dict(os.environ)
    if certificate is not None:
        env["NODE_EXTRA_CA_CERTS"] = str(certificate)
    placed = json.dumps([(place, method, params) for method, params in calls])
    program = str(_CLIENTS / "welshman_management.mjs")
    output, errors, code = await getProcessOutputAndValue(
        _NODE, [program, _OWNER, url or place, placed], env=env, reactor=reactor
    )
    assert code == 0, errors.decode()
    said = json.loads(output)
    return said["methods"], said["answers"]


class MethodsTests(LiveTestCase):
    """All methods of NIP-86."""

    skip = _MISSING

    async def assert_results(
        self, relay: RelayProcess, calls: Sequence[_Call]
    ) -> list[str]:
        """Assert what calls result in; the methods that Welshman knows."""
        asked = [(method, params) for method, params, _ in calls]
        methods, answers = await called(
            http(relay), asked, url="https://relay.example.com/"
        )
        for (method, _, result), answer in zip(calls, answers, strict=True):
            self.assertEqual(answer, {"result": result}, method)
        return methods

    async def test_all(self) -> None:
        """On a relay without members each method does what it says."""
        relay = await self.start_relay(settings("wss://relay.example.com"))
        client = await self.connect(relay)
        note = _ALICE.sign("casino")
        tags = [["e", note["id"], "spam"], ["p", _ALICE.pubkey]]
        report = _BOB.sign("again", kind=1984, tags=tags)
        answers = await client.publish([note, report])
        self.assertEqual(set(answers.values()), {(True, "")})
        id_, alice = note["id"], _ALICE.pubkey
        reported = {"id": id_, "reason": "spam 1; reported by 1: again"}
        calls: list[_Call] = [
            ("listeventsneedingmoderation", [], [reported]),
            ("allowevent", [id_, "fun"], True),
            ("listeventsneedingmoderation", [], []),
            ("banevent", [id_, "no fun"], True),
            ("listbannedevents", [], [{"id": id_, "reason": "no fun"}]),
            ("unbanevent", [id_], True),
            ("listbannedevents", [], []),
            ("banpubkey", [alice, "spam"], True),
            ("listbannedpubkeys", [], [{"pubkey": alice, "reason": "spam"}]),
            ("allowpubkey", [alice, "a friend"], True),
            ("listbannedpubkeys", [], []),
            ("listallowedpubkeys", [], [{"pubkey": alice, "reason": "a friend"}]),
            ("unallowpubkey", [alice], True),
            ("listallowedpubkeys", [], []),
            ("unbanpubkey", [alice], True),
            ("blockip", ["203.0.113.0/24", "flood"], True),
            ("listblockedips", [], [{"ip": "203.0.113.0/24", "reason": "flood"}]),
            ("unblockip", ["203.0.113.0/24"], True),
            ("listblockedips", [], []),
            ("disallowkind", [4], True),
            ("allowkind", [4], True),
            ("allowkind", [7], True),
            ("listallowedkinds", [], [7]),
            ("changerelayname", ["after"], True),
            ("changerelaydescription", ["one\ntwo"], True),
            ("changerelayicon", ["https://relay.example.com/icon.png"], True),
        ]
        supported = sorted({method for method, _, _ in calls})
        calls.append(("supportedmethods", [], supported))
        known = await self.assert_results(relay, calls)
        self.assertEqual(set(known) - {method for method, _, _ in calls}, set())
        self.assertEqual(await called_now(relay), "after")
        again = _ALICE.sign("not of kind 7")
        ((accepted, reason),) = (await client.publish([again])).values()
        self.assertEqual(
            (accepted, reason), (False, "blocked: kind 1 is not allowed here")
        )

    async def test_members(self) -> None:
        """On a relay with members these are let in, and have roles."""
        relay = await self.start_relay(
            settings("wss://relay.example.com", "[membership]\nenabled = true\n")
        )
        alice = _ALICE.pubkey
        await self.assert_results(
            relay,
            [
                ("createrole", ["gardener", "Gardener", "Plants", 120, 1], True),
                ("editrole", ["gardener", "Gardener", "Trees", 100, 2], True),
                ("allowpubkey", [alice], True),
                ("assignrole", [alice, "gardener"], True),
                ("listallowedpubkeys", [], [{"pubkey": alice}]),
            ],
        )
        client = await self.connect(relay)
        (members,) = await client.query({"kinds": [13534]})
        self.assertIn(["member", alice, "gardener"], members["tags"])
        await self.assert_results(
            relay,
            [
                ("unassignrole", [alice, "gardener"], True),
                ("deleterole", ["gardener"], True),
                ("unallowpubkey", [alice], True),
                ("listallowedpubkeys", [], []),
            ],
        )
        (members,) = await client.query({"kinds": [13534]})
        self.assertEqual([tag for tag in members["tags"] if tag[0] == "member"], [])

    async def test_allowed_only(self) -> None:
        """A relay takes events of those who are allowed, from the call on."""
        relay = await self.start_relay(
            settings(
                "wss://relay.example.com",
                '[[rules]]\nnot_authors = ["allowed"]\nreason = "restricted: ask"\n'
                "[cluster]\nworkers = 2\n",
            )
        )
        clients = [await self.connect(relay) for _ in range(4)]
        for number, client in enumerate(clients):
            (answer,) = (await client.publish([_ALICE.sign(f"a{number}")])).values()
            self.assertEqual(answer, (False, "restricted: ask"))
        await self.assert_results(relay, [("allowpubkey", [_ALICE.pubkey], True)])
        # The worker that was called has done it; the other one hears of it.
        for number, client in enumerate(clients):
            while True:
                note = _ALICE.sign(f"b{number}", tags=[["n", os.urandom(4).hex()]])
                (answer,) = (await client.publish([note])).values()
                if answer == (True, ""):
                    break
                self.assertEqual(answer, (False, "restricted: ask"))
            (answer,) = (await client.publish([_BOB.sign(f"b{number}")])).values()
            self.assertEqual(answer, (False, "restricted: ask"))

    async def test_errors(self) -> None:
        """What is not understood is said in an answer."""
        relay = await self.start_relay(settings("wss://relay.example.com"))
        calls = [("banpubkey", ["npub1"]), ("createrole", ["x"]), ("stats", [])]
        _, answers = await called(http(relay), calls, url="https://relay.example.com/")
        for answer in answers:
            self.assertEqual(list(answer), ["error"])


class ProxyTests(LiveTestCase):
    """A relay behind nginx, which the public knows by another URL."""

    skip = _MISSING

    async def test_url(self) -> None:
        """Calls are signed for the URL of the proxy, and for no other."""
        if NGINX_MISSING:
            raise SkipTest(NGINX_MISSING)
        port = free_port()
        proxy = await Nginx.start([("127.0.0.1", port)])
        self.addCleanup(proxy.stop)
        relay = await self.start_relay(
            settings(proxy.url), f"tcp:{port}:interface=127.0.0.1"
        )
        public = proxy.url.replace("wss://", "https://")
        calls: list[tuple[str, list[Any]]] = [("listbannedpubkeys", [])]
        for url in (public, proxy.url):
            _, answers = await called(public, calls, url, proxy.certificate)
            self.assertEqual(answers, [{"result": []}], url)
        for place in (public, http(relay)):
            _, answers = await called(place, calls, http(relay), proxy.certificate)
            self.assertIn("the u tag", answers[0]["error"])


class _Raw(Protocol):
    """Sends what it is given, and keeps what comes."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended: Occasion[bytes] = Occasion()

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell what came."""
        assert reason.check(ConnectionDone, ConnectionLost)
        self.ended.happens(self.heard)


class BodyTests(LiveTestCase):
    """Requests of people who mean no good."""

    async def answer(self, relay: RelayProcess, *parts: bytes) -> bytes:
        """What comes of a connection on which ``parts`` are sent."""
        endpoint = TCP4ClientEndpoint(reactor, *relay.address)
        raw: Any = await endpoint.connect(Factory.forProtocol(_Raw))
        for part in parts:
            raw.transport.write(part)
        heard: bytes = await raw.ended.wait(_ANSWER_SECONDS)
        return heard

    async def test_bodies(self) -> None:
        """Bodies that are too long, or do not come, end the connection."""
        relay = await self.start_relay(
            settings("wss://relay.example.com", "[timing]\nhandshake_seconds = 2\n")
        )
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        long = await self.answer(relay, head % 10**12)
        self.assertTrue(long.startswith(b"HTTP/1.1 413 "), long)
        slow = await self.answer(relay, head % 5000, b"x")
        self.assertTrue(slow.startswith(b"HTTP/1.1 408 "), slow)
        # The relay serves on.
        client = await self.connect(relay)
        note = _ALICE.sign("after that")
        self.assertEqual((await client.publish([note]))[note["id"]], (True, ""))
