# -*- test-case-name: tests.web.test_certificates -*-
"""
Certificates that are renewed while the relay runs.

What an endpoint's description names is read again and again, and compared by what it
holds: that finds a file that was replaced as well as one that was written over, or a
link that leads elsewhere now.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from OpenSSL.crypto import FILETYPE_ASN1, dump_certificate, dump_privatekey
from OpenSSL.SSL import Connection
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions
from twisted.logger import Logger
from zope.interface import implementer

from nostrtx.web.certificate_files import why_not


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """
    What one endpoint shows to those who connect: always the newest that can be used.

    Args:
        name: What the log calls the endpoint.
        read: Reads its files, as :func:`read_certificates` does.

    Attributes:
        name: As above.
        ends_at: When the first of those that are shown ends, in seconds since 1970.

    Raises:
        Exception: They cannot be used, as from ``read``.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        read: Callable[[], CertificateOptions],
    ) -> None:
        self.name = name
        self._read = read
        options = read()
        self.ends_at = _ends_at(options)
        self._context = options.getContext()
        self._content = _content_of(options)
        self._trouble: str | None = None

    def serverConnectionForTLS(self, protocol: Any) -> Connection:
        """OpenSSL's part of a new connection."""
        return Connection(self._context, None)

    def reload(self) -> bool:
        """
        Read the files; new connections get what they hold if that can be used.

        Returns:
            Whether it is other than before.
        """
        try:
            options = self._read()
            content = _content_of(options)
            is_new = content != self._content
            context = options.getContext() if is_new else self._context
        except Exception as error:
            # Whatever OpenSSL or the system makes of a file that is half written.
            self._complain(why_not(error))
            return False
        self._trouble = None
        if not is_new:
            return False
        self._context = context
        self._content = content
        self.ends_at = _ends_at(options)
        self._log.info(
            "The certificate of {endpoint} has been renewed; it is valid until"
            " {until}.",
            endpoint=self.name,
            until=f"{datetime.fromtimestamp(self.ends_at, UTC):%Y-%m-%d %H:%M} UTC",
        )
        return True

    def _complain(self, why: str) -> None:
        if why != self._trouble:
            self._trouble = why
            self._log.error(
                "The certificate of {endpoint} cannot be renewed, and the one from"
                " before remains: {why}",
                endpoint=self.name,
                why=why,
            )


def _content_of(options: CertificateOptions) -> tuple[bytes, ...]:
    assert options.privateKey is not None
    assert options.certificate is not None
    certificates = [options.certificate, *options.extraCertChain]
    return (
        dump_privatekey(FILETYPE_ASN1, options.privateKey),
        *(dump_certificate(FILETYPE_ASN1, each) for each in certificates),
    )


def _ends_at(options: CertificateOptions) -> float:
    certificates = [options.certificate, *options.extraCertChain]
    return min(
        [
            each.to_cryptography().not_valid_after_utc.timestamp()
            for each in certificates
            if each is not None
        ]
    )
