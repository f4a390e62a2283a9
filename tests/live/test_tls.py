"""TLS on the relay's own ports, with certificates that are renewed as it runs."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Callable
from time import time
from typing import Any
from urllib.request import Request, urlopen

import treq
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest

from tests.live.authors import Author
from tests.live.client import ConnectionEnded, LiveClient
from tests.live.live_case import LiveTestCase
from tests.live.reactor import reactor
from tests.live.relay_process import (
    FREE_PORT,
    WITH_PAGES,
    RelayProcess,
    run_to_end,
)
from tests.web.test_metrics import parsed

_OFTEN = "[timing]\ncertificate_seconds = 0.1\n"
_HEADER = b"PROXY TCP4 203.0.113.7 203.0.113.1 40000 443\r\n"


class TLSTests(LiveTestCase):
    """A relay that needs no proxy for TLS."""

    async def setUp(self) -> None:  # type: ignore[override]
        """Make a certificate."""
        super().setUp()
        if shutil.which("openssl") is None:
            raise SkipTest("there is no openssl")
        self.key = self.directory / "server.key"
        self.certificate = self.directory / "server.pem"
        await self.renew()

    @property
    def endpoint(self) -> str:
        """Where the relay listens."""
        files = f"privateKey={self.key}:certKey={self.certificate}"
        return FREE_PORT.replace("tcp:", "ssl:", 1) + f":{files}"

    async def renew(self, days: int = 1) -> None:
        """Have a new key and certificate made, and put in place of the old."""
        await self.make(
            "new", "-days", str(days), "-addext", "subjectAltName=IP:127.0.0.1"
        )
        (self.directory / "new.key").rename(self.key)
        (self.directory / "new.pem").rename(self.certificate)

    async def make(self, name: str, *options: str) -> None:
        """Have a key and a certificate made, signed with itself unless said so."""
        _, errors, code = await getProcessOutputAndValue(
            shutil.which("openssl"),
            [
                *"req -x509 -newkey rsa:2048 -nodes".split(),
                *("-subj", f"/CN={name}", *options),
                *("-keyout", f"{name}.key", "-out", f"{name}.pem"),
            ],
            path=str(self.directory),
        )
        self.assertEqual(code, 0, errors)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so."""
        while not is_so():
            await deferLater(reactor, 0.02)

    async def assert_serves(self, reader: LiveClient, writer: LiveClient) -> None:
        """Publishing, queries and live events work, small and large."""
        author = Author("over TLS")
        notes = [author.sign(f"note {number}") for number in range(50)]
        notes.append(author.sign("ü" * 200_000))
        reader.send("REQ", "live", {"limit": 0})
        self.assertEqual((await reader.receive())[:2], ["EOSE", "live"])
        answers = await writer.publish(notes)
        self.assertEqual({ok for ok, _ in answers.values()}, {True})
        heard = [(await reader.receive())[2] for _ in notes]
        self.assertEqual({note["id"] for note in heard}, set(answers))
        self.assertEqual(set(await writer.by_id(list(answers))), set(answers))

    async def test_serves(self) -> None:
        """Clients, the document and the page are served by ``wss`` and ``https``."""
        relay = await self.start_relay(listen=self.endpoint)
        self.assertTrue(relay.url.startswith("wss://127.0.0.1:"))
        pair = [await self.connect(relay, self.certificate) for _ in range(2)]
        await self.assert_serves(*pair)

        def document() -> bytes:
            trust = ssl.create_default_context(cafile=str(self.certificate))
            url = relay.url.replace("wss", "https", 1)
            asked = Request(url, headers={"Accept": "application/nostr+json"})
            with urlopen(asked, context=trust, timeout=10) as answer:
                return bytes(answer.read())

        self.assertIn(b'"supported_nips"', await deferToThread(document))

    async def test_renewed(self) -> None:
        """A renewed certificate is shown to those who connect; others stay."""
        await self.check_renewal("")

    async def test_chain(self) -> None:
        """
        Of a file with a whole chain all is shown, at a renewal, too: clients that
        trust its root alone are content.
        """
        await self.make("root")
        authority = "-addext", "basicConstraints=critical,CA:TRUE"
        await self.make("middle", *authority, "-CA", "root.pem", "-CAkey", "root.key")
        await self.make(
            "server",
            *("-addext", "basicConstraints=CA:FALSE"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-CA", "middle.pem", "-CAkey", "middle.key"),
        )
        root, middle = (self.directory / f"{name}.pem" for name in ("root", "middle"))
        relay = await self.start_relay(_OFTEN, self.endpoint)
        with self.assertRaises(ConnectionEnded):
            await self.connect(relay, root)
        self.certificate.write_bytes(
            self.certificate.read_bytes() + middle.read_bytes()
        )
        await self.until(lambda: "has been renewed" in relay.output)
        self.assertEqual(await (await self.connect(relay, root)).query({}), [])
        await relay.stop()
        relay = await self.start_relay("", self.endpoint)
        self.assertEqual(await (await self.connect(relay, root)).query({}), [])

    async def test_workers(self) -> None:
        """Each of several workers takes a renewed certificate."""
        await self.check_renewal("[cluster]\nworkers = 2\n")

    async def ends_at(self, relay: RelayProcess) -> float:
        """When the certificate ends that clients are shown, as metrics tell."""
        host, _, port = relay.node
        page = f"http://{host}:{port}/metrics"
        shown = parsed(await (await treq.get(page, persistent=False)).content())
        (sample,) = shown["nostrtx_certificate_expiry_timestamp_seconds"].samples
        self.assertTrue(sample.labels["endpoint"].startswith("ssl:"))
        return float(sample.value)

    async def check_renewal(self, settings: str) -> None:
        """Renew the certificate of a relay with these settings."""
        relay = await self.start_relay(settings + _OFTEN + WITH_PAGES, self.endpoint)
        day, ends_at = 86400, await self.ends_at(relay)
        self.assertTrue(0 < ends_at - time() <= day)
        processes = 2 if settings else 1
        before = await self.connect(relay, self.certificate)
        old = self.directory / "old.pem"
        old.write_bytes(self.certificate.read_bytes())
        # Half of a certificate, as if somebody was still writing.
        self.certificate.write_bytes(old.read_bytes()[:500])
        await self.until(lambda: relay.output.count("cannot be renewed") == processes)
        await self.connect(relay, old)
        await self.renew(days=3)
        await self.until(lambda: relay.output.count("has been renewed") == processes)
        for _ in range(4):
            self.assertGreater(await self.ends_at(relay), ends_at + day)
        for _ in range(4):
            after = await self.connect(relay, self.certificate)
        await self.assert_serves(before, after)

    async def test_proxied(self) -> None:
        """Behind a proxy that passes TLS on, its header comes first."""
        relay = await self.start_relay(
            "[log]\nconnections = true\naddresses = 'plain'\n",
            f"haproxy:{self.endpoint}",
        )
        for header in (_HEADER, _HEADER):
            client = await self.connect(relay, self.certificate, header)
            self.assertEqual(await client.query({"limit": 1}), [])
            await client.leave()
        await self.until(lambda: "from 203.0.113.7 ended" in relay.output)

    async def test_silent(self) -> None:
        """Who never says anything is sent off."""
        relay = await self.start_relay(
            "[timing]\nhandshake_seconds = 0.2\n", self.endpoint
        )
        lost: Deferred[Any] = Deferred()

        class Silent(Protocol):
            def connectionLost(self, reason: Any = None) -> None:
                lost.callback(reason.value)

        host, port = relay.address
        endpoint = clientFromString(reactor, f"tcp:{host}:{port}")
        await connectProtocol(endpoint, Silent())
        self.assertIsInstance(await lost, ConnectionLost)

    async def test_wrong_key(self) -> None:
        """With a key of another certificate the relay does not start, and says so."""
        key = self.key.read_bytes()
        await self.renew()
        self.key.write_bytes(key)
        code, output = await run_to_end(
            self.directory, ["nostr-relay", "--listen", self.endpoint]
        )
        self.assertEqual(code, 1)
        self.assertIn("nostr-relay: 'ssl:0:", output)
        self.assertIn("public and private keys do not match", output)
        self.assertNotIn("Traceback", output)
