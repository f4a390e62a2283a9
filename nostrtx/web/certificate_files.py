# -*- test-case-name: tests.web.test_certificate_files -*-
"""
Certificates and keys where the settings say they are: in the files of an endpoint.

Twisted parses endpoints, and reads their files; here the file of a certificate may hold
the certificates of its issuers as well (``fullchain.pem``, as certbot and others write
it), and nobody is asked for a passphrase.
"""

from __future__ import annotations

import os
import re
from typing import Any, Final

import attrs
from cryptography import x509
from cryptography.x509 import load_pem_x509_certificates
from OpenSSL.crypto import X509
from twisted.internet.endpoints import _parse, serverFromString
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions

#: How a key begins that nobody can use without its passphrase.
_ENCRYPTED: Final = re.compile(
    rb"^(-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED)", re.MULTILINE
)

_KEY: Final = re.compile(rb"^-----BEGIN [A-Z ]*PRIVATE KEY-----", re.MULTILINE)

_CERTIFICATE: Final = re.compile(rb"^-----BEGIN [A-Z0-9 ]*CERTIFICATE", re.MULTILINE)


@attrs.frozen
class _Files:
    """
    The files of an endpoint, which may be one.

    Attributes:
        key: Where its key is.
        certificate: Where its certificate is.
    """

    key: str
    certificate: str


class _Read:
    """Stands in for a reactor, and takes note of what an endpoint would listen with."""

    options: CertificateOptions

    def listenSSL(
        self, port: int, factory: Any, contextFactory: Any, *others: Any, **named: Any
    ) -> None:
        """Listen to nobody."""
        self.options = contextFactory


def server_endpoint(reactor: Any, description: str) -> Any:
    """
    What a description means to Twisted, which reads the files of one with TLS.

    Args:
        reactor: Will listen.
        description: Of the endpoint.

    Returns:
        An ``IStreamServerEndpoint``.

    Raises:
        Exception: It is none, or its files cannot be used; :func:`why_not` says why
            in plain words.
    """
    files = _files_of(description)
    if files is not None:
        _check(files)
    return serverFromString(reactor, description)


def read_certificates(description: str) -> CertificateOptions:
    """
    What an endpoint with TLS shows its clients, from its files as they are now.

    Args:
        description: Of the endpoint, beginning with ``ssl:``.

    Raises:
        Exception: They cannot be used; :func:`why_not` says why in plain words.
    """
    reading = _Read()
    server_endpoint(reading, description).listen(Factory())
    options = reading.options
    files = _files_of(description)
    assert files is not None
    # Twisted takes the first, and leaves out whoever has signed it.
    _, *issuers = load_pem_x509_certificates(_content(files.certificate))
    known = {each.to_cryptography() for each in options.extraCertChain}
    options.extraCertChain = [
        *[X509.from_cryptography(each) for each in issuers if each not in known],
        *options.extraCertChain,
    ]
    return options


def shown_certificates(options: CertificateOptions) -> list[x509.Certificate]:
    """The certificates that a client is shown, its server's first."""
    assert options.certificate is not None
    return [
        each.to_cryptography()
        for each in (options.certificate, *options.extraCertChain)
    ]


def why_not(error: BaseException | None) -> str:
    """Why an endpoint or its certificates cannot be used, in a few words."""
    if isinstance(error, OSError) and error.filename:
        name = error.filename
        return f"{name.decode() if isinstance(name, bytes) else name}: {error.strerror}"
    details = error.args[0] if error is not None and error.args else None
    if isinstance(details, list):
        # OpenSSL's stack of errors: library, function, reason.
        reasons = [str(each[-1]) for each in details if each]
        return ", ".join(filter(None, reasons)) or "OpenSSL does not say why"
    return str(error) or type(error).__name__


def _files_of(description: str) -> _Files | None:
    """The files of an endpoint with TLS; None if it is another one."""
    places, named = _parse(description)
    if places[0] != "ssl":
        return None
    # As Twisted reads it: the kind, the port, then these.
    key, certificate = [*places[2:4], None, None][:2]
    key = named.get("privateKey", key or "server.pem")
    # Whole, for whoever reads what is wrong with them.
    return _Files(
        os.path.abspath(key),
        os.path.abspath(named.get("certKey", certificate or key)),
    )


def _check(files: _Files) -> None:
    """
    Say in plain words what OpenSSL would say in others, or ask the terminal about.

    Raises:
        OSError: A file cannot be read.
        ValueError: It does not hold what it should.
    """
    key = _content(files.key)
    if _ENCRYPTED.search(key):
        raise ValueError(f"{files.key}: the key has a passphrase; take it off")
    if not _KEY.search(key):
        raise ValueError(f"{files.key}: there is no private key in it (PEM)")
    if not _CERTIFICATE.search(_content(files.certificate)):
        raise ValueError(f"{files.certificate}: there is no certificate in it (PEM)")


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
