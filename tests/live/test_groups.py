"""A group on a relay with a store on disk, from its beginning to a restart (NIP-29)."""

from __future__ import annotations

import json
from typing import Any

from tests.live.client import Json, LiveClient
from tests.live.live_case import LiveTestCase
from tests.live.reactor import reactor
from tests.live.relay_process import RelayProcess
from tests.storage.events import public_key, signed_event

_ADMIN, _BOB, _EVE = 11, 12, 13

_SETTINGS = "[groups]\nenabled = true\nlate_hours = 0\n"


class GroupsTests(LiveTestCase):
    """People in a private group."""

    async def person(self, relay: RelayProcess, secret: int) -> LiveClient:
        """A client that has authenticated with this key."""
        client = await self.connect(relay)
        client.send("REQ", "challenge, please", {"kinds": [1059]})
        challenge = ""
        while not challenge:
            message = await client.receive()
            challenge = message[1] if message[0] == "AUTH" else ""
        proof = _event(secret, 22242, ["relay", relay.url], ["challenge", challenge])
        client.send("AUTH", proof)
        while (message := await client.receive())[0] != "OK":
            self.assertEqual(message[0], "CLOSED")
        self.assertEqual(message[1:3], [proof["id"], True])
        return client

    async def say(self, client: LiveClient, event: Json) -> tuple[bool, str]:
        """Publish an event; the answer."""
        return (await client.publish([event]))[event["id"]]

    async def answer(self, client: LiveClient, filter_: Json) -> list[Any]:
        """The verb with which a REQ ends, its reason, and the ids before it."""
        client.send("REQ", "r", filter_)
        ids = []
        while True:
            message = await client.receive()
            if message[:2] == ["EVENT", "r"]:
                ids.append(message[2]["id"])
            elif message[0] in ("EOSE", "CLOSED") and message[1] == "r":
                reason = message[2] if message[0] == "CLOSED" else ""
                return [message[0], reason, ids]

    async def test_private_group(self) -> None:
        """Made, closed, joined by invitation, written to, left by force; and kept."""
        relay = await self.start_relay(_SETTINGS)
        admin, bob = await self.person(relay, _ADMIN), await self.person(relay, _BOB)
        eve = await self.person(relay, _EVE)
        h = ["h", "pizza"]
        note = _event(_BOB, 9, h, content="funghi")
        for client, event, is_good in (
            (bob, note, False),
            (admin, _event(_ADMIN, 9007, h), True),
            (
                admin,
                _event(_ADMIN, 9002, h, ["private"], ["restricted"], ["closed"]),
                True,
            ),
            (bob, note, False),
            (bob, _event(_BOB, 9021, h), False),
            (admin, _event(_ADMIN, 9009, h, ["code", "abc"]), True),
            (bob, _event(_BOB, 9021, h, ["code", "abc"]), True),
            (eve, _event(_EVE, 9021, h, ["code", "abc"]), False),
            (bob, note, True),
            (eve, _event(_EVE, 9, h), False),
        ):
            accepted, reason = await self.say(client, event)
            self.assertEqual(accepted, is_good, (event["kind"], reason))
        asked = {"kinds": [9], "#h": ["pizza"]}
        self.assertEqual(await self.answer(bob, asked), ["EOSE", "", [note["id"]]])
        verb, reason, _ = await self.answer(eve, asked)
        self.assertEqual((verb, reason.split(":")[0]), ("CLOSED", "restricted"))
        self.assertEqual(
            await self.answer(eve, {"ids": [note["id"]]}), ["EOSE", "", []]
        )
        stranger = await self.connect(relay)
        verb, reason, _ = await self.answer(stranger, asked)
        self.assertEqual((verb, reason.split(":")[0]), ("CLOSED", "auth-required"))

        # Bob's subscription stays open while he is removed.
        self.assertEqual((await self.answer(bob, asked))[0], "EOSE")
        kick = _event(_ADMIN, 9001, h, ["p", public_key(_BOB).hex()])
        self.assertEqual(await self.say(admin, kick), (True, ""))
        last = _event(_ADMIN, 9, h, content="gone")
        self.assertEqual(await self.say(admin, last), (True, ""))
        refused = _event(_BOB, 9, h, content="let me in")
        self.assertFalse((await self.say(bob, refused))[0])
        self.assertEqual(list(bob.messages), [])
        self.assertEqual((await self.answer(bob, asked))[0], "CLOSED")
        self.assertEqual(
            await self.say(admin, _event(_ADMIN, 9005, h, ["e", note["id"]])),
            (True, ""),
        )

        (told,) = await admin.query({"kinds": [39002]})
        await relay.stop()
        relay = await self.start_relay(_SETTINGS)
        admin, eve = await self.person(relay, _ADMIN), await self.person(relay, _EVE)
        self.assertEqual(await admin.query({"kinds": [39002]}), [told])
        self.assertEqual(
            told["tags"], [["d", "pizza"], ["p", public_key(_ADMIN).hex()]]
        )
        self.assertEqual((await self.answer(admin, asked))[2], [last["id"]])
        self.assertEqual((await self.answer(eve, asked))[0], "CLOSED")
        accepted, reason = await self.say(admin, note)
        self.assertEqual((accepted, reason.split(":")[0]), (False, "restricted"))


def _event(secret: int, kind: int, *tags: list[str], content: str = "") -> Json:
    """An event made now."""
    event: Json = json.loads(
        signed_event(
            secret, kind=kind, tags=tags, content=content, created_at=int(_now())
        ).raw
    )
    return event


def _now() -> float:
    """Wall-clock time."""
    seconds: float = reactor.seconds()
    return seconds
