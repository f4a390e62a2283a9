"""Verified identifiers, with a domain on this machine that speaks real TLS (NIP-05)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.ssl import PrivateCertificate
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from tests.live.authors import Author
from tests.live.client import Json, LiveClient
from tests.live.live_case import LiveTestCase
from tests.live.reactor import reactor
from tests.live.relay_process import FREE_PORT, RelayProcess

_SETTINGS = """
[nip05]
required = true
retry_seconds = 0.001
local_addresses = {local}
"""


def certificate(name: str) -> bytes:
    """A key and a certificate for ``name`` that vouches for itself, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


class Domain(Resource):
    """
    A domain's web server.

    Attributes:
        names: Whose names it knows.
        asked: How often it was asked.
        moved: Where it redirects to, if it does.
    """

    isLeaf = True  # noqa: N815

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, str] = {}
        self.asked: list[str] = []
        self.moved = ""

    def render_GET(self, request: Request) -> bytes:
        """Say whose names these are."""
        self.asked.append(request.uri.decode())
        if self.moved:
            request.redirect(self.moved.encode())
            return b""
        return json.dumps({"names": self.names}).encode()


class IdentifierTests(LiveTestCase):
    """A relay that asks a domain."""

    async def serve(self, name: str = "localhost") -> tuple[Domain, str]:
        """A domain with a certificate for ``name``, and where it is."""
        pem = certificate(name)
        (self.directory / "trusted.pem").write_bytes(pem)
        domain = Domain()
        endpoint = SSL4ServerEndpoint(
            reactor,
            0,
            PrivateCertificate.loadPEM(pem).options(),
            interface="127.0.0.1",
        )
        port = await endpoint.listen(Site(domain))
        self.addCleanup(port.stopListening)
        return domain, f"localhost:{port.getHost().port}"

    async def relay(self, local: bool = True) -> RelayProcess:
        """A relay that trusts the domain's certificate."""
        settings = self.directory / "settings.toml"
        settings.write_text(_SETTINGS.format(local=str(local).lower()))
        arguments = ["--config", "settings.toml", "--store", "lmdb:store"]
        return self.ends(
            await RelayProcess.spawn(
                Path(self.directory),
                ["nostr-relay", *arguments, "--listen", FREE_PORT],
                SSL_CERT_FILE=str(self.directory / "trusted.pem"),
            )
        )

    async def answer(self, client: LiveClient, event: Json) -> tuple[bool, str]:
        """What the OK for an event says."""
        answers = await client.publish([event])
        return answers[event["id"]]

    async def introduce(self, client: LiveClient, author: Author, name: str) -> Any:
        """Publish a profile, then a note; the answer to the note."""
        profile = author.sign(json.dumps({"nip05": name}), kind=0)
        self.assertEqual(await self.answer(client, profile), (True, ""))
        return await self.answer(client, author.sign(f"I am {name}"))

    async def test_verified(self) -> None:
        """Whom the domain knows may write, and nobody else."""
        domain, place = await self.serve()
        alice, bob = Author("alice"), Author("bob")
        domain.names = {"alice": alice.pubkey}
        client = await self.connect(await self.relay())
        self.assertEqual(
            await self.introduce(client, alice, f"alice@{place}"), (True, "")
        )
        self.assertEqual(domain.asked, ["/.well-known/nostr.json?name=alice"])
        (is_accepted, reason) = await self.introduce(client, bob, f"alice@{place}")
        self.assertFalse(is_accepted)
        self.assertIn("is not this key's", reason)
        (note,) = await client.query({"kinds": [1]})
        self.assertEqual(note["pubkey"], alice.pubkey)

    async def test_redirect(self) -> None:
        """A redirect is no answer, and is not followed."""
        domain, place = await self.serve()
        alice = Author("alice")
        domain.names = {"alice": alice.pubkey}
        domain.moved = f"https://{place}/elsewhere"
        client = await self.connect(await self.relay())
        (is_accepted, reason) = await self.introduce(client, alice, f"alice@{place}")
        self.assertEqual((is_accepted, len(domain.asked)), (False, 1))
        self.assertIn("did not answer", reason)

    async def test_wrong_certificate(self) -> None:
        """A domain whose certificate is for another name is not believed."""
        domain, place = await self.serve("elsewhere.example")
        alice = Author("alice")
        domain.names = {"alice": alice.pubkey}
        client = await self.connect(await self.relay())
        (is_accepted, reason) = await self.introduce(client, alice, f"alice@{place}")
        self.assertEqual((is_accepted, domain.asked), (False, []))
        self.assertIn("did not answer", reason)

    async def test_within(self) -> None:
        """Without the switch nothing on this machine is asked."""
        domain, place = await self.serve()
        client = await self.connect(await self.relay(local=False))
        for name in (f"alice@{place}", "alice@localhost", "alice@127.0.0.1"):
            author = Author(name)
            (is_accepted, reason) = await self.introduce(client, author, name)
            self.assertFalse(is_accepted)
            self.assertTrue(reason.startswith("restricted: "), reason)
        self.assertEqual(domain.asked, [])
