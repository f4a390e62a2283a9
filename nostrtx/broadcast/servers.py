# -*- test-case-name: tests.broadcast.test_servers -*-
"""Which Redis server to connect to, and how to get there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Protocol

import attrs
from cryptography import x509
from OpenSSL.crypto import X509
from OpenSSL.crypto import Error as TLSError
from twisted.internet.endpoints import (
    HostnameEndpoint,
    UNIXClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)

from nostrtx.redis_url import RedisAddress
from nostrtx.settings.file import ConfigError

#: How long it may take to get a connection.
CONNECT_SECONDS: Final = 5.0


@attrs.frozen
class Found:
    """
    A server to connect to.

    Attributes:
        endpoint: How to get there.
        where: Where it is, for the log.
        must_be_master: Whether to make sure that it is no replica.
    """

    endpoint: IStreamClientEndpoint
    where: str
    must_be_master: bool = False


class Servers(Protocol):
    """Knows which server to connect to."""

    async def find(self) -> Found:
        """
        The server to connect to now.

        Raises:
            Exception: It cannot be told now; the text says why.
        """


@attrs.frozen
class FixedServer:
    """
    Always the same server.

    Attributes:
        found: That one.
    """

    found: Found

    async def find(self) -> Found:
        """That one."""
        return self.found


def endpoint_of(address: RedisAddress, reactor: Any) -> IStreamClientEndpoint:
    """
    How to get to ``address``.

    Raises:
        ConfigError: A file with certificates or with a key cannot be used.
    """
    if address.path:
        return UNIXClientEndpoint(reactor, address.path, timeout=CONNECT_SECONDS)
    plain = HostnameEndpoint(
        reactor, address.host, address.port, timeout=CONNECT_SECONDS
    )
    if not address.tls:
        return plain
    trusted = own = None
    if address.ca_file:
        found = _used(address.ca_file, x509.load_pem_x509_certificates)
        trusted = trustRootFromCertificates(
            [Certificate(X509.from_cryptography(each)) for each in found]
        )
    if address.cert_file:
        files = [address.cert_file] + [address.key_file] * bool(address.key_file)
        pem = b"\n".join(_used(file, bytes) for file in files)
        own = _used(address.cert_file, lambda _: PrivateCertificate.loadPEM(pem))
    return wrapClientTLS(optionsForClientTLS(address.host, trusted, own), plain)


def _used(path: str, use: Any) -> Any:
    try:
        return use(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError(f"cluster.redis: {path}: {error.strerror}") from None
    except (ValueError, TLSError):
        raise ConfigError(f"cluster.redis: {path}: is not PEM as needed") from None
