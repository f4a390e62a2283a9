"""Membership as people meet it: a code from the command, a client that joins."""

from __future__ import annotations

import sys
from pathlib import Path
from signal import SIGKILL
from typing import Any

from twisted.internet.utils import getProcessOutputAndValue

from tests.live.authors import Author
from tests.live.client import Json, LiveClient
from tests.live.live_case import LiveTestCase
from tests.live.reactor import reactor
from tests.live.relay_process import RelayProcess

_SETTINGS = """
[membership]
enabled = true
required = "both"
members_invite = true
"""


class MembershipTests(LiveTestCase):
    """A relay in a process of its own, and ``nostrtx`` beside it."""

    async def command(self, *arguments: str) -> str:
        """What ``nostrtx`` prints when it is run on the relay's store."""
        out, errors, code = await getProcessOutputAndValue(
            str(Path(sys.executable).parent / "nostrtx"),
            [*arguments, "--store", "lmdb:store", "--config", "settings.toml"],
            {"PATH": "/usr/bin:/bin", "HOME": str(self.directory)},
            str(self.directory),
            reactor,
        )
        self.assertEqual(code, 0, errors.decode())
        return str(out.decode())

    async def authenticated(self, relay: RelayProcess, author: Author) -> LiveClient:
        """A client that has proved to be ``author``."""
        client = await self.connect(relay)
        client.send("REQ", "provoke", {"kinds": [1]})
        (_, challenge) = await client.receive()
        self.assertEqual((await client.receive())[0], "CLOSED")
        event = author.sign(
            kind=22242, tags=[["relay", relay.url], ["challenge", challenge]]
        )
        client.send("AUTH", event)
        self.assertEqual(await client.receive(), ["OK", event["id"], True, ""])
        return client

    async def answer(self, client: LiveClient, event: Json) -> Any:
        """What the OK for an event says."""
        client.send("EVENT", event)
        message = await client.receive()
        self.assertEqual(message[:2], ["OK", event["id"]])
        return message[2:]

    async def until_listed(
        self, watcher: LiveClient, author: Author, listed: bool
    ) -> None:
        """Wait for a list that names ``author``, or that does not."""
        while True:
            message = await watcher.receive()
            if message[0] == "EVENT":
                names = ["member", author.pubkey] in message[2]["tags"]
                if names == listed:
                    return

    async def test_join_and_leave(self) -> None:
        """A code from the command lets one in, once, also across a kill."""
        alice, bob = Author("alice"), Author("bob")
        relay = await self.start_relay(_SETTINGS)
        code = (await self.command("invite", "create")).strip()
        client = await self.authenticated(relay, alice)
        join = alice.sign(kind=28934, tags=[["claim", code]])
        self.assertEqual(
            await self.answer(client, join), [True, f"info: welcome to {relay.url}!"]
        )
        self.assertEqual(await self.answer(client, alice.sign("hello")), [True, ""])
        (members,) = await client.query({"kinds": [13534]})
        self.assertEqual(members["tags"], [["-"], ["member", alice.pubkey]])
        await relay.stop("KILL")
        self.assertEqual(await relay.end(), -SIGKILL)

        relay = await self.start_relay(_SETTINGS)
        stranger = await self.authenticated(relay, bob)
        join = bob.sign(kind=28934, tags=[["claim", code]])
        self.assertEqual(
            await self.answer(stranger, join),
            [False, "restricted: that is an invalid invite code"],
        )
        client = await self.authenticated(relay, alice)
        (again,) = await client.query({"kinds": [13534]})
        self.assertEqual(again["pubkey"], members["pubkey"])
        (invite,) = await client.query({"kinds": [28935]})
        join = bob.sign(kind=28934, tags=[["claim", invite["tags"][1][1]]])
        self.assertTrue((await self.answer(stranger, join))[0])
        leave = alice.sign(kind=28936, tags=[["-"]])
        self.assertEqual(await self.answer(client, leave), [True, ""])
        (refused, _) = await self.answer(client, alice.sign("again"))
        self.assertFalse(refused)
        (members,) = await stranger.query({"kinds": [13534]})
        self.assertEqual(members["tags"], [["-"], ["member", bob.pubkey]])

    async def test_the_relay_notices(self) -> None:
        """Whom the command adds or removes beside the relay is in or out soon."""
        alice = Author("alice")
        relay = await self.start_relay(_SETTINGS)
        carol = Author("carol")
        await self.command("members", "add", carol.pubkey)
        watcher = await self.authenticated(relay, carol)
        # Until the relay has noticed, it says that this is for members.
        message: list[Any] = ["CLOSED"]
        while message[0] == "CLOSED":
            watcher.send("REQ", "list", {"kinds": [13534]})
            message = await watcher.receive()
        await self.command("members", "add", alice.pubkey)
        await self.until_listed(watcher, alice, True)
        client = await self.authenticated(relay, alice)
        self.assertEqual(await self.answer(client, alice.sign("hello")), [True, ""])
        await self.command("members", "remove", alice.pubkey)
        await self.until_listed(watcher, alice, False)
        self.assertFalse((await self.answer(client, alice.sign("again")))[0])
