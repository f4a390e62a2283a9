# -*- test-case-name: tests.cli.test_endpoint_findings -*-
"""Where a relay is to listen, and with which certificates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from twisted.internet.abstract import isIPv6Address
from twisted.internet.protocol import Factory

from nostrtx.cli.file_findings import no_socket
from nostrtx.cli.finding import Finding
from nostrtx.settings.checks import shown
from nostrtx.settings.tree import Settings
from nostrtx.web.certificate_files import (
    read_certificates,
    server_endpoint,
    shown_certificates,
    why_not,
)
from nostrtx.web.proxied import PROXIED_PREFIX

#: Endpoints for what systemd hands over are known only to what systemd starts.
_HANDED_OVER: Final = "systemd:"

_EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::"})

#: How long before its end a certificate should have been renewed, at most; and the
#: part of its time that is enough where that is short.
_SOON: Final = timedelta(days=14)
_LAST_PART: Final = 4


@attrs.frozen
class _Place:
    """
    Where an endpoint listens.

    Attributes:
        interface: An address; empty for all of them.
        port: A TCP port; 0 for any that is free.
        path: Of a UNIX socket; empty for TCP.
    """

    interface: str = ""
    port: int = 0
    path: str = ""

    def is_in_the_way(self, other: _Place) -> bool:
        """Whether nobody can listen at both."""
        if self.path or other.path:
            return self.path == other.path
        if isIPv6Address(self.interface) != isIPv6Address(other.interface):
            return False
        one = {self.interface, other.interface}
        return self.port == other.port != 0 and (
            len(one) == 1 or not _EVERYWHERE.isdisjoint(one)
        )


class _Places:
    """Stands in for a reactor, and takes note of where endpoints would listen."""

    def __init__(self) -> None:
        self.place: _Place | None = None

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> None:
        """Take note of a TCP port."""
        self.place = _Place(interface, port)

    def listenSSL(
        self,
        port: int,
        factory: Any,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> None:
        """Take note of a TCP port with TLS."""
        self.place = _Place(interface, port)

    def listenUNIX(self, address: str, factory: Any, **options: Any) -> None:
        """Take note of a UNIX socket."""
        self.place = _Place(path=address)


def endpoint_findings(settings: Settings, now: datetime) -> Iterator[Finding]:
    """
    What is wrong with where a relay is to listen; whether it is free is not asked.

    Args:
        settings: ``listen`` and ``admin``.
        now: The time, for certificates.
    """
    places: dict[str, _Place] = {}
    for setting, description in (
        *[("listen.endpoints", each) for each in settings.listen.endpoints],
        *[("admin.endpoints", each) for each in settings.admin.endpoints],
    ):
        called = f"{setting}: {shown(description)}"
        bare = description
        if setting == "listen.endpoints":
            bare = description.removeprefix(PROXIED_PREFIX)
        if bare.startswith(_HANDED_OVER):
            continue
        asked = _Places()
        try:
            listening = server_endpoint(asked, bare).listen(Factory())
        except Exception as error:
            # Whatever a parser makes of it: ValueError, IndexError, OSError.
            why = " ".join(why_not(error).split())
            yield Finding(f"{called} is no endpoint: {why}")
            continue
        listening.addErrback(lambda failure: None)
        if bare.startswith("ssl:"):
            for text, is_fault in _certificate_findings(bare, now):
                yield Finding(f"{called}: {text}", is_fault)
        place = asked.place
        if place is None:
            continue
        if place.path and (why := no_socket(place.path)):
            yield Finding(f"{called}: {why}")
        for other, taken in places.items():
            if place.is_in_the_way(taken):
                yield Finding(f"{called}: {other} is in the way")
        places[called] = place
    takeover = settings.listen.takeover
    if takeover and (why := no_socket(takeover)):
        yield Finding(f"listen.takeover: {why}")


def _certificate_findings(
    description: str, now: datetime
) -> Iterator[tuple[str, bool]]:
    """What is wrong with the certificates of an endpoint, and whether it is a fault."""
    certificates = shown_certificates(read_certificates(description))
    first = certificates[0]
    since, until = first.not_valid_before_utc, first.not_valid_after_utc
    if now > until:
        yield f"the certificate has ended: it was good until {_shown(until)}", True
    elif now < since:
        yield f"the certificate is good from {_shown(since)} on, not yet", True
    elif until - now < min(_SOON, (until - since) / _LAST_PART):
        yield f"the certificate ends soon: it is good until {_shown(until)}", False
    for one, issuer in pairwise(certificates):
        if not _has_signed(issuer, one):
            yield (
                (
                    f"{_called(one)} is not signed by what follows it,"
                    f" {_called(issuer)}: clients may not trust it"
                ),
                False,
            )
    if len(certificates) == 1 and first.issuer != first.subject:
        yield (
            (
                "the certificate comes without that of who signed it: clients may not"
                " trust it; fullchain.pem has both"
            ),
            False,
        )


def _has_signed(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _called(certificate: x509.Certificate) -> str:
    return f"the certificate of {certificate.subject.rfc4514_string() or 'nobody'}"


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
