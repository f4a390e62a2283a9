"""Tests for :mod:`nostrtx.web.certificates`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.web.certificate_files import read_certificates
from nostrtx.web.certificates import Certificates
from tests.certificates import write_certificates


class CertificatesTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.web.certificates.Certificates`."""

    def setUp(self) -> None:
        """Make a certificate, and an endpoint that shows it."""
        self.directory = Path(self.mktemp())
        write_certificates(self.directory)
        self.key = self.directory / "server.key"
        self.certificate = self.directory / "server.pem"
        self.description = f"ssl:443:privateKey={self.key}:certKey={self.certificate}"
        self.certificates = Certificates("ssl:443", self.read)

    def read(self) -> CertificateOptions:
        """What the files hold."""
        return read_certificates(self.description)

    def shown(self) -> object:
        """What OpenSSL is told to show a client that connects now."""
        return self.certificates.serverConnectionForTLS(None).get_context()

    def reload(self) -> tuple[bool, list[str]]:
        """Read the files again: whether they are new, and what the log says."""
        with capturedLogs() as logs:
            is_new = self.certificates.reload()
        return is_new, [formatEvent(event) for event in logs]

    def test_interface(self) -> None:
        """Twisted can speak TLS with them."""
        self.assertTrue(
            verifyObject(IOpenSSLServerConnectionCreator, self.certificates)
        )

    def test_unchanged(self) -> None:
        """As long as the files hold the same, nothing happens and nothing is said."""
        before = self.shown()
        self.certificate.write_bytes(self.certificate.read_bytes())
        self.assertEqual(self.reload(), (False, []))
        self.assertIs(self.shown(), before)

    def test_renewed(self) -> None:
        """New connections see the new certificate, and the log says until when."""
        before = self.shown()
        write_certificates(self.directory)
        is_new, said = self.reload()
        self.assertTrue(is_new)
        self.assertIsNot(self.shown(), before)
        [line] = said
        self.assertRegex(
            line,
            r"^The certificate of ssl:443 has been renewed; it is valid until"
            r" \d{4}-\d\d-\d\d \d\d:\d\d UTC\.$",
        )
        self.assertEqual(self.reload(), (False, []))

    def test_ends(self) -> None:
        """It is known when what is shown ends, or the first of its chain."""
        before = self.certificates.ends_at
        write_certificates(self.directory, until=timedelta(hours=48))
        self.assertEqual(self.certificates.ends_at, before)
        self.reload()
        # A whole day, for certificates tell of whole seconds only.
        self.assertGreater(self.certificates.ends_at, before + 86400)
        old = self.directory / "old"
        write_certificates(old)
        self.description += f":extraCertChain={old}/ca.pem"
        self.reload()
        self.assertLess(self.certificates.ends_at, before + 3600)

    def test_linked(self) -> None:
        """A link that leads to another file is noticed, as certbot renews."""
        renewed = self.directory / "renewed"
        write_certificates(renewed)
        for name in ("server.key", "server.pem"):
            (self.directory / name).unlink()
            (self.directory / name).symlink_to(renewed.absolute() / name)
        self.assertTrue(self.reload()[0])

    def test_half_renewed(self) -> None:
        """While only one of the two files is new, what was before remains."""
        before = self.shown()
        old_key = self.key.read_bytes()
        write_certificates(self.directory)
        new_key = self.key.read_bytes()
        self.key.write_bytes(old_key)
        is_new, [line] = self.reload()
        self.assertFalse(is_new)
        self.assertTrue(
            line.startswith(
                "The certificate of ssl:443 cannot be renewed, and the one from"
                " before remains: "
            )
        )
        self.assertIs(self.shown(), before)
        self.assertEqual(self.reload(), (False, []), "said once")
        self.key.write_bytes(new_key)
        self.assertTrue(self.reload()[0])

    def test_unusable(self) -> None:
        """Whatever the files hold, what was before remains, and one line says why."""
        good = self.certificate.read_bytes()
        cases = (good[: len(good) // 2], b"", b"\x00\xff" * 100, b"-----BEGIN")
        before = self.shown()
        for content in cases:
            self.certificate.write_bytes(content)
            self.certificates.reload()
            self.assertIs(self.shown(), before)
        self.certificate.unlink()
        is_new, [line] = self.reload()
        self.assertFalse(is_new)
        self.assertTrue(
            line.endswith(f"{self.certificate.absolute()}: No such file or directory"),
            line,
        )
        self.certificate.write_bytes(good)
        self.assertEqual(self.reload(), (False, []))

    def test_complains_anew(self) -> None:
        """After it worked, the same trouble is worth a line again."""
        good = self.certificate.read_bytes()
        for _ in range(2):
            self.certificate.write_bytes(b"")
            self.assertEqual(len(self.reload()[1]), 1)
            self.certificate.write_bytes(good)
            self.assertEqual(self.reload(), (False, []))

    def test_chain(self) -> None:
        """A new chain of authorities is new, though the certificate is the same."""
        chain = self.directory / "ca.pem"
        self.description += f":extraCertChain={chain}"
        self.assertTrue(self.reload()[0])
        other = self.directory / "other"
        write_certificates(other)
        chain.write_bytes((other / "ca.pem").read_bytes())
        self.assertTrue(self.reload()[0])
