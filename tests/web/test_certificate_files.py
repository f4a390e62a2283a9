"""Tests for :mod:`nostrtx.web.certificate_files`."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificates
from OpenSSL.SSL import Error
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.web.certificate_files import (
    read_certificates,
    server_endpoint,
    shown_certificates,
    why_not,
)
from tests.certificates import write_certificates, write_chain


class CertificateFilesTestCase(SynchronousTestCase):
    """A certificate that an intermediate authority has signed."""

    def setUp(self) -> None:
        """Make it."""
        self.directory = Path(self.mktemp()).absolute()
        write_chain(self.directory)

    def endpoint(self, certificate: str, more: str = "") -> str:
        """The description of an endpoint."""
        key = self.directory / "privkey.pem"
        named = f"privateKey={key}:certKey={self.directory / certificate}"
        return f"ssl:443:{named}{more}"


class ReadCertificatesTests(CertificateFilesTestCase):
    """Tests for :func:`nostrtx.web.certificate_files.read_certificates`."""

    def assert_shown(self, description: str, *files: str) -> None:
        """Clients are shown what is in these files, in this order."""
        expected = b"".join((self.directory / name).read_bytes() for name in files)
        self.assertEqual(
            shown_certificates(read_certificates(description)),
            load_pem_x509_certificates(expected),
        )

    def test_chain(self) -> None:
        """All that is in the file of the certificate is shown to clients."""
        self.assert_shown(self.endpoint("fullchain.pem"), "cert.pem", "chain.pem")
        self.assert_shown(self.endpoint("cert.pem"), "cert.pem")

    def test_chain_elsewhere(self) -> None:
        """A chain in a file of its own is shown behind it, and nothing twice."""
        more = f":extraCertChain={self.directory / 'chain.pem'}"
        for name in ("cert.pem", "fullchain.pem"):
            self.assert_shown(self.endpoint(name, more), "cert.pem", "chain.pem")

    def test_one_file(self) -> None:
        """Key and chain may be in one file, named by its place."""
        names = "privkey.pem", "fullchain.pem"
        path = self.directory / "all.pem"
        path.write_bytes(b"".join((self.directory / n).read_bytes() for n in names))
        for description in (f"ssl:443:{path}", f"ssl:443:privateKey={path}"):
            self.assert_shown(description, "cert.pem", "chain.pem")

    def test_by_place(self) -> None:
        """Files may be named without saying which is which, as Twisted allows."""
        names = "privkey.pem", "fullchain.pem"
        key, certificate = (self.directory / name for name in names)
        self.assert_shown(f"ssl:443:{key}:{certificate}", "cert.pem", "chain.pem")


class ServerEndpointTests(CertificateFilesTestCase):
    """Tests for :func:`nostrtx.web.certificate_files.server_endpoint`."""

    def assert_useless(self, description: str, why: str) -> None:
        """What is wrong is told in plain words."""
        self.assertEqual(self.trouble(description), why)

    def trouble(self, description: str) -> str:
        """What is wrong with an endpoint; empty if nothing is."""
        try:
            server_endpoint(MemoryReactorClock(), description)
        except Exception as error:
            return why_not(error)
        return ""

    def test_passphrase(self) -> None:
        """A key with a passphrase is refused; the terminal is not asked for it."""
        path = self.directory / "privkey.pem"
        key = load_pem_private_key(path.read_bytes(), None)
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
            path.write_bytes(
                key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"x"))
            )
            self.assert_useless(
                self.endpoint("cert.pem"),
                f"{path}: the key has a passphrase; take it off",
            )

    def test_mixed_up(self) -> None:
        """Files that hold something else are named, each with what it lacks."""
        key, certificate = (self.directory / n for n in ("privkey.pem", "cert.pem"))
        self.assert_useless(
            f"ssl:443:{certificate}:{certificate}",
            f"{certificate}: there is no private key in it (PEM)",
        )
        self.assert_useless(
            f"ssl:443:{key}:{key}", f"{key}: there is no certificate in it (PEM)"
        )

    def test_missing(self) -> None:
        """A file that is not there is named."""
        self.assert_useless(
            self.endpoint("nowhere"),
            f"{self.directory / 'nowhere'}: No such file or directory",
        )
        default = Path("server.pem").absolute()
        self.assert_useless("ssl:443", f"{default}: No such file or directory")

    def test_wrong_key(self) -> None:
        """A key of another certificate is refused."""
        other = self.directory / "other"
        write_certificates(other)
        (self.directory / "cert.pem").write_bytes((other / "server.pem").read_bytes())
        self.assert_useless(
            self.endpoint("cert.pem"),
            "Certificate public and private keys do not match.",
        )

    def test_without(self) -> None:
        """Without TLS there are no files; what is no endpoint is Twisted's to say."""
        self.assertEqual(self.trouble("tcp:1"), "")
        for description in ("", "tpc:1", "ssl"):
            self.assertNotEqual(self.trouble(description), "")


class WhyNotTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.web.certificate_files.why_not`."""

    def test_openssl(self) -> None:
        """Of OpenSSL's errors the reasons are told, without the libraries."""
        error = Error([("PEM routines", "", "no start line"), ("x509", "", "bad")])
        self.assertEqual(why_not(error), "no start line, bad")
        self.assertEqual(why_not(Error([])), "OpenSSL does not say why")

    def test_other(self) -> None:
        """Other errors speak for themselves."""
        self.assertEqual(why_not(ValueError("no certificate")), "no certificate")
        self.assertEqual(why_not(KeyError()), "KeyError")
        missing = FileNotFoundError(2, "No such file or directory", b"key.pem")
        self.assertEqual(why_not(missing), "key.pem: No such file or directory")
