# -*- test-case-name: tests.web.test_secure -*-
"""
TLS on the relay's own ports.

Twisted does the work; here certificates can be renewed, a connection ends even if the
other side does not agree, and a proxy's header comes before TLS, as proxies send it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
    IReactorTime,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure

from nostrtx.web.certificate_files import read_certificates
from nostrtx.web.certificates import Certificates
from nostrtx.web.proxied import ProxiedSite

#: How long a client may take to end a connection that was ended here.
CLOSE_SECONDS = 5.0


class SecureTransport(BufferingTLSTransport):
    """
    TLS on a connection, for no longer than it is wanted.

    Twisted's own waits without end until the client has agreed to close, or has
    finished a handshake that it will never finish.
    """

    factory: SecureFactory
    _ending: IDelayedCall | None = None

    def loseConnection(self) -> None:
        """Close, and after a while end what has not closed."""
        super().loseConnection()
        if self._ending is None and self.connected:
            clock = self.factory.clock
            self._ending = clock.callLater(CLOSE_SECONDS, self._time_is_up)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It has ended."""
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        super().connectionLost(reason)

    def _time_is_up(self) -> None:
        self._ending = None
        self.abortConnection()


class SecureFactory(TLSMemoryBIOFactory):
    """
    Speaks TLS with whoever connects.

    Args:
        certificates: What they are shown.
        wrapped: Makes the protocols within.
        clock: The reactor, or a fake clock.

    Attributes:
        clock: The same.
    """

    protocol = SecureTransport
    noisy = False

    def __init__(
        self, certificates: Certificates, wrapped: Any, clock: IReactorTime
    ) -> None:
        super().__init__(certificates, False, wrapped, clock)
        self.clock = clock


class SecurePorts:
    """
    What an endpoint asks of a reactor, with TLS as it is done here.

    Args:
        opener: Listens: the reactor, or what stands for it among several processes.
        description: Of the one endpoint that will ask.
        clock: The reactor, or a fake clock.

    Attributes:
        certificates: Of the port, once it is open, if it is one with TLS.
    """

    def __init__(self, opener: Any, description: str, clock: IReactorTime) -> None:
        self._opener = opener
        self._description = description
        self._clock = clock
        self.certificates: Certificates | None = None

    def __getattr__(self, name: str) -> Any:
        # All that is not TLS is the opener's.
        return getattr(self._opener, name)

    def listenSSL(
        self,
        port: int,
        factory: Any,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        """
        Open a port for TLS.

        Raises:
            CannotListenError: That is impossible.
            Exception: The certificate is of no use.
        """
        certificates = Certificates(
            ":".join(self._description.split(":")[:2]),
            # The context factory lacks part of the chain.
            lambda: read_certificates(self._description),
        )

        def within(site: Any) -> SecureFactory:
            return SecureFactory(certificates, site, self._clock)

        if isinstance(factory, ProxiedSite):
            factory.through(within)
        else:
            factory = within(factory)
        opened: IListeningPort = self._opener.listenTCP(
            port, factory, backlog, interface
        )
        self.certificates = certificates
        return opened
