"""Bans made with the command beside a relay that runs."""

from __future__ import annotations

import json
import sys
from typing import Any

from twisted.internet.utils import getProcessOutputAndValue

from nostrtx.nostr.bech32 import Npub, encode
from tests.live.authors import Author
from tests.live.client import ConnectionEnded, LiveClient
from tests.live.live_case import LiveTestCase
from tests.live.reactor import reactor
from tests.live.relay_process import PROXIED, RelayProcess

_NEAR = b"PROXY TCP4 203.0.113.7 203.0.113.1 40000 443\r\n"
_FAR = b"PROXY TCP6 2001:db8::8 2001:db8::1 40000 443\r\n"

_ALLOWED_ONLY = (
    "[[rules]]\nnot_authors = ['allowed']\nreason = 'restricted: ask for it'\n"
)
_PRIVATE = "auth.required = 'read'\nauth.open_kinds = []\n"


class BansTests(LiveTestCase):
    """``nostrtx bans`` and the relay next to it."""

    async def run_command(self, *arguments: str, code: int = 0) -> str:
        """What the command prints on the store of the relay, once it has ended."""
        out, err, status = await getProcessOutputAndValue(
            sys.executable,
            ["-m", "nostrtx.cli.main", *arguments, "--store", "lmdb:store"],
            path=str(self.directory),
            reactor=reactor,
        )
        self.assertEqual(status, code, err.decode())
        text: str = out.decode()
        return text

    async def authenticated(self, relay: RelayProcess, author: Author) -> LiveClient:
        """A client that has shown that it has the author's key."""
        client = await self.connect(relay)
        self.assertEqual(await self.authenticate(client, relay, author), (True, ""))
        return client

    async def authenticate(
        self, client: LiveClient, relay: RelayProcess, author: Author
    ) -> tuple[bool, str]:
        """Answer the challenge with the author's key; the relay's answer."""
        verb, challenge = await client.receive()
        self.assertEqual(verb, "AUTH")
        tags = [["relay", relay.url], ["challenge", challenge]]
        client.send("AUTH", author.sign(kind=22242, tags=tags))
        verb, _, is_accepted, reason = await client.receive()
        self.assertEqual(verb, "OK")
        return is_accepted, reason

    async def test_pubkey(self) -> None:
        """
        Whoever is banned is disconnected at once and can do no more.

        What was published before stays, or goes with ``--remove-events``; an import
        does not bring it back.
        """
        relay = await self.start_relay(_PRIVATE)
        alice, bob = Author("alice"), Author("bob")
        hers = await self.authenticated(relay, alice)
        his = await self.authenticated(relay, bob)
        notes = [alice.sign(str(number)) for number in range(700)]
        bobs = bob.sign()
        await hers.publish([*notes, bobs])
        npub = encode(Npub(bytes.fromhex(alice.pubkey)))

        await self.run_command("bans", "add", "pubkey", npub, "--reason", "spam")
        closing = await hers.closed.wait(20)
        self.assertEqual(closing.code, 1008)
        self.assertEqual(closing.reason, "blocked: this key is banned: spam")
        again = await self.connect(relay)
        answer = await self.authenticate(again, relay, alice)
        self.assertEqual(answer, (False, "restricted: this key is banned: spam"))
        note = alice.sign("after")
        answers = await his.publish([note, bob.sign("after")])
        refusal = (False, "blocked: this key is banned: spam")
        self.assertEqual(answers.pop(note["id"]), refusal)
        self.assertEqual(list(answers.values()), [(True, "")])
        stored = await his.query({"authors": [alice.pubkey]})
        self.assertGreaterEqual(len(stored), 500)

        await self.run_command("bans", "add", "pubkey", npub, "--remove-events")
        self.assertEqual(await his.query({"authors": [alice.pubkey]}), [])
        (self.directory / "dump").write_text(json.dumps(note))
        summary = await self.run_command("import", "dump")
        self.assertIn("blocked: this key is banned", summary)
        self.assertEqual(len(await his.query({})), 2)

        await self.run_command("bans", "remove", "pubkey", alice.pubkey)
        await self.run_command("bans", "remove", "pubkey", alice.pubkey, code=1)
        await self.until_accepted(his, alice.sign("forgiven"))

    async def until_accepted(
        self, client: LiveClient, event: dict[str, Any], refusal: str = "blocked: "
    ) -> None:
        """Publish an event until the relay takes it."""
        while True:
            ((is_accepted, reason),) = (await client.publish([event])).values()
            if is_accepted:
                return
            self.assertTrue(reason.startswith(refusal), reason)

    async def test_event(self) -> None:
        """A banned event is gone when the command has ended, and refused."""
        relay = await self.start_relay()
        client = await self.connect(relay)
        note, other = Author("alice").sign("1"), Author("alice").sign("2")
        await client.publish([note, other])
        await self.run_command("bans", "add", "event", note["id"])
        self.assertEqual(await client.query({}), [other])
        reason = "duplicate: "
        while reason.startswith("duplicate: "):
            # It has not heard of the ban yet.
            ((_, reason),) = (await client.publish([note])).values()
        self.assertEqual(reason, "blocked: this event is banned")
        await self.run_command("bans", "remove", "event", note["id"])
        await self.until_accepted(client, note)

    async def test_address(self) -> None:
        """From a banned network nobody connects, and nobody stays."""
        relay = await self.start_relay(listen=PROXIED)
        near = await self.connect(relay, before=_NEAR)
        far = await self.connect(relay, before=_FAR)
        await self.run_command("bans", "add", "address", "203.0.113.0/24")
        closing = await near.closed.wait(20)
        self.assertEqual(closing.code, 1008)
        self.assertEqual(closing.reason, "blocked: this address is banned")
        with self.assertRaises(ConnectionEnded) as refused:
            await self.connect(relay, before=_NEAR)
        self.assertIn("403", str(refused.exception))
        self.assertEqual(await far.query({}), [])

    async def test_address_behind_a_proxy(self) -> None:
        """The same where an HTTP proxy says whose each connection is."""
        relay = await self.start_relay("listen.trusted_proxies = ['127.0.0.1']\n")
        near, far = (
            {"X-Forwarded-For": f"198.51.100.66, {address}"}
            for address in ("203.0.113.7", "2001:db8::8")
        )
        banned = await self.connect(relay, headers=near)
        other = await self.connect(relay, headers=far)
        await self.run_command("bans", "add", "address", "203.0.113.0/24")
        closing = await banned.closed.wait(20)
        self.assertEqual(closing.code, 1008)
        with self.assertRaises(ConnectionEnded) as refused:
            await self.connect(relay, headers=near)
        self.assertIn("403", str(refused.exception))
        self.assertEqual(await other.query({}), [])

    async def test_allowed(self) -> None:
        """Who is allowed by command publishes where only those may, until it ends."""
        relay = await self.start_relay(_ALLOWED_ONLY)
        client = await self.connect(relay)
        alice, bob = Author("alice"), Author("bob")
        refusal = (False, "restricted: ask for it")
        answers = await client.publish([alice.sign("1"), bob.sign("1")])
        self.assertEqual(list(answers.values()), [refusal, refusal])
        npub = encode(Npub(bytes.fromhex(alice.pubkey)))
        await self.run_command("allowed", "add", npub, "--reason", "a friend")
        await self.until_accepted(client, alice.sign("2"), "restricted: ")
        (answer,) = (await client.publish([bob.sign("2")])).values()
        self.assertEqual(answer, refusal)

        await relay.stop()
        relay = await self.start_relay(_ALLOWED_ONLY)
        client = await self.connect(relay)
        (answer,) = (await client.publish([alice.sign("3")])).values()
        self.assertEqual(answer, (True, ""))
        table = await self.run_command("allowed", "list")
        self.assertIn(npub, table)
        (line,) = (await self.run_command("allowed", "list", "--json")).splitlines()
        listed = json.loads(line)
        self.assertEqual(
            (listed["pubkey"], listed["reason"]), (alice.pubkey, "a friend")
        )
        self.assertEqual(await self.run_command("bans", "list"), "")
        report = await self.run_command(
            "policy-replay", "--rules", "--config", "settings.toml"
        )
        self.assertIn("2  100.0 %", " ".join(report.split(" ")))

        await self.run_command("allowed", "remove", npub)
        await self.run_command("allowed", "remove", npub, code=1)
        number = 0
        while answer != refusal:
            # It has not heard of that yet.
            number += 1
            note = alice.sign(f"more {number}")
            (answer,) = (await client.publish([note])).values()

    async def test_list(self) -> None:
        """Bans outlive the relay, and are listed with their reasons."""
        relay = await self.start_relay()
        networks = ["203.0.113.9/24", "2001:db8::1"]
        await self.run_command("bans", "add", "address", *networks, "--reason", "flood")
        await relay.stop()
        await self.start_relay()
        table = await self.run_command("bans", "list")
        self.assertIn("203.0.113.0/24", table)
        lines = (await self.run_command("bans", "list", "--json")).splitlines()
        bans = [json.loads(line) for line in lines]
        found = [(ban["kind"], ban["banned"], ban["reason"]) for ban in bans]
        self.assertEqual(
            found,
            [
                ("address", "203.0.113.0/24", "flood"),
                ("address", "2001:db8::1", "flood"),
            ],
        )
        self.assertEqual(await self.run_command("bans", "list", "event"), "")
