"""The test vectors for malformed messages, sent to a relay over a socket."""

from __future__ import annotations

import json
from typing import Any

from tests.live.client import LiveClient
from tests.live.live_case import LiveTestCase
from tests.live.relay_process import ROOT

_VECTORS = ROOT / "tests" / "vectors"


def _fits(reply: list[Any], expected: list[Any]) -> bool:
    """Whether ``reply`` begins as expected; ``invalid:`` stands for a prefix."""
    if len(reply) < len(expected):
        return False
    return all(
        said.startswith(want) if want and want.endswith(":") else said == want
        for said, want in zip(reply, expected, strict=False)
    )


class VectorTests(LiveTestCase):
    """What a relay answers to what it should not be sent."""

    async def _replies(
        self, client: LiveClient, wire: str, at_least: int
    ) -> list[list[Any]]:
        """All replies to one frame: until a request after it was answered."""
        client.send_text(wire)
        replies = [await client.receive() for _ in range(at_least)]
        client.send("REQ", "end of vector", {"ids": [], "limit": 0})
        while (reply := await client.receive())[:2] != ["EOSE", "end of vector"]:
            replies.append(reply)
        client.send("CLOSE", "end of vector")
        return replies

    async def test_framing(self) -> None:
        """Each malformed message gets one fitting answer; the connection lives."""
        client = await self.connect(await self.start_relay())
        vectors = json.loads((_VECTORS / "events-invalid.json").read_text())
        for vector in vectors["framing"]:
            expected = vector["expect"]
            count = 0 if expected is None else 1
            replies = await self._replies(client, vector["wire"], count)
            self.assertEqual(len(replies), count, (vector["name"], replies))
            if expected is not None:
                allowed = [expected, vector.get("also_allowed") or expected]
                fits = any(_fits(replies[0], each) for each in allowed)
                self.assertTrue(fits, (vector["name"], replies))
        self.assertIsNone(client.closed.value)

    async def test_invalid_events(self) -> None:
        """Each invalid event gets one OK with the reason, or a NOTICE without an id."""
        client = await self.connect(await self.start_relay())
        vectors = json.loads((_VECTORS / "events-invalid.json").read_text())
        for vector in vectors["events"]:
            (reply,) = await self._replies(client, vector["wire"], 1)
            name, expected = vector["name"], vector["expect"]
            if reply[0] == "NOTICE":
                # There is no id to answer with, or one too long to be sent back.
                allowed = "NOTICE" in (vector["also_allowed"] or "")
                self.assertTrue(allowed or len(vector["ok_id"]) > 64, (name, reply))
                self.assertTrue(reply[1].startswith("invalid: "), (name, reply))
                continue
            self.assertEqual(reply[0], "OK", name)
            self.assertEqual(reply[2], expected["ok"], (name, reply))
            self.assertTrue(reply[3].startswith(expected.get("prefix") or ""), name)
            if vector["ok_id"] is not None:
                self.assertEqual(reply[1], vector["ok_id"], name)
        self.assertIsNone(client.closed.value)

    async def test_valid_events(self) -> None:
        """Every spelling of a valid event is accepted and served as it was meant."""
        client = await self.connect(await self.start_relay())
        for vector in json.loads((_VECTORS / "events-valid.json").read_text()):
            name, event, expected = vector["name"], vector["event"], vector["expect"]
            accepted, text = (await client.publish([event]))[event["id"]]
            if expected != "accept-or-invalid":
                self.assertEqual(accepted, expected.startswith("accept"), (name, text))
            if not accepted:
                self.assertTrue(text.startswith("invalid: "), (name, text))
            for wire in vector["wire"]:
                (reply,) = await self._replies(client, wire, 1)
                self.assertEqual(reply[:3], ["OK", event["id"], accepted], name)
            stored = accepted and expected != "accept-not-stored"
            served = await client.query({"ids": [event["id"]]})
            self.assertEqual(served, [event] if stored else [], name)
        self.assertIsNone(client.closed.value)
