"""Relays that are managed from afar, with the authorizations of nostr-tools."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from twisted.internet.utils import getProcessOutputAndValue
from twisted.web.client import Agent, readBody
from twisted.web.http_headers import Headers

from nostrtx.nostr.bech32 import Npub, encode
from tests.live.authors import Author
from tests.live.cluster_case import ClusterTestCase
from tests.live.live_case import LiveTestCase
from tests.live.reactor import reactor
from tests.live.relay_process import RelayProcess
from tests.storage.events import public_key

_CLIENTS = Path(__file__).parent / "clients"
_NODE = shutil.which("node")
_MISSING = (
    "needs Node and nostr-tools: make test installs them"
    if _NODE is None or not (_CLIENTS / "node_modules").exists()
    else None
)

#: Where the public finds the relay; a proxy would lead there.
_PUBLIC = "https://relay.example.com/"

_OWNER, _MODERATOR = "01" * 32, "02" * 32
_STRANGER = "03" * 32

_SETTINGS = """
[relay]
name = "before"
url = "wss://relay.example.com"

[management]
owners = ["{owner}"]
moderators = ["{moderator}"]
"""


def http(relay: RelayProcess) -> str:
    """Where a relay is reached without its proxy."""
    return relay.url.replace("ws://", "http://")


def settings() -> str:
    """The settings of a relay with an owner and a moderator."""
    return _SETTINGS.format(
        owner=encode(Npub(public_key(int(_OWNER, 16)))),
        moderator=public_key(int(_MODERATOR, 16)).hex(),
    )


async def called(secret: str, *calls: tuple[Any, ...]) -> list[tuple[int, Any]]:
    """
    The statuses and answers to calls, made one after the other.

    Args:
        secret: Signs them.
        calls: Where each is sent, its method, its parameters, and how often at the
            same time; without a method the one before is sent again, as it was.
    """
    assert _NODE is not None
    program = str(_CLIENTS / "nostr_tools_management.mjs")
    output, errors, code = await getProcessOutputAndValue(
        _NODE, [program, secret, _PUBLIC, json.dumps(calls)], reactor=reactor
    )
    assert code == 0, errors.decode()
    return [(status, answer) for status, answer in json.loads(output)]


async def called_now(relay: RelayProcess) -> str:
    """What a relay's information document says it is called."""
    headers = Headers({"Accept": ["application/nostr+json"]})
    response = await Agent(reactor).request(b"GET", http(relay).encode(), headers)
    document: Any = json.loads(await readBody(response))
    name: str = document["name"]
    return name


class WorkersTests(LiveTestCase):
    """A relay with two workers on one machine."""

    skip = _MISSING

    async def test_all(self) -> None:
        """What an owner changes holds in both workers at once, and stays."""
        relay = await self.start_relay(settings() + "[cluster]\nworkers = 2\n")
        place = http(relay)
        mallory = Author("mallory")
        answers = await called(
            _OWNER,
            (place, "supportedmethods"),
            (place, "changerelayname", ["after"]),
            (place, "banpubkey", [mallory.pubkey, "spam"]),
            *[(place,)] * 5,
            (place, "listbannedpubkeys"),
        )
        (status, supported), *rest = answers
        self.assertEqual(status, 200)
        self.assertIn("banpubkey", supported["result"])
        self.assertEqual(rest[:2], [(200, {"result": True})] * 2)
        for status, answer in rest[2:7]:
            # Whichever worker is asked, it was used.
            self.assertEqual(status, 401, answer)
        listed = [{"pubkey": mallory.pubkey, "reason": "spam"}]
        self.assertEqual(rest[7], (200, {"result": listed}))
        self.assertEqual({await called_now(relay) for _ in range(12)}, {"after"})
        for number in range(6):
            client = await self.connect(relay)
            ((accepted, reason),) = (
                await client.publish([mallory.sign(str(number))])
            ).values()
            self.assertEqual((accepted, reason[:8]), (False, "blocked:"))

        await relay.stop()
        relay = await self.start_relay(settings())
        self.assertEqual(await called_now(relay), "after")
        ((_, answer),) = await called(_OWNER, (http(relay), "listbannedpubkeys"))
        self.assertEqual(answer, {"result": listed})

    async def test_at_the_same_time(self) -> None:
        """Of copies of a call that come at once, to both workers, one is done."""
        relay = await self.start_relay(settings() + "[cluster]\nworkers = 2\n")
        mallory = Author("mallory")
        call = (http(relay), "banpubkey", [mallory.pubkey, "spam"], 20)
        answers = await called(_OWNER, call)
        statuses = sorted([status for status, _ in answers])
        self.assertEqual(statuses, [200] + 19 * [401])

    async def test_others(self) -> None:
        """A moderator may less, and nobody else may anything."""
        relay = await self.start_relay(settings())
        place = http(relay)
        answers = await called(
            _MODERATOR,
            (place, "blockip", ["203.0.113.0/24"]),
            (place, "changerelayname", ["mine"]),
        )
        self.assertEqual(answers[0], (200, {"result": True}))
        self.assertIn("only owners", answers[1][1]["error"])
        ((status, _),) = await called(_STRANGER, (place, "supportedmethods"))
        self.assertEqual(status, 403)
        self.assertEqual(await called_now(relay), "before")


class NodesTests(ClusterTestCase):
    """Two nodes that share PostgreSQL and Redis."""

    skip = ClusterTestCase.skip or _MISSING

    async def test_both(self) -> None:
        """What one node is told holds on the other, and cannot be told again there."""
        nodes = []
        for name in ("one", "two"):
            text = settings() + self.settings(name)
            nodes.append(await self.start_node(name, text))
        one, two = nodes
        mallory = Author("mallory")
        client = await self.connect(two)
        note = mallory.sign("before")
        self.assertEqual((await client.publish([note]))[note["id"]], (True, ""))
        answers = await called(
            _OWNER,
            (http(one), "allowpubkey", [Author("alice").pubkey]),
            (http(one), "changerelayname", ["after"]),
            (http(two),),
            (http(one), "banevent", [note["id"]]),
            (http(one), "banpubkey", [mallory.pubkey]),
            (http(two),),
        )
        statuses = [status for status, _ in answers]
        self.assertEqual(statuses, [200, 200, 401, 200, 200, 401])
        self.assertEqual(await called_now(one), "after")
        names = []

        async def ask() -> None:
            names.append(await called_now(two))

        await ask()
        while names[-1] != "after" and len(names) < 100:
            await ask()
        self.assertEqual(names[-1], "after")
        self.assertEqual(await client.query({"authors": [mallory.pubkey]}), [])
        lists = ("listbannedpubkeys", "listbannedevents", "listallowedpubkeys")
        heard = [(http(two), method) for method in lists]
        for _, answer in await called(_OWNER, *heard):
            self.assertEqual(len(answer["result"]), 1, answer)
        again = mallory.sign("after")
        accepted, reason = (await client.publish([again]))[again["id"]]
        self.assertEqual((accepted, reason[:8]), (False, "blocked:"))
