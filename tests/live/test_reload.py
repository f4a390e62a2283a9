"""Settings that are read again while a relay runs."""

from __future__ import annotations

import os
import signal
from itertools import count
from typing import Any

import treq
from twisted.internet.task import deferLater
from twisted.web.http_headers import Headers

from tests.live.authors import Author
from tests.live.client import ConnectionEnded, LiveClient
from tests.live.live_case import LiveTestCase
from tests.live.reactor import reactor
from tests.live.relay_process import RelayProcess
from tests.live.test_workers import children, kill

_READ = "The settings were read again."
_KEPT = "The settings stay as they are"


class ReloadTests(LiveTestCase):
    """A relay of one process."""

    workers = 1

    async def begin(self, settings: str = "") -> RelayProcess:
        """A relay with these settings."""
        return await self.start_relay(self.complete(settings))

    def complete(self, settings: str) -> str:
        """The whole file."""
        return f"{settings}\n[cluster]\nworkers = {self.workers}\n"

    async def reload(self, relay: RelayProcess, settings: str) -> list[str]:
        """Have other settings read; what the log says of it."""
        before = len(relay.output)
        (relay.directory / "settings.toml").write_text(self.complete(settings))
        os.kill(relay.pid, signal.SIGHUP)
        await self.until(lambda: self.said(relay, before))
        # What is said after that, and by workers.
        await deferLater(reactor, 0.3)
        return relay.output[before:].splitlines()

    def said(self, relay: RelayProcess, since: int) -> bool:
        """Whether the log says by now what came of it."""
        return any(text in relay.output[since:] for text in (_READ, _KEPT))

    async def until(self, true: Any, seconds: float = 20) -> None:
        """Wait until something is true."""
        for _ in range(int(seconds / 0.05)):
            if true():
                return
            await deferLater(reactor, 0.05)
        self.fail("in vain")

    async def clients(self, relay: RelayProcess) -> list[LiveClient]:
        """Open connections; with several workers, to all of them."""
        return [await self.connect(relay) for _ in range(8 * self.workers)]

    async def answer(self, client: LiveClient, filters: int) -> str:
        """How a request with so many filters ends."""
        client.send("REQ", "s", *[{"kinds": [1], "limit": 1}] * filters)
        verb, *members = await client.receive()
        client.send("CLOSE", "s")
        return str(members[-1]) if verb == "CLOSED" else str(verb)

    async def name(self, relay: RelayProcess) -> str:
        """What the information document says the relay is called."""
        response = await treq.get(
            relay.url.replace("ws://", "http://"),
            headers=Headers({"Accept": ["application/nostr+json"]}),
            persistent=False,
        )
        return str((await response.json())["name"])

    def assert_said(self, lines: list[str], *texts: str) -> None:
        """Each of these texts ends a line."""
        for text in texts:
            self.assertTrue(any(line.endswith(text) for line in lines), (text, lines))

    async def test_open_connections(self) -> None:
        """New limits hold for connections that are open, and what is lifted is."""
        relay = await self.begin()
        clients = await self.clients(relay)
        for client in clients:
            self.assertEqual(await self.answer(client, 2), "EOSE")
        lines = await self.reload(relay, "[limits]\nmax_filters = 1")
        self.assert_said(lines, "limits.max_filters: 1, was 100")
        for client in clients:
            self.assertEqual(
                await self.answer(client, 2), "invalid: more than 1 filters"
            )
        await self.reload(relay, "[limits]\nmax_message_bytes = 2000")
        for client in clients:
            self.assertEqual(await self.answer(client, 2), "EOSE")
        long = Author("reload").sign("x" * 3000)
        with self.assertRaises(ConnectionEnded) as ended:
            await clients[0].publish([long])
        self.assertEqual(ended.exception.args[0].code, 1009)

    async def test_what_it_says_of_itself(self) -> None:
        """The information document is another one at once."""
        relay = await self.begin("[relay]\nname = 'before'")
        self.assertEqual(await self.name(relay), "before")
        await self.reload(relay, "[relay]\nname = 'after'")
        for _ in range(4 * self.workers):
            self.assertEqual(await self.name(relay), "after")

    async def test_origins(self) -> None:
        """Pages from elsewhere are kept out as soon as the settings say so."""
        relay = await self.begin()
        origin = {"Origin": "https://elsewhere.example"}
        await self.connect(relay, headers=origin)
        allowed = "[websocket]\nallowed_origins = ['https://client.example']"
        await self.reload(relay, allowed)
        for _ in range(4 * self.workers):
            with self.assertRaises(ConnectionEnded):
                await self.connect(relay, headers=origin)
        await self.connect(relay, headers={"Origin": "https://client.example"})

    async def test_members_of_the_relay(self) -> None:
        """Who must authenticate is another one, for connections that are open too."""
        relay = await self.begin()
        client = await self.connect(relay)
        author = Author("reload")
        first, second = author.sign("one"), author.sign("two")
        self.assertEqual(await client.publish([first]), {first["id"]: (True, "")})
        await self.reload(relay, "[auth]\nrequired = 'write'")
        client.send("EVENT", second)
        verb, challenge = await client.receive()
        self.assertEqual((verb, len(challenge)), ("AUTH", 32))
        _, _, accepted, reason = await client.receive()
        self.assertFalse(accepted)
        self.assertTrue(reason.startswith("auth-required: "), reason)

    async def test_turned_on(self) -> None:
        """The relay announces itself, and asks for identifiers, as soon as it shall."""
        relay = await self.begin()
        client = await self.connect(relay)
        await self.answered(client, "")
        client.send("REQ", "live", {"kinds": [30166]})
        self.assertEqual((await client.receive())[:2], ["EOSE", "live"])
        lines = await self.reload(
            relay,
            "[relay]\nurl = 'wss://relay.example.com'\n[discovery]\nannounce = true\n"
            "[nip05]\nrequired = true",
        )
        self.assert_said(
            lines, "discovery.announce: true, was false", "required: true, was false"
        )
        _, _, event = await client.receive()
        self.assertIn(["d", "wss://relay.example.com/"], event["tags"])
        client.send("CLOSE", "live")
        await self.answered(
            client, "restricted: a verified NIP-05 identifier is required"
        )
        await self.reload(relay, "[relay]\nurl = 'wss://relay.example.com'")
        await self.answered(client, "")

    async def answered(self, client: LiveClient, reason: str) -> None:
        """Publish notes until one is answered so, as soon as a worker has been told."""
        for number in count():
            note = Author("unknown").sign(f"{reason} {number}")
            if (await client.publish([note]))[note["id"]] == (not reason, reason):
                return
            await deferLater(reactor, 0.05)

    async def test_faults(self) -> None:
        """A file with faults changes nothing, and each fault has a line in the log."""
        relay = await self.begin()
        client = await self.connect(relay)
        lines = await self.reload(
            relay, "[limits]\nmax_filters = 1\nmax_limit = 0\n[relais]\nname = 'x'"
        )
        self.assert_said(lines, "relais: there is no such table")
        self.assertTrue(any("limits.max_limit: must be at" in line for line in lines))
        self.assertEqual(await self.answer(client, 2), "EOSE")
        self.assertFalse(client.closed.value)

    async def test_restart_needed(self) -> None:
        """What cannot change is named and stays; options still win over the file."""
        relay = await self.begin()
        client = await self.connect(relay)
        lines = await self.reload(
            relay,
            "[store]\nurl = 'memory:'\nmax_gigabytes = 7\n[search]\nenabled = false\n"
            "[limits]\nmax_filters = 1",
        )
        self.assert_said(
            lines,
            "store.max_gigabytes: needs a restart",
            "search.enabled: needs a restart",
            "limits.max_filters: 1, was 100",
        )
        # It is the command line that names the store, before and after.
        self.assertNotIn("store.url", "\n".join(lines))
        self.assertIn("invalid: ", await self.answer(client, 2))

    async def test_stops_afterwards(self) -> None:
        """A relay that was told of settings stops in order as any other."""
        relay = await self.begin()
        await self.reload(relay, "[limits]\nmax_filters = 1")
        self.assertEqual(await relay.stop(), -signal.SIGTERM)


class ReloadWorkersTests(ReloadTests):
    """The same with two workers."""

    workers = 2

    async def test_later_worker(self) -> None:
        """A worker that is replaced begins with the settings of the others."""
        relay = await self.begin()
        await self.reload(relay, "[limits]\nmax_filters = 1")
        before = len(relay.output)
        kill(children(relay.pid)[0])
        await self.until(lambda: "is ready" in relay.output[before:])
        for client in await self.clients(relay):
            self.assertIn("invalid: ", await self.answer(client, 2))
