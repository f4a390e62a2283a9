"""A table of rules, its lists and trust, in relays that run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater

from tests.live.authors import Author
from tests.live.client import ConnectionEnded, LiveClient
from tests.live.live_case import LiveTestCase
from tests.live.reactor import reactor

_OWNER, _FRIEND, _THEIRS, _STRANGER = map(Author, ("owner", "friend", "theirs", "who"))

_TABLE = f"""
[trust]
roots = ["{_OWNER.pubkey}"]

[lists.spam]
files = ["spam.txt"]
of = "words"
refresh_seconds = 0.05

[[rules]]
name = "never"
kinds = [4]
reason = "use NIP-17"

[[rules]]
name = "spam"
words = ["spam"]
reason = "spam"

[[rules]]
name = "people"
trust = 2
verdict = "accept"

[[rules]]
name = "work"
verdict = "pow"
pow = 8
"""


def follow_list(author: Author, *others: Author, at: int) -> dict[str, Any]:
    """Whom somebody follows."""
    tags = [["p", other.pubkey] for other in others]
    return author.sign(kind=3, tags=tags, created_at=1_700_000_000 + at)


def mined(author: Author, bits: int, kind: int = 1) -> dict[str, Any]:
    """An event that has cost some work."""
    nonce = 0
    while True:
        note = author.sign("worked", kind=kind, tags=[["nonce", str(nonce), str(bits)]])
        if int(note["id"], 16) < 1 << (256 - bits):
            return note
        nonce += 1


class RulesTests(LiveTestCase):
    """The whole of ``[[rules]]``, ``[lists.NAME]`` and ``[trust]``."""

    def setUp(self) -> None:
        """Make the file of the list."""
        super().setUp()
        self.said = 0
        self.spam = Path(self.directory) / "spam.txt"
        self.spam.write_text("casino\n")

    async def say(self, client: LiveClient, event: dict[str, Any]) -> str:
        """Publish, and return the reason of the answer; empty if it is taken."""
        client.send("EVENT", event)
        verb, id_, is_accepted, reason = await client.receive()
        self.assertEqual((verb, id_), ("OK", event["id"]))
        self.assertEqual(is_accepted, not reason)
        text: str = reason
        return text

    async def until(self, client: LiveClient, author: Author, expected: str) -> None:
        """Publish notes until one is answered as expected."""
        for _ in range(200):
            self.said += 1
            reason = await self.say(client, author.sign(f"poker {self.said}"))
            if reason == expected:
                return
            await deferLater(reactor, 0.05)
        self.fail(f"the last answer was {reason!r}")

    async def test_table(self) -> None:
        """
        The trusted are free, others work, spam and old messages are taken of nobody.

        Whom the operator follows from now on is trusted from now on, and whom those
        follow. A list in a file changes with the file.
        """
        relay = await self.start_relay(_TABLE)
        client = await self.connect(relay)
        self.assertEqual(
            await self.say(client, _OWNER.sign("x", kind=4)), "blocked: use NIP-17"
        )
        self.assertEqual(
            await self.say(client, _OWNER.sign("My Casino!")), "blocked: spam"
        )
        refused = await self.say(client, _FRIEND.sign("hello"))
        self.assertTrue(refused.startswith("pow: "), refused)
        self.assertEqual(await self.say(client, mined(_STRANGER, 8)), "")
        await self.say(client, follow_list(_OWNER, _FRIEND, at=1))
        self.assertEqual(await self.say(client, _FRIEND.sign("hello")), "")
        self.assertEqual(
            await self.say(client, follow_list(_FRIEND, _THEIRS, at=1)), ""
        )
        self.assertEqual(await self.say(client, _THEIRS.sign("hello, too")), "")
        refused = await self.say(client, _STRANGER.sign("hello"))
        self.assertTrue(refused.startswith("pow: "), refused)
        changed = Path(self.directory) / "changed.txt"
        changed.write_text("# new\npoker\n")
        os.replace(changed, self.spam)
        await self.until(client, _THEIRS, "blocked: spam")
        self.assertEqual(await self.say(client, _THEIRS.sign("my casino")), "")

    async def test_restart(self) -> None:
        """After a restart, the trusted are known from the first event on."""
        first = await self.start_relay(_TABLE)
        client = await self.connect(first)
        await self.say(client, follow_list(_OWNER, _FRIEND, at=1))
        await client.leave()
        await first.stop()
        for start in ("second", "third"):
            relay = await self.start_relay(_TABLE)
            client = await self.connect(relay)
            self.assertEqual(await self.say(client, _FRIEND.sign(start)), "")
            refused = await self.say(client, _STRANGER.sign(start))
            self.assertTrue(refused.startswith("pow: "), refused)
            await client.leave()
            await relay.stop()

    async def test_workers(self) -> None:
        """What is followed at one worker is known to all of them."""
        settings = (
            f"[lists.friends]\nnostr = ['{_OWNER.pubkey}']\n"
            f"[[rules]]\nnot_authors = ['friends', '{_OWNER.pubkey}']\n"
            "[cluster]\nworkers = 2\n"
        )
        relay = await self.start_relay(settings)
        clients = [await self.connect(relay) for _ in range(8)]
        for client in clients:
            self.assertEqual(
                await self.say(client, _FRIEND.sign("hello")),
                "blocked: not taken here",
            )
        await self.say(clients[0], follow_list(_OWNER, _FRIEND, at=1))
        for client in clients:
            await self.until(client, _FRIEND, "")
        await self.say(clients[0], follow_list(_OWNER, at=2))
        for client in clients:
            await self.until(client, _FRIEND, "blocked: not taken here")

    async def test_address(self) -> None:
        """Who is refused for the address alone cannot connect."""
        relay = await self.start_relay(
            "[[rules]]\naddresses = ['127.0.0.0/8']\nreason = 'not from here'\n"
        )
        with self.assertRaises(ConnectionEnded) as refused:
            await self.connect(relay)
        self.assertIn("403", str(refused.exception))
