"""Tests for :mod:`nostrtx.cli.endpoint_findings`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.cli.endpoint_findings import endpoint_findings
from nostrtx.cli.finding import Finding
from nostrtx.settings.edge import AdminSettings, ListenSettings
from nostrtx.settings.tree import Settings
from tests.certificates import make_certificate, write_certificates, write_chain


def found(
    *listen: str, admin: tuple[str, ...] = (), takeover: str = ""
) -> list[Finding]:
    """What is found of these endpoints."""
    settings = Settings(
        listen=ListenSettings(listen or ("tcp:0",), takeover=takeover),
        admin=AdminSettings(admin),
    )
    return list(endpoint_findings(settings, datetime.now(UTC)))


class EndpointTests(SynchronousTestCase):
    """What is told of where a relay is to listen."""

    def test_good(self) -> None:
        """Endpoints that can stand together are fine, whether they are free or not."""
        together = (
            "tcp:0",
            "tcp:0",
            "tcp:7447",
            "haproxy:tcp:7448:interface=127.0.0.1",
            r"tcp6:7447:interface=\:\:",
            "tcp:7448:interface=127.0.0.2",
            "unix:relay.sock",
            "systemd:domain=INET:index=0",
        )
        self.assertEqual(found(*together, admin=("unix:admin.sock",)), [])

    def test_in_the_way(self) -> None:
        """Two that cannot be open at once are told, also of different tables."""
        for one, other in (
            ("tcp:7447", "tcp:7447"),
            ("tcp:7447:interface=127.0.0.1", "tcp:7447"),
            ("haproxy:tcp:7447", "tcp:7447:interface=127.0.0.1"),
            (r"tcp6:1:interface=\:\:1", r"tcp6:1:interface=\:\:"),
            ("unix:relay.sock", "unix:relay.sock:mode=600"),
        ):
            [within] = found(one, other)
            [beyond] = found(one, admin=(other.removeprefix("haproxy:"),))
            self.assertIn(" is in the way", within.text)
            self.assertTrue(beyond.text.startswith("admin.endpoints: "))
            self.assertTrue(beyond.is_fault)

    def test_sockets(self) -> None:
        """A socket needs a directory to be in."""
        texts = [each.text for each in found("unix:a/b", takeover="c/d")]
        self.assertEqual(
            texts,
            [
                'listen.endpoints: "unix:a/b": a/b cannot be made: there is no'
                " directory a",
                "listen.takeover: c/d cannot be made: there is no directory c",
            ],
        )


class CertificateTests(SynchronousTestCase):
    """What is told of an endpoint's certificates."""

    def setUp(self) -> None:
        """A directory."""
        self.directory = Path(self.mktemp()).absolute()

    def told(self, key: str, certificate: str) -> tuple[list[str], list[str]]:
        """Faults, and what is worth a look, without the name of the endpoint."""
        paths = (self.directory / name for name in (key, certificate))
        endpoint = "haproxy:ssl:443:privateKey={}:certKey={}".format(*paths)
        findings = found(endpoint)
        texts = [
            each.text.removeprefix(f'listen.endpoints: "{endpoint}"')
            for each in findings
        ]
        faults = [each.is_fault for each in findings]
        return (
            [text for text, fault in zip(texts, faults, strict=True) if fault],
            [text for text, fault in zip(texts, faults, strict=True) if not fault],
        )

    def test_good(self) -> None:
        """A whole chain is fine, and so is a certificate that signs itself."""
        write_chain(self.directory)
        self.assertEqual(self.told("privkey.pem", "fullchain.pem"), ([], []))
        make_certificate(self.directory / "own.pem", self.directory / "own.key")
        self.assertEqual(self.told("own.key", "own.pem"), ([], []))

    def test_no_chain(self) -> None:
        """A certificate that comes without who signed it is worth a look."""
        write_chain(self.directory)
        faults, [remark] = self.told("privkey.pem", "cert.pem")
        self.assertEqual(faults, [])
        self.assertIn("comes without that of who signed it", remark)

    def test_wrong_chain(self) -> None:
        """So is a chain whose parts do not belong together."""
        write_chain(self.directory)
        wrong = [self.directory / name for name in ("cert.pem", "ca.pem")]
        mixed = b"".join(path.read_bytes() for path in wrong)
        (self.directory / "mixed.pem").write_bytes(mixed)
        faults, [remark] = self.told("privkey.pem", "mixed.pem")
        self.assertEqual(faults, [])
        self.assertIn(
            "the certificate of CN=server is not signed by what follows it, the"
            " certificate of CN=authority",
            remark,
        )

    def write(self, since: int, until: int) -> tuple[list[str], list[str]]:
        """What is told of a certificate good from then to then, in days from now."""
        write_certificates(
            self.directory, since=timedelta(since), until=timedelta(until)
        )
        faults, remarks = self.told("server.key", "server.pem")
        return faults, [each for each in remarks if "without" not in each]

    def test_time(self) -> None:
        """One that has ended is a fault; one that ends soon is worth a look."""
        [ended], _ = self.write(-30, -1)
        self.assertRegex(
            ended, r": the certificate has ended: it was good until 20\d\d"
        )
        [early], _ = self.write(1, 30)
        self.assertIn("the certificate is good from", early)
        for since, until, is_soon in (
            (-80, 10, True),
            (-70, 20, False),
            (-5, 1, True),
            (-3, 3, False),
        ):
            faults, remarks = self.write(since, until)
            self.assertEqual((faults, len(remarks)), ([], is_soon), (since, until))

    def test_unusable(self) -> None:
        """A key that cannot be read, or is another's, is told in plain words."""
        write_certificates(self.directory)
        write_chain(self.directory)
        for key, words in (
            ("nowhere", f"{self.directory}/nowhere: No such file or directory"),
            ("privkey.pem", "public and private keys do not match"),
        ):
            [fault], _ = self.told(key, "server.pem")
            self.assertIn(words, fault)
